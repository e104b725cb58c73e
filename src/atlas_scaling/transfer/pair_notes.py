"""What is doubtful about a measured matrix: notes of a cell, warnings of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from atlas_scaling.transfer.bts import STEEP_FALL
from atlas_scaling.transfer.measure import MANY_EPOCHS, BtsAnswer, Comparison, implausible
from atlas_scaling.transfer.scores import EVEN_SHARE
from atlas_scaling.transfer.sides import MISMATCH, SHARE_TOLERANCE
from atlas_scaling.units import format_count

REPEATED: Final = (
    f"its text was read more than {MANY_EPOCHS:g} times: part of the score is repetition"
)
FALLING: Final = f"falls by more than {STEEP_FALL:g} when d doubles: the value belongs to its d"
ONE_SEED: Final = "one seed a side: the interval leaves out what another seed would change"
NO_INTERVAL: Final = "too few evaluations for an interval"


def is_uneven(share: float) -> bool:
    """Whether a pair is not half and half."""
    return abs(share - EVEN_SHARE) > SHARE_TOLERANCE


def notes_of(comparison: Comparison, answer: BtsAnswer) -> Iterator[str]:
    """What a cell has to carry along wherever it goes."""
    if MISMATCH in answer.lr_state:
        yield f"learning-rate states {answer.lr_state}"
    if is_uneven(answer.share):
        yield f"{answer.share:.0%} of the text is the target's, not half"
    if _is_repeated(comparison, answer):
        yield REPEATED
    if _is_falling(answer):
        yield FALLING
    if None in answer.noise:
        yield NO_INTERVAL
    elif _is_one_seed(comparison):
        yield ONE_SEED


def _is_repeated(comparison: Comparison, answer: BtsAnswer) -> bool:
    return (comparison.epochs_at(answer.at.tokens) or 0.0) > MANY_EPOCHS


def _is_falling(answer: BtsAnswer) -> bool:
    return not answer.at.early and (answer.at.fall_per_doubling or 0.0) > STEEP_FALL


def _is_one_seed(comparison: Comparison) -> bool:
    curves = comparison.curves
    sides = (curves.mono, curves.pair)
    return curves.seed_sd is None and all(side.points.n_runs == 1 for side in sides)


def warnings_of(scored: Sequence[tuple[Comparison, BtsAnswer]]) -> Iterator[str]:
    """What is doubtful about the cells of one model size, each thing once."""
    answers = [answer for _, answer in scored]
    for comparison, _ in scored:
        assert comparison.sides is not None
        yield from comparison.sides.warnings
    for comparison, answer in scored:
        for said in implausible(comparison.curves, answer.at):
            yield f"{', '.join(answer.sources)} to {answer.target}: {said}"
    size = "" if answers[0].n_params is None else f" at {format_count(answers[0].n_params)}"
    d = answers[0].at.tokens
    n = len(answers)
    censored = sum(a.at.censored is not None for a in answers)
    if censored:
        yield f"{censored} of {n} scores{size} are bounds: the loss was not reached, or too soon"
    early = sum(a.at.early for a in answers)
    if early:
        yield (
            f"{early} of {n} scores{size} are early at d = {format_count(d)}: near +1, or positive "
            "and still falling steeply. Learning is first limited by optimiser steps, not by data, "
            "so any pair, related or not, starts near +1; these may yet turn"
        )
    falling = sum(map(_is_falling, answers))
    if falling:
        yield (
            f"{falling} more of {n} scores{size} still fall by more than {STEEP_FALL:g} when d "
            "doubles: their values belong to this d"
        )
    uneven = sum(is_uneven(a.share) for a in answers)
    if uneven:
        yield (
            f"{uneven} of {n} scores{size} are of uneven pairs: each is that of an even pair with "
            "the same transfer weight (tau)"
        )
    repeated = sum(_is_repeated(*one) for one in scored)
    if repeated:
        most = max(comparison.epochs_at(d) or 0.0 for comparison, _ in scored)
        yield (
            f"{repeated} of {n} monolingual sides{size} have read their text more than "
            f"{MANY_EPOCHS:g} times at d (up to {most:.1f}): part of the score is "
            "repetition, not transfer"
        )
    if any(None in a.noise for a in answers):
        yield "some scores have no interval: too few evaluations to tell their noise"
    yield from _seed_warnings(scored, size)


def _seed_warnings(scored: Sequence[tuple[Comparison, BtsAnswer]], size: str) -> Iterator[str]:
    known = scored[0][0].curves.seed_sd
    if known is not None:
        yield f"another seed changes a loss by {known[0]:.2%}{size}; the intervals hold it"
    elif all(_is_one_seed(comparison) for comparison, _ in scored):
        yield (
            "one run a side: intervals cover the noise of evaluations, not what a seed changes; "
            "run a second seed of some sides, or say what a seed changes (--seed-sd)"
        )
