"""What a transfer matrix says as a whole: script and family, symmetry, groups, who gives most.

Where a matrix has measured and estimated scores, the measured ones are analysed by themselves too
(``Analysis.measured``): what only the whole matrix shows may be what the estimator assumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.transfer.effects import N_PERMUTATIONS, Effect, relatedness_effects
from atlas_scaling.transfer.indistinct import indistinct_targets
from atlas_scaling.transfer.matrix import Provenance, TransferMatrix
from atlas_scaling.transfer.ranking import LAW
from atlas_scaling.transfer.structure import (
    Clusters,
    Symmetry,
    additive_effects,
    clusters,
    symmetry,
)

Floats = NDArray[np.float64]

TOP: Final = 5
MANY: Final = 8
"""More languages than this are counted in a message, not listed."""

MIN_SCORES_FOR_INTERVAL: Final = 4
"""With fewer scores of every language, leaving one out would leave too few."""


@dataclass(frozen=True, slots=True)
class Balance(Answer):
    """What one language gives to others and gets from them.

    Attributes:
        language: its code.
        gives: its score as a source on the average target, by least squares over all cells, so
            that which targets it was scored on does not matter; None where no score is known.
        gives_interval: by leaving out one language at a time; None where estimates are among the
            scores, or scores are too few.
        gets: its score as a target from the average source; as ``gives``.
        altruism: ``gives - gets``; high where it helps others more than others help it.
        n_helped: targets with a score above 0 from it.
        n_targets: targets with a known score from it.
        in_top: targets that have it among their best ``TOP`` sources, surely (no tie decides) and
            possibly (every tie in its favour); targets with no more sources than that do not count.
    """

    language: str
    gives: float | None
    gives_interval: tuple[float, float] | None
    gets: float | None
    altruism: float | None
    n_helped: int
    n_targets: int
    in_top: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Mutual(Answer):
    """Two languages that help each other: the score of ``b`` on ``a``, and of ``a`` on ``b``."""

    a: str
    b: str
    b_to_a: float
    a_to_b: float


@dataclass(frozen=True, slots=True)
class Analysis(Answer):
    """The whole answer; parts that the matrix is too small for are empty or None.

    Attributes:
        counts: cells of each provenance.
        mean: score of all cells.
        effects: of script, family and branch.
        symmetry: of a pair's two directions.
        clusters: groups of languages.
        balance: every language, those that give most first.
        mutual: pairs with a score above 0 both ways, the best first.
        unhelped: targets whose every score is below 0; -0.0, a printed number, is below it.
        indistinct: groups of targets that what estimated them does not tell apart.
        empty: languages without any score in or out, left out of everything else.
        measured: the same of the measured scores alone; None where there are no estimates, or
            nothing but estimates.
        level: of the intervals.
    """

    counts: dict[str, int]
    mean: float
    effects: tuple[Effect, ...]
    symmetry: Symmetry | None
    clusters: Clusters | None
    balance: tuple[Balance, ...]
    mutual: tuple[Mutual, ...]
    unhelped: tuple[str, ...]
    indistinct: tuple[tuple[str, ...], ...]
    empty: tuple[str, ...]
    measured: Analysis | None
    level: float
    source: str
    law: str
    warnings: tuple[str, ...]


@one_thread()
def analyze(
    matrix: TransferMatrix,
    *,
    measured_only: bool = False,
    n_groups: int | None = None,
    level: float = DEFAULT_LEVEL,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> Analysis:
    """Analyse a matrix. A censored score counts as its bound, which is said.

    Args:
        matrix: scores of any provenance.
        measured_only: leave estimates out.
        n_groups: how many clusters; that of the best silhouette if None.
        level: of the intervals.
        n_permutations: of each test.
        seed: of the permutations.

    Raises:
        InputError: the matrix has no score at all.
    """
    measurements = matrix.keep(matrix.is_measurement)
    if measured_only:
        matrix = measurements
    values, codes = square(matrix)
    known = ~np.isnan(values)
    if not known.any():
        raise InputError(
            "this matrix has no score",
            value=repr(matrix),
            remedy="leave --measured-only out" if measured_only else "measure some pairs first",
        )
    empty = [code for i, code in enumerate(codes) if not known[i].any() and not known[:, i].any()]
    kept = [i for i, code in enumerate(codes) if code not in empty]
    values, codes = values[np.ix_(kept, kept)], tuple(codes[i] for i in kept)
    groups = clusters(values, codes, n_groups=n_groups)
    has_estimates = Provenance.ESTIMATED.value in matrix.counts
    measured = None
    if has_estimates and measurements.is_measurement.any():
        measured = analyze(
            measurements, n_groups=n_groups, level=level, n_permutations=n_permutations, seed=seed
        )
    return Analysis(
        counts=matrix.counts,
        mean=float(np.nanmean(values)),
        effects=relatedness_effects(
            values, codes, level=level, n_permutations=n_permutations, seed=seed
        ),
        symmetry=symmetry(values, n_permutations=n_permutations, seed=seed),
        clusters=groups,
        balance=_balance(values, codes, None if has_estimates else level),
        mutual=_mutual(values, codes),
        unhelped=_unhelped(values, codes),
        indistinct=indistinct_targets(matrix),
        empty=tuple(empty),
        measured=measured,
        level=level,
        source="; ".join(map(str, matrix.origins)),
        law=LAW,
        warnings=tuple(_warnings(matrix, values, empty, groups)),
    )


def square(matrix: TransferMatrix) -> tuple[Floats, tuple[str, ...]]:
    """Scores or bounds over all languages as both targets and sources, and the languages.

    Returns:
        Shape ``(n, n)``, NaN where unknown and on the diagonal.
    """
    codes = tuple(dict.fromkeys([*matrix.targets, *matrix.sources]))
    values = np.full((len(codes), len(codes)), np.nan)
    rows = [codes.index(code) for code in matrix.targets]
    columns = [codes.index(code) for code in matrix.sources]
    values[np.ix_(rows, columns)] = matrix.best_guess
    np.fill_diagonal(values, np.nan)
    return values, codes


def _balance(values: Floats, codes: Sequence[str], level: float | None) -> tuple[Balance, ...]:
    """Every language; ``level`` is that of the intervals, None for none."""
    sure, possible = _in_top(values)
    gives, gets = _gives_and_gets(values)
    half = np.full(len(codes), np.nan) if level is None else _jackknife_half_widths(values, level)
    found = []
    for i, code in enumerate(codes):
        out = values[:, i]
        giving, getting = _finite(gives[i]), _finite(gets[i])
        known = giving is not None and not np.isnan(half[i])
        found.append(
            Balance(
                language=code,
                gives=giving,
                gives_interval=(float(gives[i] - half[i]), float(gives[i] + half[i]))
                if known
                else None,
                gets=getting,
                altruism=None if giving is None or getting is None else giving - getting,
                n_helped=int(np.count_nonzero(out > 0)),
                n_targets=int(np.count_nonzero(~np.isnan(out))),
                in_top=(int(sure[i]), int(possible[i])),
            )
        )
    return tuple(sorted(found, key=lambda b: -np.inf if b.gives is None else -b.gives))


def _gives_and_gets(values: Floats) -> tuple[Floats, Floats]:
    """Score of each language on the average target, and from the average source; NaN unknown."""
    mean, of_targets, of_sources = additive_effects(values)
    known = ~np.isnan(values)
    return (
        np.where(known.any(axis=0), mean + of_sources, np.nan),
        np.where(known.any(axis=1), mean + of_targets, np.nan),
    )


def _jackknife_half_widths(values: Floats, level: float) -> Floats:
    """Half the width of the interval of what each language gives; NaN where scores are few.

    Leaves out one of the other languages at a time, as target and as source.
    """
    from scipy.special import stdtrit

    n = len(values)
    known = ~np.isnan(values)
    least = min(known.sum(axis=0).min(), known.sum(axis=1).min())
    if least < MIN_SCORES_FOR_INTERVAL:
        return np.full(n, np.nan)
    without_PN = np.full((n, n), np.nan)  # left out x languages
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        without_PN[i, rest] = _gives_and_gets(values[np.ix_(rest, rest)])[0]
    m = n - 1
    spread = np.nansum((without_PN - np.nanmean(without_PN, axis=0)) ** 2, axis=0)
    half: Floats = stdtrit(m - 1, (1 + level) / 2) * np.sqrt((m - 1) / m * spread)
    return half


def _in_top(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each source, of how many targets it is surely and possibly among the best ``TOP``.

    -0.0, a printed number just below zero, is less than 0.0, as in ``ranking``.
    """
    known = ~np.isnan(values)
    known &= known.sum(axis=1, keepdims=True) > TOP
    scores = np.where(known, _signed_zeros(values), -np.inf)
    better = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)  # targets x sources
    as_good = (scores[:, None, :] >= scores[:, :, None]).sum(axis=2)  # itself included
    sure = (as_good <= TOP) & known
    possible = (better < TOP) & known
    return sure.sum(axis=0), possible.sum(axis=0)


