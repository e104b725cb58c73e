from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score

from atlas_scaling.transfer.reference import published_matrix
from atlas_scaling.transfer.structure import additive_effects, additive_part, clusters, symmetry


def test_the_published_matrix_has_the_symmetry_that_its_check_says() -> None:
    found = symmetry(published_matrix(38).values, n_permutations=200)
    assert found is not None
    assert found.n_pairs == 703
    assert round(found.pearson, 4) == -0.1188  # paper: -0.11
    small = symmetry(published_matrix(30).values, n_permutations=200)
    assert small is not None
    assert round(small.pearson, 4) == -0.0289


def test_a_symmetric_part_shows_once_the_targets_own_means_are_off() -> None:
    rng = np.random.default_rng(0)
    n = 20
    pairs = rng.normal(0, 0.2, (n, n))
    values = (pairs + pairs.T) / 2 + rng.normal(0, 1, (n, 1))
    np.fill_diagonal(values, np.nan)
    found = symmetry(values, n_permutations=300)
    assert found is not None
    assert abs(found.pearson) < 0.3
    assert found.pearson_adjusted > 0.9
    assert found.p_value_adjusted < 0.01


def test_symmetry_counts_pairs_known_both_ways_only() -> None:
    values = np.random.default_rng(0).normal(size=(4, 4))
    values[0, 1] = np.nan
    found = symmetry(values, n_permutations=99)
    assert found is not None
    assert found.n_pairs == 5
    assert symmetry(values[:2, :2]) is None


def test_pearson_is_that_of_all_pairs_in_both_orders() -> None:
    values = np.random.default_rng(1).normal(size=(6, 6))
    upper = np.triu_indices(6, 1)
    a, b = values[upper], values.T[upper]
    expected = np.corrcoef(np.append(a, b), np.append(b, a))[0, 1]
    found = symmetry(values, n_permutations=99)
    assert found is not None
    assert found.pearson == pytest.approx(expected)


@given(seed=st.integers(0, 1000), missing=st.floats(0, 0.3))
def test_the_additive_part_is_found_exactly_even_with_holes(seed: int, missing: float) -> None:
    rng = np.random.default_rng(seed)
    targets, sources = rng.normal(size=6), rng.normal(size=6)
    truth = 0.5 + np.add.outer(targets, sources)
    values = np.where(rng.random((6, 6)) < missing, np.nan, truth)
    values[0, :], values[:, 0] = truth[0], truth[:, 0]  # connected, so that all is determined
    assert additive_part(values) == pytest.approx(truth, abs=1e-9)


def test_effects_average_zero_and_a_single_pair_is_shared_equally() -> None:
    mean, of_targets, of_sources = additive_effects(np.array([[0.1, 0.3], [0.5, 0.7]]))
    assert mean == pytest.approx(0.4)
    assert of_targets == pytest.approx([-0.2, 0.2])
    assert of_sources == pytest.approx([-0.1, 0.1])
    mean, of_targets, of_sources = additive_effects(np.array([[np.nan, 0.4], [np.nan, np.nan]]))
    assert mean == pytest.approx(0.4)
    assert of_targets == pytest.approx([0, 0])
    assert of_sources == pytest.approx([0, 0])


def blocks(*, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """Three groups of four that help each other, under strong means of each target."""
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1, 2], 4)
    values = np.where(np.equal.outer(group, group), 0.3, -0.3) + rng.normal(0, noise, (12, 12))
    values += rng.normal(0, 1, (12, 1))
    np.fill_diagonal(values, np.nan)
    return values


CODES = tuple("abcdefghijkl")


def test_planted_groups_are_found_under_strong_target_means() -> None:
    found = clusters(blocks(), CODES)
    assert found is not None
    assert {frozenset(g) for g in found.groups} == {
        frozenset("abcd"),
        frozenset("efgh"),
        frozenset("ijkl"),
    }
    assert sorted(found.order) == list(CODES)
    assert found.share_known == 1.0
    assert len(found.linkage) == 11


def test_the_silhouette_is_that_of_sklearn() -> None:
    values = blocks(noise=0.3)
    found = clusters(values, CODES, n_groups=4)
    assert found is not None
    assert len(found.groups) == 4
    left = values - additive_part(values)
    nearness = (left + left.T) / 2
    off = ~np.eye(12, dtype=bool)
    distance = np.where(off, nearness[off].max() - nearness, 0.0)
    labels = [next(i for i, g in enumerate(found.groups) if c in g) for c in CODES]
    expected = silhouette_score(distance, labels, metric="precomputed")
    assert found.silhouette == pytest.approx(expected)


def test_related_languages_of_the_published_matrix_fall_together() -> None:
    matrix = published_matrix(38)
    found = clusters(matrix.values, matrix.targets)
    assert found is not None
    together = {frozenset(group) for group in found.groups}
    assert frozenset({"swe_Latn", "nor_Latn"}) in together
    assert frozenset({"ind_Latn", "msa_Latn"}) in together
    romance = {"spa_Latn", "por_Latn", "cat_Latn", "ita_Latn", "fra_Latn"}
    assert any(romance <= group for group in together)


def test_a_matrix_that_is_mostly_unknown_has_no_groups() -> None:
    values = blocks()
    values[np.triu_indices(12)] = np.nan
    values[5:, :] = np.nan
    assert clusters(values, CODES) is None
    assert clusters(np.full((12, 12), np.nan), CODES) is None


def test_one_direction_of_a_pair_is_enough_for_a_group() -> None:
    values = blocks(noise=0.0)
    values[np.triu_indices(12)] = np.nan
    found = clusters(values, CODES)
    assert found is not None
    assert found.share_known == 1.0
