"""A real SLURM of one node, and real studies on it: killed, cancelled, drained, pre-empted, out
of time.

Each ends with the very lines that the same study writes when nothing goes wrong.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("submitit", reason="SLURM is reached through the extra [slurm]")

from tests.study.slurm_cluster import slurm_cluster, why_not
from tests.study.small_study import write_small_study

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]
BASE, CONTINUED = "even2-s-seed0", "continued-swe_Latn-from-even2-s-seed0"
TOKENS = 60_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with slurm_cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


class Study:
    """The command line at work on one study of four runs."""

    def __init__(self, spec: Path, output: Path, environment: dict[str, str]) -> None:
        self.spec, self.output = spec, output
        self.environment = environment

    def atlas(self, *words: str, code: int = 0) -> dict:
        command = [sys.executable, "-m", "atlas_scaling", "study", *words, "--json"]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def run(self, *options: str) -> dict:
        words = [word for option in options for word in ("-O", option)]
        engine = ("--engine", "slurm") if words else ()
        wait = () if not words or "--wait" in words else ("--no-wait",)
        return self.atlas("run", str(self.spec), "-o", str(self.output), *engine, *words, *wait)

    def resume(self) -> dict:
        return self.atlas("resume", str(self.output))

    def state(self, run_id: str) -> dict:
        runs = self.atlas("status", str(self.output))["runs"]
        return next(run for run in runs if run["run_id"] == run_id)

    def evaluations(self) -> dict[str, str]:
        found = self.output.glob("runs/*/evals.jsonl")
        return {path.parent.name: path.read_text() for path in found}

    def training(self, run_id: str = BASE) -> dict | None:
        """The status of a run that has written a checkpoint and goes on."""
        run_dir = self.output / "runs" / run_id
        if not list(run_dir.glob("checkpoints/*/weights-*")):
            return None
        status = json.loads((run_dir / "status.json").read_text())
        return status if status["state"] == "running" and _is_alive(status["pid"]) else None

    def all_done(self) -> bool:
        files = list(self.output.glob("runs/*/status.json"))
        return [json.loads(path.read_text())["state"] for path in files] == ["done"] * 4

    def log(self) -> str:
        """What jobs printed."""
        return "".join(path.read_text() for path in self.output.glob("slurm/*_log.*"))

    def account(self) -> str:
        """All that can be known, for whoever reads that a test failed."""
        status = json.dumps(self.atlas("status", str(self.output)), indent=1)
        return f"{status}\n{self.slurm('squeue', '--states=all')}\n{self.log()}"

    def slurm(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout

    def jobs(self) -> list[str]:
        lines = (self.output / "slurm" / "jobs.jsonl").read_text().splitlines()
        return [json.loads(line)["job"] for line in lines]


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spec")
    return write_small_study(folder, tokens=TOKENS)


@pytest.fixture
def study(spec, cluster, tmp_path):
    environment = {**cluster, "ATLAS_CACHE": str(spec.parent / "cache")}
    study = Study(spec, tmp_path / "out", environment)
    yield study
    node = study.slurm("sinfo", "-h", "-N", "-o", "%N").split()[0]
    if study.slurm("sinfo", "-h", "-o", "%T").split()[0] in ("drained", "draining", "down"):
        study.slurm("scontrol", "update", f"nodename={node}", "state=resume")  # for the next test
    study.slurm("scancel", "--user=root")


@pytest.fixture(scope="module")
def unbroken(spec, tmp_path_factory):
    environment = {**os.environ, "ATLAS_CACHE": str(spec.parent / "cache")}
    study = Study(spec, tmp_path_factory.mktemp("unbroken") / "out", environment)
    assert study.run()["n_done"] == 4
    return study.evaluations()


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, *, seconds: float = 90, account=lambda: ""):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in time\n{account()}"
        time.sleep(0.05)
    return found


def test_a_killed_worker_and_a_cancelled_job_lose_nothing(study, unbroken):
    left = study.run("cpus=2", "runs_per_job=3")
    assert (left["n_done"], left["n_in_hand"], left["failed"]) == (0, 4, {})
    first, after = study.jobs()
    assert f"afterany:{first}" in study.slurm("squeue", "-h", "-j", after, "-o", "%E")

    killed = wait_for(study.training)
    os.kill(killed["pid"], signal.SIGKILL)
    again = wait_for(lambda: (now := study.training()) and now["pid"] != killed["pid"] and now)

    os.kill(again["pid"], signal.SIGSTOP)  # not to be done before scancel, which wakes it first
    study.slurm("scancel", first)
    wait_for(lambda: not study.slurm("squeue", "-h", "-o", "%i"))
    stopped = study.state(BASE)
    assert (stopped["state"], stopped["job"]) == ("stopped", first)
    assert "CANCELLED" in stopped["reason"]
    assert study.state(CONTINUED)["state"] == "waiting"

    outcome = study.resume()
    assert (outcome["n_done"], outcome["failed"]) == (4, {})
    assert study.evaluations() == unbroken


def test_a_drained_node_holds_a_study_up_and_a_lost_one_requeues_it(study, unbroken):
    node = study.slurm("sinfo", "-h", "-N", "-o", "%N").split()[0]
    update = ("scontrol", "update", f"nodename={node}")
    study.slurm(*update, "state=drain", "reason=test")
    study.run("cpus=2", "runs_per_job=3", "workers=2")
    queued = study.state(BASE)
    assert queued["state"] == "queued"
    # SLURM's own words: of its scheduler, or of the one that fills gaps, whichever looked last
    assert re.search("DRAINED|UnavailableNodes", queued["reason"])

    study.slurm(*update, "state=resume")
    lost = wait_for(study.training)
    study.slurm(*update, "state=down", "reason=test")
    wait_for(lambda: study.state(BASE)["state"] == "queued")
    # slurmd itself never died here. A job that begins while it reports what it has, which is
    # nothing yet, would be taken for one that could not be launched: so it is held meanwhile.
    first = study.jobs()[0]
    study.slurm("scontrol", "hold", first)
    study.slurm(*update, "state=resume")
    wait_for(lambda: study.slurm("sinfo", "-h", "-o", "%T").strip() == "idle")
    wait_for(lambda: not _is_alive(lost["pid"]))
    study.slurm("scontrol", "release", first)
    wait_for(study.all_done, account=study.account)
    assert study.evaluations() == unbroken
    assert len(study.jobs()) == 2  # SLURM's own requeue, no new submission


def test_a_job_that_another_pre_empts_writes_checkpoints_and_goes_on_after_it(study, unbroken):
    study.run("cpus=2", "runs_per_job=3", "workers=2")
    wait_for(study.training)
    study.slurm("sbatch", "--partition=urgent", "--output=/dev/null", "--wrap=sleep 1")
    wait_for(lambda: "pre-empted and requeued by SLURM" in study.log(), account=study.account)
    wait_for(study.all_done, account=study.account)
    assert study.evaluations() == unbroken
    assert len(study.jobs()) == 2  # the very same, no new submission


def test_before_the_time_limit_a_checkpoint_is_written_and_the_job_requeued(study, unbroken):
    study.run("runs_per_job=4", "time=10", "signal_seconds=100")
    status = wait_for(study.training, account=study.account)
    os.kill(status["pid"], signal.SIGSTOP)  # or it might be done before SLURM looks, in 30 s
    job = study.jobs()[0]
    limit = ("scontrol", "update", f"jobid={job}")
    study.slurm(*limit, "timelimit=2")
    wait_for(lambda: "Caught signal SIGUSR2" in study.log(), account=study.account)
    os.kill(status["pid"], signal.SIGCONT)
    # asked of SLURM, for it may end the job before the job can write that it is requeued
    requeued = ("scontrol", "show", "job", job)
    wait_for(lambda: "Restarts=1" in study.slurm(*requeued), account=study.account)
    study.slurm(*limit, "timelimit=10")
    wait_for(study.all_done, account=study.account)
    assert study.evaluations() == unbroken
    assert len(study.jobs()) == 2  # requeued, not submitted anew
