"""Real worker processes on a real, small study: killed, interrupted, resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.runs.record import RunState
from atlas_scaling.study.folder import StudyFolder
from tests.study.small_study import write_small_study

RUNS = {
    "even2-s-seed0",
    "mono-swe_Latn-s-seed0",
    "mono-spa_Latn-s-seed0",
    "continued-swe_Latn-from-even2-s-seed0",
}


class Study:
    """The command line at work on one study."""

    def __init__(self, folder: Path, *, tokens: int) -> None:
        self.spec = write_small_study(folder, tokens=tokens)
        self.environment = {**os.environ, "ATLAS_CACHE": str(folder / "cache")}

    def start(self, output: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "atlas_scaling", "study", "run", str(self.spec)]
        return subprocess.Popen(
            [*command, "-o", str(output), "--workers", "2", "--json", *options],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def finish(self, output: Path, *options: str) -> dict:
        process = self.start(output, *options)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return json.loads(out)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study"), tokens=60_000)


@pytest.fixture(scope="module")
def unbroken(study, tmp_path_factory):
    output = tmp_path_factory.mktemp("unbroken") / "out"
    return output, study.finish(output)


def evaluations(output: Path) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in output.glob("runs/*/evals.jsonl")}


def wait_for(condition, *, seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def running(output: Path):
    """A run that has written a checkpoint and is not done."""
    for path in output.glob("runs/*/checkpoints/*/weights-*"):
        status = json.loads((path.parents[2] / "status.json").read_text())
        if status["state"] == "running":
            return status
    return None


def test_a_study_runs_to_its_end_with_every_base_before_what_continues_it(unbroken):
    output, outcome = unbroken
    assert (outcome["n_runs"], outcome["n_done"], outcome["failed"]) == (4, 4, {})
    assert set(evaluations(output)) == RUNS


def test_the_same_command_again_repeats_nothing(study, unbroken):
    output, _ = unbroken
    before = evaluations(output)
    outcome = study.finish(output)
    assert (outcome["n_done_before"], outcome["tokens"]) == (4, 0.0)
    assert evaluations(output) == before


def test_a_killed_worker_is_replaced_and_its_run_loses_nothing(study, unbroken, tmp_path):
    process = study.start(tmp_path / "out")
    status = wait_for(lambda: running(tmp_path / "out"))
    os.kill(status["pid"], signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "signal 9" in err
    assert evaluations(tmp_path / "out") == evaluations(unbroken[0])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_sigterm_leaves_a_study_that_the_same_command_finishes(
    how, study, unbroken, tmp_path
):
    process = study.start(tmp_path / "out")
    wait_for(lambda: running(tmp_path / "out"))
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    left = StudyFolder.open(tmp_path / "out")
    states = {
        left.status_of(run.run_id).state for run in left.design.runs if left.status_of(run.run_id)
    }
    assert RunState.STOPPED in states
    assert RunState.RUNNING not in states
    study.finish(tmp_path / "out")
    assert evaluations(tmp_path / "out") == evaluations(unbroken[0])


def test_workers_stop_by_themselves_when_the_program_is_killed(study, unbroken, tmp_path):
    process = study.start(tmp_path / "out")
    status = wait_for(lambda: running(tmp_path / "out"))
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not _is_alive(status["pid"]))
    assert running(tmp_path / "out") is None  # each wrote a checkpoint and said that it stopped
    study.finish(tmp_path / "out")
    assert evaluations(tmp_path / "out") == evaluations(unbroken[0])


TOGETHER = ("--workers", "1", "-O", "hardware={together: 3}")


def in_one_process(output: Path):
    """The process that has three runs in its hands, each of which has written a checkpoint."""
    paths = [path.parents[2] for path in output.glob("runs/*/checkpoints/*/weights-*")]
    statuses = [json.loads((path / "status.json").read_text()) for path in set(paths)]
    pids = [status["pid"] for status in statuses if status["state"] == "running"]
    return pids[0] if len(pids) == 3 and len(set(pids)) == 1 else None


def require_the_same_beginnings(output: Path, other: Path):
    """To rounding, which grows from step to step: by 15,000 tokens of these runs to percents."""
    found, expected = evaluations(output), evaluations(other)
    assert set(found) == set(expected)
    for run_id, text in expected.items():
        rows, others = (
            [json.loads(line) for line in lines.splitlines()] for lines in (found[run_id], text)
        )
        assert [row["step"] for row in rows] == [row["step"] for row in others]
        if run_id.startswith("continued"):
            continue  # begins where another has ended
        for row, its in zip(rows, others, strict=True):
            if row["tokens"] < 10_000:
                assert row["loss"] == pytest.approx(its["loss"], rel=1e-4)


def test_runs_whose_process_is_killed_while_it_trains_them_together_go_on_alone(
    study, unbroken, tmp_path
):
    process = study.start(tmp_path / "out", *TOGETHER)
    os.kill(wait_for(lambda: in_one_process(tmp_path / "out")), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "signal 9" in err
    assert json.loads(out)["n_done"] == 4
    require_the_same_beginnings(tmp_path / "out", unbroken[0])


def test_ctrl_c_stops_runs_that_are_trained_together_and_the_same_command_finishes_them(
    study, unbroken, tmp_path
):
    process = study.start(tmp_path / "out", *TOGETHER)
    wait_for(lambda: in_one_process(tmp_path / "out"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    left = StudyFolder.open(tmp_path / "out")
    states = [left.status_of(run.run_id) for run in left.design.runs]
    assert [status.state for status in states if status] == 3 * [RunState.STOPPED]
    study.finish(tmp_path / "out", *TOGETHER)
    require_the_same_beginnings(tmp_path / "out", unbroken[0])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
