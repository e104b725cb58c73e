"""Symmetry and groups in a transfer matrix, with and without what is the target's or source's own.

Most of what differs between cells is the target: some are helped by nobody. The additive part
``mean + target + source`` is fitted by least squares and taken off; what is left says which
languages belong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer
from atlas_scaling.transfer.effects import N_PERMUTATIONS, permutations, permuted

Floats = NDArray[np.float64]

MIN_SYMMETRIC_PAIRS: Final = 3
MIN_LANGUAGES: Final = 4
MIN_KNOWN_SHARE: Final = 0.8
"""Below this share of known pairs, groups would be made of what is missing."""


@dataclass(frozen=True, slots=True)
class Symmetry(Answer):
    """Whether a pair that helps one way helps the other way.

    Attributes:
        pearson: correlation of a score with its mirror, each pair taken in both orders.
        p_value: two-sided, by relabelling the languages of the mirror.
        pearson_adjusted: the same once the additive part is taken off.
        p_value_adjusted: likewise.
        n_pairs: unordered pairs known in both directions.
    """

    pearson: float
    p_value: float
    pearson_adjusted: float
    p_value_adjusted: float
    n_pairs: int


@dataclass(frozen=True, slots=True)
class Clusters(Answer):
    """Groups of languages that help each other more than their other partners do.

    Attributes:
        groups: members of each group, in the order of the dendrogram.
        order: all languages in that order, for a heatmap.
        linkage: SciPy's linkage matrix, rows ``[a, b, distance, size]``, over ``codes``.
        codes: languages as the linkage counts them.
        silhouette: mean silhouette of the groups, in [-1, 1]; None for one group or all apart.
        share_known: of the pairs; the rest counts as neither near nor far.
    """

    groups: tuple[tuple[str, ...], ...]
    order: tuple[str, ...]
    linkage: tuple[tuple[float, ...], ...]
    codes: tuple[str, ...]
    silhouette: float | None
    share_known: float


def additive_effects(values: Floats) -> tuple[float, Floats, Floats]:
    """Mean, target effects and source effects by least squares; each kind of effect averages 0.

    What cannot be told apart, such as source and target in a single pair, is shared equally.
    Targets and sources without any score have the effect 0.

    Args:
        values: scores, targets x sources, shape ``(n_targets, n_sources)``; NaN unknown.
    """
    n_targets, n_sources = values.shape
    rows, columns = np.nonzero(~np.isnan(values))
    design = np.zeros((rows.size, 1 + n_targets + n_sources))
    design[:, 0] = 1.0
    design[np.arange(rows.size), 1 + rows] = 1.0
    design[np.arange(rows.size), 1 + n_targets + columns] = 1.0
    mean, *effects = np.linalg.lstsq(design, values[rows, columns], rcond=None)[0]
    of_targets, of_sources = np.array(effects[:n_targets]), np.array(effects[n_targets:])
    for which, known in ((of_targets, np.unique(rows)), (of_sources, np.unique(columns))):
        mean += which[known].mean()
        which[known] -= which[known].mean()
    return float(mean), of_targets, of_sources


def additive_part(values: Floats) -> Floats:
    """``mean + target + source`` of each cell; shape of ``values``."""
    mean, of_targets, of_sources = additive_effects(values)
    sums: Floats = np.add.outer(of_targets, of_sources)
    return mean + sums


def symmetry(
    values: Floats, *, n_permutations: int = N_PERMUTATIONS, seed: int = 0
) -> Symmetry | None:
    """Correlation of the matrix with its mirror; None with too few pairs.

    Args:
        values: scores, targets x sources over the same languages, shape ``(n, n)``; NaN unknown.
        n_permutations: of the tests.
        seed: of the permutations.
    """
    off = ~np.eye(len(values), dtype=bool)
    scores = np.where(off, values, np.nan)
    n_pairs = int(np.count_nonzero(~np.isnan(scores) & ~np.isnan(scores.T))) // 2
    if n_pairs < MIN_SYMMETRIC_PAIRS:
        return None
    rng = np.random.Generator(np.random.PCG64(seed))
    raw, raw_p = _mirror_test(scores, n_permutations, rng)
    left, left_p = _mirror_test(scores - additive_part(scores), n_permutations, rng)
    return Symmetry(raw, raw_p, left, left_p, n_pairs)


def clusters(
    values: Floats, codes: Sequence[str], *, n_groups: int | None = None
) -> Clusters | None:
    """Average-linkage groups by what is left of both directions of each pair.

    Args:
        values: as in ``symmetry``.
        codes: languages of rows and columns.
        n_groups: how many; that of the best silhouette if None.

    Returns:
        None where less than ``MIN_KNOWN_SHARE`` of the pairs or fewer than ``MIN_LANGUAGES`` are
        known.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    n = len(codes)
    scores = np.where(np.eye(n, dtype=bool), np.nan, values)
    left = scores - additive_part(scores) if not np.isnan(scores).all() else scores
    nearness = _mean_of_both(left)
    known = ~np.isnan(nearness)
    pairs = n * (n - 1) / 2
    share_known = int(np.count_nonzero(np.triu(known, 1))) / pairs if pairs else 0.0
    if n < MIN_LANGUAGES or share_known < MIN_KNOWN_SHARE:
        return None
    nearness = np.where(known, nearness, 0.0)
    off = ~np.eye(n, dtype=bool)
    distance = np.where(off, nearness[off].max() - nearness, 0.0)
    condensed = squareform(distance, checks=False)
    tree = optimal_leaf_ordering(linkage(condensed, "average"), condensed)
    sizes = range(2, n) if n_groups is None else [n_groups]
    labels = {k: fcluster(tree, k, "maxclust") for k in sizes}
    best = max(labels.values(), key=lambda found: _silhouette(distance, found) or -1.0)
    order = [int(i) for i in leaves_list(tree)]
    members = {int(label): [i for i in order if best[i] == label] for label in best[order]}
    return Clusters(
        groups=tuple(tuple(codes[i] for i in group) for group in members.values()),
        order=tuple(codes[i] for i in order),
        linkage=tuple(tuple(float(x) for x in row) for row in tree),
        codes=tuple(codes),
        silhouette=_silhouette(distance, best),
        share_known=share_known,
    )


