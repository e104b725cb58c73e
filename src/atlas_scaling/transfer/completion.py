"""Fills the holes of a transfer matrix with estimates, and says how good they are.

Only measured cells teach; a censored one teaches its bound. Estimates that a matrix already has
(the paper's forest) are left aside and compared with at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.languages import normalise
from atlas_scaling.transfer.crossval import Contest, ModelScore
from atlas_scaling.transfer.fas import FasTable
from atlas_scaling.transfer.features import (
    PairFeatures,
    relation_features,
    unmeasured,
    widened,
    word_features,
)
from atlas_scaling.transfer.gaussian import Observations, PairProcess
from atlas_scaling.transfer.judge import (
    MODELS,
    PROCESS,
    features_of_fas,
    judge,
    score_warnings,
)
from atlas_scaling.transfer.matrix import (
    Cell,
    Origin,
    Provenance,
    TransferMatrix,
)
from atlas_scaling.transfer.merging import comparable
from atlas_scaling.transfer.models import FittedProcess, PairModel
from atlas_scaling.transfer.ranking import LAW

__all__ = ["MODELS", "Agreement", "CompletionAnswer", "EstimatedPair", "complete"]

MIN_MEASURED: Final = 6
MIN_LANGUAGES: Final = 3
MIN_VALUES: Final = 3

MANY: Final = 8


@dataclass(frozen=True, slots=True)
class Agreement(Answer):
    """Our estimates against those the matrix came with, over the cells that nobody measured.

    Attributes:
        pearson: correlation.
        spearman: rank correlation.
        inside: share of theirs inside our intervals.
        n: cells.
    """

    pearson: float
    spearman: float
    inside: float
    n: int


@dataclass(frozen=True, slots=True)
class EstimatedPair(Answer):
    """One pair that nobody measured."""

    target: str
    source: str
    bts: float
    lower: float
    upper: float


@dataclass(frozen=True)
class CompletionAnswer(Answer):
    """A matrix without holes, and what stands behind it.

    Attributes:
        matrix: measured cells as they were, all others estimated (not in the JSON, which has
            ``estimates``).
        estimates: every pair that was filled.
        asked: languages that were asked for beyond those of the matrix, or among them.
        model: what estimated.
        features: what it knew of pairs.
        n_measured, n_censored, n_estimated: cells that taught, those of them that are bounds, and
            those that were filled.
        variances: of each part of the process, in BTS squared: what scores are made of.
        scores: how well models predict measured pairs that are held out; empty if not asked for.
        contests: the process against each other model, on the same held-out pairs; likewise.
        agreement: with estimates that the matrix came with; None where it had none.
        level: of the intervals.
    """

    matrix: TransferMatrix = field(repr=False)
    estimates: tuple[EstimatedPair, ...]
    asked: tuple[str, ...]
    model: str
    features: tuple[str, ...]
    n_measured: int
    n_censored: int
    n_estimated: int
    variances: dict[str, float]
    scores: tuple[ModelScore, ...]
    contests: tuple[Contest, ...]
    agreement: Agreement | None
    level: float
    source: str
    law: str
    warnings: tuple[str, ...]


@one_thread()
def complete(
    matrix: TransferMatrix,
    *,
    languages: Sequence[str] | None = None,
    features: Sequence[PairFeatures] = (),
    fas: FasTable | None = None,
    models: Sequence[PairModel] = (),
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    tell: Callable[[float], None] = lambda _: None,
) -> CompletionAnswer:
    """Estimate every pair of ``languages`` that was not measured.

    Args:
        matrix: with ``MIN_MEASURED`` measured cells or more.
        languages: of the completed matrix, as users write them; those of ``matrix`` if None.
            Others are added to what was measured.
        features: what was measured of pairs; the shipped overlap of words if there is none. What a
            feature does not know of a pair is put at what is usual (``features.widened``).
        fas: scores of continued runs, of which features are made too.
        models: to compare by cross-validation (``MODELS`` are the usual ones); none if empty.
        level: of the intervals.
        seed: of the folds.
        tell: is told the share of the cross-validation that is done.

    Raises:
        InputError: too few measured cells or languages.
    """
    asked = tuple(dict.fromkeys(normalise(code) for code in languages or ()))
    wanted = tuple(dict.fromkeys([*matrix.targets, *matrix.sources, *asked]))
    relations = relation_features(wanted)
    measured = [*features] if features else [word_features(wanted)]
    if fas is not None and (of_fas := features_of_fas(fas)) is not None:
        measured.append(of_fas)
    known = relations
    for one in measured:
        known = known + widened(one, relations)
    observations = observations_of(matrix, wanted)
    _check_enough(observations)
    fitted = PROCESS.fit(observations, known)
    completed = _filled(matrix, fitted, known, level)
    scores, contests = judge(models, observations, relations, known, fas, level, seed, tell)
    return CompletionAnswer(
        matrix=completed,
        estimates=tuple(_estimates(completed)),
        asked=asked,
        model=PROCESS.name,
        features=known.names,
        n_measured=len(observations),
        n_censored=int(np.count_nonzero(observations.side)),
        n_estimated=completed.counts.get(Provenance.ESTIMATED.value, 0),
        variances=fitted.process.variances,
        scores=scores,
        contests=contests,
        agreement=_agreement(matrix, completed),
        level=level,
        source="; ".join(str(o) for o in _taught_by(matrix)),
        law=LAW,
        warnings=(
            *_warnings(matrix, wanted, observations, fitted.process),
            *_feature_warnings(measured, wanted),
            *score_warnings(scores, fas, models),
        ),
    )


def observations_of(matrix: TransferMatrix, codes: Sequence[str]) -> Observations:
    """Measured cells of ``codes``; their deviation from interval or rounding, where known."""
    at = {code: i for i, code in enumerate(codes)}
    cells = [
        cell
        for cell in matrix.select(matrix.is_measurement)
        if cell.target in at and cell.source in at and cell.target != cell.source
    ]
    return Observations(
        target=np.array([at[cell.target] for cell in cells], np.int64),
        source=np.array([at[cell.source] for cell in cells], np.int64),
        score=np.array([cell.best_guess for cell in cells], np.float64),
        side=np.array([_side(cell) for cell in cells], np.int64),
        sd=np.array([_deviation(cell) for cell in cells], np.float64),
    )


def _side(cell: Cell) -> int:
    """0 for a value, -1 for an upper bound, 1 for a lower one."""
    if cell.bts is not None:
        return 0
    return -1 if cell.lower is None else 1


def _deviation(cell: Cell) -> float:
    """Standard deviation that a value's interval, or else its rounding, implies; 0 without both."""
    from scipy.special import ndtri

    if cell.bts is None or cell.origin is None:
        return 0.0
    level, step = cell.origin.level, cell.origin.step
    if level is None or cell.lower is None or cell.upper is None:
        return 0.0 if step is None else step / float(np.sqrt(12.0))
    return (cell.upper - cell.lower) / (2 * float(ndtri((1 + level) / 2)))


