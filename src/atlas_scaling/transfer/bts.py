"""BTS from two loss curves, over d, with bounds where a loss was not reached.

``L_t(d)`` is read from the smooth curve of the monolingual run, ``sigma`` is where the smooth
curve of the run on target and source has that loss, and ``scores.bts_from_tokens`` does the rest.
Between evaluations curves are followed, beyond them never:

- never reached, sigma > D_last: the score is below ``2 - D_last/d``, an upper bound;
- reached before the first evaluation, sigma < D_first: it is above ``2 - D_first/d``, a lower
  bound.

Intervals are quantiles over draws of both curves (``curves``) and, where several seeds were run,
of what a seed adds to a run's log loss.

At small d every score is near 1, related languages or not: learning is still limited by optimiser
steps, the loss follows tokens in all, and sigma is near d. From there the score falls as d grows. A
score that is positive and still falling steeply may yet turn: ``early`` marks it. One that falls
steeply below 0 has its sign, but its value belongs to its d (``fall_per_doubling``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.curves import LossCurve
from atlas_scaling.transfer.scores import MAX_BTS, bts_from_tokens, tau_from_bts
from atlas_scaling.units import format_count

Floats = NDArray[np.float64]

STEEP_FALL: Final = 0.25
"""A score that falls by more than this per doubling of d says as much about d as about the pair."""

DEFAULT_REACH: Final = 1.5
"""By default d is such that the pair's run could need this many times the tokens of a source that
does nothing and still show it: an even pair three times as long as d, as in the paper (30,000 steps
against 10,000; App. B.2, B.5.1), where scores down to -1 are seen and lower ones are bounds."""

NEAR_ONE: Final = 0.8
"""Above this a token of the source would be worth more than 2/3 of one of the target (tau)."""

_CURVE_POINTS: Final = 24


class Censored(StrEnum):
    """Which bound a score without value has."""

    UPPER = "upper"
    LOWER = "lower"


@dataclass(frozen=True, slots=True)
class BtsPoint(Answer):
    """The score at one d.

    Attributes:
        tokens: d of the monolingual run, in the unit of the answer.
        bts: the score; None where only a bound is known.
        tau: the transfer weight it gives; None likewise.
        lower, upper: interval, or the bound of a censored score; None where not known.
        censored: ``upper`` (never reached), ``lower`` (before the first evaluation) or None.
        fall_per_doubling: by how much the score fell since d/2; None where either has no value.
        early: the score is above ``NEAR_ONE``; or it is positive and falls by more than
            ``STEEP_FALL``, here or (once ``settle`` has looked) further on; or it is positive and d
            too near the first evaluation to tell.
    """

    tokens: float
    bts: float | None
    tau: float | None
    lower: float | None
    upper: float | None
    censored: Censored | None
    fall_per_doubling: float | None
    early: bool


@dataclass(frozen=True, slots=True)
class CurvePair:
    """The two curves of one score, and what a seed adds.

    Attributes:
        mono: of the run on the target alone.
        pair: of the run on target and source; x in tokens of both.
        share: of the target in ``pair``, in the unit of x.
        seed_sd: of log loss between seeds, and degrees of freedom; None where not known.
    """

    mono: LossCurve
    pair: LossCurve
    share: float
    seed_sd: tuple[float, int] | None = None

    @property
    def default_d(self) -> float:
        """Where to take the score: see ``DEFAULT_REACH``; inside the monolingual curve."""
        d = self.share * self.pair.last / DEFAULT_REACH
        return min(max(d, self.mono.first), self.mono.last)

    def default_grid(self) -> Floats:
        """Values of d for a curve: even in log tokens over the monolingual run."""
        return np.geomspace(self.mono.first, self.mono.last, _CURVE_POINTS)


def pooled_seed_sd(*curves: LossCurve) -> tuple[float, int] | None:
    """Seed to seed standard deviation of log loss from curves of several runs each."""
    known = [(c.seed_variance, c.points.n_runs - 1) for c in curves if c.seed_variance is not None]
    if not known:
        return None
    dof = sum(n for _, n in known)
    return float(np.sqrt(sum(variance * n for variance, n in known) / dof)), dof


def bts_points(
    curves: CurvePair, d: Floats, *, level: float = DEFAULT_LEVEL, seed: int = 0
) -> tuple[BtsPoint, ...]:
    """The score at each ``d``.

    Args:
        curves: the two.
        d: inside the monolingual curve, shape ``(n,)``.
        level: of the intervals.
        seed: of what a seed adds to a run; the curves carry draws of their own.

    Raises:
        InputError: a ``d`` lies outside the monolingual curve.
    """
    _check_inside(curves.mono, d)
    scores = _scores(curves, d)
    falls = _falls_per_doubling(curves, d, scores)
    low, high = _quantiles(curves, d, level, seed)
    never = bts_from_tokens(d, np.full_like(d, curves.pair.last), share=curves.share)
    always = bts_from_tokens(d, np.full_like(d, curves.pair.first), share=curves.share)
    points = []
    for i, tokens in enumerate(d):
        censored = None
        bounds = low[i], high[i]
        if scores[i] == -np.inf:
            censored, bounds = Censored.UPPER, (np.nan, np.fmax(never[i], high[i]))
        elif scores[i] == np.inf:
            censored, bounds = Censored.LOWER, (np.fmin(always[i], low[i]), MAX_BTS)
        bts = _finite(scores[i])
        points.append(
            BtsPoint(
                tokens=float(tokens),
                bts=bts,
                tau=None if bts is None else tau_from_bts(bts),
                lower=_finite(bounds[0]),
                upper=_finite(bounds[1]),
                censored=censored,
                fall_per_doubling=_finite(falls[i]),
                early=_is_early(bts, _finite(falls[i]), censored),
            )
        )
    return tuple(points)


def settle(points: Sequence[BtsPoint]) -> tuple[tuple[BtsPoint, ...], float | None]:
    """Mark positive scores before the last steep fall as early.

    Args:
        points: a curve, d rising.

    Returns:
        The same curve, and the smallest d from which on no known score falls steeply, None if
        there is none.
    """
    settled = None
    for point in points:
        if point.bts is None:
            continue
        if point.fall_per_doubling is None or point.fall_per_doubling > STEEP_FALL:
            settled = None
        elif settled is None:
            settled = point.tokens

    def may_turn(point: BtsPoint) -> bool:
        unsettled = settled is None or point.tokens < settled
        return point.bts is not None and point.bts > 0 and unsettled

    return tuple(replace(p, early=p.early or may_turn(p)) for p in points), settled


def _check_inside(mono: LossCurve, d: Floats) -> None:
    outside = (d < mono.first * (1 - 1e-9)) | (d > mono.last * (1 + 1e-9))
    if outside.any():
        raise InputError(
            "the monolingual run has no loss at this d",
            value=format_count(float(d[outside][0])),
            where=mono.points.name,
            remedy=f"take d between {format_count(mono.first)} and {format_count(mono.last)}",
        )


def _scores(curves: CurvePair, d: Floats) -> Floats:
    """Scores at ``d``; -inf where the loss was never reached, inf where before the first point."""
    x = np.log(d)
    wanted = np.interp(x, curves.mono.log_tokens, curves.mono.log_loss)
    log_sigma = _log_tokens_at(wanted, curves.pair.log_tokens, curves.pair.log_loss)
    return _score(d, log_sigma, curves.share)


def _score(d: Floats, log_sigma: Floats, share: float) -> Floats:
    inside = np.isfinite(log_sigma)
    sigma = np.exp(np.where(inside, log_sigma, np.log(d)))
    return np.where(inside, bts_from_tokens(d, sigma, share=share), -log_sigma)


def _log_tokens_at(log_loss: Floats, curve_x: Floats, curve_y: Floats) -> Floats:
    """Where a falling curve has a loss: -inf if before its first point, inf if never."""
    return np.interp(-log_loss, -curve_y, curve_x, left=-np.inf, right=np.inf)


def _falls_per_doubling(curves: CurvePair, d: Floats, scores: Floats) -> Floats:
    """Score at d/2 less score at d; NaN where one of them has no value."""
    half = d / 2
    inside = half >= curves.mono.first
    before = _scores(curves, np.where(inside, half, d))
    known = inside & np.isfinite(before) & np.isfinite(scores)
    return np.where(known, np.where(known, before, 0.0) - np.where(known, scores, 0.0), np.nan)


def _is_early(bts: float | None, fall: float | None, censored: Censored | None) -> bool:
    if censored is Censored.UPPER:
        return False
    if bts is None or bts > NEAR_ONE:
        return True
    return bts > 0 and (fall is None or fall > STEEP_FALL)


def _quantiles(curves: CurvePair, d: Floats, level: float, seed: int) -> tuple[Floats, Floats]:
    """Ends of each interval: NaN without draws, -inf where the loss may never be reached."""
    mono, pair = curves.mono, curves.pair
    if mono.draws is None or pair.draws is None:
        return np.full_like(d, np.nan), np.full_like(d, np.nan)
    n_draws = min(len(mono.draws), len(pair.draws))
    apart_R = _seed_offsets(curves, n_draws, seed)
    x = np.log(d)
    scores_RD = np.empty((n_draws, d.size))  # draws x values of d
    for r in range(n_draws):
        wanted = np.interp(x, mono.log_tokens, mono.draws[r]) + apart_R[r]
        log_sigma = _log_tokens_at(wanted, pair.log_tokens, pair.draws[r])
        scores_RD[r] = _score(d, log_sigma, curves.share)
    tails = [(1 - level) / 2, (1 + level) / 2]
    # Order statistics, not interpolated ones: between a number and -inf there is no number.
    low, high = np.quantile(np.minimum(scores_RD, MAX_BTS), tails, axis=0, method="nearest")
    return low, high


def _seed_offsets(curves: CurvePair, n_draws: int, seed: int) -> Floats:
    """How much higher the monolingual log loss may be for its seeds than the pair's for its."""
    if curves.seed_sd is None:
        return np.zeros(n_draws)
    sd, dof = curves.seed_sd
    rng = np.random.Generator(np.random.PCG64(seed))
    per_run = 1 / curves.mono.points.n_runs + 1 / curves.pair.points.n_runs
    scale_R = sd * np.sqrt(per_run * dof / rng.chisquare(dof, n_draws))
    return np.multiply(scale_R, rng.standard_normal(n_draws))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
