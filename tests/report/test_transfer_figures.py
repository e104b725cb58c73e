import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.report.figures.transfer import bts_curves, transfer_heatmap
from atlas_scaling.report.tables import transfer_table
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.reference import published_matrix

ORIGIN = Origin("runs", d=1e6)


@pytest.fixture(scope="module")
def mixed():
    codes = ("swe_Latn", "dan_Latn", "rus_Cyrl")
    cells = [
        Cell("swe_Latn", "dan_Latn", 0.42, 0.30, 0.55, Provenance.MEASURED, ORIGIN),
        Cell("swe_Latn", "rus_Cyrl", None, None, -0.8, Provenance.CENSORED, ORIGIN),
        Cell("dan_Latn", "swe_Latn", None, 1.1, 2.0, Provenance.CENSORED, ORIGIN),
        Cell("rus_Cyrl", "swe_Latn", -0.2, None, None, Provenance.ESTIMATED, ORIGIN),
    ]
    return TransferMatrix.from_cells(cells, targets=codes, sources=codes)


def test_bounds_are_written_as_bounds_and_marked(mixed):
    svg = transfer_heatmap(mixed).svg()
    assert ">&lt;−0.8<" in svg
    assert ">+0.42<" in svg
    # Reached before the first evaluation: above the lower bound, not the 2 that is always true.
    assert ">&gt;+1.1<" in svg
    assert "A dark corner" in transfer_heatmap(mixed).caption


def test_early_scores_are_marked_and_not_called_help():
    cells = [
        Cell("swe_Latn", "dan_Latn", 0.42, 0.3, 0.5, Provenance.MEASURED, ORIGIN, early=True),
        Cell("dan_Latn", "swe_Latn", 0.11, 0.1, 0.2, Provenance.MEASURED, ORIGIN),
    ]
    figure = transfer_heatmap(TransferMatrix.from_cells(cells))
    assert ">~+0.42<" in figure.svg()
    assert "~ marks 1 early score" in figure.caption
    assert "Most help: Swedish on Danish +0.11. " in figure.alt


def test_estimates_are_told_from_runs(mixed):
    figure = transfer_heatmap(mixed)
    assert "Framed cells come from runs" in figure.caption
    assert figure.data.filter(pl.col("provenance") == "estimated").height == 1


def test_pairs_that_were_not_run_are_counted(mixed):
    assert "2 pairs (grey) were not run" in transfer_heatmap(mixed).caption


def test_the_words_of_the_picture_name_help_and_harm(mixed):
    said = transfer_heatmap(mixed).alt
    assert "Most help: Danish on Swedish +0.42" in said
    assert "Most harm: Swedish on Russian −0.20" in said


def test_a_large_matrix_takes_a_row_and_keeps_its_numbers_in_tips():
    figure = transfer_heatmap(published_matrix())
    assert figure.panels[0].wide
    assert figure.data.height == 38 * 37
    svg = figure.svg()
    # Figure C.2: Spanish helps Portuguese by 0.5.
    assert "Spanish on Portuguese: BTS +0.50" in svg
    assert len(svg) < 1_500_000


def test_a_matrix_without_any_cell_is_refused():
    empty = TransferMatrix.from_cells([], targets=("swe_Latn",), sources=("swe_Latn",))
    with pytest.raises(InputError, match="no cell"):
        transfer_heatmap(empty)


def test_curves_show_values_and_bounds_apart(matrix):
    figure = bts_curves(matrix.of_size().answers)
    assert {panel.title for panel in figure.panels} == {"on Swedish", "on Danish", "on Russian"}
    bounds = figure.data.filter(pl.col("censored") == "upper")
    assert bounds.height > 0
    assert bounds["bts"].null_count() == bounds.height
    assert bounds["shown"].to_list() == bounds["upper"].to_list()
    assert any("below this" in key.label for key in figure.keys)


def test_the_planted_relatives_help_and_strangers_harm(matrix):
    # tau = 0.35 and -0.1 are BTS = 2 tau / (1 + tau) = 0.52 and -0.22.
    cells = {(c.target, c.source): c.bts for c in matrix.of_size().cells}
    assert cells["swe_Latn", "dan_Latn"] == pytest.approx(0.52, abs=0.1)
    assert cells["swe_Latn", "rus_Cyrl"] == pytest.approx(-0.22, abs=0.1)


def test_the_table_leaves_estimates_out_and_says_bounds(mixed):
    table = transfer_table(mixed, early=[("swe_Latn", "dan_Latn")])
    assert len(table.rows) == 3
    by_source = {(row[0], row[1]): row for row in table.rows}
    assert by_source["Russian", "Swedish"][2] == "below −0.80"
    assert by_source["Danish", "Swedish"][5].text == "early: still falling"
    assert "early" in table.csv()
