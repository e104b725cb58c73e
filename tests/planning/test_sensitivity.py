"""What an answer says of a changed question, against the plan of that question."""

from dataclasses import replace

import numpy as np
import pytest

from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.unique_tokens import UniqueTokens
from tests.planning.two_targets import CAT, SPA, UNIQUE, plan

UP = 1.001
STEPS = np.log(1.1) / np.log(UP)


def moved(question, changed, name, steps):
    """What the answer says of ``name``, and what the changed question finds, for one change."""
    answer, other = plan((CAT, SPA), **question), plan((CAT, SPA), **changed)
    said = {one.name: one.objective_change for one in answer.sensitivity}
    return said.get(name, 0.0), (other.objective.value - answer.objective.value) * steps


def change(answer, name):
    return next(one.objective_change for one in answer.sensitivity if one.name == name)


@pytest.mark.parametrize("kind", ["mean", "worst", "regret"])
def test_more_compute_moves_the_objective_as_it_says(kind):
    answer = plan((CAT, SPA), objective=kind)
    more = plan((CAT, SPA), objective=kind, budget=Budget(flops=1.001e21))
    slope = (more.objective.value - answer.objective.value) / np.log(1.001)
    assert change(answer, "flops") == pytest.approx(slope * np.log(1.1), rel=0.02)


@pytest.mark.parametrize("kind", ["mean", "regret"])
def test_more_text_moves_the_objective_as_it_says(kind):
    answer = plan((CAT, SPA), objective=kind)
    more = plan(
        (CAT, SPA),
        objective=kind,
        unique=UNIQUE | {"cat_Latn": UniqueTokens(5.005e9, "given")},
    )
    slope = (more.objective.value - answer.objective.value) / np.log(1.001)
    assert change(answer, "unique[cat_Latn]") == pytest.approx(slope * np.log(1.1), rel=0.02)


@pytest.mark.parametrize(
    ("name", "parameter", "step"),
    [
        ("B[cat_Latn]", "B", None),
        ("lam[cat_Latn]", "lam", None),
        ("alpha[cat_Latn]", "alpha", 1e-5),
        ("beta[cat_Latn]", "beta", 1e-5),
    ],
)
def test_parameters_move_the_objective_as_they_say(name, parameter, step):
    answer = plan((CAT, SPA))
    value = getattr(CAT, parameter)
    if step is None:
        changed, scale = value * 1.001, np.log(1.1) / np.log(1.001)
    else:
        changed, scale = value + step, 0.01 / step
    other = plan((replace(CAT, **{parameter: changed}), SPA))
    moved = (other.objective.value - answer.objective.value) * scale
    assert change(answer, name) == pytest.approx(moved, rel=0.02)


def test_a_transfer_weight_and_a_floor_move_the_objective_as_they_say():
    answer = plan((CAT, SPA), floors={"por": 0.2})
    more = replace(CAT, tau=CAT.tau | {"por_Latn": 0.2001})
    other = plan((more, SPA), floors={"por": 0.2})
    moved = (other.objective.value - answer.objective.value) / 0.0001 * 0.1
    assert change(answer, "tau[cat_Latn <- por_Latn]") == pytest.approx(moved, rel=0.02)
    other = plan((CAT, SPA), floors={"por": 0.201})
    moved = (other.objective.value - answer.objective.value) / 0.001 * 0.01
    assert change(answer, "floor[por_Latn]") == pytest.approx(moved, rel=0.05)


def test_a_repetition_constant_of_one_source_moves_the_objective_as_it_says():
    few = UNIQUE | {"por_Latn": UniqueTokens(2e9, "given")}
    own = replace(CAT, lam_by_source={"por_Latn": 0.2})
    answer = plan((own, SPA), floors={"por": 0.2}, unique=few)
    more = replace(CAT, lam_by_source={"por_Latn": 0.2 * 1.001})
    other = plan((more, SPA), floors={"por": 0.2}, unique=few)
    moved = (other.objective.value - answer.objective.value) / np.log(1.001) * np.log(1.1)
    assert change(answer, "lam[cat_Latn <- por_Latn]") == pytest.approx(moved, rel=0.02)


@pytest.mark.parametrize("kind", ["mean", "worst", "regret"])
@pytest.mark.parametrize(
    ("budget", "changed", "name"),
    [
        ({"flops": 1e21, "n_params": 3e9}, {"flops": 1e21, "n_params": 3e9 * UP}, "n_params"),
        ({"flops": 1e21, "n_params": 3e9}, {"flops": 1e21 * UP, "n_params": 3e9}, "flops"),
        ({"flops": 1e21, "tokens": 5e10}, {"flops": 1e21, "tokens": 5e10 * UP}, "tokens"),
        ({"flops": 1e21, "tokens": 5e10}, {"flops": 1e21 * UP, "tokens": 5e10}, "flops"),
        ({"n_params": 1e9, "tokens": 5e10}, {"n_params": 1e9 * UP, "tokens": 5e10}, "n_params"),
        ({"n_params": 1e9, "tokens": 5e10}, {"n_params": 1e9, "tokens": 5e10 * UP}, "tokens"),
        (
            {"flops": 1e21, "inference_tokens": 2e12},
            {"flops": 1e21, "inference_tokens": 2e12 * UP},
            "served_tokens",
        ),
        (
            {"flops": 1e21, "tokens": 5e10, "inference_tokens": 2e11},
            {"flops": 1e21, "tokens": 5e10, "inference_tokens": 2e11 * UP},
            "served_tokens",
        ),
    ],
)
def test_what_may_be_spent_moves_the_objective_as_it_says(budget, changed, name, kind):
    said, found = moved(
        {"budget": Budget(**budget), "objective": kind},
        {"budget": Budget(**changed), "objective": kind},
        name,
        STEPS,
    )
    assert said == pytest.approx(found, rel=0.02, abs=2e-6)


def test_a_limit_of_epochs_moves_the_objective_as_it_says():
    said, found = moved({"max_epochs": 3}, {"max_epochs": 3 * UP}, "max_epochs", STEPS)
    assert found < -1e-4
    assert said == pytest.approx(found, rel=0.05)


def test_a_cap_moves_the_objective_as_it_says():
    said, found = moved({"caps": {"es": 0.1}}, {"caps": {"es": 0.1001}}, "cap[spa_Latn]", 100)
    assert said == pytest.approx(found, rel=0.05)


def test_every_parameter_moves_the_objective_as_it_says():
    answer = plan((CAT, SPA))
    for name in ("E", "A"):
        other = plan((replace(CAT, **{name: getattr(CAT, name) * UP}), SPA))
        found = (other.objective.value - answer.objective.value) / (UP - 1) * 0.1
        tolerance = 0.05 if name == "A" else 0.01  # log against linear steps of a tenth
        assert change(answer, f"{name}[cat_Latn]") == pytest.approx(found, rel=tolerance)
    assert {one.kind for one in answer.sensitivity} == {"constraint", "parameter"}
