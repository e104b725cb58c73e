"""BTS measured on runs: make two sides comparable, then score them at any d.

``compare_runs`` takes run records, ``compare_points`` plain arrays; ``Comparison.score`` answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.transfer.bts import (
    NEAR_ONE,
    STEEP_FALL,
    BtsPoint,
    CurvePair,
    bts_points,
    pooled_seed_sd,
    settle,
)
from atlas_scaling.transfer.curves import LossPoints, fit_curve
from atlas_scaling.transfer.ranking import LAW
from atlas_scaling.transfer.scores import EVEN_SHARE
from atlas_scaling.transfer.sides import SHARE_TOLERANCE, TOKENS, Sides, Unit, pick_sides
from atlas_scaling.units import format_count

CLOSE: Final = 0.02
"""Points of a curve this near (in log d) to the d that is asked for give way to it."""

KNOWN_DOF: Final = 1_000_000
"""Degrees of freedom of a deviation that is given, not told from a few runs."""

BEYOND_BELIEF: Final = 1.5
"""A score above it makes a source's token worth more than three of the target's (tau > 3)."""

MANY_EPOCHS: Final = 4.0
"""Text read more often than this is worth clearly less than new text (Muennighoff et al. 2023)."""


@dataclass(frozen=True, slots=True)
class BtsAnswer(Answer):
    """The score of one or more sources on a target, over d.

    Attributes:
        target: language that was scored.
        sources: what it was trained with.
        share: of the target in the run on both, in ``unit``.
        at: the score at one d.
        curve: scores over the monolingual run.
        settles_at: smallest d from which on the score falls slowly; None where it never does.
        unit: of every d.
        n_params: model size, embeddings counted; None if not known.
        lr_state: of both sides, or both states where they differ.
        level: of the intervals.
        noise: standard deviation of one evaluation as a share of the loss, monolingual side and
            the other; None where it could not be told.
        seed_sd: of log loss between seeds; None where each side is one run.
        source: the runs.
    """

    target: str
    sources: tuple[str, ...]
    share: float
    at: BtsPoint
    curve: tuple[BtsPoint, ...]
    settles_at: float | None
    unit: str
    n_params: float | None
    lr_state: str
    level: float
    noise: tuple[float | None, float | None]
    seed_sd: float | None
    source: str
    law: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides that can be compared, smoothed, ready to be scored at any d.

    Attributes:
        target: language that is scored.
        sources: what it was trained with.
        curves: losses on the target alone and with the sources.
        sides: the runs behind them; None where plain arrays were given.
        unit: what text is counted in.
    """

    target: str
    sources: tuple[str, ...]
    curves: CurvePair
    sides: Sides | None = None
    unit: str = TOKENS

    def epochs_at(self, d: float) -> float | None:
        """How often the monolingual run has read its text at ``d``; None if not recorded."""
        mono = None if self.sides is None else self.sides.mono
        if mono is None or not mono.unique_tokens:
            return None
        return d / (mono.unique_tokens * mono.units_per_token)

    def score(
        self, at: float | None = None, *, level: float = DEFAULT_LEVEL, seed: int = 0
    ) -> BtsAnswer:
        """The score over d, and at ``at`` (if None, see ``bts.DEFAULT_REACH``).

        Raises:
            InputError: ``at`` is outside the monolingual run.
        """
        curves = self.curves
        d = curves.default_d if at is None else float(at)
        grid = curves.default_grid()
        grid = np.union1d(grid[np.abs(np.log(grid / d)) > CLOSE], [d])
        points, settles_at = settle(bts_points(curves, grid, level=level, seed=seed))
        here = points[int(np.searchsorted(grid, d))]
        sides = (curves.mono, curves.pair)
        return BtsAnswer(
            target=self.target,
            sources=self.sources,
            share=curves.share,
            at=here,
            curve=points,
            settles_at=settles_at,
            unit=self.unit,
            n_params=None if self.sides is None else self.sides.n_params,
            lr_state="unknown" if self.sides is None else self.sides.lr_state,
            level=level,
            noise=(curves.mono.noise, curves.pair.noise),
            seed_sd=None if curves.seed_sd is None else curves.seed_sd[0],
            source=" against ".join(side.points.name for side in sides),
            law=LAW,
            warnings=(
                *(() if self.sides is None else self.sides.warnings),
                *_share_warnings(curves.share),
                *_bound_warnings(here),
                *implausible(curves, here),
                *_early_warnings(here, settles_at),
                *_curve_warnings(curves),
                *_repetition_warnings(self, here.tokens),
            ),
        )


