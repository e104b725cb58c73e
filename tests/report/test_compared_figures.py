from dataclasses import replace

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


def with_r2(comparison, *scores):
    rows = [replace(row, r2=score) for row, score in zip(comparison.rows, scores, strict=True)]
    others = dict.fromkeys(("r2_n", "r2_d", "r2_c", "r2_m"))
    return replace(comparison, rows=tuple(replace(row, **others) for row in rows))


def axis_of(figure):
    (panel,) = figure.panels
    dots = next(x for x in panel.chart.to_dict()["layer"] if "shape" in x["encoding"])
    return dots["encoding"]["x"]["scale"]["domain"]


def test_scores_below_the_edge_are_arrows_and_keep_their_number(comparison):
    figure = compared_laws(with_r2(comparison, -3.0, 0.99))
    assert figure.data["r2"].drop_nulls().to_list() == [-3.0, 0.99]
    drawn = figure.panels[0].chart.to_dict()["datasets"].values()
    shown = {row["kind"]: row["shown"] for rows in drawn for row in rows if "kind" in row}
    assert shown == {"below": LOWEST, "R²": 0.99}
    assert axis_of(figure) == [LOWEST, 1]


def test_laws_that_are_all_good_are_told_apart(comparison):
    assert axis_of(compared_laws(with_r2(comparison, 0.93, 0.999))) == [0.9, 1]
    assert axis_of(compared_laws(with_r2(comparison, 0.4, 0.999))) == [0.0, 1]


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
