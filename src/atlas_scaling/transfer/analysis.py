"""What a transfer matrix says as a whole: script and family, symmetry, groups, who gives most."""

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


@dataclass(frozen=True, slots=True)
class Balance(Answer):
    """What one language gives to others and gets from them.

    Attributes:
        language: its code.
        gives: its score as a source on the average target, by least squares over all cells, so
            that which targets it was scored on does not matter; None where no score is known.
        gets: its score as a target from the average source; likewise.
        altruism: ``gives - gets``; high where it helps others more than others help it.
        n_helped: targets with a score above 0 from it.
        n_targets: targets with a known score from it.
        in_top: targets that have it among their best ``TOP`` sources, surely (no tie decides) and
            possibly (every tie in its favour).
    """

    language: str
    gives: float | None
    gets: float | None
    altruism: float | None
    n_helped: int
    n_targets: int
    in_top: tuple[int, int]


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
        empty: languages without any score in or out, left out of everything else.
        level: of the intervals.
    """

    counts: dict[str, int]
    mean: float
    effects: tuple[Effect, ...]
    symmetry: Symmetry | None
    clusters: Clusters | None
    balance: tuple[Balance, ...]
    empty: tuple[str, ...]
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
    if measured_only:
        matrix = matrix.keep(matrix.is_measurement)
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
    return Analysis(
        counts=matrix.counts,
        mean=float(np.nanmean(values)),
        effects=relatedness_effects(
            values, codes, level=level, n_permutations=n_permutations, seed=seed
        ),
        symmetry=symmetry(values, n_permutations=n_permutations, seed=seed),
        clusters=groups,
        balance=_balance(values, codes),
        empty=tuple(empty),
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


def _balance(values: Floats, codes: Sequence[str]) -> tuple[Balance, ...]:
    sure, possible = _in_top(values)
    mean, of_targets, of_sources = additive_effects(values)
    known = ~np.isnan(values)
    found = []
    for i, code in enumerate(codes):
        out = values[:, i]
        gives = mean + float(of_sources[i]) if known[:, i].any() else None
        gets = mean + float(of_targets[i]) if known[i].any() else None
        found.append(
            Balance(
                language=code,
                gives=gives,
                gets=gets,
                altruism=None if gives is None or gets is None else gives - gets,
                n_helped=int(np.count_nonzero(out > 0)),
                n_targets=int(np.count_nonzero(~np.isnan(out))),
                in_top=(int(sure[i]), int(possible[i])),
            )
        )
    return tuple(sorted(found, key=lambda b: -np.inf if b.gives is None else -b.gives))


def _in_top(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each source, of how many targets it is surely and possibly among the best ``TOP``.

    -0.0, a printed number just below zero, is less than 0.0, as in ``ranking``.
    """
    known = ~np.isnan(values)
    below_zero = (values == 0) & np.signbit(values)
    scores = np.where(known, np.where(below_zero, -np.finfo(np.float64).tiny, values), -np.inf)
    better = (scores[:, None, :] > scores[:, :, None]).sum(axis=2)  # targets x sources
    as_good = (scores[:, None, :] >= scores[:, :, None]).sum(axis=2)  # itself included
    sure = (as_good <= TOP) & known
    possible = (better < TOP) & known
    return sure.sum(axis=0), possible.sum(axis=0)


def _warnings(
    matrix: TransferMatrix, values: Floats, empty: Sequence[str], groups: Clusters | None
) -> list[str]:
    found = []
    counts = matrix.counts
    n_known = int(np.count_nonzero(~np.isnan(values)))
    estimated = counts.get(Provenance.ESTIMATED.value, 0)
    if estimated:
        found.append(
            f"{estimated} of {n_known} scores are a model's estimates: what is found here is "
            "partly what that model assumes; --measured-only leaves them out"
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
