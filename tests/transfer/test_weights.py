from __future__ import annotations

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.laws.atlas import ATLAS
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.pairs import matrices_from_runs
from atlas_scaling.transfer.reference import published_matrix
from atlas_scaling.transfer.weights import compare_weights, tau_priors, weights_from_runs
from tests.transfer.planted import planted_run

RUNS = Origin("runs", d=1e6, level=0.9)
TAU = {("swe_Latn", "dan_Latn"): 0.25, ("swe_Latn", "rus_Cyrl"): -0.2}


def matrix_of(*cells: Cell) -> TransferMatrix:
    return TransferMatrix.from_cells(cells)


@pytest.fixture(scope="module")
def runs() -> pl.DataFrame:
    """Swedish alone, with Danish at two shares and with Russian at two, noisy."""
    mixtures = [
        {"swe_Latn": 1.0},
        {"swe_Latn": 0.5, "dan_Latn": 0.5},
        {"swe_Latn": 0.7, "dan_Latn": 0.3},
        {"swe_Latn": 0.5, "rus_Cyrl": 0.5},
        {"swe_Latn": 0.3, "rus_Cyrl": 0.7},
    ]
    return pl.concat(
        planted_run(f"run{i}", mixture, TAU, noise=0.002) for i, mixture in enumerate(mixtures)
    )


def test_a_score_with_an_interval_is_a_prior_of_that_width() -> None:
    # BTS 0.4 in [0.2, 0.6]: tau 0.25 in [0.111, 0.429]; the 90 % interval is 2 * 1.645 sd wide.
    matrix = matrix_of(Cell("swe_Latn", "dan_Latn", 0.4, 0.2, 0.6, Provenance.MEASURED, RUNS))
    value, deviation = tau_priors(matrix, "sv")["tau[dan_Latn]"]
    assert value == 0.25
    assert deviation == pytest.approx((0.6 / 1.4 - 0.2 / 1.8) / (2 * 1.6449), rel=1e-4)


def test_a_prior_is_never_surer_than_what_a_score_leaves_out() -> None:
    matrix = matrix_of(Cell("swe_Latn", "dan_Latn", 0.4, 0.39, 0.41, Provenance.MEASURED, RUNS))
    assert tau_priors(matrix, "sv")["tau[dan_Latn]"] == (0.25, 0.05)


def test_published_scores_have_no_interval_and_wide_priors() -> None:
    priors = tau_priors(published_matrix(), "ca", sources=["es", "fr"])
    assert priors == {
        "tau[spa_Latn]": (0.25, 0.3),
        "tau[fra_Latn]": (pytest.approx(0.2 / 1.8), 0.3),
    }


def test_bounds_give_no_prior() -> None:
    matrix = matrix_of(
        Cell("swe_Latn", "dan_Latn", 0.4, 0.2, 0.6, Provenance.MEASURED, RUNS),
        Cell("swe_Latn", "rus_Cyrl", None, None, -0.5, Provenance.CENSORED, RUNS),
    )
    assert list(tau_priors(matrix, "sv")) == ["tau[dan_Latn]"]


def test_a_fit_takes_the_priors(runs: pl.DataFrame) -> None:
    matrix = matrix_of(
        Cell("swe_Latn", "dan_Latn", 0.4, 0.3, 0.5, Provenance.MEASURED, RUNS),
        Cell("swe_Latn", "rus_Cyrl", -0.5, -0.7, -0.3, Provenance.MEASURED, RUNS),
    )
    law = ATLAS(sources=("dan_Latn", "rus_Cyrl"))
    priors = tau_priors(matrix, "sv", sources=law.sources)
    fitted = fit(runs, law, target="swe_Latn", bootstrap=0, priors=priors)
    assert fitted.priors == priors
    assert fitted.values["tau[dan_Latn]"] == pytest.approx(0.25, abs=0.05)


def test_fitted_and_implied_weights_agree_where_the_law_is_true(runs: pl.DataFrame) -> None:
    answer = weights_from_runs(runs, "sv", bootstrap=60)
    weights = {w.source: w for w in answer.weights}
    for source, tau in (("dan_Latn", 0.25), ("rus_Cyrl", -0.2)):
        one = weights[source]
        assert one.fitted == pytest.approx(tau, abs=0.03)
        assert one.implied == pytest.approx(tau, abs=0.05)
        assert one.agree
        assert one.fitted_interval is not None
    assert answer.target == "swe_Latn"
    assert any("N range" in w for w in answer.warnings)  # one model size only


def test_a_bound_agrees_with_what_lies_on_its_side(runs: pl.DataFrame) -> None:
    fitted = fit(runs, ATLAS(sources=("dan_Latn", "rus_Cyrl")), target="swe_Latn", bootstrap=40)

    def agree(lower: float | None, upper: float | None) -> bool | None:
        cell = Cell("swe_Latn", "dan_Latn", None, lower, upper, Provenance.CENSORED, RUNS)
        (weight,) = compare_weights(fitted, matrix_of(cell)).weights
        assert weight.implied is None
        return weight.agree

    assert agree(None, 0.9) is True  # below tau 0.82
    assert agree(None, -0.2) is False
    assert agree(0.9, 2.0) is False


def test_without_intervals_nothing_is_said_to_agree(runs: pl.DataFrame) -> None:
    fitted = fit(runs, ATLAS(sources=("dan_Latn",)), target="swe_Latn", bootstrap=0)
    matrix = matrices_from_runs(runs).of_size().matrix("runs")
    assert compare_weights(fitted, matrix).weights[0].agree is None


def test_a_fit_and_a_matrix_without_a_source_in_common_are_refused(runs: pl.DataFrame) -> None:
    fitted = fit(runs, ATLAS(sources=("rus_Cyrl",)), target="swe_Latn", bootstrap=0)
    matrix = matrix_of(Cell("swe_Latn", "dan_Latn", 0.4, None, None, Provenance.MEASURED, RUNS))
    with pytest.raises(InputError, match="no source in common") as caught:
        compare_weights(fitted, matrix)
    assert caught.value.value == "fitted: rus_Cyrl; scored: dan_Latn"


def test_a_target_without_a_pair_is_refused(runs: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="no target fin_Latn"):
        weights_from_runs(runs, "fi")
    with pytest.raises(InputError, match="no pair with this target"):
        weights_from_runs(runs, "ru")
