from __future__ import annotations

from collections import Counter

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.analysis import square
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.pairs import matrices_from_runs
from atlas_scaling.transfer.plots import (
    RELATEDNESS,
    dendrogram_chart,
    dendrogram_rows,
    relatedness_chart,
    relatedness_rows,
    size_chart,
    size_rows,
    symmetry_chart,
    symmetry_rows,
)
from atlas_scaling.transfer.reference import published_matrix
from atlas_scaling.transfer.structure import clusters
from tests.transfer.planted import planted_run

RUNS = Origin("runs", d=1e6)


def test_every_known_cell_is_in_one_class_of_relatedness() -> None:
    rows = relatedness_rows(published_matrix())
    assert rows.height == 38 * 37
    shares = {(r["target"], r["source"]): r["shares"] for r in rows.to_dicts()}
    assert shares["swe_Latn", "nor_Latn"] == "script and branch"
    assert shares["swe_Latn", "spa_Latn"] == "script and family"
    assert shares["swe_Latn", "tur_Latn"] == "script only"
    assert shares["swe_Latn", "rus_Cyrl"] == "family only"
    assert shares["swe_Latn", "jpn_Jpan"] == "neither"
    counts = Counter(shares.values())
    # Same-script cells number 406 (checked against the paper's means elsewhere).
    assert sum(counts[kind] for kind in RELATEDNESS[:3]) == 406


def test_each_pair_known_both_ways_is_one_point() -> None:
    rows = symmetry_rows(published_matrix())
    assert rows.height == 703
    assert int(rows["measured"].sum()) == 36
    pair = rows.filter((pl.col("a") == "eng_Latn") & (pl.col("b") == "jpn_Jpan")).to_dicts()[0]
    assert (pair["b_to_a"], pair["a_to_b"]) == (-0.1, -0.6)  # Fig. C.2, en/ja and ja/en


def test_a_matrix_without_mirrors_has_no_symmetry_to_draw() -> None:
    matrix = TransferMatrix.from_cells(
        [Cell("swe_Latn", "dan_Latn", 0.3, provenance=Provenance.MEASURED, origin=RUNS)]
    )
    with pytest.raises(InputError, match="both directions"):
        symmetry_rows(matrix)


def test_a_matrix_without_scores_has_nothing_to_draw() -> None:
    with pytest.raises(InputError, match="no score"):
        relatedness_chart(TransferMatrix.from_cells([], targets=["swe_Latn"], sources=["dan_Latn"]))


def test_scores_over_size_hold_bounds_at_their_bound() -> None:
    tau = {("swe_Latn", "rus_Cyrl"): -0.45}  # BTS -1.6: below what is seen at a third
    small = pl.concat(
        [
            planted_run("mono", {"swe_Latn": 1.0}),
            planted_run("pair", {"swe_Latn": 0.5, "rus_Cyrl": 0.5}, tau),
        ]
    )
    large = small.with_columns(pl.col("run_id") + "-l", n_params=pl.lit(2e6))
    rows = size_rows(matrices_from_runs(pl.concat([small, large])))
    assert sorted(rows["n_params"].to_list()) == [364_928, 2e6]
    assert rows["bound"].to_list() == ["below", "below"]
    assert rows["pair"].unique().to_list() == ["Russian to Swedish"]
    assert rows["bts"].to_list() == pytest.approx([-1.0, -1.0], abs=0.01)
    assert size_chart(matrices_from_runs(small)).to_dict()["layer"]


def test_a_dendrogram_joins_at_the_distances_of_the_linkage() -> None:
    values, codes = square(published_matrix())
    found = clusters(values, codes)
    assert found is not None
    rows = dendrogram_rows(found)
    assert rows.height == len(codes) - 1
    assert rows["distance"].to_list() == [row[2] for row in found.linkage]
    assert set(rows["left"][0].split(",")) | set(rows["right"][0].split(",")) == {
        "zho_Hani",
        "jpn_Jpan",
    }  # the nearest two of Fig. C.2 once each target's and source's own mean is off
    last = rows.row(-1, named=True)
    assert len(f"{last['left']},{last['right']}".split(",")) == len(codes)
    # Leaves stand at whole places in the order of the tree, and no join is nearer than its sides.
    leaves = {r["left"]: r["y_left"] for r in rows.to_dicts() if "," not in r["left"]}
    assert all(found.order[int(y)] == code for code, y in leaves.items())
    assert (rows["distance"] >= rows["x_left"]).all()
    assert (rows["distance"] >= rows["x_right"]).all()
    assert len(dendrogram_chart(found).to_dict()["layer"]) == 2


@pytest.mark.parametrize("chart", [relatedness_chart, symmetry_chart])
def test_charts_hold_their_numbers_and_render(chart) -> None:
    spec = chart(published_matrix()).to_dict()
    text = str(spec)
    assert "http" not in text.replace("https://vega.github.io/schema", "")
    assert "swe_Latn" in text
    assert chart(published_matrix()).to_json() == chart(published_matrix()).to_json()
