"""The worked cases of planning, from names to a plan."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.planning.allocate_targets import _sources, allocate_targets
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.allocation_warnings import said_of_laws
from atlas_scaling.planning.language_laws import law_of_fit
from atlas_scaling.transfer.reference import published_matrix
from tests.fitting.planted import two_power_table
from tests.planning.planted import MATRIX

ROMANCE = ["es", "pt", "fr", "it", "en"]
INDIC = {
    "hin": 7.9e9,
    "ben": 6e9,
    "tam": 4e9,
    "tel": 3e9,
    "mar": 3e9,
    "guj": 2e9,
    "kan": 1.5e9,
    "mal": 2e9,
    "pan": 1e9,
    "urd": 2.5e9,
}


def test_a_catalan_first_model():
    plan = allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"ca": 10e9}, sources=ROMANCE)
    assert set(plan.loss) == {"cat_Latn"}
    assert plan.mixture["cat_Latn"] > 0.5
    assert plan.epochs["cat_Latn"] > 4
    assert plan.laws["cat_Latn"].startswith("Table C.1, law of fra_Latn")
    assert plan.unique_tokens["cat_Latn"].source == "given"
    uniform = plan.alternatives["uniform"]
    assert uniform.objective.value > plan.objective.value


def test_with_very_little_catalan_its_neighbours_come_in():
    plan = allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"ca": 0.2e9}, sources=ROMANCE)
    assert plan.mixture["spa_Latn"] > 0.1
    assert {one.source for one in plan.transfer} <= {"spa_Latn", "por_Latn", "fra_Latn", "ita_Latn"}


def test_ten_indic_languages_with_unequal_data_by_worst_regret():
    plan = allocate_targets(
        list(INDIC), Budget(flops=1e22), unique=INDIC, sources=[], objective="regret"
    )
    assert len(plan.loss) == 10
    regrets = {code: plan.loss[code].value - plan.own_best[code] for code in plan.loss}
    assert max(regrets.values()) == pytest.approx(plan.objective.value)
    assert all(other.objective.value > plan.objective.value for other in plan.alternatives.values())
    # several targets bind at the optimum of a minimax
    assert sum(r > plan.objective.value - 1e-5 for r in regrets.values()) > 3


def test_swahili_says_how_many_epochs_are_worth_it_and_what_english_adds():
    plan = allocate_targets(["sw"], Budget(flops=1e21), sources=["en"])
    assert plan.unique_tokens["swa_Latn"].tokens == 770e6
    assert plan.epochs["swa_Latn"] > 10
    english = [one for one in plan.sensitivity if "eng_Latn" in one.name]
    assert english, "what a point of English or its transfer weight would do is in the answer"


def test_sources_are_chosen_by_transfer_where_none_are_named():
    plan = allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"ca": 0.1e9})
    assert "spa_Latn" in plan.mixture
    alone = allocate_targets(["cat_Latn"], Budget(flops=1e21), unique={"ca": 0.1e9}, sources=[])
    assert set(alone.mixture) == {"cat_Latn"}


def test_published_answers_say_what_they_are_not():
    plan = allocate_targets(["swe"], Budget(flops=1e21))
    said = " ".join(plan.warnings)
    assert "paper's own unit" in said
    assert "no published law of their own: swe_Latn" in said
    assert plan.loss["swe_Latn"].interval is None


def test_a_fit_of_a_target_is_preferred_and_brings_its_sources(atlas_fit):
    _, fitted = atlas_fit
    plan = allocate_targets(["swe"], Budget(flops=1e19), fits=[fitted], unique={"sv": 1e9})
    assert plan.laws["swe_Latn"] == law_of_fit(fitted).basis
    assert "dan_Latn" in {one.source for one in plan.transfer} | set(plan.unique_tokens)
    assert plan.loss["swe_Latn"].interval is not None
    assert plan.plan_range is not None
    assert not any("paper's own unit" in warning for warning in plan.warnings)


def test_a_target_without_a_fit_borrows_that_of_a_relative_and_says_so(atlas_fit):
    _, fitted = atlas_fit
    plan = allocate_targets(["swe", "nob"], Budget(flops=1e19), fits=[fitted])
    assert "borrowed for nob_Latn" in plan.laws["nob_Latn"]
    assert plan.loss["nob_Latn"].interval is not None
    assert any("nob_Latn has no fit" in warning for warning in plan.warnings)
    named = allocate_targets(["swe", "rus"], Budget(flops=1e19), fits=[fitted], like={"ru": "sv"})
    assert "of swe_Latn, borrowed for rus_Cyrl" in named.laws["rus_Cyrl"]


def test_fits_do_not_mix_with_published_laws_and_strangers_are_asked_for(atlas_fit):
    _, fitted = atlas_fit
    with pytest.raises(InputError, match="none of the fits is of a relative"):
        allocate_targets(["swe", "tam"], Budget(flops=1e19), fits=[fitted])
    with pytest.raises(InputError, match="different units"):
        allocate_targets(["swe", "fra"], Budget(flops=1e19), fits=[fitted], like={"fr": "fr"})


def test_a_fit_of_no_target_is_refused(atlas_fit):
    _, fitted = atlas_fit
    with pytest.raises(InputError) as caught:
        allocate_targets(["dan"], Budget(flops=1e19), fits=[fitted])
    assert caught.value.value == "swe_Latn"


def test_without_targets_the_plan_is_for_what_the_fits_are_of_and_says_so(atlas_fit):
    _, fitted = atlas_fit
    plan = allocate_targets([], Budget(flops=1e19), fits=[fitted], unique={"sv": 1e9})
    named = allocate_targets(["swe"], Budget(flops=1e19), fits=[fitted], unique={"sv": 1e9})
    assert plan.mixture == named.mixture
    assert set(plan.warnings) - set(named.warnings) == {
        "no target is named: the plan is for swe_Latn, which the fit is of"
    }


def test_a_loss_at_a_size_that_the_runs_leave_open_is_refused():
    D = np.geomspace(1e8, 1e11, 12)
    table = two_power_table(12, noise=0.003, n_params=np.full(12, 1e8), tokens=D)
    one_size = fit(table.with_columns(language=pl.lit("swe_Latn")), bootstrap=40)
    ask = {"fits": [one_size], "sources": ["dan"]}
    with pytest.raises(InputError, match="do not tell the loss of 7B parameters") as caught:
        allocate_targets(["swe"], Budget(flops=1e21, n_params=7e9), **ask)
    assert "a size that was fitted" in caught.value.remedy
    plan = allocate_targets(["swe"], Budget(n_params=1e8, tokens=2e10), **ask)
    low, high = plan.loss["swe_Latn"].interval
    assert low < 1.8 + 480 / 1e8**0.35 + 2000 / 2e10**0.37 < high


def test_what_is_said_of_one_of_several_fits_names_its_language(atlas_fit):
    _, fitted = atlas_fit
    one = replace(law_of_fit(fitted), warnings=("E is weak", "lam of swe_Latn is weak"))
    other = replace(one, language="dan_Latn", warnings=("E is weak", "B is weak"))
    assert list(said_of_laws([one, other])) == [
        "E is weak",
        "lam of swe_Latn is weak",
        "dan_Latn: B is weak",
    ]
    assert list(said_of_laws([one])) == list(one.warnings)


def test_what_a_fit_makes_useless_is_said(atlas_fit):
    _, fitted = atlas_fit
    budget = Budget(flops=1e19)
    said = "scores of a matrix are not used"
    plan = allocate_targets(["swe"], budget, fits=[fitted], matrix=MATRIX)
    assert any(said in warning for warning in plan.warnings)
    plain = allocate_targets(["swe"], budget, fits=[fitted])
    assert not any(said in warning for warning in plain.warnings)
    with pytest.raises(InputError, match="has a fit of its own"):
        allocate_targets(["swe"], budget, fits=[fitted], like={"sv": "da"})


def test_a_language_that_is_no_target_borrows_no_law():
    with pytest.raises(InputError, match="is no target") as caught:
        allocate_targets(["cat"], Budget(flops=1e21), like={"gl": "es"})
    assert caught.value.value == "glg_Latn"


def test_weights_that_the_objective_does_not_look_at_are_said():
    weights = {"cat": 1, "spa": 9}
    plan = allocate_targets(["cat", "spa"], Budget(flops=1e21), weights=weights, objective="worst")
    assert "weights are of the mean: the objective worst has none" in plan.warnings


def test_an_own_matrix_is_used_for_transfer():
    plan = allocate_targets(
        ["cat"], Budget(flops=1e21), matrix=MATRIX, unique={"ca": 0.1e9, "es": 1e12, "fr": 1e12}
    )
    worth = {one.source: one.tau for one in plan.transfer}
    assert worth["spa_Latn"] == pytest.approx(0.25)


def test_unknown_targets_and_no_targets_are_refused():
    with pytest.raises(InputError, match="unknown language"):
        allocate_targets(["Catalan"], Budget(flops=1e21))
    with pytest.raises(InputError, match="which languages"):
        allocate_targets([], Budget(flops=1e21))


def test_a_source_whose_worth_the_runs_do_not_identify_is_used_only_where_it_is_named(
    atlas_fit,
):
    _, fitted = atlas_fit
    law = law_of_fit(fitted)
    unsure = replace(law, unsure={"tau[dan_Latn]": "not identified: standard error 0.7"})
    assert _sources(None, [law], published_matrix()) == (["dan_Latn"], [])
    left, said = _sources(None, [unsure], published_matrix())
    assert left == []
    assert "dan_Latn" in said[0]
    assert _sources(["da"], [unsure], published_matrix()) == (["dan_Latn"], [])
