import polars as pl
import pytest

from atlas_scaling.fitting.profile import profile
from atlas_scaling.report.blocks import Tone
from atlas_scaling.report.figures.compared import LOWEST, compared_laws, profile_curves
from atlas_scaling.report.figures.structure import relatedness, symmetry
from atlas_scaling.report.tables import compare_table
from atlas_scaling.report.verdicts import verdicts
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.reference import published_matrix


def test_each_cut_is_a_panel_and_each_law_a_row(comparison):
    figure = compared_laws(comparison)
    assert set(figure.data["law"]) == {"Chinchilla", "ATLAS (full)"}
    random = figure.data.filter(pl.col("held_out") == "a random fifth")
    assert random["r2"].to_list() == [row.r2 for row in comparison.rows]
    assert "ATLAS (full)" in figure.alt


def test_scores_below_the_edge_are_arrows_and_keep_their_number(comparison):
    figure = compared_laws(comparison)
    low = figure.data.filter(pl.col("r2") < LOWEST)
    if low.height:
        assert low["r2"].min() < LOWEST
    drawn = [
        row
        for p in figure.panels
        for rows in p.chart.to_dict()["datasets"].values()
        for row in rows
    ]
    assert min(row["shown"] for row in drawn if "shown" in row) >= LOWEST


def test_the_table_has_every_cut(comparison):
    table = compare_table(comparison)
    assert len(table.rows) == 2
    assert len(table.columns) == len(table.rows[0]) >= 9
    assert table.rows[1][0] == "ATLAS (full)"


def test_the_verdicts_name_the_law_that_predicts_best(fits, comparison):
    said = verdicts(None, fits, comparison=comparison)
    held = [v for v in said if v.claim.startswith("Held out, a random fifth")]
    assert "ATLAS (full) predicts best" in held[0].claim
    assert held[0].tone is Tone.TOLD
    assert not any("Ask: atlas compare" in v.remedy for v in said)


def test_a_profile_has_a_panel_a_parameter_and_says_open_sides(fits):
    chosen = fits[1]
    profiles = [profile(chosen, name, n_points=9) for name in ("beta", "lam")]
    figure = profile_curves(chosen, profiles)
    assert [panel.title for panel in figure.panels] == ["β", "λ"]
    assert figure.name == "profiles-atlas-swe_Latn"
    assert figure.data.height == sum(len(p.values) for p in profiles)
    # At most 3.3 epochs were seen, so that small lambda is as good as none.
    assert "low" in profiles[1].open_sides
    assert "sets no limit there: λ." in figure.caption


def test_relatives_score_higher_in_the_published_matrix():
    figure = relatedness(published_matrix())
    medians = dict(figure.data.group_by("shares").agg(pl.col("bts").median()).iter_rows())
    assert medians["script and branch"] > medians["neither"]
    assert "script and branch" in figure.alt


def test_symmetry_has_each_pair_once():
    assert symmetry(published_matrix()).data.height == 38 * 37 // 2


@pytest.mark.parametrize("figure", [relatedness, symmetry])
def test_a_handful_of_cells_has_no_shape(figure):
    cell = Cell("swe_Latn", "dan_Latn", 0.3, 0.2, 0.4, Provenance.MEASURED, Origin("runs"))
    assert figure(TransferMatrix.from_cells([cell])) is None
