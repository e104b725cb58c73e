"""Several targets, deltas, own laws and drawings on the line of ``atlas fit`` and ``compare``."""

import json

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.fitting.api import problem_of
from atlas_scaling.fitting.identify import curvature, pooled_curvature
from atlas_scaling.fitting.pooled import fit_pooled
from atlas_scaling.fitting.result import Fit
from atlas_scaling.fitting.sweep import sweep_delta
from atlas_scaling.laws import ATLAS
from tests.cli.program import printed
from tests.fitting.planted import TRUTH, planted_runs, two_power_table


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "runs.parquet"
    planted_runs(n_evals=4).write_parquet(path)
    return path


def test_every_language_is_fitted_and_saved_on_its_own(planted, tmp_path):
    folder = tmp_path / "fits"
    found = json.loads(
        printed("fit", planted, "--target", "all", "--bootstrap", 0, "-o", folder, "--json")
    )
    assert set(found["fits"]) == {"swe_Latn", "dan_Latn", "spa_Latn", "rus_Cyrl"}
    alone = fit(pl.read_parquet(planted), target="swe_Latn", bootstrap=0)
    saved = Fit.load(folder / "swe_Latn.json")
    assert saved.values == alone.values
    assert saved.data_hash == alone.data_hash
    assert saved.observations.dropped == alone.observations.dropped
    with pytest.raises(InputError, match="saved in a folder"):
        printed("fit", planted, "--target", "all", "-o", tmp_path / "fit.json")


def test_exponents_are_shared_where_that_is_asked_for(planted):
    options = ["--law", "chinchilla", "--shared", "alpha,beta", "--bootstrap", 0]
    found = json.loads(
        printed("fit", planted, "--target", "swe_Latn", "--target", "dan_Latn", *options, "--json")
    )
    assert set(found["shared"]) == {"alpha", "beta"}
    assert set(found["fits"]) == {"swe_Latn", "dan_Latn"}
    assert "sharing raises the objective" in printed("fit", planted, "--target", "all", *options)


@pytest.mark.parametrize("resample", ["run", "pairs", "wild"])
def test_pooled_intervals_hold_the_planted_exponents(planted, resample):
    found = fit_pooled(
        pl.read_parquet(planted), ATLAS(), resample=resample, bootstrap=60, level=0.99
    )
    for name in ("alpha", "beta"):
        low, high = found.shared[name].interval
        assert low < TRUTH[name] < high
    column = list(found.fits["swe_Latn"].values).index("alpha")
    draws = [one.draws[:, column] for one in found.fits.values()]
    assert all(np.array_equal(draws[0], other) for other in draws[1:])
    assert all(one.diagnostics.resample == resample for one in found.fits.values())


def test_pooled_refits_are_those_of_cold_pooled_fits(planted):
    table = pl.read_parquet(planted)
    pooled = fit_pooled(table, "chinchilla", bootstrap=3, seed=1)
    run_ids = sorted(table["run_id"].unique())
    counts = np.random.Generator(np.random.PCG64(1)).multinomial(
        len(run_ids), np.full(len(run_ids), 1 / len(run_ids)), size=3
    )
    for i in range(3):
        times = pl.col("run_id").replace_strict(dict(zip(run_ids, counts[i].tolist(), strict=True)))
        drawn = table.with_columns(times.alias("w"))
        cold = fit_pooled(drawn, "chinchilla", weights="w", bootstrap=0)
        for target, one in pooled.fits.items():
            expected = np.array(list(cold.fits[target].values.values()))
            np.testing.assert_allclose(one.draws[i], expected, rtol=2e-3)


def test_a_prior_on_a_shared_parameter_counts_once(planted):
    swedish = pl.read_parquet(planted).filter(pl.col("language") == "swe_Latn")
    twice = pl.concat([swedish, swedish.with_columns(pl.lit("dan_Latn").alias("language"))])
    options = {"bootstrap": 0, "zero_shot": True}
    pooled = fit_pooled(
        twice, "chinchilla", shared=["alpha"], priors={"alpha": (0.2, 0.01)}, **options
    )
    # two equal targets outweigh the prior twice, as one does a prior of half the precision
    alone = fit(swedish, bootstrap=0, priors={"alpha": (0.2, 0.01 * 2**0.5)})
    free = fit(swedish, bootstrap=0)
    assert pooled.fits["swe_Latn"].values["alpha"] == pytest.approx(alone.values["alpha"], rel=1e-6)
    assert abs(alone.values["alpha"] - free.values["alpha"]) > 0.01
    assert pooled.fits["dan_Latn"].priors == {"alpha": (0.2, 0.01)}