def _check_enough(observations: Observations) -> None:
    n_languages = len(np.union1d(observations.target, observations.source))
    if len(observations) < MIN_MEASURED or n_languages < MIN_LANGUAGES:
        raise InputError(
            "too few measured scores to estimate others from",
            value=f"{len(observations)} scores of {n_languages} languages",
            remedy=f"measure {MIN_MEASURED} pairs of {MIN_LANGUAGES} languages or more, or merge "
            "with the published matrix",
        )
    values = observations.score[observations.side == 0]
    if values.size < MIN_VALUES or np.ptp(observations.score) == 0:
        raise InputError(
            "nearly all measured scores are bounds, which say too little to estimate others from",
            value=f"{values.size} values, {len(observations) - values.size} bounds",
            remedy="train the pairs longer, or take the scores at a smaller d (--at)",
        )


def _filled(
    matrix: TransferMatrix, fitted: FittedProcess, features: PairFeatures, level: float
) -> TransferMatrix:
    measured = {(c.target, c.source): c for c in matrix.select(matrix.is_measurement)}
    codes = features.codes
    holes = [
        (i, j)
        for i, target in enumerate(codes)
        for j, source in enumerate(codes)
        if i != j and (target, source) not in measured
    ]
    target, source = np.array(holes, dtype=np.int64).reshape(-1, 2).T
    predicted = fitted.predict(target, source, level)
    first = _taught_by(matrix)[0]
    origin = replace(first, name=f"estimated from {first.name}", level=level, step=None)
    estimates = (
        Cell(
            codes[i],
            codes[j],
            float(predicted.score[k]),
            float(predicted.lower[k]),
            float(predicted.upper[k]),
            Provenance.ESTIMATED,
            origin,
        )
        for k, (i, j) in enumerate(holes)
    )
    return TransferMatrix.from_cells([*measured.values(), *estimates], targets=codes, sources=codes)


