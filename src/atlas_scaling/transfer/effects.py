"""How much sharing a script or a family goes with transfer, and whether chance explains it.

The scores of one target are not independent of each other, nor are those of one source, so cells
must not be shuffled freely: the test relabels languages (Mantel's test), which keeps rows and
columns together. ``p_value_cells`` is the free shuffle, for comparison with tests that take every
cell as independent; it is too small. A conditional effect, such as family among pairs of different
scripts, relabels only within groups that agree on the condition. Intervals are jackknives that
leave out one language at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.languages import language

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

RELATIONS: Final = ("script", "family", "branch")
MIN_PAIRS: Final = 2
N_PERMUTATIONS: Final = 2000
MAX_BLOCK: Final = 2_000_000

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Effect(Answer):
    """Scores of pairs that share something against those of pairs that do not.

    Attributes:
        relation: ``script``, ``family``, ``branch``, or ``script and family`` against neither.
        among: the condition on the pairs compared; None for all.
        n_same, n_different: pairs (cells) of each kind.
        mean_same, mean_different: mean score of each.
        difference: of the means, same less different, with its jackknife interval.
        cohens_d: the difference in pooled standard deviations.
        cliffs_delta: how much likelier a pair of the first kind scores higher than lower, in
            [-1, 1].
        p_value: two-sided, by relabelling languages.
        p_value_cells: two-sided, by shuffling cells as if they were independent.
    """

    relation: str
    among: str | None
    n_same: int
    n_different: int
    mean_same: float
    mean_different: float
    difference: Estimate
    cohens_d: float
    cliffs_delta: float
    p_value: float
    p_value_cells: float


def shared(codes: Sequence[str], relation: str) -> Bools:
    """Which pairs of languages share their script, family or branch; shape ``(n, n)``.

    A family or branch that the language table leaves empty (isolates) is shared with nobody.
    """
    values = np.array([getattr(language(code), relation) for code in codes])
    same: Bools = np.equal.outer(values, values)
    named: Bools = values != ""
    return same & named[:, None]


def relatedness_effects(
    values: Floats,
    codes: Sequence[str],
    *,
    level: float,
    n_permutations: int = N_PERMUTATIONS,
    seed: int = 0,
) -> tuple[Effect, ...]:
    """Effects of script, family and branch, of script and family apart, and of both together.

    Args:
        values: scores, targets x sources over the same ``codes``, shape ``(n, n)``; NaN unknown.
        codes: languages of rows and columns.
        level: of the intervals.
        n_permutations: relabellings, and shuffles, of each test.
        seed: of the permutations.

    Returns:
        One effect for each comparison that has ``MIN_PAIRS`` pairs of both kinds.
    """
    script, family, branch = (shared(codes, relation) for relation in RELATIONS)
    everything = np.ones_like(script)
    scripts = np.array([language(code).script for code in codes])
    families = np.array([language(code).family for code in codes])
    nobody = np.zeros(len(codes), dtype=np.int64)
    both_or_neither = ~(script ^ family)
    comparisons = (
        ("script", None, script, everything, nobody),
        ("family", None, family, everything, nobody),
        ("branch", None, branch, everything, nobody),
        ("script and family", None, script & family, both_or_neither, nobody),
        ("script", "different family", script, ~family, families),
        ("script", "same family", script, family, families),
        ("family", "different script", family, ~script, scripts),
        ("family", "same script", family, script, scripts),
    )
    rng = np.random.Generator(np.random.PCG64(seed))
    found = []
    for relation, among, same, condition, strata in comparisons:
        data = _Comparison(values, same, condition, strata)
        if min(data.n_same, data.n_different) >= MIN_PAIRS:
            found.append(data.effect(relation, among, level, n_permutations, rng))
    return tuple(found)


class _Comparison:
    """Cells of two kinds; ``strata`` are the groups within which languages may be relabelled."""

    def __init__(self, values: Floats, same: Bools, condition: Bools, strata: NDArray[Any]) -> None:
        self.known = ~np.isnan(values) & ~np.eye(len(values), dtype=bool)
        self.scores = np.where(self.known, values, 0.0)
        self.same, self.different = condition & same, condition & ~same
        self.strata = strata
        self.first = values[self.known & self.same]
        self.second = values[self.known & self.different]
        self.n_same, self.n_different = self.first.size, self.second.size

    def effect(
        self,
        relation: str,
        among: str | None,
        level: float,
        n_permutations: int,
        rng: np.random.Generator,
    ) -> Effect:
        observed = float(self.first.mean() - self.second.mean())
        return Effect(
            relation=relation,
            among=among,
            n_same=self.n_same,
            n_different=self.n_different,
            mean_same=float(self.first.mean()),
            mean_different=float(self.second.mean()),
            difference=Estimate(observed, self._jackknife(observed, level)),
            cohens_d=_cohens_d(self.first, self.second),
            cliffs_delta=_cliffs_delta(self.first, self.second),
            p_value=_p_value(observed, self._relabelled(n_permutations, rng)),
            p_value_cells=_p_value(observed, self._shuffled(n_permutations, rng)),
        )

    def _relabelled(self, n: int, rng: np.random.Generator) -> Floats:
        """The difference under relabelled languages, shape ``(n,)``."""
        return np.concatenate(
            [
                self._differences(permuted(self.same, orders), permuted(self.different, orders))
                for orders in permutations(self.strata, n, rng)
            ]
        )

    def _shuffled(self, n: int, rng: np.random.Generator) -> Floats:
        """The difference under shuffled cells, shape ``(n,)``."""
        cells = np.concatenate([self.first, self.second])
        found = np.empty(n)
        for i in range(n):
            rng.shuffle(cells)
            found[i] = cells[: self.n_same].mean() - cells[self.n_same :].mean()
        return found

    def _jackknife(self, observed: float, level: float) -> tuple[float, float] | None:
        """Interval from leaving out each language; None where one carries a whole side."""
        from scipy.special import stdtrit

        n = len(self.scores)
        kept_PNN = ~(np.eye(n, dtype=bool)[:, :, None] | np.eye(n, dtype=bool)[:, None, :])
        without = self._differences(self.same & kept_PNN, self.different & kept_PNN)
        if np.isnan(without).any():
            return None
        variance = (n - 1) / n * np.sum((without - without.mean()) ** 2)
        half = float(stdtrit(n - 1, (1 + level) / 2) * np.sqrt(variance))
        return observed - half, observed + half

    def _differences(self, same_PNN: Bools, different_PNN: Bools) -> Floats:
        """Mean of cells that share less mean of those that do not; NaN where either has none."""
        means = []
        for kind_PNN in (same_PNN & self.known, different_PNN & self.known):
            count = kind_PNN.sum(axis=(1, 2))
            total = np.einsum("pij,ij->p", kind_PNN, self.scores)
            means.append(np.where(count > 0, total / np.maximum(count, 1), np.nan))
        return np.subtract(*means)


def permutations(
    strata: NDArray[Any], n: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """``n`` orders that move items within their stratum only, in blocks ``(block, items)``.

    Blocks keep what is permuted with them below ``MAX_BLOCK`` cells.
    """
    groups = [np.flatnonzero(strata == label) for label in np.unique(strata)]
    size = max(1, MAX_BLOCK // len(strata) ** 2)
    for start in range(0, n, size):
        orders = np.tile(np.arange(len(strata)), (min(size, n - start), 1))
        for members in groups:
            orders[:, members] = rng.permuted(orders[:, members], axis=1)
        yield orders


def permuted(matrix: NDArray[T], orders: NDArray[np.int64]) -> NDArray[T]:
    """``matrix`` with rows and columns in each of ``orders``, shape ``(block, n, n)``."""
    return matrix[orders[:, :, None], orders[:, None, :]]


def _p_value(observed: float, permuted: Floats) -> float:
    """Two-sided, the observed order being one of the permutations."""
    valid = permuted[~np.isnan(permuted)]
    as_large = int(np.count_nonzero(np.abs(valid) >= abs(observed) - 1e-12))
    return (1 + as_large) / (1 + valid.size)


def _cohens_d(first: Floats, second: Floats) -> float:
    freedoms = first.size + second.size - 2
    squares = first.var() * first.size + second.var() * second.size
    pooled = np.sqrt(squares / freedoms)
    return float((first.mean() - second.mean()) / pooled) if pooled > 0 else np.nan


def _cliffs_delta(first: Floats, second: Floats) -> float:
    compared = np.sign(np.subtract.outer(first, second))
    return float(compared.mean())