def test_a_prior_on_an_own_parameter_is_of_every_target(planted, tmp_path):
    folder = tmp_path / "fits"
    options = ["--shared", "alpha,beta", "--prior", "E=1.4:1e-7", "--bootstrap", 0]
    found = json.loads(printed("fit", planted, *options, "-o", folder, "--json"))
    for target, one in found["fits"].items():
        assert one["priors"] == {"E": [1.4, 1e-7]}
        assert Fit.load(folder / f"{target}.json").values["E"] == pytest.approx(1.4, abs=1e-5)
    with pytest.raises(InputError, match="prior of E cannot be used"):
        printed("fit", planted, "--shared", "alpha", "--prior", "E=-1:0.1")


def test_starts_are_of_each_target_of_a_pooled_fit(planted):
    options = ["--shared", "alpha", "--bootstrap", 0, "--json"]
    many = json.loads(printed("fit", planted, *options, "--starts", 40))
    usual = json.loads(printed("fit", planted, *options))
    assert many["objective"] == pytest.approx(usual["objective"], rel=1e-9)
    assert {one["diagnostics"]["n_descended"] for one in many["fits"].values()} == {40}
    with pytest.raises(InputError, match="needs a start"):
        printed("fit", planted, *options, "--starts", 0)


@pytest.mark.parametrize(("same_runs", "shrinks"), [(True, 1.0), (False, 2**0.5)])
def test_errors_of_a_shared_parameter_are_of_the_whole_fit(same_runs, shrinks):
    n = 40
    one = fit(two_power_table(n), bootstrap=0)
    problem = problem_of(one.observations, one.law)
    theta = problem.coordinates.inward(np.array(list(one.values.values())))
    runs = np.arange(n)
    alone = curvature(problem, theta, runs, 1e-3)
    maps = [np.array([0, 1, 2, 3, 4]), np.array([5, 6, 7, 3, 8])]  # alpha in common
    both = pooled_curvature(
        [problem, problem],
        maps,
        np.concatenate([theta, theta[[0, 1, 2, 4]]]),
        [runs, runs if same_runs else runs + n],
        1e-3,
    )
    for part in both:
        assert part.standard_error[3] == pytest.approx(alone.standard_error[3] / shrinks, rel=1e-5)


def test_a_tied_parameter_is_shared_by_either_name(planted):
    options = ["--target", "all", "--tie", "alpha=beta", "--bootstrap", 0, "--json"]
    found = json.loads(printed("fit", planted, *options, "--shared", "beta"))
    values = {one["parameters"]["alpha"]["value"] for one in found["fits"].values()}
    assert values == {found["shared"]["beta"]["value"]}


def test_warnings_of_several_fits_name_their_targets(tmp_path):
    path = tmp_path / "runs.csv"
    parts = [
        two_power_table(40, seed=i).with_columns(
            pl.lit(language).alias("language"),
            (pl.int_range(pl.len()) % n_runs).cast(pl.String).alias("run_id"),
            pl.int_range(pl.len()).alias("step"),
        )
        for i, (language, n_runs) in enumerate({"swe_Latn": 20, "dan_Latn": 4}.items())
    ]
    pl.concat(parts).write_csv(path)
    lines = " ".join(printed("fit", path, "--target", "all", "--bootstrap", 0).split())
    assert "warning: 4 runs only" in lines
    assert lines.endswith("are better (dan_Latn)")


def test_weights_count_in_a_pooled_fit(planted):
    table = pl.read_parquet(planted)
    light = pl.col("tokens") < 2e6
    weighed = table.with_columns(pl.when(light).then(0.0).otherwise(1.0).alias("w"))
    options = {"targets": ["swe_Latn", "dan_Latn"], "bootstrap": 0}
    some = fit_pooled(weighed, "chinchilla", weights="w", **options)
    none = fit_pooled(table.filter(~light), "chinchilla", **options)
    assert some.objective == pytest.approx(none.objective, rel=1e-9)


def test_a_sweep_goes_from_least_deviations_to_least_squares():
    table = two_power_table(60, noise=0.02)
    swept = sweep_delta(table, deltas=(1e-3, 10.0))
    assert [row.estimator for row in swept.rows] == ["lad", "huber", "huber", "lsq"]
    first, narrow, wide, last = swept.rows
    for row, options in ((first, {"estimator": "lad"}), (narrow, {"delta": 1e-3})):
        assert row.values == fit(table, bootstrap=0, **options).values
    # a delta beyond every residual is least squares
    assert wide.share_within == 1.0
    for name, value in wide.values.items():
        assert value == pytest.approx(last.values[name], rel=1e-5)
    assert swept.spread["alpha"] == pytest.approx(np.ptp([r.values["alpha"] for r in swept.rows]))
    with pytest.raises(InputError, match="needs a delta"):
        sweep_delta(table, deltas=())


