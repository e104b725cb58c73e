"""What a plan warns of, and questions that have no answer."""

from dataclasses import replace

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.unique_tokens import UniqueTokens
from tests.planning.two_targets import BUDGET, CAT, SPA, law, plan


def said(answer, words):
    return [warning for warning in answer.warnings if words in warning]


def test_transfer_that_the_draws_cannot_vouch_for_is_said():
    shaky = law("cat_Latn", draws=0, tau={"spa_Latn": 0.5})
    rng = np.random.Generator(np.random.PCG64(0))
    shaky = replace(shaky, draws={"tau[spa_Latn]": 0.5 + 1.0 * rng.standard_normal(60)})
    few = {"cat_Latn": UniqueTokens(1e6, "given"), "spa_Latn": UniqueTokens(1e12, "given")}
    answer = plan((shaky,), sources=("spa_Latn",), unique=few)
    assert answer.plan_range.expected_regret is None
    assert any("effective data below zero" in warning for warning in answer.warnings)


def test_a_size_outside_the_law_s_range_is_said_to_be_extrapolated():
    answer = plan((replace(CAT, n_params=(1e6, 1e8)),))
    assert any("extrapolated" in warning for warning in answer.warnings)


def test_laws_without_transfer_say_that_others_are_worth_nothing():
    answer = plan((law("cat_Latn"),))
    assert any("no law here knows transfer" in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ({"laws": ()}, "targets"),
        ({"laws": (CAT, CAT)}, "targets"),
        ({"laws": (CAT, replace(SPA, unit="bits_per_byte"))}, "laws"),
        ({"objective": "best"}, "objective"),
        ({"weights": {"ca": 1, "es": 1}}, "weights"),
        ({"floors": {"ca": 0.6, "es": 0.6}}, "floors"),
        ({"caps": {"ca": 0.1, "es": 0.1, "pt": 0.1}}, "caps"),
        ({"floors": {"ca": 0.6}, "caps": {"ca": 0.5}}, "floors and caps, cat_Latn"),
        ({"floors": {"de": 0.1}}, "floors"),
        ({"floors": {"ca": 1.1}}, "floors, cat_Latn"),
        ({"max_epochs": -1}, "max_epochs"),
        ({"budget": Budget(flops=1e12)}, "flops"),
        ({"budget": Budget(flops=1e18, sizes=(1e12,))}, "flops"),
        ({"budget": Budget(flops=1e21, inference_tokens=1e16)}, "flops"),
        ({"budget": Budget(n_params=1e9, tokens=1e13), "max_epochs": 1}, "max_epochs"),
    ],
)
def test_questions_without_an_answer_say_where_they_are_wrong(question, where):
    with pytest.raises(InputError) as caught:
        plan(**question)
    assert caught.value.where == where
    assert caught.value.problem


@pytest.mark.parametrize(
    ("budget", "where"),
    [
        ({}, "flops"),
        ({"flops": -1e21}, "flops"),
        ({"n_params": 1e9}, "flops"),
        ({"flops": 1e21, "n_params": 1e9, "tokens": 1e9}, "flops, n_params, tokens"),
        ({"flops": 1e21, "sizes": (0.0,)}, "sizes"),
        ({"flops": 1e21, "inference_tokens": -1}, "inference_tokens"),
    ],
)
def test_budgets_that_contradict_themselves_are_refused(budget, where):
    with pytest.raises(InputError) as caught:
        Budget(**budget)
    assert caught.value.where == where


def test_transfer_weights_that_cancel_a_target_are_explained():
    codes = ["deu_Latn", "fra_Latn", "ita_Latn", "spa_Latn", "por_Latn"]
    laws = [law(c, tau={o: -0.5 for o in codes if o != c}) for c in codes]
    with pytest.raises(InputError) as caught:
        allocate(laws, BUDGET)
    assert "below zero" in caught.value.problem
    assert "interference" in caught.value.remedy


