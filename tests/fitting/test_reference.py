"""Optima that others have published or that were computed to many digits, on real data."""

import json

import numpy as np
import polars as pl
import pytest
from benchmarks.validation import DATABLATIONS, imported

from atlas_scaling import laws
from atlas_scaling.fitting import compare, fit
from atlas_scaling.fitting.data import observe
from atlas_scaling.fitting.objective import huber
from atlas_scaling.fitting.selection import Selection


@pytest.fixture
def chinchilla_240(shared_data):
    table = pl.read_csv(shared_data / "chinchilla_epoch.csv", infer_schema_length=None)
    return table.filter(pl.col("epoch_fit_240"))


@pytest.fixture
def datablations_182(shared_data):
    table = pl.read_csv(shared_data / "datablations.csv", infer_schema_length=None)
    return table.filter(pl.col("in_paper_fit_182"))


@pytest.mark.parametrize("starts", [None, 500])
def test_the_chinchilla_optimum_is_that_of_forty_digit_newton(chinchilla_240, shared_data, starts):
    reference = json.loads((shared_data / "chinchilla_reference_optimum.json").read_text())
    found = fit(chinchilla_240, "chinchilla", bootstrap=0, starts=starts)
    assert found.objective == pytest.approx(float(reference["objective_sum_huber"]), rel=1e-12)
    for name in ("E", "A", "B", "alpha", "beta"):
        assert found.values[name] == pytest.approx(float(reference[name]), rel=1e-6)
    assert found.diagnostics.share_at_optimum > 0.95
    assert found.status == "ok"


def test_rows_named_as_far_off_are_among_those_that_the_replication_left_out(
    chinchilla_240, shared_data
):
    assert not any("far off" in w for w in fit(chinchilla_240, bootstrap=0).warnings)
    table = pl.read_csv(shared_data / "chinchilla_epoch.csv", infer_schema_length=None)
    (said,) = [w for w in fit(table, bootstrap=0).warnings if "far off the law" in w]
    assert said.startswith("2 rows")
    left_out = table.filter(~pl.col("epoch_fit_240"))["run_id"]
    assert any(f"farthest {run} at" in said for run in left_out)


def test_the_published_replication_is_the_least_absolute_deviations_fit(chinchilla_240):
    # Besiroglu et al. 2024 print 482.01, 2085.43, 1.8169 (their text 1.82), 0.3478, 0.3658
    found = fit(chinchilla_240, "chinchilla", estimator="lad", bootstrap=0)
    assert found.values["A"] == pytest.approx(482.01, abs=0.05)
    assert found.values["B"] == pytest.approx(2085.43, abs=0.3)
    assert found.values["E"] == pytest.approx(1.8169, abs=5e-5)
    assert found.values["alpha"] == pytest.approx(0.34781, abs=5e-6)
    assert found.values["beta"] == pytest.approx(0.36585, abs=5e-6)


def test_the_published_data_constrained_point_has_its_printed_objective(datablations_182):
    law = laws.DataConstrained()
    inputs = {name: datablations_182[name].to_numpy() for name in law.inputs}
    loss = datablations_182["loss"].to_numpy()
    predicted = law.predict(DATABLATIONS, **inputs)
    assert huber(np.log(loss / predicted), 1e-3).sum() == pytest.approx(0.0158259, abs=5e-8)
    spread = ((loss - loss.mean()) ** 2).sum()
    assert 1 - ((loss - predicted) ** 2).sum() / spread == pytest.approx(0.7722, abs=5e-5)


def test_refitting_the_two_published_constants_is_at_least_as_good(datablations_182):
    held = {k: v for k, v in DATABLATIONS.items() if not k.startswith("R_")}
    law = laws.DataConstrained().with_fixed(**held)
    found = fit(datablations_182, law, bootstrap=0)
    assert found.objective <= 0.0158259
    free = fit(datablations_182, laws.DataConstrained(), bootstrap=0)
    assert free.objective < found.objective


def test_the_published_half_lives_are_not_told_by_their_own_rows(datablations_182):
    held = {k: v for k, v in DATABLATIONS.items() if not k.startswith("R_")}
    given = fit(datablations_182, laws.DataConstrained().with_fixed(**held))
    for name in ("R_D", "R_N"):
        low, high = given.interval(name)
        assert low < DATABLATIONS[name] < high
        assert high > 10 * low
        assert given.parameters[name].value is None
    free = fit(datablations_182, laws.DataConstrained())
    # less than half of 0.0158259, the objective of the published point
    assert free.objective < 0.5 * 0.0158259
    assert free.verdicts["R_N"].startswith("not identified: at its upper bound")


def test_the_repetition_curve_of_atlas_agrees_with_the_half_life(datablations_182):
    free = fit(datablations_182, laws.DataConstrained())
    atlas = fit(datablations_182, laws.ATLAS(variant="target"))
    assert atlas.objective < free.objective  # with one parameter less
    low, high = free.interval("R_D")
    assert low < 1 / atlas.values["lam"] < high


def test_mixture_laws_know_the_mixtures_of_regmix_that_they_have_not_seen(shared_data):
    train = imported(shared_data, "regmix.parquet")
    test = imported(shared_data, "regmix.parquet", only={"size": "1m", "split": "test"})
    law = laws.ExponentialMixture()
    options = {"target": "arxiv", "zero_shot": True}
    found = fit(train, law, bootstrap=0, **options)
    assert (found.n_rows, len(found.law.domains)) == (512, 17)
    _, held = observe(test, found.law, Selection(**options))
    predicted = found.predict(**held.x)
    assert held.n_rows == 256
    assert np.corrcoef(predicted, held.loss)[0, 1] > 0.9
    # no law of N and D can tell runs of one size and length apart
    blind = fit(train, laws.Chinchilla(), bootstrap=0, **options)
    assert np.ptp(blind.predict(n_params=1e6, tokens=np.full(256, 1e9))) == 0.0


def test_a_token_of_fineweb_is_worth_little_of_the_small_corpus(shared_data):
    frame = imported(shared_data, "zhou_mix_repeat.csv")
    found = fit(frame, laws.ATLAS(variant="other"), target="pubmed")
    low, high = found.interval("tau_other")
    assert -0.1 < low < 0 < high < 0.1
    assert found.verdicts["lam"] == "identified"
    assert found.parameters["E"].value is None  # one model size
    assert "the N range is 1x" in found.verdicts["E"]


def test_over_trained_models_are_scored_on_german(shared_data):
    frame = imported(shared_data, "gadre_overtrain.csv").drop("mixture", "tokens_by_language")
    rows = compare(frame, ["chinchilla", "kaplan"], targets=["c4_german"]).rows
    chinchilla, kaplan = rows
    assert chinchilla.by_target["c4_german"]["r2"].n_held_out == 21  # a fifth of 104
    assert chinchilla.r2_c > kaplan.r2_c
    assert chinchilla.r2 > 0.95