def test_a_sweep_has_no_digits_of_what_the_data_does_not_identify():
    D = np.geomspace(1e8, 1e11, 12)
    table = two_power_table(12, noise=0.003, n_params=np.full(12, 1e8), tokens=D)
    swept = sweep_delta(pl.concat([table, table.head(1)]), deltas=(1e-3,))
    for row in swept.rows:
        assert row.values["alpha"] is None
        assert row.values["beta"] == pytest.approx(0.37, abs=0.05)
    assert swept.spread["E"] is None
    assert swept.spread["beta"] > 0
    assert swept.dropped[0].rows == 1


def test_a_sweep_on_the_line(tmp_path):
    path = tmp_path / "runs.csv"
    two_power_table(40).write_csv(path)
    assert len(json.loads(printed("fit", path, "--sweep", "--json"))["rows"]) == 9
    assert "rows within" in printed("fit", path, "--sweep")


OWN = """
from atlas_scaling.laws import Law, Parameter

class Power(Law):
    name = "power"
    inputs = ("tokens",)
    parameters = (
        Parameter("B", start=(1.0, 1e6), bounds=(1e-9, 1e30), linear=True),
        Parameter("beta", start=(0.05, 0.8), bounds=(0.0, 3.0), transform="identity"),
    )

    def loss(self, p, x):
        return p.B / x.tokens**p.beta
"""


def test_a_law_in_a_file_of_ones_own_is_fitted_and_compared(tmp_path):
    table, law = tmp_path / "runs.csv", tmp_path / "mine.py"
    two_power_table(40).write_csv(table)
    law.write_text(OWN)
    found = json.loads(printed("fit", table, "--law", f"{law}:Power", "--bootstrap", 0, "--json"))
    assert (found["law"], list(found["parameters"])) == ("power", ["B", "beta"])
    rows = json.loads(printed("compare", table, "--law", f"{law}:Power", "--json"))["rows"]
    assert rows[0]["law"] == "power"
    assert rows[0]["r2"] is not None


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        (OWN, "Powr", "no such law"),
        ("1 / 0", "Power", "fails: division by zero"),
        (None, "Power", "no such file"),
    ],
)
def test_a_file_without_the_law_says_why(tmp_path, text, name, problem):
    table, law = tmp_path / "runs.csv", tmp_path / "mine.py"
    two_power_table(40).write_csv(table)
    if text is not None:
        law.write_text(text)
    with pytest.raises(InputError, match=problem):
        printed("fit", table, "--law", f"{law}:{name}")


def test_limits_and_priors_on_the_line(tmp_path):
    path = tmp_path / "runs.csv"
    two_power_table(40).write_csv(path)
    found = json.loads(
        printed("fit", path, "--bound", "alpha=0.4:0.6", "--prior", "E=1.7:1e-6", "--json")
    )
    assert "at its lower bound 0.4" in found["parameters"]["alpha"]["verdict"]
    assert found["parameters"]["E"]["value"] == pytest.approx(1.7, abs=1e-4)
    assert found["priors"] == {"E": [1.7, 1e-6]}
    with pytest.raises(InputError, match="NAME=NUMBER:NUMBER"):
        printed("fit", path, "--bound", "alpha=0.4")


@pytest.mark.parametrize("ending", ["svg", "png", "csv", "html"])
def test_fits_and_comparisons_are_drawn_by_the_ending_of_the_file(tmp_path, ending):
    path = tmp_path / "runs.csv"
    two_power_table(40).write_csv(path)
    plot, compared = tmp_path / f"fit.{ending}", tmp_path / f"laws.{ending}"
    printed("fit", path, "--bootstrap", 20, "--plot", plot)
    printed("compare", path, "--law", "chinchilla", "-o", compared)
    mark = {"svg": b"<svg", "png": b"\x89PNG", "csv": b",", "html": b"<!doctype html"}[ending]
    for file in (plot, compared):
        assert mark in file.read_bytes()[:2000]
    if ending == "html":
        assert b"Profile" in plot.read_bytes()
    with pytest.raises(InputError, match="ending of the file"):
        printed("compare", path, "-o", tmp_path / "laws.txt")
