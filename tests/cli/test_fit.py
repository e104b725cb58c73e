"""The commands ``atlas fit`` and ``atlas compare`` on files and folders."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import tables
from atlas_scaling.runs.export import write_table
from atlas_scaling.runs.store import read_runs
from tests.cli.program import printed
from tests.fitting.planted import planted_runs, two_power_table
from tests.run_files import eval_line, write_run


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    two_power_table(60).with_columns(
        pl.int_range(pl.len()).alias("index"),
        pl.Series("kept", [True] * 50 + [False] * 10),
        pl.Series("size", ["1m"] * 30 + ["2m"] * 30),
    ).write_csv(path)
    return path


def test_a_table_is_fitted_and_shown(table):
    text = printed("fit", table)
    assert "Chinchilla: 60 rows of 60 runs" in text
    assert "alpha" in text


def test_a_name_that_is_no_fit_is_refused_before_the_work(tmp_path):
    with pytest.raises(InputError, match="saved as JSON"):
        printed("fit", tmp_path / "no-such-table.csv", "-o", tmp_path / "fit.pkl")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fix", "alpha=0.3", "--fix", "alpha=0.4"], "given twice"),
        (["--bound", "alpha=0.6:0.1"], "the lower one comes first"),
    ],
)
def test_options_that_contradict_themselves_are_refused(table, options, said):
    with pytest.raises(InputError, match=said):
        printed("fit", table, *options)


def test_json_is_one_document(table):
    assert json.loads(printed("fit", table, "--json", "--bootstrap", 20))["n_rows"] == 60


@pytest.mark.parametrize(
    ("condition", "n_rows"),
    [("kept", 50), ("not kept", 10), ("size=1M", 30), ("size!=1m", 30), ("index>=45", 15)],
)
def test_conditions_choose_rows(table, condition, n_rows):
    found = json.loads(printed("fit", table, "--where", condition, "--bootstrap", 0, "--json"))
    assert found["n_rows"] == n_rows


@pytest.mark.parametrize(
    ("condition", "problem", "remedy"),
    [
        ("kep", "no such column", "did you mean 'kept'?"),
        ("index>abc", "has numbers", "a number"),
        ("index>1000", "no row meets", "loosen it"),
        (">3", "a condition is", "like epoch_fit_240"),
    ],
)
def test_a_condition_that_cannot_be_used_says_why(table, condition, problem, remedy):
    with pytest.raises(InputError, match=problem) as caught:
        printed("fit", table, "--where", condition)
    assert remedy in caught.value.remedy


def test_columns_of_other_names_are_mapped(tmp_path):
    path = tmp_path / "runs.parquet"
    two_power_table(40).rename({"n_params": "Model Size", "loss": "val"}).write_parquet(path)
    out = printed(
        "fit",
        path,
        "--column",
        "n_params=Model Size",
        "--column",
        "loss=val",
        "--bootstrap",
        0,
        "--json",
    )
    assert json.loads(out)["n_rows"] == 40
    with pytest.raises(InputError, match="no such column") as caught:
        printed("fit", path, "--column", "n_params=Model size")
    assert caught.value.remedy == "did you mean 'Model Size'?"
    with pytest.raises(InputError, match="takes NAME=VALUE"):
        printed("fit", path, "--column", "n_params")


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_gives_the_same_fit(tmp_path, ending):
    path = tmp_path / f"runs.{ending}"
    frame = two_power_table(40)
    {
        "csv": frame.write_csv,
        "tsv": lambda p: frame.write_csv(p, separator="\t"),
        "jsonl": frame.write_ndjson,
        "parquet": frame.write_parquet,
    }[ending](path)
    found = json.loads(printed("fit", path, "--bootstrap", 0, "--json"))
    assert found["objective"] == pytest.approx(_direct(frame).objective, rel=1e-9)


def _direct(frame):
    from atlas_scaling.fitting import fit

    return fit(frame, bootstrap=0)


def test_a_law_is_tied_fixed_and_saved(table, tmp_path):
    saved = tmp_path / "fit.json"
    printed("fit", table, "--tie", "alpha=beta", "--fix", "E=1.8", "--bootstrap", 20, "-o", saved)
    parameters = json.loads(saved.read_text())["parameters"]
    assert parameters["E"] == {"value": 1.8, "interval": None, "verdict": "given"}
    assert parameters["alpha"]["value"] == parameters["beta"]["value"]
    with pytest.raises(InputError, match="not a number"):
        printed("fit", table, "--fix", "E=high")


def test_atlas_takes_its_variant_and_sources_on_the_line(tmp_path):
    path = tmp_path / "runs.parquet"
    planted_runs(sizes=(4e5, 1.6e6)).write_parquet(path)
    out = printed(
        "fit",
        path,
        "--law",
        "atlas",
        "--target",
        "sv",
        "--sources",
        "da,es",
        "--bootstrap",
        0,
        "--json",
    )
    assert json.loads(out)["law_options"]["sources"] == ["dan_Latn", "spa_Latn"]
    with pytest.raises(InputError, match="no such option") as caught:
        printed("fit", path, "--law", "chinchilla", "--variant", "full")
    assert caught.value.remedy == "leave it out: this law has none"
    with pytest.raises(InputError, match="said twice"):
        printed("fit", path, "--law", "atlas:target", "--variant", "full")


def test_laws_are_compared(table):
    text = printed("compare", table, "--law", "chinchilla", "--law", "kaplan")
    assert "chinchilla" in text
    assert "R²(N)" in text
    rows = json.loads(printed("compare", table, "--law", "chinchilla", "--json"))["rows"]
    assert [row["law"] for row in rows] == ["chinchilla"]


def test_what_the_comparison_calls_a_law_can_be_asked_for_by_itself(tmp_path):
    path = tmp_path / "runs.parquet"
    planted_runs(sizes=(4e5, 1.6e6)).write_parquet(path)
    forms = ["atlas:target", "atlas:full", "chinchilla:alpha=beta", "chinchilla"]
    named = [text for form in forms for text in ("--law", form)]
    rows = json.loads(printed("compare", path, "--target", "sv", *named, "--json"))["rows"]
    assert [(row["law"], row["variant"]) for row in rows] == [
        ("atlas", "target"),
        ("atlas", "full"),
        ("chinchilla", "alpha=beta"),
        ("chinchilla", None),
    ]


def test_a_folder_of_runs_is_fitted(tmp_path):
    for i, size in enumerate((400_000, 1_600_000, 6_400_000)):
        lines = [
            eval_line(step, step * 1000, "swe_Latn", 2 + 40 / size**0.3 + 60 / (step * 1e3) ** 0.3)
            for step in (100, 200, 400, 800)
        ]
        write_run(tmp_path / "runs", lines, run_id=f"run-{i}", n_params=size)
    found = json.loads(printed("fit", tmp_path / "runs", "--bootstrap", 0, "--json"))
    assert (found["n_rows"], found["n_runs"], found["target"]) == (12, 3, "swe_Latn")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("empty.csv", "", "the file is empty"),
        ("runs.xls", "x", "one of the endings"),
        ("runs.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=problem):
        printed("fit", path)


def test_a_file_larger_than_memory_is_refused_before_it_is_read(table, monkeypatch):
    monkeypatch.setattr(tables, "free_bytes", lambda: 1000.0)
    with pytest.raises(InputError, match="larger than this machine can read") as caught:
        printed("fit", table)
    assert "atlas runs import" in caught.value.remedy


def test_an_exported_run_table_is_read_as_it_was_written(tmp_path):
    frame = read_runs(write_run(tmp_path / "runs", _lines()).parent).frame
    path = tmp_path / "runs.csv"
    write_table(frame, path)
    found = json.loads(printed("fit", path, "--law", "single_power", "--bootstrap", 0, "--json"))
    assert found["target"] == "swe_Latn"


def _lines():
    return [eval_line(i, i * 1000, "swe_Latn", 2 + 9 / i**0.3) for i in range(1, 9)]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        printed("fit", tmp_path / "nothing.csv")


def test_two_processes_share_the_fits_of_several_targets(tmp_path):
    runs = tmp_path / "runs.parquet"
    write_table(planted_runs(), runs)
    options = ("--target", "all", "--bootstrap", 8, "--json")
    assert printed("fit", runs, *options, "--workers", 2) == printed("fit", runs, *options)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the processes in /proc")
def test_ctrl_c_ends_all_processes_without_a_traceback(tmp_path):
    runs = tmp_path / "runs.parquet"
    write_table(planted_runs(), runs)
    command = [sys.executable, "-m", "atlas_scaling", "compare", str(runs), "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        deadline = time.monotonic() + 60
        while len(children.read_text().split()) < 3:  # the tracker of multiprocessing is one
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.2)  # the workers are at their imports
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "stopped" in said


@pytest.mark.parametrize(
    "command",
    [
        ("fit", "--workers", 2),
        ("fit", "--workers", 2, "--target", "all", "--law", "my.py:Mine"),
        ("compare", "--workers", 2, "--law", "my.py:Mine"),
    ],
)
def test_processes_that_cannot_share_the_work_are_refused(table, command):
    with pytest.raises(InputError, match="several processes") as caught:
        printed(command[0], table, *command[1:])
    assert caught.value.where == "--workers"
