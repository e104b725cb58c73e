"""What a scheduler says of a study's runs reaches the table of runs."""

import json
import os
import time
from datetime import UTC, datetime

import pytest

from atlas_scaling.runs.record import RunRecord, RunState, RunStatus
from atlas_scaling.study.engines.options import SlurmOptions, note_options
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.spec import load_study, packaged_studies
from atlas_scaling.web import engines, live
from atlas_scaling.web.run_lines import begun_line, with_standing
from tests.run_files import write_run

pytest.importorskip("submitit", reason="SLURM is reached through the extra [slurm]")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study on SLURM: run 0 is done, 1 runs no more, 2 and 3 are in the queue."""
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(live, "WALK_SECONDS", 0.0)
    monkeypatch.setattr(engines, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(engines, "PAUSE", 0.0)
    study = StudyFolder.begin(tmp_path / "study", load_study(packaged_studies()["demo"]))
    note_options(study.path, SlurmOptions())
    runs = [run.run_id for run in study.design.runs]
    write_run(study.runs_dir, [], run_id=runs[0])
    write_run(study.runs_dir, [], run_id=runs[1], state="running")
    (study.path / "slurm").mkdir()
    line = {"job": "4_0", "runs": runs[2:4], "submitted_at": datetime.now(UTC).isoformat()}
    (study.path / "slurm" / "jobs.jsonl").write_text(json.dumps(line) + "\n")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return study


def squeue(study, said):
    path = study.path.parent / "bin" / "squeue"
    path.write_text(f"#!/bin/sh\n{said}\n")
    path.chmod(0o755)


def looked(session, is_told, seconds=60):
    """The page of runs, once it tells what is waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        session.engines.look()
        page = session.runs.page(limit=5)
        if is_told(page):
            return page
        time.sleep(0.05)
    raise AssertionError(page)


def test_queued_and_lost_runs_are_told_apart_and_a_scheduler_that_is_away_is_said(
    study, session_on
):
    squeue(study, "echo '4_0|PENDING|Priority'")
    session = session_on(study.path)
    first = session.runs.page(limit=5)
    assert [run.state for run in first.runs] == ["done", "running", "waiting", "waiting", "waiting"]
    assert first.studies[0].engine is None
    page = looked(session, lambda page: page.studies[0].engine is not None)
    assert [run.state for run in page.runs] == ["done", "lost", "queued", "queued", "waiting"]
    assert [run.job for run in page.runs] == [None, None, "4_0", "4_0", None]
    assert page.runs[2].reason == "Priority"
    assert page.studies[0].engine == "slurm"
    assert page.studies[0].resume == f"atlas study resume {study.path}"
    assert page.studies[0].states["queued"] == 2
    assert page.version > first.version
    squeue(study, "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1")
    page = looked(session, lambda page: page.studies[0].warnings)
    assert "Unable to contact" in page.studies[0].warnings[0]
    assert [run.state for run in page.runs][:2] == ["done", "lost"]


def test_what_a_run_said_since_the_engine_was_asked_is_newer(study):
    status = RunStatus(state=RunState.DONE, step=2, updated_at="2026-11-23T10:05:00+00:00")
    record = RunRecord.model_validate_json(
        (study.run_dir(study.design.runs[1].run_id) / "run.json").read_bytes()
    )
    line = begun_line(record, status)
    said = {"host": "node7", "job": "4_0", "state": "lost", "reason": "gone", "updated_at": "then"}
    assert with_standing(line, said).state == "done"
    assert with_standing(line, said).job == "4_0"
    assert with_standing(line, said | {"updated_at": status.updated_at}).state == "lost"


def test_nobody_is_asked_while_nobody_looks(study, session_on):
    session = session_on(study.path)
    session.runs.page()
    assert session.engines._asked is None
