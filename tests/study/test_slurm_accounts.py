"""A real SLURM with accounts: what is known of jobs that squeue has forgotten.

Jobs that ran out of time or memory take a minute, or cgroups; docs/engines.md says what of them was
seen by hand.
"""

import json
import subprocess
import time

import pytest

pytest.importorskip("submitit", reason="SLURM is reached through the extra [slurm]")

from atlas_scaling.study.engines.base import JobState
from atlas_scaling.study.engines.options import SlurmOptions, note_options
from atlas_scaling.study.engines.slurm import SlurmEngine
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.status import Standing, study_status
from tests.study.slurm_cluster import slurm_cluster, why_not
from tests.study.trial import spec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(why_not(accounts=True) is not None, reason=str(why_not(accounts=True))),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), accounts=True) as environment:
        yield environment


def test_how_forgotten_jobs_ended_is_told_from_the_accounts(cluster, tmp_path, monkeypatch):
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster[name])
    study = StudyFolder.begin(tmp_path / "study", spec())
    (study.path / "slurm").mkdir()
    note_options(study.path, SlurmOptions())

    failed = submit("exit 3")
    cancelled = submit("sleep 100")
    lost = submit("sleep 100", "--no-requeue")
    wait_for(lambda: slurm("squeue", "-h", "-t", "R", "-o", "%i").split() == [cancelled, lost])
    waiting = submit("sleep 100", "--array=0-1")
    wait_for(lambda: "PENDING" in slurm("sacct", "-nPX", "-o", "State", "-j", waiting))
    slurm("scancel", cancelled, waiting)
    node = slurm("sinfo", "-h", "-N", "-o", "%N").split()[0]
    slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    slurm("scontrol", "update", f"nodename={node}", "state=resume")
    wait_for(lambda: not slurm("squeue", "-h", "--states=all"))

    expected = {
        failed: (JobState.ENDED, "FAILED"),
        cancelled: (JobState.CANCELLED, "CANCELLED by 0"),
        lost: (JobState.ENDED, "NODE_FAIL"),
        f"{waiting}_0": (JobState.CANCELLED, "CANCELLED by 0"),
        f"{waiting}_1": (JobState.CANCELLED, "CANCELLED by 0"),
    }
    runs = [run.run_id for run in study.design.runs]
    runs += [f"no-run-{number}" for number in range(len(expected) - len(runs))]
    lines = [
        {"job": job, "runs": [run_id], "submitted_at": ""}
        for job, run_id in zip(expected, runs, strict=False)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (study.path / "slurm" / "jobs.jsonl").write_text(text)
    found = SlurmEngine(SlurmOptions()).jobs(study.path).values()
    assert {job.job_id: (job.state, job.reason) for job in found} == expected

    told = [(run.state, run.reason) for run in study_status(study.path).runs][:3]
    assert told == [
        (Standing.LOST, "it never began; its job ended: FAILED"),
        (Standing.STOPPED, "it never began; its job ended: CANCELLED by 0"),
        (Standing.LOST, "it never began; its job ended: NODE_FAIL"),
    ]


def submit(command: str, *options: str) -> str:
    return slurm("sbatch", "--parsable", "--output=/dev/null", *options, f"--wrap={command}")


def slurm(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def wait_for(condition, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, slurm("squeue", "--states=all")
        time.sleep(0.2)
