import math

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.published.regime_laws import Regime, regime_laws
from atlas_scaling.report.figures.capacity import degradation, degradation_rows
from atlas_scaling.report.figures.trajectories import (
    fit_trajectories,
    optimal_trajectories,
    published_trajectories,
)
from atlas_scaling.runs.store import read_runs
from tests.report.planted import write_study


def test_the_best_size_of_a_two_term_law_is_the_closed_form():
    law = regime_laws(Regime.MONOLINGUAL)[0]
    rows = published_trajectories([law])
    # Setting d/dN of A N^-a + B (6N/C)^b to zero: N = (a A / (b B))^(1/(a+b)) (C/6)^(b/(a+b)).
    G = (law.alpha * law.A / (law.beta * law.B)) ** (1 / (law.alpha + law.beta))
    for row in rows.iter_rows(named=True):
        best = G * (row["flops"] / 6) ** (law.beta / (law.alpha + law.beta))
        assert row["n_params"] == pytest.approx(best, rel=1e-3)
        assert 6 * row["n_params"] * row["tokens"] == pytest.approx(row["flops"])
        assert row["loss"] <= law.loss(best * 1.3, row["flops"] / (6 * best * 1.3))


def test_a_fit_gives_intervals_and_says_where_it_extrapolates(fits):
    rows, left_out = fit_trajectories([fits[1]])
    assert left_out == []
    assert (rows["n_params_low"] <= rows["n_params"] * 1.0001).all()
    assert (rows["n_params_high"] >= rows["n_params"] * 0.9999).all()
    outside = (rows["n_params"] < 370_000) | (rows["n_params"] > 4_200_000)
    assert rows.filter(outside)["extrapolated"].all()
    largest = fits[1].observations.facets["flops"].max()
    assert rows.filter(pl.col("flops") > largest)["extrapolated"].all()
    assert not rows["extrapolated"].all()


def test_a_fit_that_does_not_tell_its_exponents_is_left_out(runs):
    vague = fit(runs.frame.filter(pl.col("n_params") < 1e6), "chinchilla", target="swe_Latn")
    rows, left_out = fit_trajectories([vague])
    assert left_out == ["Swedish"]
    with pytest.raises(InputError, match="exponents are not identified"):
        optimal_trajectories(rows, source="", left_out=left_out)


def test_degradation_is_the_planted_one(runs):
    rows = degradation_rows(runs.frame)
    pair = rows.filter(
        pl.col("run_id") == "pair-rus_Cyrl-swe_Latn-l-seed0", pl.col("language") == "swe_Latn"
    )
    # At D_t tokens of each, D_eff is 0.9 D_t (tau = -0.1) against D_t alone.
    for row in pair.iter_rows(named=True):
        base = 1.4 + 60 / 4_200_000**0.3

        def loss(d_eff, base=base):
            return base + 190 / d_eff**0.33

        planted = 100 * (loss(0.9 * row["tokens"]) / loss(row["tokens"]) - 1)
        assert row["degradation_percent"] == pytest.approx(planted, abs=1.0)


def test_degradation_compares_within_the_runs_alone_only(runs):
    rows = degradation_rows(runs.frame)
    # The runs on one language start at 3M/60 tokens.
    assert rows["tokens"].min() >= 50_000 - 1
    assert set(rows["n_languages"]) == {2, 3}
    assert not rows["run_id"].str.contains("continued").any()
    titles = [panel.title for panel in degradation(rows).panels]
    assert titles == [
        "over languages, 4.2M parameters",
        "over parameters, 3 languages",
        "over tokens, 3 languages",
    ]


def test_without_mixtures_there_is_no_degradation(tmp_path):
    write_study(tmp_path, languages=("swe_Latn",), sizes=("s",))
    rows = degradation_rows(read_runs(tmp_path).frame)
    assert rows.is_empty()
    with pytest.raises(InputError, match="no even mixture"):
        degradation(rows)


def test_losses_stay_finite_along_a_trajectory(fits):
    rows, _ = fit_trajectories([fits[1]])
    assert np.isfinite(rows["loss"].to_numpy()).all()
    assert all(math.isfinite(v) for v in rows["tokens_high"])