def test_a_plan_at_the_smallest_size_says_that_a_bound_holds():
    small = replace(CAT, A=1e-6, E=0.5)  # size is worth nothing: the smallest model is best
    answer = plan((small,), unique={})
    assert answer.n_params == pytest.approx(1e6, rel=1e-3)
    assert said(answer, "no model below 1M parameters is looked at")
    assert not said(plan(), "is looked at")


def test_a_plan_on_the_fewest_tokens_says_that_a_bound_holds():
    large = replace(CAT, B=1e-6)  # text is worth nothing
    answer = plan((large,))
    assert answer.tokens == pytest.approx(1e6, rel=1e-3)
    assert said(answer, "no run on less than 1M tokens is looked at")


def test_a_size_that_spends_what_text_cannot_is_said_to_be_one():
    few = {"cat_Latn": UniqueTokens(1e8, "given")}
    answer = plan(sources=(), unique=few, max_epochs=2)
    assert answer.tokens == pytest.approx(2e8, rel=1e-3)
    assert said(answer, "all text is read as often as is allowed")


def test_an_end_of_the_sizes_given_is_said_only_where_a_further_one_is_better():
    below = plan(budget=Budget(flops=1e21, sizes=(1e8, 2e8)))
    assert said(below, "the largest of the sizes given is taken: a larger one would be better")
    above = plan(budget=Budget(flops=1e21, sizes=(2e10, 3e10)))
    assert said(above, "the smallest of the sizes given is taken: a smaller one would be better")
    free = plan().n_params
    around = plan(budget=Budget(flops=1e21, sizes=(free, 1.5 * free)))
    assert not said(around, "of the sizes given is taken")


def test_draws_whose_best_size_is_a_bound_cut_the_range_and_say_so():
    rng = np.random.Generator(np.random.PCG64(0))
    either = replace(CAT, draws={"A": np.where(rng.random(60) < 0.3, 1e-6, 1500.0)})
    answer = plan((either,), unique={})
    assert said(answer, "draws the best size is a bound of the search")


def test_sizes_that_would_need_more_text_than_there_is_are_left_out():
    sizes = Budget(flops=1e21, sizes=(1e8, 1e11))
    answer = plan(budget=sizes, sources=(), max_epochs=1)
    assert answer.n_params == pytest.approx(1e11)
    assert said(answer, "1 of the 2 sizes given do not fit")
    with pytest.raises(InputError, match="leaves less text"):
        plan(budget=Budget(flops=1e21, sizes=(1e8, 2e8)), sources=(), max_epochs=1)


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ({"floors": {"ca": 0.1, "cat_Latn": 0.2}}, "floors"),
        ({"weights": {"ca": 1, "cat_Latn": 2}}, "weights"),
        ({"floors": {"ca": np.nan}}, "floors, cat_Latn"),
        ({"max_epochs": np.nan}, "max_epochs"),
        ({"weights": {"ca": np.inf}}, "weight of cat_Latn"),
    ],
)
def test_a_language_twice_and_numbers_that_are_none_are_refused(question, where):
    with pytest.raises(InputError) as caught:
        plan(**question)
    assert caught.value.where == where


def test_a_size_that_no_run_tells_is_not_chosen_but_a_mixture_at_a_size_is():
    unsure = replace(CAT, unsure={"alpha": "not identified: at its upper bound 3"})
    with pytest.raises(InputError, match="do not identify alpha") as caught:
        plan((unsure,))
    assert "--params" in caught.value.remedy
    with pytest.raises(InputError):
        plan((unsure,), budget=Budget(flops=1e21, sizes=(1e9, 2e9)))
    assert plan((unsure,), budget=Budget(flops=1e21, n_params=1e9)).mixture
    assert plan((replace(CAT, unsure={"E": "not identified"}),)).mixture


def test_sizes_as_small_as_those_of_a_fit_are_looked_at():
    tiny = law("cat_Latn", A=20.0, B=60.0, n_params=(4e4, 4e5))
    answer = plan((tiny,), budget=Budget(flops=1e12), sources=(), unique={})
    assert 4e3 < answer.n_params < 1e6
    assert not said(answer, "is looked at")
