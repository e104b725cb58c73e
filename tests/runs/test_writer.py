import errno
import os

import pytest

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import EvalRow, LrState, RunState, RunStatus
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import append_evals, mend, replace_whole, write_status


def evaluation(step: int, *languages: str) -> list[EvalRow]:
    return [
        EvalRow(
            step=step,
            tokens=step * 512,
            tokens_by_language={"swe_Latn": step * 512},
            language=code,
            loss=5.0 / step,
            bits_per_byte=2.0 / step,
            lr=0.01,
            lr_state=LrState.STABLE,
        )
        for code in languages
    ]


def test_what_is_appended_is_read_back(tmp_path):
    rows = [*evaluation(1, "swe_Latn", "spa_Latn"), *evaluation(2, "swe_Latn")]
    append_evals(tmp_path, rows[:2])
    append_evals(tmp_path, rows[2:])
    assert sorted(read_run(tmp_path).rows, key=rows.index) == rows


def test_a_kill_at_any_byte_loses_at_most_the_evaluation_being_written(tmp_path):
    append_evals(tmp_path, evaluation(1, "swe_Latn"))
    path = tmp_path / "evals.jsonl"
    before = path.read_bytes()
    append_evals(tmp_path, evaluation(2, "swe_Latn"))
    after = path.read_bytes()
    for end in range(len(before), len(after)):
        path.write_bytes(after[:end])
        mend(tmp_path)
        assert path.read_bytes() == before


def test_half_written_files_of_a_killed_process_are_removed_and_others_left(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    replace_whole(tmp_path / "checkpoints" / "last.safetensors", b"whole")
    (tmp_path / "checkpoints" / ".last.safetensors.partial-99").write_bytes(b"ha")
    (tmp_path / ".status.json.partial-99").write_bytes(b"{")
    mend(tmp_path)
    left = sorted(p.name for p in tmp_path.rglob("*") if p.is_file())
    assert left == ["last.safetensors"]


def test_a_disk_that_takes_half_an_evaluation_is_full_and_the_half_is_taken_back(
    tmp_path, monkeypatch
):
    append_evals(tmp_path, evaluation(1, "swe_Latn"))
    before = (tmp_path / "evals.jsonl").read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
    with pytest.raises(RunError, match="disk is full") as caught:
        append_evals(tmp_path, evaluation(2, "swe_Latn"))
    assert (tmp_path / "evals.jsonl").read_bytes() == before
    assert caught.value.where == str(tmp_path / "evals.jsonl")
    assert "make room" in caught.value.remedy


def test_a_status_that_cannot_be_replaced_leaves_the_one_before(tmp_path, monkeypatch):
    first = RunStatus(state=RunState.RUNNING, step=1, updated_at="2026-11-23T10:00:00+00:00")
    write_status(tmp_path, first)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk is full"):
        write_status(tmp_path, first.model_copy(update={"step": 2}))
    assert RunStatus.model_validate_json((tmp_path / "status.json").read_bytes()) == first
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]


def test_a_folder_that_cannot_be_written_is_named_with_what_to_check(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written") as caught:
        append_evals(tmp_path / "file", evaluation(1, "swe_Latn"))
    assert "permissions" in caught.value.remedy