def _estimates(completed: TransferMatrix) -> Iterator[EstimatedPair]:
    for cell in completed.select(completed.provenance == Provenance.ESTIMATED.value):
        assert cell.bts is not None, "an estimate has a value"
        assert cell.lower is not None, "and an interval"
        assert cell.upper is not None, "with both ends"
        yield EstimatedPair(cell.target, cell.source, cell.bts, cell.lower, cell.upper)


def _taught_by(matrix: TransferMatrix) -> tuple[Origin, ...]:
    """Origins of measured cells."""
    indices = np.unique(matrix.origin[matrix.is_measurement])
    return tuple(matrix.origins[int(i)] for i in indices if i >= 0)


def _agreement(given: TransferMatrix, completed: TransferMatrix) -> Agreement | None:
    from scipy.stats import pearsonr, spearmanr

    theirs, ours, lower, upper = [], [], [], []
    for cell in given:
        if cell.provenance is not Provenance.ESTIMATED or cell.bts is None:
            continue
        if cell.target in completed.targets and cell.source in completed.sources:
            own = completed[cell.target, cell.source]
            theirs.append(cell.bts)
            ours.append(own.bts)
            lower.append(own.lower)
            upper.append(own.upper)
    x, y = np.array(theirs, np.float64), np.array(ours, np.float64)
    if x.size < 3 or x.std() == 0 or y.std() == 0:
        return None
    inside: NDArray[np.bool_] = (np.array(lower) <= x) & (x <= np.array(upper))
    return Agreement(
        float(pearsonr(x, y).statistic),
        float(spearmanr(x, y).statistic),
        float(inside.mean()),
        x.size,
    )


def _warnings(
    matrix: TransferMatrix,
    wanted: Sequence[str],
    observations: Observations,
    process: PairProcess,
) -> list[str]:
    origins = _taught_by(matrix)
    n_other = len(wanted) * (len(wanted) - 1) - len(observations)
    found = [f"only {len(observations)} scores were measured, the other {n_other} are estimates"]
    if any(not comparable(origins[0], origin) for origin in origins):
        found.append("the measured scores were not all taken at one d and model size")
    seen = np.union1d(observations.target, observations.source)
    new = len(wanted) - seen.size
    if new:
        found.append(
            f"{new} of {len(wanted)} languages have no measured score at all; what is said of them "
            "rests on their script, family and words"
        )
    censored = int(np.count_nonzero(observations.side))
    if censored:
        found.append(f"{censored} measured scores are bounds and were used as bounds")
    early = int(np.count_nonzero(matrix.early & matrix.is_measurement))
    if early:
        found.append(
            f"{early} measured scores were taken so early in training that, though positive, they "
            "may yet turn, and so may estimates from them"
        )
    if process.variances["noise"] > 0.5 * sum(process.variances.values()):
        found.append("most of what scores differ by is not explained; intervals are wide")
    return found


def _feature_warnings(measured: Sequence[PairFeatures], wanted: Sequence[str]) -> Iterator[str]:
    for one in measured:
        missing = unmeasured(one, wanted)
        if missing:
            said = f"{len(missing)} languages" if len(missing) > MANY else ", ".join(missing)
            yield (
                f"{', '.join(one.names)}: not known of {said}; taken as usual for what they share "
                "of script and family"
            )