def compare_points(
    mono: LossPoints,
    pair: LossPoints,
    *,
    share: float = EVEN_SHARE,
    noise: float | None = None,
    seed_sd: float | None = None,
    seed: int = 0,
    target: str = "target",
    sources: Sequence[str] = ("source",),
) -> Comparison:
    """Losses on the target of a run on it alone and of a run on it and others, made comparable.

    Args:
        mono: losses of the run on the target alone; one unit of loss and of text in both.
        pair: losses on the same target of the run on both, over the text of both.
        share: of the target in the text of ``pair``.
        noise: standard deviation of one evaluation in units of the loss; told by the points'
            scatter if None.
        seed_sd: standard deviation of log loss between seeds, as known from elsewhere; told by the
            points' runs if None, and left out where they are of one run each.
        seed: of the draws of both curves.
        target: named in answers.
        sources: named in answers.

    Raises:
        InputError: a loss does nothing but rise.
    """
    check_deviations(noise, seed_sd)
    seeds = np.random.SeedSequence(seed).generate_state(2)
    alone = fit_curve(mono, noise=noise, seed=int(seeds[0]))
    both = fit_curve(pair, noise=noise, seed=int(seeds[1]))
    known = pooled_seed_sd(alone, both) if seed_sd is None else (seed_sd, KNOWN_DOF)
    curves = CurvePair(alone, both, share, known)
    return Comparison(target, tuple(sources), curves)


def compare_runs(
    mono: pl.DataFrame,
    pair: pl.DataFrame,
    target: str,
    *,
    unit: Unit | None = None,
    allow_lr_mismatch: bool = False,
    noise: float | None = None,
    seed_sd: float | None = None,
    seed: int = 0,
) -> Comparison:
    """Run records (``RunTable.frame``) made comparable.

    Args:
        mono: rows of one or more runs on the target alone; several differ by seed only.
        pair: rows of one or more runs on the target and others.
        target: the language to score, as users write it.
        unit: what text is counted in; tokens if not given.
        allow_lr_mismatch: compare different learning-rate states; answers then say so.
        noise: as in ``compare_points``.
        seed_sd: likewise.
        seed: of the draws of both curves.

    Raises:
        InputError: the runs cannot be compared; says why and what would make it so.
    """
    target = normalise(target)
    unit = Unit() if unit is None else unit
    sides = pick_sides(mono, pair, target, unit=unit, allow_lr_mismatch=allow_lr_mismatch)
    shares = sides.pair.mixture
    comparison = compare_points(
        sides.mono.points,
        sides.pair.points,
        share=shares[target],
        noise=noise,
        seed_sd=seed_sd,
        seed=seed,
        target=target,
        sources=sorted(set(shares) - {target}),
    )
    return replace(comparison, sides=sides, unit=unit.name)


def check_deviations(noise: float | None, seed_sd: float | None) -> None:
    """Refuse deviations that are not above zero.

    Raises:
        InputError: names the one that is not.
    """
    for name, value in (("noise", noise), ("seed_sd", seed_sd)):
        if value is not None and not 0 < value < np.inf:
            raise InputError(
                "a standard deviation of the loss must be above zero",
                value=value,
                where=name,
                remedy="leave it out to have it told by the runs",
            )


