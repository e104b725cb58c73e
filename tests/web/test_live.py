"""Runs that go on while they are looked at."""

import json
from pathlib import Path

import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import EvalRow
from atlas_scaling.web import live
from atlas_scaling.web.live import LiveRuns
from tests.run_files import eval_line, write_run


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(live, "WALK_SECONDS", 0.0)


def say(path: Path, **status):
    status = {"state": "running", "updated_at": "2026-11-23T10:00:00+00:00", **status}
    (path / "status.json.new").write_text(json.dumps(status))
    (path / "status.json.new").replace(path / "status.json")


def test_a_run_is_seen_to_go_on(tmp_path):
    runs = LiveRuns([tmp_path])
    assert runs.page().total == 0
    path = write_run(tmp_path, [eval_line(1, 1024, "swe_Latn", 5.0)], state=None)
    assert runs.page().states == {"waiting": 1}
    say(path, tokens=1024, tokens_per_second=512.0)
    line = runs.page().runs[0]
    assert (line.state, line.tokens, line.tokens_planned) == ("running", 1024, 4096)
    assert line.seconds_left == (4096 - 1024) / 512
    say(path, tokens=4096, tokens_per_second=512.0, state="done")
    line = runs.page().runs[0]
    assert (line.state, line.seconds_left) == ("done", None)


def test_the_version_changes_with_the_runs_and_only_then(tmp_path):
    path = write_run(tmp_path, [])
    runs = LiveRuns([tmp_path])
    first = runs.page().version
    assert runs.page().version == first
    say(path, tokens=7)
    assert runs.page().version > first


def test_only_new_lines_of_evaluations_are_read(tmp_path, monkeypatch):
    path = write_run(tmp_path, [eval_line(i, i * 100, "swe_Latn", 5 - i / 10) for i in (1, 2, 3)])
    runs = LiveRuns([tmp_path])
    run_id = runs.page().runs[0].run_id
    assert runs.curves([run_id])[0].tokens == (100, 200, 300)
    with (path / "evals.jsonl").open("a") as file:
        file.write(eval_line(4, 400, "swe_Latn", 4.2) + "\n")
        file.write(eval_line(5, 500, "swe_Latn", 4.1)[:40])  # still being written
    read = []
    validate = EvalRow.model_validate_json
    monkeypatch.setattr(
        EvalRow, "model_validate_json", lambda line: read.append(line) or validate(line)
    )
    assert runs.curves([run_id])[0].tokens == (100, 200, 300, 400)
    assert len(read) == 1
    with (path / "evals.jsonl").open("a") as file:
        file.write(eval_line(5, 500, "swe_Latn", 4.1)[40:] + "\n")
    assert runs.curves([run_id])[0].tokens[-1] == 500


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = write_run(tmp_path, [eval_line(i, i * 100, "swe_Latn", 5.0) for i in range(1, 9)])
    runs = LiveRuns([tmp_path])
    run_id = runs.page().runs[0].run_id
    assert len(runs.curves([run_id])[0].tokens) == 8
    (path / "evals.jsonl").write_text(eval_line(1, 100, "swe_Latn", 4.0) + "\n")
    assert runs.curves([run_id])[0].loss == (4.0,)


def test_a_record_that_cannot_be_read_is_said_and_the_others_are_shown(tmp_path):
    write_run(tmp_path, [], run_id="good")
    bad = write_run(tmp_path, [], run_id="bad")
    (bad / "run.json").write_text('{"run_id": "ba')
    page = LiveRuns([tmp_path]).page()
    assert [run.run_id for run in page.runs] == ["good"]
    assert len(page.notes) == 1
    assert "bad" in page.notes[0]


def test_filters_and_order(tmp_path):
    for i, (state, group) in enumerate((("done", "a"), ("failed", "a"), ("running", "b"))):
        path = write_run(tmp_path, [], run_id=f"run{i}", group=group, n_params=100 * (i + 1))
        say(path, state=state, tokens=1000 * i, tokens_per_second=10.0 if i else None)
    runs = LiveRuns([tmp_path])
    ids = lambda **query: [run.run_id for run in runs.page(**query).runs]  # noqa: E731
    assert ids(states=["failed", "running"]) == ["run1", "run2"]
    assert ids(groups=["b"]) == ["run2"]
    assert ids(sizes=[100]) == ["run0"]
    assert ids(text="RUN1") == ["run1"]
    assert ids(language="swe_Latn") == ["run0", "run1", "run2"]
    assert ids(language="dan_Latn") == []
    assert ids(sort="n_params", descending=True) == ["run2", "run1", "run0"]
    assert ids(sort="tokens_per_second") == ["run1", "run2", "run0"]  # not known comes last
    assert ids(sort="tokens_per_second", descending=True) == ["run1", "run2", "run0"]
    assert ids(offset=1, limit=1) == ["run1"]


def test_the_study_says_what_has_not_begun(tmp_path):
    from atlas_scaling.study.design import design_study
    from atlas_scaling.study.spec import load_study, packaged_studies

    plan = design_study(load_study(packaged_studies()["demo"])).runs
    write_run(tmp_path, [], run_id=plan[3].run_id)
    page = LiveRuns([tmp_path], plan).page(limit=1000)
    assert [run.run_id for run in page.runs] == [run.run_id for run in plan]
    assert page.states == {"done": 1, "waiting": len(plan) - 1}


def test_thousands_of_runs_are_paged(tmp_path):
    for i in range(3000):
        write_run(tmp_path, [], run_id=f"run{i:05d}")
    runs = LiveRuns([tmp_path])
    page = runs.page(offset=2990, limit=100)
    assert page.total == 3000
    assert [run.run_id for run in page.runs] == [f"run{i:05d}" for i in range(2990, 3000)]


def test_an_unknown_run_is_refused_with_the_nearest_one(tmp_path):
    write_run(tmp_path, [], run_id="mono-swe")
    runs = LiveRuns([tmp_path])
    with pytest.raises(InputError) as refused:
        runs.detail("mono-sve")
    assert "mono-swe" in refused.value.remedy
    assert runs.detail("mono-swe").record["run_id"] == "mono-swe"
