import numpy as np
import polars as pl
import pytest

from atlas_scaling.fitting.api import fit
from atlas_scaling.report.figures.fits import (
    MAX_POINTS,
    fit_points,
    law_label,
    parameter_intervals,
    predicted_against_measured,
    residuals,
)
from atlas_scaling.report.tables import fit_table, parameter_table


def test_points_are_what_was_fitted(fits):
    points = fit_points(fits)
    assert points.height == sum(one.n_rows for one in fits)
    one = fits[0]
    mine = points.filter(pl.col("target") == one.target, pl.col("law") == law_label(one))
    np.testing.assert_allclose(mine["measured"], one.observations.loss)
    np.testing.assert_allclose(
        mine["residual_percent"], 100 * (one.observations.loss - one.predicted) / one.predicted
    )


def test_the_law_that_made_the_runs_has_the_smaller_residuals(fits):
    spread = fit_points(fits).group_by("law").agg(pl.col("residual_percent").abs().median())
    by_law = dict(spread.iter_rows())
    # Noise is 0.2 %; half of normal residuals are within 0.67 of it.
    assert by_law["ATLAS (full)"] < 0.3
    assert by_law["Chinchilla"] > 1


def test_of_many_points_a_spread_over_tokens_is_drawn_and_all_are_in_the_data(fits):
    points = fit_points(fits[:1])
    many = pl.concat([points] * 20)
    figure = predicted_against_measured(many)
    assert figure.data.height == many.height
    assert f"of {many.height:,} points" in figure.caption
    drawn = max(map(len, figure.panels[0].chart.to_dict()["datasets"].values()))
    assert MAX_POINTS / 2 < drawn <= MAX_POINTS


def test_one_panel_a_language(fits):
    points = fit_points(fits)
    titles = [panel.title for panel in residuals(points).panels]
    assert titles == ["Swedish (swe_Latn)", "Danish (dan_Latn)"]


def test_parameters_carry_interval_and_verdict_and_given_ones_are_left_out(runs):
    from atlas_scaling.laws import Chinchilla

    held = fit(runs, Chinchilla().with_fixed(E=1.4), target="swe_Latn", bootstrap=20)
    data = parameter_intervals([held]).data
    assert data["parameter"].to_list() == ["A", "B", "alpha", "beta"]
    row = data.row(3, named=True)
    assert (row["low"], row["high"]) == held.interval("beta")
    assert row["verdict"] == held.verdicts["beta"]


def test_a_fit_without_resamples_has_no_intervals(runs):
    bare = fit(runs, "chinchilla", target="swe_Latn", bootstrap=0)
    assert parameter_intervals([bare]).data["low"].null_count() == 5


def test_an_unidentified_parameter_has_no_digits_in_the_table(fits):
    table = parameter_table(fits)
    unidentified = [row for row in table.rows if row[5].tone == "untold"]
    assert unidentified
    assert all(row[3] == "–" for row in unidentified)


def test_the_fit_table_has_a_row_a_fit(fits):
    table = fit_table(fits)
    assert len(table.rows) == len(fits)
    r2 = table.rows[1][4]
    assert float(r2) == pytest.approx(fits[1].diagnostics.r2, abs=1e-4)


def test_a_law_is_told_from_its_variants():
    from atlas_scaling.laws import ATLAS, Chinchilla

    class One:
        law = ATLAS(variant="other")

    class Tied:
        law = Chinchilla().tied("alpha", "beta")

    assert law_label(One) == "ATLAS (other)"
    assert law_label(Tied) == "Chinchilla, tied alpha = beta"
