from dataclasses import replace

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.planning.decisions import (
    CandidateRun,
    Decision,
    design_space,
    loss_decision,
    parameter_decision,
    size_decision,
)
from atlas_scaling.planning.next_runs import next_runs

P = {"E": 1.7, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
NOISE = 0.003


def true_loss(N, D):
    return P["E"] + P["A"] / N ** P["alpha"] + P["B"] / D ** P["beta"]


def rows(N, D, *, seed):
    rng = np.random.Generator(np.random.PCG64(seed))
    N, D = np.asarray(N, dtype=float), np.asarray(D, dtype=float)
    return {
        "run_id": [f"run{seed}-{i}" for i in range(len(N))],
        "n_params": N,
        "tokens": D,
        "loss": true_loss(N, D) * np.exp(NOISE * rng.standard_normal(len(N))),
    }


@pytest.fixture(scope="module")
def small():
    """Twelve small runs."""
    N = np.repeat([1e7, 3e7, 1e8], 4)
    return fit(rows(N, N * np.tile([5, 20, 80, 160], 3), seed=1), "chinchilla", bootstrap=200)


BIG = CandidateRun(1e9, 20e9, {})
TRUE = true_loss(1e9, 20e9)


def test_more_compute_leaves_less_of_the_interval(small):
    decision = loss_decision(small, BIG)
    left = [next_runs(small, decision, flops=c).interval_left for c in (1e17, 1e18, 1e19)]
    assert left == sorted(left, reverse=True)
    assert 0 < left[-1] < left[0] < 1


def test_runs_stay_within_the_allowance_and_say_what_each_leaves(small):
    answer = next_runs(small, loss_decision(small, BIG), flops=3e18)
    assert sum(run.flops for run in answer.runs) == pytest.approx(answer.flops)
    assert answer.flops <= 3e18
    left = [run.interval_left for run in answer.runs]
    assert left == sorted(left, reverse=True)
    assert left[-1] == answer.interval_left
    assert len(answer.runs) <= 8


def test_a_run_at_the_very_point_is_the_best_of_runs_that_cost_the_same(small):
    same = [CandidateRun(n, 20e18 / n, {}) for n in (1e7, 1e8, 1e9, 1e10)]
    answer = next_runs(small, loss_decision(small, BIG), flops=1.3e20, candidates=same, max_runs=1)
    assert answer.runs[0].n_params == 1e9


def test_the_expected_shrinkage_is_that_of_a_linear_model():
    # two parameters with known draws, a decision that is the first: observing it with noise s once
    # leaves variance s^2 / (s^2 + 1) of 1
    N = np.repeat([1e7, 3e7, 1e8], 4)
    base = fit(rows(N, N * np.tile([5, 20, 80, 160], 3), seed=2), "chinchilla", bootstrap=400)
    decision = loss_decision(base, BIG)
    answer = next_runs(base, decision, flops=1.3e20, candidates=[BIG], max_runs=1)
    spread = np.log(decision.draws).std()
    expected = answer.noise / np.hypot(answer.noise, spread)
    # a little more stays, because the law is not quite linear over its draws
    assert expected < answer.interval_left < expected + 0.05


def test_errors_shrink_as_promised(small):
    # bootstrap intervals after a few influential runs are wider than the errors, so errors count
    answer = next_runs(small, loss_decision(small, BIG), flops=5e18)
    N, D = small.observations.x["n_params"], small.observations.x["tokens"]
    more_N = [*N, *(run.n_params for run in answer.runs)]
    more_D = [*D, *(run.tokens for run in answer.runs)]
    errors = [
        [
            abs(
                fit(rows(*design, seed=seed), bootstrap=0).predict(n_params=1e9, tokens=20e9) - TRUE
            )
            for seed in range(100, 140)
        ]
        for design in ((N, D), (more_N, more_D))
    ]
    shrunk = np.median(errors[1]) / np.median(errors[0])
    assert shrunk == pytest.approx(answer.interval_left, abs=0.2)


def test_the_best_size_is_a_decision(small):
    decision = size_decision(small, 1e21, {})
    # a A N^-a = b B (C/6N)^-b
    G = (P["alpha"] * P["A"] / (P["beta"] * P["B"])) ** (1 / (P["alpha"] + P["beta"]))
    best = np.log(G * (1e21 / 6) ** (P["beta"] / (P["alpha"] + P["beta"])))
    assert decision.value == pytest.approx(best, abs=0.3)
    assert np.percentile(decision.draws, 1) < best < np.percentile(decision.draws, 99)
    assert next_runs(small, decision, flops=5e18).interval_left < 0.9


def test_a_parameter_is_a_decision_and_all_of_them_are_a_criterion(small):
    decision = parameter_decision(small, "alpha")
    assert decision.value == small.values["alpha"]
    one = next_runs(small, decision, flops=5e18)
    every = next_runs(small, decision, flops=5e18, criterion="parameters")
    assert one.interval_left <= every.interval_left + 1e-9
    assert every.criterion == "parameters"


def test_the_same_question_has_the_same_answer(small):
    decision = loss_decision(small, BIG)
    assert (
        next_runs(small, decision, flops=5e18).to_dict()
        == next_runs(small, decision, flops=5e18).to_dict()
    )


def test_larger_runs_than_fitted_are_said_to_test_the_law(small):
    answer = next_runs(small, loss_decision(small, BIG), flops=5e18)
    assert any("test the law" in warning for warning in answer.warnings)


def test_a_decision_that_no_run_informs_is_said(small):
    rng = np.random.Generator(np.random.PCG64(0))
    flat = Decision("a constant", 1.0, np.ones(200) + 1e-12 * rng.standard_normal(200))
    answer = next_runs(small, Decision("nothing", 1.0, np.ones(200)), flops=5e18)
    assert answer.runs == ()
    assert any("no candidate tells" in warning for warning in answer.warnings)
    assert flat.value == 1.0


def test_the_design_space_covers_sizes_tokens_and_what_is_affordable(small):
    runs = design_space(small, 1e18)
    assert all(run.flops <= 1e18 for run in runs)
    assert {run.n_params for run in design_space(small, 1e25, sizes=[1e8, 1e9])} == {1e8, 1e9}


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ({"flops": -1.0}, "flops"),
        ({"flops": 1.0}, "flops"),
        ({"flops": 1e18, "criterion": "luck"}, "criterion"),
        ({"flops": 1e18, "max_runs": 0}, "max_runs"),
    ],
)
def test_wrong_questions_say_where_they_are_wrong(small, question, where):
    with pytest.raises(InputError) as caught:
        next_runs(small, loss_decision(small, BIG), **question)
    assert caught.value.where == where


