import json
from pathlib import Path

import pytest
import typer

from atlas_scaling.cli import runs_import
from atlas_scaling.errors import InputError
from atlas_scaling.runs.export import read_table
from atlas_scaling.runs.importers.column_map import load_map
from tests.run_files import eval_line, write_run

TABLE = "name,D,val_loss\na,1,2.5\nb,2,nan\nc,2,2.25\n"
OPTIONS = ("--column", "run_id=name", "--column", "tokens=D", "--set", "n_params=2B")


def run(*arguments: object) -> None:
    app = typer.Typer()
    app.command("import", epilog=runs_import.IMPORT_EXAMPLE)(runs_import.import_command)
    app.command("export", epilog=runs_import.EXPORT_EXAMPLE)(runs_import.export_command)
    app([str(argument) for argument in arguments], standalone_mode=False)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text(TABLE)
    return path


def test_an_import_says_what_became_of_every_row(table, tmp_path, capsys):
    run("import", table, "-o", tmp_path / "runs.parquet", *OPTIONS)
    out = capsys.readouterr().out
    assert "1 file read as csv" in out
    for said in ("3  found", "1  dropped: loss is NaN or no number", "2  kept", "tokens: D"):
        assert said in out
    assert "atlas fit" in out
    frame = read_table(tmp_path / "runs.parquet")
    assert frame.select("run_id", "tokens", "n_params", "loss").rows() == [
        ("a", 1.0, 2e9, 2.5),
        ("c", 2.0, 2e9, 2.25),
    ]


def test_json_is_one_document(table, tmp_path, capsys):
    run("import", table, "-o", tmp_path / "runs.csv", *OPTIONS, "--json")
    answer = json.loads(capsys.readouterr().out)
    summary = answer["summary"]
    assert (summary["found"], summary["kept"]) == (3, 2)
    assert summary["dropped"] == [
        {"reason": "loss is NaN or no number", "rows": 1, "first": [f"{table}:3"]}
    ]
    assert answer["output"] == str(tmp_path / "runs.csv")


def test_the_map_is_saved_beside_the_output_and_gives_the_same_import(table, tmp_path, capsys):
    run("import", table, "-o", tmp_path / "runs.parquet", *OPTIONS)
    columns = load_map(tmp_path / "runs.map.yaml")
    assert columns.columns == {"run_id": "name", "tokens": "D", "loss": "val_loss"}
    run("import", table, "-o", tmp_path / "again.parquet", "--map", tmp_path / "runs.map.yaml")
    first, again = (read_table(tmp_path / f"{name}.parquet") for name in ("runs", "again"))
    assert first.equals(again)
    assert "Note" in capsys.readouterr().out


def test_a_map_beside_the_source_is_used(table, tmp_path):
    (tmp_path / "data.map.yaml").write_text("columns: {run_id: name, tokens: D}\n")
    run("import", table, "-o", tmp_path / "runs.parquet")
    assert read_table(tmp_path / "runs.parquet")["run_id"].to_list() == ["a", "c"]


def test_a_map_of_the_users_own_is_not_written_over(table, tmp_path):
    own = tmp_path / "data.map.yaml"
    own.write_text("columns: {run_id: name, tokens: D}  # as our logger calls them\n")
    run("import", table, "-o", tmp_path / "data.parquet")
    assert "as our logger calls them" in own.read_text()
    with pytest.raises(InputError, match="over your own"):
        run("import", table, "-o", tmp_path / "data.parquet", "--set", "n_params=2B")


def test_an_import_can_be_given_twice(table, tmp_path):
    for _ in range(2):
        run("import", table, "-o", tmp_path / "data.parquet", *OPTIONS)
        assert read_table(tmp_path / "data.parquet")["run_id"].to_list() == ["a", "c"]


def test_a_map_that_nobody_changed_does_not_stand_in_the_way_of_other_options(table, tmp_path):
    output = tmp_path / "data.parquet"
    run("import", table, "-o", output, *OPTIONS)
    run("import", table, "-o", output, *OPTIONS[:4], "--set", "n_params=3B")
    assert read_table(output)["n_params"].to_list() == [3e9, 3e9]
    # what is not said again does not linger on in the map of the import before
    run("import", table, "-o", output, *OPTIONS[:4])
    assert read_table(output)["n_params"].to_list() == [None, None]
    own = tmp_path / "data.map.yaml"
    own.write_text(own.read_text() + "loss_unit: nats_per_token\n")
    with pytest.raises(InputError, match="over your own"):
        run("import", table, "-o", output, *OPTIONS)
    other = tmp_path / "other.yaml"
    other.write_text("columns: {run_id: name, tokens: D}\n")
    with pytest.raises(InputError, match="over your own"):
        run("import", table, "-o", output, "--map", other)
    assert "loss_unit" in own.read_text()


def test_an_import_does_not_write_over_its_source(table):
    with pytest.raises(InputError, match="over their source"):
        run("import", table, "-o", table, *OPTIONS)
    assert table.read_text() == TABLE


def test_an_export_writes_over_a_file_only_if_told_to(tmp_path):
    write_run(tmp_path / "runs", [eval_line(1, 1024, "swe_Latn", 5.0)])
    output = tmp_path / "mine.csv"
    output.write_text("mine")
    with pytest.raises(InputError, match="a file of this name") as caught:
        run("export", tmp_path / "runs", "-o", output)
    assert "--force" in caught.value.remedy
    assert output.read_text() == "mine"
    run("export", tmp_path / "runs", "-o", output, "--force")
    assert read_table(output).height == 1


def test_the_output_is_checked_before_any_work(table, tmp_path):
    with pytest.raises(InputError, match="Parquet or CSV"):
        run("import", table, "-o", tmp_path / "runs.xlsx")
    with pytest.raises(InputError, match="Parquet or CSV"):
        run("export", table, "-o", tmp_path / "runs.xlsx")


def test_runs_are_exported_and_converted(tmp_path, capsys):
    write_run(tmp_path / "runs", [eval_line(1, 1024, "swe_Latn", 5.0)])
    run("export", tmp_path / "runs", "-o", tmp_path / "a.csv")
    assert "1 rows of 1 runs written" in capsys.readouterr().out
    run("export", tmp_path / "a.csv", "-o", tmp_path / "b.parquet", "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert read_table(tmp_path / "b.parquet").equals(read_table(tmp_path / "a.csv"))
