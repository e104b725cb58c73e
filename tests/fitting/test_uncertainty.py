"""Bootstrap, verdicts, profiles and leaving groups out."""

import numpy as np
import polars as pl
import pytest

from atlas_scaling import laws
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.fitting.bootstrap import bootstrap, resampled
from atlas_scaling.fitting.influence import leave_one_out
from atlas_scaling.fitting.objective import Coordinates, Estimator, Prior, Problem, as_inputs
from atlas_scaling.fitting.profile import profile
from atlas_scaling.fitting.starts import search, search_each, starting_points
from atlas_scaling.laws import ATLAS
from tests.fitting.planted import TAU, TRUTH, planted_runs, two_power_table


def solved(table):
    problem = Problem(
        Coordinates(laws.Chinchilla()),
        as_inputs({k: table[k].to_numpy() for k in ("n_params", "tokens")}),
        np.log(table["loss"].to_numpy()),
    )
    return problem, search(problem, Estimator.named())


def test_the_same_seed_draws_the_same_and_another_seed_does_not():
    table = two_power_table()
    first, again = fit(table, seed=3), fit(table, seed=3)
    other = fit(table, seed=4)
    np.testing.assert_array_equal(first.draws, again.draws)
    assert first.to_dict() == again.to_dict()
    assert not np.array_equal(first.draws, other.draws)
    assert first.objective == pytest.approx(other.objective, rel=1e-12)


def test_warm_refits_end_where_cold_searches_end():
    table = two_power_table(120)
    problem, found = solved(table)
    unit = np.arange(120)
    options = {"n": 20, "resample": "run", "seed": 0}
    drawn = bootstrap(problem, found.best, unit, estimator=Estimator.named(), **options)
    cold = search_each(
        resampled(problem, found.best, unit, **options), Estimator.named(), options["n"]
    )
    assert drawn.failed == 0
    np.testing.assert_allclose(drawn.value, cold.value, rtol=1e-6)


@pytest.mark.parametrize("resample", ["run", "pairs", "wild"])
def test_every_way_of_resampling_covers_the_planted_truth(resample):
    found = fit(two_power_table(200, noise=0.003), resample=resample, level=0.99)
    for name, truth in {"E": 1.8, "alpha": 0.35, "beta": 0.37}.items():
        low, high = found.interval(name)
        assert low < truth < high
        assert high - low < truth  # and says something


def test_points_of_one_run_are_drawn_together():
    table = planted_runs(n_evals=8).filter(pl.col("language") == "swe_Latn")
    problem, found = solved(table)
    runs = np.unique(table["run_id"].to_numpy(), return_inverse=True)[1]
    drawn = resampled(problem, found.best, runs, n=3, resample="run", seed=0)
    weights = drawn.weights_of(np.arange(3))
    for run in range(runs.max() + 1):
        assert (np.ptp(weights[:, runs == run], axis=1) == 0).all()
    assert weights.sum(axis=1) == pytest.approx(table.height)


def test_correlated_points_make_wide_intervals_by_run_and_narrow_ones_by_row():
    # 12 runs with an error of their own each, 10 points a run
    rng = np.random.default_rng(0)
    table = two_power_table(120, noise=0.0).with_columns(
        pl.Series("run_id", [f"run {i // 10}" for i in range(120)]),
        pl.Series("shift", np.exp(0.02 * np.repeat(rng.standard_normal(12), 10))),
    )
    table = table.with_columns(pl.col("loss") * pl.col("shift"))
    by_run, by_row = (fit(table, resample=how).interval("E") for how in ("run", "pairs"))
    assert by_run[1] - by_run[0] > 1.3 * (by_row[1] - by_row[0])


def test_one_run_gives_no_intervals_and_says_so():
    found = fit(two_power_table(40).with_columns(pl.lit("only").alias("run_id")))
    assert found.draws is None
    assert found.interval("E") is None
    assert "one run only: nothing here says how much runs differ" in found.warnings


def test_an_unknown_way_of_resampling_names_the_three():
    with pytest.raises(InputError) as caught:
        fit(two_power_table(), resample="rows")
    assert caught.value.remedy == "one of run, pairs, wild"


@pytest.mark.parametrize(
    ("option", "problem"),
    [({"level": 1.0}, "between 0 and 1"), ({"bootstrap": -1}, "cannot be negative")],
)
def test_options_that_cannot_be_are_refused(option, problem):
    with pytest.raises(InputError, match=problem):
        fit(two_power_table(), **option)