def _mirror_test(
    values: Floats, n_permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Correlation with the mirror, and how often relabelled mirrors do as well."""
    mirror = values.T
    observed = float(_correlations(values, mirror[None])[0])
    nobody = np.zeros(len(values), dtype=np.int64)
    relabelled = np.concatenate(
        [
            _correlations(values, permuted(mirror, orders))
            for orders in permutations(nobody, n_permutations, rng)
        ]
    )
    as_large = int(np.count_nonzero(np.abs(relabelled) >= abs(observed) - 1e-12))
    return observed, (1 + as_large) / (1 + n_permutations)


def _correlations(values: Floats, mirrors_PNN: Floats) -> Floats:
    """Pearson of ``values`` with each mirror over cells known in both; 0 where one is constant."""
    both = ~np.isnan(values) & ~np.isnan(mirrors_PNN)
    n = np.maximum(both.sum(axis=(1, 2)), 1)[:, None, None]
    x = np.where(both, values, 0.0)
    y = np.where(both, mirrors_PNN, 0.0)
    x = np.where(both, x - x.sum(axis=(1, 2), keepdims=True) / n, 0.0)
    y = np.where(both, y - y.sum(axis=(1, 2), keepdims=True) / n, 0.0)
    squares = (x * x).sum(axis=(1, 2)) * (y * y).sum(axis=(1, 2))
    covariance: Floats = (x * y).sum(axis=(1, 2))
    return np.where(squares > 0, covariance / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)


def _mean_of_both(values: Floats) -> Floats:
    """Mean of a cell and its mirror, of one where the other is unknown."""
    known = np.stack([~np.isnan(values), ~np.isnan(values.T)])
    stacked = np.stack([np.nan_to_num(values), np.nan_to_num(values.T)])
    count = known.sum(axis=0)
    return np.where(count > 0, stacked.sum(axis=0) / np.maximum(count, 1), np.nan)


def _silhouette(distance: Floats, labels: NDArray[np.int32]) -> float | None:
    """Mean silhouette; languages alone in their group count 0. None for one group or all apart."""
    found = np.unique(labels)
    if not 1 < found.size < labels.size:
        return None
    member_LN = labels == found[:, None]  # groups x languages
    size_L = member_LN.sum(axis=1)
    total_NL = distance @ member_LN.T
    own = np.argmax(member_LN, axis=0)
    size = size_L[own]
    within = total_NL[np.arange(labels.size), own] / np.maximum(size - 1, 1)
    mean_NL = np.where(member_LN.T, np.inf, total_NL / size_L)
    nearest = mean_NL.min(axis=1)
    widest = np.maximum(np.maximum(within, nearest), np.finfo(np.float64).tiny)
    return float(np.where(size > 1, (nearest - within) / widest, 0.0).mean())
