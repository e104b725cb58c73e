"""Where two loss curves cross, with an interval: the team's own evidence for ``start``.

Both curves are smoothed as transfer scores are (``transfer.curves``: falling splines in log-log,
with draws that carry evaluation noise and, where there are several runs, seeds). The crossing is
the last point at which scratch goes below continuing. Where the curves do not cross in the tokens
they share, the crossing is censored: at least the last of them, or at most the first.

Beyond the last tokens both are carried on by ``L = E + B (D + D_0)^-b``, D_0 the head start of the
checkpoint in tokens (Hernandez et al. 2021) and 0 for scratch: E and B by linear least squares, b
and D_0 on a grid, whose draws weigh every b and D_0 by how well they fit (the intervals of the best
alone, and of resamples of it, held planted crossovers far too seldom). The grid of b is made finer
where it fits until several of its points do: a long curve tells b far better than any fixed grid,
and the nearest point of one misses what lies ahead by several times the noise. That is a guess
about runs nobody made, and is labelled as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.curves import LossCurve, LossPoints, fit_curve
from atlas_scaling.units import format_count

FloatArray = NDArray[np.float64]

GRID: Final = 256
REACH: Final = 30.0
"""How far beyond the last tokens a crossing is looked for, as a factor."""

EXPONENTS: Final = np.geomspace(0.02, 2.0, 41)
HEAD_STARTS: Final = np.geomspace(0.01, 100.0, 17)
"""Grids of ``b`` and of ``D_0``, the latter as a multiple of the curve's last tokens."""

NEGLIGIBLE: Final = 12.0
"""A law whose likelihood is this much (in logarithm) below the best is none."""

ENOUGH: Final = 8
"""Exponents of a grid that are not negligible, for it to be fine enough."""

MOST_ZOOMS: Final = 8
DRAW_TRIES: Final = 20
TINY: Final = 1e-24


@dataclass(frozen=True, eq=False)
class Crossing:
    """Where scratch overtakes continuing.

    Attributes:
        scratch: the curve from scratch.
        continued: the curve after the checkpoint.
        measured: tokens of the crossing, if it lies in the tokens both curves have.
        extrapolated: tokens of the crossing beyond them, by the fitted laws; None where they do not
            cross up to ``REACH`` times the last tokens, or where it is measured.
        after: the crossing is at least this, where the curves end before it.
        before: the crossing is at most this, where scratch is ahead from the first tokens on.
        draws: the crossing in each draw; infinite where it has none up to ``REACH``, 0 where
            scratch is ahead from the first; None where the points cannot tell their noise.
    """

    scratch: LossCurve
    continued: LossCurve
    measured: float | None
    extrapolated: float | None
    after: float | None
    before: float | None
    draws: FloatArray | None

    @property
    def first(self) -> float:
        """First tokens that both curves have."""
        return max(self.scratch.first, self.continued.first)

    @property
    def last(self) -> float:
        """Last tokens that both curves have."""
        return min(self.scratch.last, self.continued.last)

    @property
    def looked_at(self) -> float:
        """Tokens up to which a crossing was looked for."""
        return self.last * REACH

    def interval(self, level: float) -> tuple[float, float] | None:
        """Percentiles of the draws; an open end is infinite or 0.

        A draw without a crossing says no more than that it lies beyond what was looked at.
        """
        if self.draws is None:
            return None
        tail = (1 - level) / 2
        low, high = np.quantile(self.draws, [tail, 1 - tail], method="nearest")
        return min(float(low), self.looked_at), max(float(high), self.first)

    def probability_scratch_better(self, tokens: float) -> float | None:
        """Share of draws whose crossing is below ``tokens``.

        None without draws, and beyond what was looked at where some draws have no crossing there.
        """
        if self.draws is None or (tokens > self.looked_at and np.isinf(self.draws).any()):
            return None
        return float(np.mean(self.draws < tokens))