def test_a_fit_without_draws_is_refused():
    N = np.repeat([1e7, 3e7, 1e8], 4)
    bare = fit(rows(N, N * 20, seed=1) | {"tokens": N * np.tile([5, 20, 80, 160], 3)}, bootstrap=0)
    with pytest.raises(InputError) as caught:
        parameter_decision(bare, "alpha")
    assert "bootstrap" in caught.value.remedy


def test_an_unknown_parameter_names_the_nearest(small):
    with pytest.raises(InputError) as caught:
        parameter_decision(small, "alfa")
    assert "'alpha'" in caught.value.remedy


@pytest.mark.parametrize("flops", [5e19, 2e20])
def test_the_jacobian_says_what_the_delta_method_written_out_does(small, flops):
    """Derivatives by finite differences of the law's formula, covariance from least squares."""
    runs = [CandidateRun(3e8, 6e9, {}), CandidateRun(1e9, 5e9, {})]
    answer = next_runs(
        small, loss_decision(small, BIG), flops=flops, candidates=runs, information="jacobian"
    )
    names = list(small.values)
    theta = np.array([small.values[n] for n in names])
    # amplitudes move in logarithms, as everywhere in this kind of fit; scale does not matter here
    scale = np.array([theta[names.index(n)] if n in "AB" else 1.0 for n in names])

    def loss(values, N, D):
        p = dict(zip(names, values, strict=True))
        return p["E"] + p["A"] / N ** p["alpha"] + p["B"] / D ** p["beta"]

    def slopes(N, D, of=np.log):
        steps = [scale[k] * 1e-6 * np.eye(5)[k] for k in range(5)]
        return np.array(
            [(of(loss(theta + h, N, D)) - of(loss(theta - h, N, D))) / 2e-6 for h in steps]
        )

    x = small.observations.x
    J = slopes(x["n_params"], x["tokens"])
    residual = np.log(small.observations.loss) - np.log(small.predicted)
    variance = residual @ residual / (len(residual) - 5)
    M = J @ J.T / variance
    c = slopes(BIG.n_params, BIG.tokens, of=lambda v: v)
    before = c @ np.linalg.solve(M, c)
    for run in answer.runs:
        x_i = slopes(run.n_params, run.tokens)
        M = M + np.outer(x_i, x_i) / variance
    after = c @ np.linalg.solve(M, c)
    assert answer.runs
    assert answer.interval_left == pytest.approx(np.sqrt(after / before), rel=1e-3)