def test_all_runs_of_one_size_leave_the_capacity_term_unidentified():
    table = two_power_table(40, n_params=np.full(40, 1e8))
    found = fit(table)
    assert found.status == "not_identified"
    assert found.parameters["alpha"].value is None
    assert "the N range is 1x, aim for 30x" in found.verdicts["alpha"]
    assert found.verdicts["beta"] == "identified"
    assert any("alpha is not identified" in w for w in found.warnings)


def test_a_narrow_range_is_said_with_what_would_do():
    rng = np.random.default_rng(0)
    table = two_power_table(60, n_params=1e8 * 3 ** rng.random(60), noise=0.01)
    verdict = fit(table).verdicts["A"]
    assert verdict.startswith("not identified")
    assert verdict.endswith("the N range is 2.98x, aim for 30x")


def test_a_floor_that_the_data_does_not_show_ends_on_its_bound():
    # losses that fall to 1 % of E: the best floor is below zero
    rng = np.random.default_rng(1)
    N, D = 10 ** rng.uniform(7, 10, 60), 10 ** rng.uniform(9, 11, 60)
    table = pl.DataFrame({"n_params": N, "tokens": D, "loss": 20 / N**0.15 + 20 / D**0.1 - 0.15})
    found = fit(table, bootstrap=0)
    assert found.verdicts["E"].startswith("not identified: at its lower bound 0")
    assert found.diagnostics.at_bound == ("E",)


def test_repetition_without_repeats_is_not_seen_and_has_no_digits():
    found = fit(planted_runs(unique=1e12), ATLAS(variant="target"), target="swe_Latn")
    assert found.verdicts["lam"].startswith("not seen: no row depends on it")
    assert "epochs were seen, aim for 4" in found.verdicts["lam"]
    shown = found.to_dict()["parameters"]["lam"]
    assert shown["value"] is None
    assert shown["interval"] is None


def test_atlas_finds_the_planted_transfer_with_intervals_that_hold_it():
    found = fit(planted_runs(noise=0.002), "atlas", target="swe_Latn", level=0.99)
    assert found.status == "ok"
    assert found.law.sources == ("dan_Latn", "rus_Cyrl", "spa_Latn")
    low, high = found.interval("tau[dan_Latn]")
    assert low < TAU["swe_Latn", "dan_Latn"] < high
    assert high - low < 0.1
    for name in ("alpha", "beta", "lam"):
        low, high = found.interval(name)
        assert low < TRUTH[name] < high
    assert found.diagnostics.r2 > 0.999


def test_the_profile_agrees_with_the_bootstrap_where_both_are_sound():
    found = fit(two_power_table(200, noise=0.005), bootstrap=400)
    for name in ("E", "alpha", "beta"):
        curve = profile(found, name)
        low, high = found.interval(name)
        assert curve.open_sides == ()
        assert curve.interval[0] == pytest.approx(low, abs=0.6 * (high - low))
        assert curve.interval[1] == pytest.approx(high, abs=0.6 * (high - low))
        assert min(curve.rise) == pytest.approx(0.0, abs=1e-6)


def test_the_profile_of_what_the_data_cannot_tell_is_open():
    found = fit(two_power_table(40, n_params=np.full(40, 1e8)), bootstrap=0)
    assert profile(found, "alpha").open_sides


def test_a_given_parameter_has_no_profile():
    found = fit(two_power_table(), laws.Chinchilla().with_fixed(E=1.8), bootstrap=0)
    assert found.parameters["E"].verdict == "given"
    assert found.parameters["E"].interval is None
    with pytest.raises(InputError, match="was given"):
        profile(found, "E")


def test_the_run_that_is_wrong_is_the_most_influential():
    table = two_power_table(40, noise=0.002).with_columns(
        pl.Series("run_id", [f"run {i:02d}" for i in range(40)])
    )
    table = table.with_columns(
        pl.when(pl.col("run_id") == "run 07")
        .then(pl.col("loss") * 1.4)
        .otherwise("loss")
        .alias("loss")
    )
    found = fit(table, estimator="lsq")
    first, *_ = leave_one_out(found)
    assert first.group == "run 07"
    assert first.n_rows == 1
    assert first.shift > 0


def test_groups_are_runs_or_facets_of_the_data():
    found = fit(planted_runs(), "chinchilla", target="swe_Latn", bootstrap=0)
    assert {one.group for one in leave_one_out(found, by="mixture_kind")} == {
        "mixture_kind 1",
        "mixture_kind 2",
        "mixture_kind 4",
    }
    with pytest.raises(InputError, match="no such grouping") as caught:
        leave_one_out(found, by="colour")
    assert "n_params" in caught.value.remedy