def crossing(
    scratch: LossPoints, continued: LossPoints, *, n_draws: int = 400, seed: int = 0
) -> Crossing:
    """Find where ``scratch`` goes below ``continued``.

    Args:
        scratch: losses on the target over its tokens, trained from nothing.
        continued: losses over the tokens after the checkpoint, the checkpoint's own left out.
        n_draws: of each curve.
        seed: of the draws.

    Raises:
        InputError: the curves have no tokens in common, or one cannot be smoothed.
    """
    one = fit_curve(scratch, n_draws=n_draws, seed=seed)
    other = fit_curve(continued, n_draws=n_draws, seed=seed + 1)
    first, last = max(one.first, other.first), min(one.last, other.last)
    if first >= last:
        raise InputError(
            "the two curves have no tokens in common",
            value=f"{_span(one)} and {_span(other)}",
            where="scratch, continued",
            remedy="count both from their own start: tokens after the checkpoint for the second",
        )
    inside = np.linspace(np.log(first), np.log(last), GRID)
    beyond = np.linspace(np.log(last), np.log(last * REACH), GRID)
    measured = _read(inside, _gap(one, other, inside, draws=False)[0])
    carried = _carried_gap(one.points, other.points, beyond, n_draws, seed + 2)
    return Crossing(
        scratch=one,
        continued=other,
        measured=measured if 0 < measured < np.inf else None,
        extrapolated=_first_fall(beyond, carried[0]) if np.isposinf(measured) else None,
        after=last if np.isposinf(measured) else None,
        before=first if measured == 0 else None,
        draws=_crossing_draws(one, other, inside, beyond, carried[1:]),
    )


def _crossing_draws(
    one: LossCurve, other: LossCurve, inside: FloatArray, beyond: FloatArray, carried: FloatArray
) -> FloatArray | None:
    if one.draws is None or other.draws is None:
        return None
    gaps = _gap(one, other, inside, draws=True)
    read = np.array([_read(inside, gap) for gap in gaps])
    for i in np.flatnonzero(np.isposinf(read)):
        further = _first_fall(beyond, carried[i])
        read[i] = np.inf if further is None else further
    return read


def _gap(one: LossCurve, other: LossCurve, x: FloatArray, *, draws: bool) -> FloatArray:
    """Log loss of scratch over that of continuing, shape (R, len(x)); below 0 scratch is ahead."""
    curves = []
    for curve in (one, other):
        values = curve.draws if draws else curve.log_loss[None]
        assert values is not None
        curves.append(np.array([np.interp(x, curve.log_tokens, row) for row in values]))
    return np.asarray(curves[0] - curves[1])


def _read(x: FloatArray, gap: FloatArray) -> float:
    """Tokens of the last fall through 0; infinite if scratch ends behind, 0 if never behind."""
    if gap[-1] > 0:
        return np.inf
    behind = np.flatnonzero(gap > 0)
    if not len(behind):
        return 0.0
    i = int(behind[-1])
    return float(np.exp(x[i] + (x[i + 1] - x[i]) * gap[i] / (gap[i] - gap[i + 1])))


def _first_fall(x: FloatArray, gap: FloatArray) -> float | None:
    """Tokens of the first point at or below 0, or None."""
    ahead = np.flatnonzero(gap <= 0)
    if not len(ahead):
        return None
    i = int(ahead[0])
    if i == 0:
        return float(np.exp(x[0]))
    return float(np.exp(x[i - 1] + (x[i] - x[i - 1]) * gap[i - 1] / (gap[i - 1] - gap[i])))


def _carried_gap(
    one: LossPoints, other: LossPoints, x: FloatArray, n_draws: int, seed: int
) -> FloatArray:
    """``_gap`` beyond the last tokens from the fitted laws: the points', then the draws'."""
    rng = np.random.Generator(np.random.PCG64(seed))
    carried = [
        _carried(one, np.zeros(1), x, n_draws, rng),
        _carried(other, np.concatenate([[0.0], HEAD_STARTS]), x, n_draws, rng),
    ]
    return np.asarray(np.log(carried[0]) - np.log(carried[1]))


def _carried(
    points: LossPoints,
    head_starts: FloatArray,
    x: FloatArray,
    n_draws: int,
    rng: np.random.Generator,
) -> FloatArray:
    """``E + B (D + D_0)^-b`` at log tokens ``x``: the points' best, then draws of what else fits.

    Shape (1 + n_draws, len(x)). Errors are relative.
    """
    scale = points.tokens[-1]
    D, future = points.tokens / scale, np.exp(x) / scale
    grids = [_lines(D, points.loss, head) for head in head_starts]
    laws = [law for grid, _ in grids for law in grid]
    log_weight = np.array([law.log_weight + step for grid, step in grids for law in grid])
    weight = np.exp(log_weight - log_weight.max())
    best = min(laws, key=lambda law: law.error)
    drawn = rng.choice(len(laws), size=n_draws, p=weight / weight.sum())
    return np.array([best.at(future), *(laws[k].draw(future, rng) for k in drawn)])