def _share_warnings(share: float) -> list[str]:
    if abs(share - EVEN_SHARE) <= SHARE_TOLERANCE:
        return []
    return [
        f"the target has {share:.0%} of the text, not half: the score is that of an even pair with "
        "the same transfer weight (tau)"
    ]


def _early_warnings(here: BtsPoint, settles_at: float | None) -> list[str]:
    d, fall = format_count(here.tokens), here.fall_per_doubling
    until = (
        "nowhere on this curve does it settle"
        if settles_at is None
        else f"it settles from d = {format_count(settles_at)} on"
    )
    if here.early:
        return [
            f"at d = {d} the score is early, {_why_early(here)}: learning is first limited by "
            "optimiser steps, not by data, so any pair, related or not, starts near +1 and falls; "
            f"{until}"
        ]
    if fall is not None and fall > STEEP_FALL:
        return [
            f"at d = {d} the score still falls by {fall:.2f} when d doubles: its value belongs to "
            f"this d; {until}"
        ]
    return []


def _why_early(here: BtsPoint) -> str:
    if here.bts is None or here.bts > NEAR_ONE:
        return "still near +1"
    if here.fall_per_doubling is None:
        return "too near the first evaluation to tell whether it still falls"
    if here.fall_per_doubling > STEEP_FALL:
        return f"positive but falling by {here.fall_per_doubling:.2f} when d doubles"
    return "positive but yet to fall steeply"


def _curve_warnings(curves: CurvePair) -> list[str]:
    sides = (curves.mono, curves.pair)
    found = [
        f"the loss of {side.points.name} rises after {format_count(side.rises_from)}; the curve "
        "is used up to there"
        for side in sides
        if side.rises_from is not None
    ]
    if any(side.noise is None for side in sides):
        found.append(
            "too few evaluations to tell their noise, hence no interval; give the noise, "
            "or evaluate more often"
        )
    elif curves.seed_sd is None and all(side.points.n_runs == 1 for side in sides):
        found.append(
            "one run a side: the interval covers the noise of evaluations, not what another seed "
            "would change; run a second seed, or say what a seed changes (--seed-sd)"
        )
    return found


def _bound_warnings(here: BtsPoint) -> list[str]:
    if here.censored is None:
        return []
    if here.upper is None:
        return ["the transfer weight is -1 or less: an even pair would never reach this loss"]
    if here.lower is None:
        return [
            "the run on both never reached the loss: the score is a bound, below "
            f"{here.upper:.2f}; train it longer, or take a smaller d"
        ]
    return [
        "the run on both had the loss before its first evaluation: the score is a bound, above "
        f"{here.lower:.2f}; evaluate it earlier, or take a larger d"
    ]


def implausible(curves: CurvePair, here: BtsPoint) -> list[str]:
    """Sides that hardly measure the same thing: another unit of the loss, or of the text."""
    known = here.bts if here.bts is not None else here.lower
    apart = None
    if curves.pair.log_loss[-1] > curves.mono.log_loss[0]:
        apart = "the run on both never comes down to where the monolingual run begins"
    elif known is not None and known > BEYOND_BELIEF:
        apart = "one token of the source would be worth more than three of the target itself"
    if apart is None:
        return []
    return [f"hardly true: {apart}; do both sides count loss and tokens in the same units?"]


def _repetition_warnings(comparison: Comparison, d: float) -> list[str]:
    """Says when the monolingual run has repeated its text so often that it counts for less."""
    epochs = comparison.epochs_at(d)
    if epochs is None or epochs <= MANY_EPOCHS:
        return []
    of_both = comparison.epochs_at(comparison.curves.pair.last * comparison.curves.share)
    return [
        f"at d the monolingual run has read its text {epochs:.1f} times (the other one at most "
        f"{of_both:.1f} times): part of the score is repetition, not transfer"
    ]
