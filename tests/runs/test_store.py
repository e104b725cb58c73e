import json

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.runs.store import SCHEMA, read_runs, value_of
from tests.run_files import eval_line, write_run


def test_every_evaluation_becomes_one_row_with_the_facts_of_its_run(tmp_path):
    lines = [eval_line(1, 2048, "swe_Latn", 6.0), eval_line(2, 4096, "swe_Latn", 5.0)]
    write_run(tmp_path, lines)
    frame = read_runs(tmp_path).frame
    assert dict(frame.schema) == {k: v() if isinstance(v, type) else v for k, v in SCHEMA.items()}
    assert frame["loss"].to_list() == [6.0, 5.0]
    assert frame["n_params"].to_list() == [364_928.0] * 2
    assert frame["flops"].to_list() == [6.0 * 364_928 * 2048, 6.0 * 364_928 * 4096]


def test_a_language_without_a_share_counts_as_zero(tmp_path):
    write_run(tmp_path, [eval_line(1, 2048, "spa_Latn", 7.0)])
    frame = read_runs(tmp_path).frame
    assert value_of(frame, "tokens_by_language", "swe_Latn").to_list() == [2048.0]
    assert value_of(frame, "tokens_by_language", "spa_Latn").to_list() == [0.0]
    assert value_of(frame, "mixture", "swe_Latn").to_list() == [1.0]


def test_rows_of_one_step_keep_the_counts_they_were_written_with(tmp_path):
    first = eval_line(1, 2048, "spa_Latn", 7.0)
    second = json.loads(eval_line(1, 2048, "swe_Latn", 6.0))
    second["tokens_by_language"] = {"swe_Latn": 2000}
    write_run(tmp_path, [first, json.dumps(second), eval_line(2, 4096, "swe_Latn", 5.0)])
    frame = read_runs(tmp_path).frame
    assert frame["language"].to_list() == ["spa_Latn", "swe_Latn", "swe_Latn"]
    assert value_of(frame, "tokens_by_language", "swe_Latn").to_list() == [2048.0, 2000.0, 4096.0]


def test_a_torn_last_line_is_dropped_with_a_note_and_nothing_else_is_lost(tmp_path):
    path = write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)])
    whole = eval_line(2, 4096, "swe_Latn", 5.0)
    for cut in range(1, len(whole) + 1):
        (path / "evals.jsonl").write_text(eval_line(1, 2048, "swe_Latn", 6.0) + "\n" + whole[:cut])
        table = read_runs(tmp_path)
        assert table.frame["step"].to_list() == [1]
        assert [note.problem for note in table.notes] == ["torn last line, dropped"]
        assert table.notes[0].where.endswith("evals.jsonl:2")


def test_a_broken_line_in_the_middle_is_dropped_with_its_place(tmp_path):
    lines = [eval_line(1, 2048, "swe_Latn", 6.0), "{broken", eval_line(3, 6144, "swe_Latn", 4.0)]
    write_run(tmp_path, lines)
    table = read_runs(tmp_path)
    assert table.frame["step"].to_list() == [1, 3]
    assert table.notes[0].where.endswith("evals.jsonl:2")


def test_a_repeated_step_is_one_row_and_a_contradiction_is_noted(tmp_path):
    lines = [eval_line(1, 2048, "swe_Latn", 6.0)] * 2 + [eval_line(1, 2048, "swe_Latn", 5.5)]
    write_run(tmp_path, lines)
    table = read_runs(tmp_path)
    assert table.frame["loss"].to_list() == [5.5]
    assert len(table.notes) == 1
    assert "already 6" in table.notes[0].problem


def test_a_decay_that_branches_off_is_no_continued_run(tmp_path):
    line = [eval_line(9, 4096, "swe_Latn", 3.0, lr_state="decayed")]
    write_run(tmp_path, line, run_id="decay", base_run="trunk", branch_tokens=3000)
    write_run(tmp_path, line, run_id="continued", base_run="trunk")
    frame = read_runs(tmp_path).frame
    assert dict(frame.select("run_id", "base_run").iter_rows()) == {
        "decay": None,
        "continued": "trunk",
    }


def test_folders_of_runs_are_read_at_any_depth(tmp_path):
    write_run(tmp_path / "a" / "b", [eval_line(1, 2048, "swe_Latn", 6.0)])
    write_run(tmp_path / "c", [eval_line(1, 2048, "swe_Latn", 6.1)], run_id="other")
    assert read_runs(tmp_path).frame["run_id"].n_unique() == 2


def test_one_run_copied_to_two_places_is_refused_with_both(tmp_path):
    for place in ("a", "b"):
        write_run(tmp_path / place, [eval_line(1, 2048, "swe_Latn", 6.0)])
    with pytest.raises(InputError, match="two directories claim one run id") as caught:
        read_runs(tmp_path)
    assert str(tmp_path / "a") in caught.value.where
    assert str(tmp_path / "b") in caught.value.where


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("")])
def test_a_path_without_runs_is_refused(tmp_path, make):
    path = tmp_path / "nothing"
    make(path)
    with pytest.raises(InputError) as caught:
        read_runs(path)
    assert caught.value.value == str(path)


def test_an_unreadable_record_leaves_out_its_run_and_says_so(tmp_path):
    write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)])
    bad = write_run(tmp_path, [eval_line(1, 2048, "swe_Latn", 6.0)], run_id="bad")
    (bad / "run.json").write_text("{")
    table = read_runs(tmp_path)
    assert table.frame["run_id"].unique().to_list() == ["mono-swe_Latn-s-seed0"]
    assert any("run.json" in note.where for note in table.notes)


def test_a_run_that_has_not_been_evaluated_is_no_error(tmp_path):
    path = write_run(tmp_path, [])
    (path / "evals.jsonl").unlink()
    table = read_runs(tmp_path)
    assert table.frame.height == 0
    assert isinstance(table.frame, pl.DataFrame)
    assert "no evaluation" in table.notes[0].problem


def test_tokens_of_earlier_stages_are_told_from_those_of_the_present_one(tmp_path):
    stages = [
        {"fraction": 0.5, "mixture": {"swe_Latn": 0.25, "dan_Latn": 0.75}},
        {"fraction": 0.5, "mixture": {"swe_Latn": 1.0}},
    ]
    mixture = {"swe_Latn": 0.625, "dan_Latn": 0.375}
    lines = [eval_line(i, 1024 * i, "swe_Latn", 6.0 - i / 10) for i in (1, 2, 3, 4)]
    write_run(tmp_path, lines, tokens=4096, mixture=mixture, stages=stages)
    frame = read_runs(tmp_path).frame
    assert value_of(frame, "early_tokens", "swe_Latn").to_list() == [0.0, 0.0, 512.0, 512.0]
    assert value_of(frame, "early_tokens", "dan_Latn").to_list() == [0.0, 0.0, 1536.0, 1536.0]