def _mutual(values: Floats, codes: Sequence[str]) -> tuple[Mutual, ...]:
    both = np.argwhere(np.triu((values > 0) & (values.T > 0)))
    pairs = [
        Mutual(codes[i], codes[j], float(values[i, j]), float(values[j, i]))
        for i, j in both.tolist()
    ]
    return tuple(sorted(pairs, key=lambda pair: (-pair.b_to_a - pair.a_to_b, pair.a, pair.b)))


def _unhelped(values: Floats, codes: Sequence[str]) -> tuple[str, ...]:
    known = ~np.isnan(values)
    helped = known & (_signed_zeros(values) >= 0)
    return tuple(c for i, c in enumerate(codes) if known[i].any() and not helped[i].any())


def _signed_zeros(values: Floats) -> Floats:
    """-0.0, a printed number just below zero, as one that is less than 0.0."""
    below_zero = (values == 0) & np.signbit(values)
    return np.where(below_zero, -np.finfo(np.float64).tiny, values)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _warnings(
    matrix: TransferMatrix, values: Floats, empty: Sequence[str], groups: Clusters | None
) -> list[str]:
    found = []
    counts = matrix.counts
    n_known = int(np.count_nonzero(~np.isnan(values)))
    if matrix.measured_note is not None:
        found.append(
            f"{matrix.measured_note}: what only the whole matrix shows may be what that model "
            "assumes"
        )
    censored = counts.get(Provenance.CENSORED.value, 0)
    if censored:
        found.append(
            f"{censored} scores are bounds and count as if they were the value; means and effects "
            "are too mild"
        )
    early = int(np.count_nonzero(matrix.early))
    if early:
        found.append(
            f"{early} of {n_known} scores were taken so early in training that, though positive, "
            "they may yet turn"
        )
    for group in indistinct_targets(matrix):
        found.append(
            f"what estimated them gives {', '.join(group)} one and the same row: their order "
            "among each other, and what they give and get, is that model's doing"
        )
    if any(origin.step is not None for origin in matrix.origins):
        found.append("the scores are rounded; ties are shared in every ranking")
    if len(empty) > MANY:
        found.append(f"{len(empty)} languages have no score and are left out")
    elif empty:
        found.append(f"no score at all for {', '.join(empty)}; left out")
    if groups is None:
        found.append("too few pairs are known to group languages")
    elif groups.share_known < 1:
        found.append(f"groups rest on {groups.share_known:.0%} of the pairs")
    return found
