import gzip

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.importing import import_runs
from tests.runs.importers.tables import dropped, import_text

ROWS = [("a", 1, 1e9, 2.5), ("b", 1, 2e9, 2.25)]


def rows(frame: pl.DataFrame) -> list[tuple]:
    return frame.select("run_id", "step", "tokens", "loss").rows()


@pytest.mark.parametrize(
    ("name", "separator", "start", "end"),
    [
        ("runs.csv", ",", "", "\n"),
        ("runs.csv", ",", "\ufeff", "\n"),  # as spreadsheets save UTF-8
        ("runs.csv", ";", "", "\r\n"),
        ("runs.tsv", "\t", "", "\n"),
    ],
)
def test_the_usual_dialects_are_read(tmp_path, name, separator, start, end):
    table = [("run_id", "step", "tokens", "loss"), *ROWS]
    text = start + "".join(separator.join(map(str, row)) + end for row in table)
    (tmp_path / name).write_bytes(text.encode())
    assert rows(import_runs(tmp_path / name).frame) == ROWS


def test_quoted_fields_may_hold_separators_and_quotes(tmp_path):
    imported = import_text(tmp_path, 'run_id,tokens,loss\n"a, ""b""",1e9,2.5\n')
    assert imported.frame["run_id"].to_list() == ['a, "b"']


def test_a_run_id_of_digits_stays_text(tmp_path):
    imported = import_text(tmp_path, "run_id,tokens,loss\n007,1e9,2.5\n8,1e9,2.5\n")
    assert imported.frame["run_id"].to_list() == ["007", "8"]


def test_numbers_that_turn_to_fractions_late_are_no_surprise(tmp_path):
    lines = [f"a,{step},{step},3" for step in range(1, 400)] + ["a,400,400.5,2.5"]
    frame = import_text(tmp_path, "run_id,step,tokens,loss\n" + "\n".join(lines)).frame
    assert frame["tokens"][-1] == 400.5


def test_a_torn_last_line_is_a_row_without_a_loss(tmp_path):
    imported = import_text(tmp_path, "run_id,tokens,loss\na,1e9,2.5\nb,2e")
    assert dropped(imported) == {"no loss on the row": 1}


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    with pytest.raises(InputError, match="no readable parquet file"):
        import_text(tmp_path, "run_id,tokens,loss\n", "runs.parquet")


def test_parquet_keeps_its_types_and_says_rows(tmp_path):
    path = tmp_path / "runs.parquet"
    pl.DataFrame(
        {
            "run_id": pl.Series(["a", "b"], dtype=pl.Categorical),
            "tokens": pl.Series([10**9, 2 * 10**9], dtype=pl.Int64),
            "n_params": pl.Series([2**31, 2**31], dtype=pl.UInt32),
            "loss": pl.Series([2.5, float("nan")], dtype=pl.Float32),
            "mixture": [[{"language": "sv", "value": 1.0}], None],
        }
    ).write_parquet(path)
    imported = import_runs(path)
    assert imported.frame.select("run_id", "tokens", "n_params", "loss").rows() == [
        ("a", 1e9, 2.0**31, 2.5)
    ]
    assert imported.frame["flops"][0] == 6 * 2.0**31 * 1e9  # would overflow int64
    assert imported.frame["mixture"].to_list() == [[{"language": "swe_Latn", "value": 1.0}]]
    assert imported.summary.dropped[0].first == (f"{path}, row 2",)


def test_only_the_mapped_columns_are_read(tmp_path):
    # The column of text would fail every cast; nobody asked for it.
    imported = import_text(tmp_path, "run_id,tokens,loss,remark\na,1e9,2.5,\U0001f600\n")
    assert "remark" not in imported.frame.columns


def test_a_name_with_wildcards_is_a_name(tmp_path):
    imported = import_text(tmp_path, "run_id,tokens,loss\na,1e9,2.5\n", "runs[1]*.csv")
    assert imported.summary.kept == 1


def test_a_compressed_table_under_its_own_kind(tmp_path):
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(b"run_id,tokens,loss\na,1e9,2.5\n"))
    with pytest.raises(InputError, match="does not tell"):
        import_runs(path)
