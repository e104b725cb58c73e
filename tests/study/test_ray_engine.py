"""A real Ray on this machine: started for a study, and one that was there before."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("ray", reason="Ray is the extra [ray]")

from tests.study.small_study import write_small_study

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
TOKENS = 60_000
OPEN = {"RAY_AUTH_MODE": "disabled"}  # for a cluster on loopback; newer Rays ask for a token


class Study:
    def __init__(self, spec: Path, output: Path) -> None:
        self.spec, self.output = spec, output
        self.environment = {
            **os.environ,
            **OPEN,
            "ATLAS_CACHE": str(spec.parent / "cache"),
        }

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "atlas_scaling", "study", *words, "--json"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def atlas(self, *words: str) -> dict:
        process = self.start(*words)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        return json.loads(out)

    def run(self, *words: str) -> tuple[str, ...]:
        return ("run", str(self.spec), "-o", str(self.output), *words)

    def evaluations(self) -> dict[str, str]:
        found = self.output.glob("runs/*/evals.jsonl")
        return {path.parent.name: path.read_text() for path in found}

    def training(self) -> dict | None:
        """The status of a run that has written a checkpoint and goes on."""
        for path in self.output.glob("runs/*/checkpoints/*/weights-*"):
            status = json.loads((path.parents[2] / "status.json").read_text())
            if status["state"] == "running":
                return status
        return None


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return write_small_study(tmp_path_factory.mktemp("spec"), tokens=TOKENS)


@pytest.fixture
def study(spec, tmp_path):
    return Study(spec, tmp_path / "out")


@pytest.fixture(scope="module")
def unbroken(spec, tmp_path_factory):
    study = Study(spec, tmp_path_factory.mktemp("unbroken") / "out")
    assert study.atlas(*study.run())["n_done"] == 4
    return study.evaluations()


@pytest.fixture
def cluster():
    """A Ray that is there before the study; gives its address."""
    # Not pytest's folder: the sockets inside would have too long a name.
    folder = Path("/tmp") / f"ray-{os.getpid()}"
    port = 21_000 + os.getpid() % 10_000
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    start = ["start", "--head", f"--port={port}", "--num-cpus=2", f"--temp-dir={folder}"]
    options = ["--include-dashboard=false", "--disable-usage-stats", "--block"]
    process = subprocess.Popen(
        [*ray, *start, *options],
        env={**os.environ, **OPEN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


def wait_for(condition, *, seconds: float = 90):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def test_a_killed_worker_of_a_ray_started_here_loses_nothing(study, unbroken):
    process = study.start(*study.run("--engine", "ray", "-O", "workers=2"))
    status = wait_for(study.training)
    os.kill(status["pid"], signal.SIGKILL)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert json.loads(out)["n_done"] == 4
    assert study.evaluations() == unbroken
    begun = [len(list(path.glob("locks/*.json"))) for path in study.output.glob("runs/*")]
    assert sorted(begun) == [1, 1, 1, 2]


def test_a_study_on_a_cluster_outlives_its_program_and_can_be_cancelled_and_resumed(
    study, unbroken, cluster
):
    words = study.run("--engine", "ray", "-O", f"address={cluster}", "--no-wait")
    wait_for(lambda: _answers(cluster))
    assert study.atlas(*words)["n_in_hand"] == 4
    wait_for(study.training)
    states = study.atlas("status", str(study.output))["states"]
    assert states["running"] >= 1

    assert study.atlas("cancel", str(study.output))["n_cancelled"] >= 1
    wait_for(lambda: study.training() is None)
    states = study.atlas("status", str(study.output))["states"]
    assert states.get("stopped", 0) >= 1
    assert not {"running", "queued", "lost"} & set(states)

    outcome = study.atlas("resume", str(study.output))
    assert (outcome["n_done"], outcome["failed"]) == (4, {})
    assert study.evaluations() == unbroken


def test_a_cluster_that_is_not_there_is_said_at_once(study):
    began = time.monotonic()
    process = study.start(*study.run("--engine", "ray", "-O", "address=127.0.0.1:1"))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Ray cannot be reached" in json.loads(out)["problem"]
    assert time.monotonic() - began < 45  # Ray itself tries for minutes


def _answers(address: str) -> bool:
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", f"--address={address}"]
    done = subprocess.run(command, env={**os.environ, **OPEN}, capture_output=True, check=False)
    return done.returncode == 0
