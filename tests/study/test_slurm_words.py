"""What SLURM's programs print, read without a SLURM: programs of the same name say it."""

import json

import pytest

pytest.importorskip("submitit", reason="SLURM is reached through the extra [slurm]")

from atlas_scaling.errors import RunError
from atlas_scaling.study.engines.base import JobState
from atlas_scaling.study.engines.options import SlurmOptions
from atlas_scaling.study.engines.slurm import (
    SlurmEngine,
    requeue_if_a_node_is_lost,
    requeue_if_preempted,
)
from atlas_scaling.study.folder import StudyFolder
from tests.study.trial import spec


@pytest.fixture
def study(tmp_path, monkeypatch):
    study = StudyFolder.begin(tmp_path / "study", spec())
    (study.path / "slurm").mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return study


def noted(study, *jobs: str) -> None:
    lines = [{"job": job, "runs": [f"run-{job}"], "submitted_at": ""} for job in jobs]
    path = study.path / "slurm" / "jobs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def program(study, name: str, text: str, code: int = 0) -> None:
    path = study.path.parent / "bin" / name
    path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    path.chmod(0o755)


def jobs(study) -> dict:
    found = SlurmEngine(SlurmOptions()).jobs(study.path)
    return {job.job_id: (job.state, job.reason) for job in found.values()}


def test_every_task_of_an_array_is_found_in_lines_for_one_and_for_many(study):
    noted(study, "4_0", "4_1", "4_2", "4_7", "5")
    program(study, "squeue", "4_0|RUNNING|None\n4_[1-2,7%4]|CANCELLED|None\n5|PENDING|Dependency")
    assert jobs(study) == {
        "4_0": (JobState.RUNNING, None),
        "4_1": (JobState.CANCELLED, "CANCELLED"),
        "4_2": (JobState.CANCELLED, "CANCELLED"),
        "4_7": (JobState.CANCELLED, "CANCELLED"),
        "5": (JobState.QUEUED, "Dependency"),
    }


def test_jobs_that_squeue_has_forgotten_are_looked_up_in_the_accounts(study):
    noted(study, "1_0", "1_1", "2", "3")
    program(study, "squeue", "3|REQUEUE_HOLD|job requeued in held state")
    program(study, "sacct", "1_0|TIMEOUT\n1_1|CANCELLED by 1000")
    assert jobs(study) == {
        "1_0": (JobState.ENDED, "TIMEOUT"),
        "1_1": (JobState.CANCELLED, "CANCELLED by 1000"),
        "2": (JobState.ENDED, "squeue no longer knows it"),
        "3": (JobState.QUEUED, "REQUEUE_HOLD, job requeued in held state"),
    }


def test_tasks_of_an_array_that_never_began_are_found_in_the_accounts_as_slurm_has_them(study):
    noted(study, "4_0", "4_2")
    program(study, "squeue", "")
    # as sacct of 22.05 does: one line for them, which --jobs=4_0 does not find
    path = study.path.parent / "bin" / "sacct"
    path.write_text('#!/bin/sh\ncase "$*" in *_*) ;; *) echo "4_[0-2]|CANCELLED by 0" ;; esac\n')
    path.chmod(0o755)
    assert jobs(study) == {
        "4_0": (JobState.CANCELLED, "CANCELLED by 0"),
        "4_2": (JobState.CANCELLED, "CANCELLED by 0"),
    }


def test_a_cluster_without_accounts_is_no_trouble(study):
    noted(study, "1")
    program(study, "squeue", "")
    program(study, "sacct", "Slurm accounting storage is disabled", code=1)
    assert jobs(study) == {"1": (JobState.ENDED, "squeue no longer knows it")}


def test_a_controller_that_does_not_answer_is_an_error_and_not_an_empty_queue(study):
    noted(study, "1")
    program(study, "squeue", "", code=1)
    with pytest.raises(RunError, match="squeue failed"):
        jobs(study)


def test_the_last_job_of_a_run_counts_and_a_torn_line_does_not(study):
    path = study.path / "slurm" / "jobs.jsonl"
    lines = [{"job": job, "runs": ["a"], "submitted_at": ""} for job in ("1", "2")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"job": "3", "ru')
    program(study, "squeue", "1|COMPLETED|None\n2|RUNNING|None")
    assert jobs(study) == {"2": (JobState.RUNNING, None)}


@pytest.mark.parametrize(
    ("said", "requeued"),
    [
        ("JobId=7 JobState=RUNNING PreemptTime=2026-11-26T23:35:42 SuspendTime=None", True),
        ("JobId=7 JobState=RUNNING PreemptTime=None SuspendTime=None", False),
        ("JobId=7 JobState=COMPLETING PreemptTime=2026-11-26T23:35:42", False),  # SLURM does it
    ],
)
def test_a_job_told_to_end_is_requeued_where_another_takes_its_place(study, said, requeued):
    program(study, "scontrol", said)
    assert requeue_if_preempted("7") is requeued


@pytest.mark.parametrize(("code", "requeued"), [(1, True), (0, False)])
def test_a_job_is_requeued_where_srun_cannot_start_a_program_on_all_its_nodes(
    study, monkeypatch, code, requeued
):
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    program(study, "srun", "srun: error: Task launch failed", code)
    program(study, "scontrol", "")
    assert requeue_if_a_node_is_lost("7", 2) is requeued
    monkeypatch.setenv("SLURM_RESTART_COUNT", "20")  # it is not the node then
    assert requeue_if_a_node_is_lost("7", 2) is False


def test_where_slurm_cannot_be_asked_nothing_is_requeued(study, monkeypatch):
    monkeypatch.setenv("PATH", str(study.path))
    assert requeue_if_preempted("7") is False
    assert requeue_if_a_node_is_lost("7", 2) is False
