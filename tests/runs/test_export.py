import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.export import is_table, read_table, write_table
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.store import SCHEMA, read_runs
from tests.run_files import eval_line, write_run

SUFFIXES = ("parquet", "csv")

shares = st.lists(
    st.fixed_dictionaries(
        {"language": st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6),
         "value": st.floats(allow_nan=False, allow_infinity=False)}
    ),
    max_size=3,
    unique_by=lambda entry: entry["language"],
)  # fmt: skip
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
floats = st.floats(allow_nan=False)
VALUES = {pl.String: texts, pl.Float64: floats, pl.Int64: st.integers(-(2**63), 2**63 - 1)}


@st.composite
def frames(draw) -> pl.DataFrame:
    left_out = draw(st.sets(st.sampled_from(["step", "language"])))
    schema = {name: dtype for name, dtype in SCHEMA.items() if name not in left_out}
    height = draw(st.integers(1, 4))
    columns = {
        name: draw(
            st.lists(st.none() | VALUES.get(dtype, shares), min_size=height, max_size=height)
        )
        for name, dtype in schema.items()
    }
    extra = draw(st.lists(st.none() | floats, min_size=height, max_size=height))
    return pl.DataFrame(columns, schema=schema).with_columns(
        pl.Series("kept by a map", extra, dtype=pl.Float64)
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=40, deadline=None)
@given(frame=frames())
def test_a_table_comes_back_identical(tmp_path_factory, suffix, frame):
    path = tmp_path_factory.mktemp("e") / f"runs.{suffix}"
    write_table(frame, path)
    assert is_table(path)
    assert read_table(path).equals(frame)
    assert read_table(path).schema == frame.schema


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_our_own_runs_go_out_and_are_imported_again(tmp_path, suffix):
    rows = [eval_line(s, s * 1024, "swe_Latn", 5.0 / s, lr_state="stable") for s in (1, 2)]
    write_run(tmp_path / "runs", rows)
    frame = read_runs(tmp_path / "runs").frame
    path = tmp_path / f"table.{suffix}"
    write_table(frame, path)
    imported = import_runs(path)
    assert imported.frame.equals(frame)
    assert imported.summary.kind == "atlas"


def test_a_mixture_in_csv_is_a_json_object(tmp_path):
    rows = [eval_line(1, 1024, "swe_Latn", 5.0)]
    write_run(tmp_path / "runs", rows, mixture={"swe_Latn": 0.75, "deu_Latn": 0.25})
    write_table(read_runs(tmp_path / "runs").frame, tmp_path / "t.csv")
    cell = pl.read_csv(tmp_path / "t.csv")["mixture"][0]
    assert cell == '{"deu_Latn": 0.25, "swe_Latn": 0.75}'


def test_no_half_written_file_is_left(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "missing" / "runs.parquet")
    write_table(pl.DataFrame({"a": [1]}), tmp_path / "runs.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["runs.parquet"]


def test_a_table_has_one_of_two_suffixes(tmp_path):
    with pytest.raises(InputError, match="Parquet or CSV") as caught:
        write_table(pl.DataFrame({"a": [1]}), tmp_path / "runs.xlsx")
    assert ".parquet" in caught.value.remedy


def test_another_table_is_refused_with_the_command_that_imports_it(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("run_id,tokens,loss\na,1e9,2.5\n")
    assert not is_table(path)
    with pytest.raises(InputError, match="it lacks study") as caught:
        read_table(path)
    assert "atlas runs import" in caught.value.remedy


def test_a_file_that_is_not_there_or_not_readable_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "runs.csv")
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    assert not is_table(tmp_path / "runs.parquet")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "runs.parquet")


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [("mixture", "0.5", "JSON object"), ("tokens", "many", "not what we wrote")],
)
def test_a_damaged_cell_is_shown(tmp_path, column, cell, said):
    write_run(tmp_path / "runs", [eval_line(1, 1024, "swe_Latn", 5.0)])
    path = tmp_path / "t.csv"
    write_table(read_runs(tmp_path / "runs").frame, path)
    damaged = pl.read_csv(path, infer_schema=False).with_columns(pl.lit(cell).alias(column))
    damaged.write_csv(path)
    with pytest.raises(InputError, match=said) as caught:
        read_table(path)
    assert caught.value.where == f"column {column}"
    assert cell in str(caught.value.value)