def test_by_the_jacobian_too_more_compute_leaves_less_of_the_interval(small):
    decision = size_decision(small, 1e21, {})
    left = [
        next_runs(small, decision, flops=c, information="jacobian").interval_left
        for c in (1e17, 1e18, 1e19)
    ]
    assert left == sorted(left, reverse=True)
    assert 0 < left[-1] < left[0] < 1


def test_unknown_information_and_a_decision_that_cannot_be_moved_are_refused(small):
    with pytest.raises(InputError) as caught:
        next_runs(small, loss_decision(small, BIG), flops=1e19, information="guess")
    assert caught.value.where == "information"
    own = Decision("own", 1.0, np.random.Generator(np.random.PCG64(0)).standard_normal(200))
    with pytest.raises(InputError, match="draws only"):
        next_runs(small, own, flops=1e19, information="jacobian")


def test_the_best_size_of_a_large_budget_is_looked_for_far_enough(small):
    """The optimum at C = 6 N D in closed form (Hoffmann et al. 2022, eq. 4)."""
    p = small.values
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    for flops in (1e20, 1e26):
        best = G * (flops / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
        decision = size_decision(small, flops, {})
        assert decision.value == pytest.approx(np.log(best), abs=0.01)
        assert not decision.warnings


def test_a_best_size_at_an_end_of_those_looked_at_says_so(small):
    names = list(small.values)
    flat = small.draws.copy()
    flat[:10, names.index("A")] = 1e-12  # size is worth nothing in these draws
    decision = size_decision(replace(small, draws=flat), 1e21, {})
    assert "10 of" in decision.warnings[0]


def fitted(sizes, **columns):
    N = np.repeat(sizes, 6)
    made = rows(N, np.tile(np.geomspace(1e8, 3e10, 6), len(sizes)), seed=5) | columns
    return fit(made, "chinchilla", bootstrap=60)


@pytest.mark.parametrize("sizes", [[1e8], [1e8, 2e8]])
def test_what_the_runs_leave_open_is_refused_instead_of_given_a_narrow_interval(sizes):
    # two sizes give two numbers, E + A/N^alpha at each: the three parameters stay open
    few = fitted(sizes)
    for decision in (
        loss_decision(few, CandidateRun(7e9, 140e9, {})),
        size_decision(few, 1e21, {}),
        parameter_decision(few, "alpha"),
    ):
        with pytest.raises(InputError, match="do not tell") as caught:
            next_runs(few, decision, flops=1e20)
        assert "the N range is" in str(caught.value.value)


def test_what_such_runs_do_tell_is_answered_with_runs_that_bear_on_it():
    few = fitted([1e8])
    answer = next_runs(few, loss_decision(few, CandidateRun(1e8, 140e9, {})), flops=1e20)
    low, high = answer.now.interval
    assert low < true_loss(1e8, 140e9) < high
    assert answer.information == "jacobian"  # draws do not move where nothing holds them
    assert [run.n_params for run in answer.runs] == pytest.approx([1e8] * len(answer.runs))
    assert len(answer.runs) > 1


def test_three_sizes_tell_it_with_a_wide_interval_that_holds_the_truth():
    few = fitted([1e8, 2e8, 4e8])
    answer = next_runs(few, loss_decision(few, CandidateRun(7e9, 140e9, {})), flops=1e20)
    low, high = answer.now.interval
    assert low < true_loss(7e9, 140e9) < high
    assert high - low > 0.05


def test_languages_that_no_fitted_run_had_are_not_proposed_and_not_weighed_silently():
    alone = {"language": ["swe_Latn"] * 18, "w_swe_Latn": [1.0] * 18, "w_dan_Latn": [0.0] * 18}
    mono = fitted([1e7, 1e8, 1e9], **alone)
    assert {tuple(run.mixture) for run in design_space(mono, 1e20)} == {("swe_Latn",)}
    asked = loss_decision(mono, CandidateRun(1e9, 20e9, {"swe_Latn": 0.5, "dan_Latn": 0.5}))
    assert any("had dan_Latn beside swe_Latn" in warning for warning in asked.warnings)
