import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.runs.importers.cells import as_useful, is_one_of, number, text, unit_named
from atlas_scaling.runs.importers.column_map import ImportUnit


def as_number(cell: str | None, *, count: bool = False) -> float | None:
    frame = pl.DataFrame({"x": [cell]}, schema={"x": pl.String})
    return frame.select(number("x", pl.String(), count=count)).item()


@given(st.floats(allow_nan=False))
def test_any_number_is_read_as_python_reads_it(value):
    assert as_number(repr(value)) == value


@pytest.mark.parametrize("cell", ["", "  ", "NA", "n/a", "None", "null", "-", None])
def test_an_empty_cell_is_missing(cell):
    assert as_number(cell) is None


@pytest.mark.parametrize("cell", ["x", "1.5.2", "0x10", "nan", "3,25", "2B"])
def test_what_is_no_number_is_not_missing(cell):
    assert math.isnan(as_number(cell))


@pytest.mark.parametrize(
    ("cell", "value"),
    [("2B", 2e9), ("1.5b", 1.5e9), ("400 M", 4e8), ("12k", 12e3), ("3T", 3e12), ("1_000", 1e3),
     ("1,300,000", 1.3e6), ("2e9", 2e9), ("1e3K", 1e6)],
)  # fmt: skip
def test_counts_may_have_a_suffix_or_separators(cell, value):
    assert as_number(cell, count=True) == value


def test_codes_of_languages_that_look_like_nothing_are_text():
    frame = pl.DataFrame({"x": ["na", "nan", " no ", "null", "", None]})
    assert frame.select(text("x"))["x"].to_list() == ["na", "nan", "no", "null", None, None]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (True, [True, True, False, False, False]),
        (1.0, [False, False, True, True, False]),
        ("1m", [False, False, False, False, True]),
        ((1.0, "1m"), [False, False, True, True, True]),
    ],
)
def test_cells_equal_values_of_their_kind(wanted, expected):
    frame = pl.DataFrame({"x": ["True", "true", "1", "1.00", "1m"]})
    assert frame.select(is_one_of("x", wanted)).to_series().to_list() == expected


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("nats", ImportUnit.NATS_PER_TOKEN),
        ("Nats per token", ImportUnit.NATS_PER_TOKEN),
        ("BPB", ImportUnit.BITS_PER_BYTE),
        ("bits/byte", ImportUnit.BITS_PER_BYTE),
        ("ppl", ImportUnit.PERPLEXITY),
        ("bits_per_token", ImportUnit.BITS_PER_TOKEN),
    ],
)
def test_usual_names_of_units_are_known(name, unit):
    assert unit_named(pl.Series([name, None]), None) is unit


def test_kept_columns_become_numbers_or_truths_where_all_of_them_are():
    assert as_useful(pl.Series(["1", None, "2.5"])).to_list() == [1.0, None, 2.5]
    assert as_useful(pl.Series(["True", "false"])).to_list() == [True, False]
    assert as_useful(pl.Series(["1", "a"])).to_list() == ["1", "a"]
    assert as_useful(pl.Series([None, None], dtype=pl.String)).dtype == pl.Float64
