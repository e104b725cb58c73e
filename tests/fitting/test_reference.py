"""Optima that others have published or that were computed to many digits, on real data."""

import json

import numpy as np
import polars as pl
import pytest

from atlas_scaling import laws
from atlas_scaling.fitting import fit
from atlas_scaling.fitting.objective import huber

# datablations, utils/parametric_fit.ipynb: log E, log A, log B, alpha = beta, R_D*, R_N*
DATABLATIONS = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}


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
