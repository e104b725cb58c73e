from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.matrix_files import (
    COLUMNS,
    load_matrix,
    matrix_frame,
    matrix_from_frame,
    save_matrix,
)
from atlas_scaling.transfer.reference import published_matrix

LANGUAGES = ("swe_Latn", "dan_Latn", "rus_Cyrl")
scores = st.floats(-4, 2)
notes = st.sampled_from([(), ("one seed",), ("one seed", "read, often")])
origins = st.builds(
    Origin,
    name=st.sampled_from(["a", "b, with a comma", 'c "quoted"']),
    d=st.none() | st.floats(1, 1e13),
    unit=st.sampled_from(["tokens", "bytes"]),
    n_params=st.none() | st.floats(1, 1e12),
    level=st.none() | st.floats(0.5, 0.99),
    step=st.none() | st.just(0.1),
)


@st.composite
def cells(draw: st.DrawFn) -> list[Cell]:
    found = []
    for target in LANGUAGES:
        for source in LANGUAGES:
            kind = draw(st.sampled_from(Provenance))
            if kind is Provenance.MISSING:
                found.append(Cell(target, source))
            elif kind is Provenance.CENSORED:
                upper = draw(st.booleans())
                bound = draw(scores)
                found.append(
                    Cell(
                        target,
                        source,
                        None,
                        None if upper else bound,
                        bound if upper else None,
                        kind,
                        draw(origins),
                        draw(st.booleans()),
                        draw(notes),
                    )
                )
            else:
                bounds = draw(st.none() | st.tuples(scores, scores))
                low, high = sorted(bounds) if bounds else (None, None)
                found.append(Cell(target, source, draw(scores), low, high, kind, draw(origins)))
    return found


def same(a: TransferMatrix, b: TransferMatrix) -> bool:
    return (a.targets, a.sources) == (b.targets, b.sources) and list(a) == list(b)


@given(given_cells=cells())
@settings(max_examples=40)
def test_a_frame_gives_the_matrix_back(given_cells: list[Cell]) -> None:
    matrix = TransferMatrix.from_cells(given_cells)
    frame = matrix_frame(matrix)
    assert frame.columns == list(COLUMNS)
    assert same(matrix, matrix_from_frame(frame, name="test"))


@given(given_cells=cells())
@settings(max_examples=40)
def test_csv_text_gives_the_matrix_back(given_cells: list[Cell]) -> None:
    matrix = TransferMatrix.from_cells(given_cells)
    text = matrix_frame(matrix).write_csv()
    again = pl.read_csv(text.encode(), infer_schema=False)
    assert same(matrix, matrix_from_frame(again, name="test"))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_published_matrix_survives_a_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "deeper" / f"matrix.{ending}"
    matrix = published_matrix()
    save_matrix(matrix, path)
    again = load_matrix(path)
    assert same(matrix, again)
    assert np.array_equal(np.signbit(matrix.values), np.signbit(again.values))


def test_a_hand_written_file_needs_three_columns(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("target,source,bts\nsv,da,0.25\nda,sv,-0.0\nda,ru,\n")
    matrix = load_matrix(path)
    cell = matrix["swe_Latn", "dan_Latn"]
    assert (cell.bts, cell.provenance) == (0.25, Provenance.MEASURED)
    assert cell.origin == Origin(str(path))
    assert str(matrix["dan_Latn", "swe_Latn"].bts) == "-0.0"
    assert matrix["dan_Latn", "rus_Cyrl"].provenance is Provenance.MISSING


@pytest.mark.parametrize(
    ("text", "problem", "where", "said"),
    [
        ("target,source\nsv,da\n", "a column is missing", "", "bts"),
        ("target,source,bts,uper\nsv,da,0,1\n", "unknown column", "", "did you mean 'upper'"),
        ("target,source,bts\nsv,da,0\nsv,xx,0\n", "unknown language", "row 2", "xx"),
        ("target,source,bts\nsv,da,much\n", "not a number", "row 1, bts", "much"),
        ("target,source,bts\nsv,da,0\nsv,da,1\n", "stands twice", "", "dan_Latn"),
        ("target,source,bts\nsv,da,2.5\n", "at most 2", "row 1", "ratio form"),
        ("target,source,bts\n", "no row", "", ""),
        (
            "target,source,bts,provenance\nsv,da,0,mesured\n",
            "unknown provenance",
            "row 1",
            "did you mean 'measured'",
        ),
        (
            "target,source,bts,provenance\nsv,da,0.1,censored\n",
            "a bound and no value",
            "row 1",
            "0.1",
        ),
        ("target,source,bts,early\nsv,da,0.1,soon\n", "early is true or false", "row 1", "soon"),
        ("target,source,bts,provenance\nsv,da,,measured\n", "needs a value", "row 1", ""),
        ("target,source,bts,provenance\nsv,da,0.1,missing\n", "has no value", "row 1", ""),
    ],
)
def test_a_file_that_is_no_matrix_says_where(
    tmp_path: Path, text: str, problem: str, where: str, said: str
) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        load_matrix(path)
    assert "mine.csv" in str(caught.value)
    assert where in (caught.value.where or "")
    assert said in str(caught.value)


def test_a_missing_file_and_another_ending_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_matrix(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"\.parquet or a \.csv"):
        load_matrix(tmp_path / "matrix.xlsx")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot be read"):
        load_matrix(broken)


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    matrix = TransferMatrix.from_cells([Cell("swe_Latn", "dan_Latn")])
    with pytest.raises(InputError, match="cannot be written"):
        save_matrix(matrix, tmp_path / "file" / "matrix.csv")
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        save_matrix(matrix, tmp_path / "folder.parquet")


def test_an_interval_with_its_ends_crossed_is_refused(tmp_path):
    path = tmp_path / "matrix.csv"
    path.write_text("target,source,bts,lower,upper\nsv,da,0.1,0.5,0.2\n")
    with pytest.raises(InputError, match="lower end first"):
        load_matrix(path)