def test_a_prior_pulls_and_is_named():
    table = two_power_table(60, noise=0.01)
    free = fit(table, bootstrap=0)
    pulled = fit(table, bootstrap=0, priors={"alpha": (0.6, 0.01)})
    assert free.values["alpha"] < pulled.values["alpha"] <= 0.6
    assert pulled.priors == {"alpha": (0.6, 0.01)}
    assert "pulled towards given values: alpha" in pulled.warnings
    firm = fit(table, bootstrap=0, priors={"alpha": (0.5, 1e-6)})
    assert firm.values["alpha"] == pytest.approx(0.5, abs=1e-4)


def test_half_of_the_starting_points_are_where_a_prior_is():
    problem, _ = solved(two_power_table())
    coordinates = problem.coordinates
    without = starting_points(problem, 8)
    k = coordinates.index[coordinates.names.index("alpha")]
    centre, precision = np.zeros(coordinates.n_free), np.zeros(coordinates.n_free)
    centre[k], precision[k] = 0.123, 1.0
    problem.prior = Prior(centre, precision)
    points = starting_points(problem, 8)
    assert points[::2, k].tolist() == [0.123] * 4
    assert points[1::2, k].tolist() == without[1::2, k].tolist()


@pytest.mark.parametrize("prior", [(9.0, 0.1), (0.3, 0.0)])
def test_a_prior_that_cannot_be_is_refused(prior):
    with pytest.raises(InputError, match="prior of alpha"):
        fit(two_power_table(), priors={"alpha": prior})


def test_weights_of_rows_count():
    table = two_power_table(60, noise=0.02)
    twice = pl.concat([table, table.head(20)]).with_columns(pl.int_range(pl.len()).alias("run_id"))
    doubled = fit(twice, bootstrap=0)
    weighted = fit(
        table.with_columns(pl.Series("w", [2.0] * 20 + [1.0] * 40)), bootstrap=0, weights="w"
    )
    assert weighted.objective == pytest.approx(doubled.objective, rel=1e-9)
    assert weighted.values["E"] == pytest.approx(doubled.values["E"], rel=1e-6)


def test_the_profile_of_correlated_points_is_as_wide_as_the_bootstrap_by_run():
    # 40 runs with an error of their own each, which moves E and alpha, and not beta
    rng = np.random.default_rng(0)
    table = two_power_table(
        400,
        noise=0.002,
        n_params=np.repeat(10 ** rng.uniform(7, 10, 40), 10),
        tokens=np.tile(np.geomspace(3e8, 1e12, 10), 40),
    ).with_columns(
        pl.Series("run_id", [f"run {i // 10}" for i in range(400)]),
        pl.Series("shift", np.exp(0.01 * np.repeat(rng.standard_normal(40), 10))),
    )
    found = fit(table.with_columns(pl.col("loss") * pl.col("shift")), bootstrap=400)
    for name in ("E", "alpha", "beta"):
        low, high = found.interval(name)
        first, last = profile(found, name).interval
        assert 0.75 < (last - first) / (high - low) < 1.35


def one_run_a_size(sizes, seed=0):
    """Long curves, whose luck is that of their run."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, N in enumerate(sizes):
        luck = 0.003 * rng.standard_normal()
        for D in np.geomspace(1e8, 1e10, 30):
            loss = 1.8 + 480 / N**0.35 + 2000 / D**0.37
            noisy = loss * np.exp(luck + 0.003 * rng.standard_normal())
            rows.append({"run_id": f"r{i}", "n_params": N, "tokens": D, "loss": noisy})
    return pl.DataFrame(rows)


def test_what_most_resamples_cannot_tell_has_no_interval():
    # two of three sizes tell two numbers of N: E, A and alpha stay where the refit began
    few = fit(one_run_a_size([1e7, 1e8, 1e9]), bootstrap=100)
    for name in ("E", "A", "alpha"):
        assert few.interval(name) is None
        assert few.verdicts[name].startswith("weak: most resamples lack the runs")
    assert few.interval("beta") is not None
    assert few.status == "weak"
    assert any("few runs tell E, A, alpha" in said for said in few.warnings)


def test_runs_enough_to_lose_some_keep_their_intervals():
    more = fit(one_run_a_size(np.geomspace(1e7, 1e9, 8)), bootstrap=100)
    assert all(more.interval(name) is not None for name in more.values)
    assert not any("few runs tell" in said for said in more.warnings)
    by_row = fit(one_run_a_size([1e7, 1e8, 1e9]), bootstrap=40, resample="pairs")
    assert by_row.interval("alpha") is not None
