from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from atlas_scaling.published.transfer_matrices import published_table
from atlas_scaling.transfer.effects import permutations, permuted, relatedness_effects, shared
from atlas_scaling.transfer.reference import published_matrix

# Four scripts and three families, crossed.
CODES = (
    *("swe_Latn", "dan_Latn", "deu_Latn", "spa_Latn", "por_Latn", "ita_Latn"),
    *("rus_Cyrl", "ukr_Cyrl", "bul_Cyrl", "hin_Deva", "mar_Deva", "nep_Deva"),
    *("fin_Latn", "est_Latn", "hun_Latn", "tur_Latn", "kaz_Cyrl", "kir_Cyrl"),
)


def planted(effect_of_script: float, effect_of_family: float, *, seed: int = 0) -> np.ndarray:
    """Scores with known effects, plus what is each target's own and noise."""
    rng = np.random.default_rng(seed)
    n = len(CODES)
    values = rng.normal(-0.3, 0.1, (n, n)) + rng.normal(0, 0.2, (n, 1))
    values += effect_of_script * shared(CODES, "script")
    values += effect_of_family * shared(CODES, "family")
    np.fill_diagonal(values, np.nan)
    return values


def effects_of(values: np.ndarray, codes=CODES, **options):
    found = relatedness_effects(values, codes, level=0.9, n_permutations=400, **options)
    return {(e.relation, e.among): e for e in found}


def test_script_means_of_the_published_matrix_are_the_papers() -> None:
    matrix = published_matrix(38)
    script = effects_of(matrix.values, matrix.targets)["script", None]
    assert round(script.mean_same, 3) == -0.225  # paper: -0.23
    assert round(script.mean_different, 3) == -0.392  # paper: -0.39
    assert (script.n_same + script.n_different) == 38 * 37
    small = published_matrix(30)
    script = effects_of(small.values, small.targets)["script", None]
    assert (round(script.mean_same, 4), round(script.mean_different, 4)) == (-0.1036, -0.3831)


def test_scripts_and_families_of_the_table_agree_with_an_independent_assignment(
    shared_published,
) -> None:
    import polars as pl

    theirs = pl.read_csv(shared_published / "languages.csv").filter(pl.col("in_figC2_38") == 1)
    matrix = published_matrix(38)
    assert theirs["code"].to_list() == list(published_table(38).paper_codes)
    for column, relation in (
        ("script_OWN_ASSIGNMENT", "script"),
        ("top_family_OWN_ASSIGNMENT", "family"),
    ):
        labels = theirs[column].to_numpy()
        assert np.array_equal(np.equal.outer(labels, labels), shared(matrix.targets, relation))


def test_a_planted_effect_is_found_and_the_absent_one_is_not() -> None:
    effects = effects_of(planted(0.3, 0.0))
    script = effects["script", None]
    assert script.difference.value == pytest.approx(0.3, abs=0.08)
    assert script.difference.interval is not None
    assert script.difference.interval[0] < 0.3 < script.difference.interval[1]
    assert script.p_value < 0.01
    assert effects["family", "different script"].p_value > 0.05
    assert effects["script", "different family"].difference.value == pytest.approx(0.3, abs=0.08)


def test_a_planted_effect_of_family_is_told_from_script() -> None:
    effects = effects_of(planted(0.0, 0.3))
    assert effects["family", "different script"].difference.value == pytest.approx(0.3, abs=0.1)
    assert effects["family", None].p_value < 0.01
    assert abs(effects["script", "different family"].difference.value or 0) < 0.1


def test_scores_that_are_all_the_targets_own_give_honest_p_values_only_by_language() -> None:
    # No effect of script at all, but each target and source has its own mean: free shuffling of
    # cells calls too much significant, relabelling languages does not.
    by_language, by_cell = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = len(CODES)
        values = (
            rng.normal(0, 0.5, (n, 1)) + rng.normal(0, 0.5, (1, n)) + rng.normal(0, 0.1, (n, n))
        )
        found = relatedness_effects(values, CODES, level=0.9, n_permutations=199, seed=seed)
        script = found[0]
        by_language.append(script.p_value < 0.1)
        by_cell.append(script.p_value_cells < 0.1)
    assert np.mean(by_language) <= 0.25  # 4 of 40 expected
    assert np.mean(by_cell) > np.mean(by_language)


def test_cliffs_delta_is_the_rank_statistic_of_scipy() -> None:
    values = planted(0.2, 0.1)
    script = effects_of(values)["script", None]
    same = shared(CODES, "script")
    known = ~np.isnan(values)
    first, second = values[known & same], values[known & ~same]
    u = mannwhitneyu(first, second).statistic
    assert script.cliffs_delta == pytest.approx(2 * u / (first.size * second.size) - 1)


def test_cohens_d_is_the_difference_in_pooled_deviations() -> None:
    values = planted(0.2, 0.1)
    script = effects_of(values)["script", None]
    same = shared(CODES, "script")
    known = ~np.isnan(values)
    a, b = values[known & same], values[known & ~same]
    pooled = np.sqrt(
        ((a.size - 1) * a.var(ddof=1) + (b.size - 1) * b.var(ddof=1)) / (a.size + b.size - 2)
    )
    assert script.cohens_d == pytest.approx((a.mean() - b.mean()) / pooled)


def test_unknown_cells_are_left_out() -> None:
    values = planted(0.3, 0.0)
    values[:, 3] = np.nan
    effects = effects_of(values)
    script = effects["script", None]
    assert script.n_same + script.n_different == 18 * 17 - 17


def test_comparisons_without_pairs_of_both_kinds_are_left_out() -> None:
    codes = ("swe_Latn", "dan_Latn", "nob_Latn")
    assert effects_of(np.zeros((3, 3)), codes) == {}


def test_isolates_share_no_family_or_branch_with_each_other() -> None:
    codes = ("kor_Hang", "eus_Latn", "swe_Latn", "dan_Latn")
    branch = shared(codes, "branch")
    assert not branch[0, 1]
    assert branch[2, 3]


def test_restricted_permutations_stay_within_their_stratum() -> None:
    strata = np.array(["a", "a", "b", "b", "b"])
    rng = np.random.default_rng(0)
    for orders in permutations(strata, 50, rng):
        assert (strata[orders] == strata).all()
        assert (np.sort(orders, axis=1) == np.arange(5)).all()


def test_a_permuted_matrix_has_rows_and_columns_moved_together() -> None:
    matrix = np.arange(9).reshape(3, 3)
    (moved,) = permuted(matrix, np.array([[2, 0, 1]]))
    assert moved.tolist() == [[8, 6, 7], [2, 0, 1], [5, 3, 4]]


def test_the_seed_decides_the_p_values() -> None:
    values = planted(0.05, 0.0)
    assert effects_of(values, seed=1) == effects_of(values, seed=1)
