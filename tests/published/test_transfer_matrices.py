from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from atlas_scaling.published.transfer_matrices import published_table
from atlas_scaling.transfer.reference import published_matrix


@pytest.mark.parametrize("size", [30, 38])
def test_the_packaged_table_is_the_figure_as_read_from_the_paper(
    size: int, shared_published: Path
) -> None:
    read = pl.read_csv(shared_published / f"transfer_matrix_{size}.csv", infer_schema=False)
    table = published_table(size)  # type: ignore[arg-type]
    assert table.paper_codes == tuple(read.columns[1:])
    printed = read.select(pl.exclude("target\\source")).to_numpy()
    for i, j in np.ndindex(size, size):
        text = printed[i, j]
        value = table.bts[i, j]
        assert (np.isnan(value) and not text) or f"{value:.1f}" == text  # "-0.0" too


def test_the_direct_cells_are_those_of_the_long_form(shared_published: Path) -> None:
    long = pl.read_csv(shared_published / "transfer_matrix_38_long.csv")
    direct = long.filter(pl.col("provenance") == "direct_BTS")
    table = published_table(38)
    marked = {(table.paper_codes[i], table.paper_codes[j]) for i, j in np.argwhere(table.direct)}
    assert marked == set(direct.select("target", "source").iter_rows())
    assert len(marked) == 72  # 9 languages, 9 * 8 ordered pairs


def test_figure_2_is_a_part_of_figure_c2() -> None:
    small, large = published_table(30), published_table(38)
    at = [large.languages.index(code) for code in small.languages]
    assert np.array_equal(small.bts, large.bts[np.ix_(at, at)], equal_nan=True)


def test_the_matrices_mark_72_measured_cells_and_estimate_the_rest() -> None:
    assert published_matrix(38).counts == {"published": 72, "estimated": 38 * 37 - 72}
    assert published_matrix(30).counts == {"published": 72, "estimated": 30 * 29 - 72}


def test_no_published_cell_has_an_interval() -> None:
    matrix = published_matrix()
    assert np.isnan(matrix.lower).all()
    assert np.isnan(matrix.upper).all()
    assert {origin.step for origin in matrix.origins} == {0.1}


def test_swedish_and_norwegian_help_each_other_and_indonesian_and_malay_too() -> None:
    matrix = published_matrix()
    assert matrix["swe_Latn", "nor_Latn"].bts == matrix["nor_Latn", "swe_Latn"].bts == 0.3
    assert matrix["ind_Latn", "msa_Latn"].bts == matrix["msa_Latn", "ind_Latn"].bts == 0.4