def _lines(D: FloatArray, loss: FloatArray, head_start: float) -> tuple[list[_Line], float]:
    """Lines of one ``D_0`` on a grid of ``b`` that is as fine as the losses tell it.

    Every ``log b`` is as likely as another beforehand, so a line stands for its step: the second
    value, the logarithm of it.
    """
    exponents = EXPONENTS
    for zoom in range(MOST_ZOOMS + 1):
        laws = [_line(D, loss, head_start, b) for b in exponents]
        log_weight = np.array([law.log_weight for law in laws])
        near = np.flatnonzero(log_weight > log_weight.max() - NEGLIGIBLE)
        if len(near) >= ENOUGH or zoom == MOST_ZOOMS:
            break
        ends = exponents[max(near[0] - 1, 0)], exponents[min(near[-1] + 1, len(exponents) - 1)]
        exponents = np.geomspace(*ends, len(EXPONENTS))
    return laws, math.log(math.log(exponents[1] / exponents[0]))


@dataclass(frozen=True, eq=False)
class _Line:
    """``loss = E + B v`` at one ``b`` and ``D_0``, ``v = (D + D_0)^-b``.

    Attributes:
        b, head_start: as given.
        coefficients: E and B, at least 0.
        root: of the covariance of the unbounded E and B over the variance of an error, (2, 2).
        mean: the unbounded E and B.
        error: sum of squares of relative residuals of ``coefficients``.
        spare: the same of ``mean``, and its degrees of freedom.
        log_weight: log of the likelihood with E, B and the noise integrated out, where the losses
            at the first and the last tokens are as likely to be one thing as another beforehand.
    """

    b: float
    head_start: float
    coefficients: FloatArray
    mean: FloatArray
    root: FloatArray
    error: float
    spare: tuple[float, int]
    log_weight: float

    def at(self, D: FloatArray, coefficients: FloatArray | None = None) -> FloatArray:
        """The loss after ``D`` tokens."""
        E, B = self.coefficients if coefficients is None else coefficients
        return np.asarray(E + B * (D + self.head_start) ** -self.b)

    def draw(self, D: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The same with other E, B at least 0 that fit, those of the line if none is found."""
        squares, free = self.spare
        for _ in range(DRAW_TRIES):
            sd = np.sqrt(squares / rng.chisquare(free))
            drawn = self.mean + sd * (self.root @ rng.standard_normal(2))
            if (drawn >= 0).all():
                return self.at(D, drawn)
        return self.at(D)


def _line(D: FloatArray, loss: FloatArray, head_start: float, b: float) -> _Line:
    """The line of one ``b`` and ``D_0``."""
    v = (D + head_start) ** -b
    X = np.column_stack([np.ones_like(v), v]) / loss[:, None]
    inverse = np.linalg.inv(X.T @ X)
    mean = inverse @ X.sum(axis=0)
    coefficients = mean
    if mean[0] < 0:
        coefficients = np.array([0.0, X[:, 1].sum() / np.square(X[:, 1]).sum()])
    elif mean[1] < 0:
        coefficients = np.array([X[:, 0].sum() / np.square(X[:, 0]).sum(), 0.0])
    squares, error = (float(np.square(1 - X @ c).sum()) for c in (mean, coefficients))
    free = max(len(D) - 2, 1)
    span = abs(float(v[0] - v[-1]))
    log_weight = -0.5 * free * np.log(max(error, TINY)) + np.log(span)
    log_weight += 0.5 * np.linalg.slogdet(inverse)[1]
    return _Line(
        b,
        head_start,
        coefficients,
        mean,
        np.linalg.cholesky(inverse),
        error,
        (squares, free),
        float(log_weight),
    )


def _span(curve: LossCurve) -> str:
    return f"{format_count(curve.first)}-{format_count(curve.last)} tokens"
