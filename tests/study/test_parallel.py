"""Two real processes on a CPU that train one run together, through gloo."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.errors import InputError  # noqa: E402
from atlas_scaling.runs.record import RunState  # noqa: E402
from atlas_scaling.runs.store import read_run  # noqa: E402
from atlas_scaling.study.parallel import World  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from atlas_scaling.study.train import train  # noqa: E402
from tests.study.small_study import write_small_study  # noqa: E402
from tests.study.tiny import CONFIG, EVALS, MODEL, TEXTS, eval_lines, record  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch is built without gloo",
)
FOUR = CONFIG.model_copy(update={"batch_size": 4})


def carry_out(run_dir: Path, hardware: Hardware | None = None, stop_at: int | None = None):
    """A run of this process, or its part of one; ``stop_at`` counts the times it is asked."""
    asked = iter(range(1, 1 << 30))
    return train(
        run_dir,
        record(),
        MODEL,
        FOUR,
        texts=TEXTS,
        evals=EVALS,
        hardware=hardware,
        world=World.of_environment(),
        should_stop=lambda: next(asked) == stop_at,
    )


def together(run_dir: Path, sharding: str, *, stop_at: int | None = None, micro: int = 1):
    """The same by two processes; returns how the run ended."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = (
        "import pathlib; from tests.study.test_parallel import carry_out, Hardware; carry_out("
        f"pathlib.Path({str(run_dir)!r}), Hardware(device='cpu', processes=2, "
        f"sharding={sharding!r}, micro_batch_size={micro}), {stop_at})"
    )
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **environment, "RANK": str(rank), "OMP_NUM_THREADS": "1"},
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return read_run(run_dir).status.state


def losses(run_dir: Path) -> list[float]:
    return [row.loss for row in read_run(run_dir).rows]


def files(run_dir: Path) -> list[str]:
    return sorted(path.name for path in run_dir.glob("checkpoints/*/*"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("parallel") / "alone"
    carry_out(run_dir)
    return run_dir


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["replicate", "shard"])
def test_two_processes_have_the_losses_of_one_and_go_on_where_they_stopped(
    alone, tmp_path, sharding
):
    assert together(tmp_path / "whole", sharding) is RunState.DONE
    assert losses(tmp_path / "whole") == pytest.approx(losses(alone), rel=1e-4)

    assert together(tmp_path / "cut", sharding, stop_at=20) is RunState.STOPPED
    parts = 2 if sharding == "shard" else 1
    assert len(files(tmp_path / "cut")) == 2 * parts  # weights and optimizer
    assert together(tmp_path / "cut", sharding) is RunState.DONE
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")  # bit for bit


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes(alone, tmp_path):
    assert together(tmp_path, "shard", stop_at=12) is RunState.STOPPED
    assert carry_out(tmp_path, stop_at=8).state is RunState.STOPPED
    assert together(tmp_path, "shard") is RunState.DONE
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=1e-4)
    saved = {name.split("-")[0] for name in files(tmp_path)}
    assert saved == {"weights"}  # nothing goes on from the end but weights


def test_a_batch_that_cannot_be_dealt_out_evenly_is_refused():
    with pytest.raises(InputError, match="dealt out") as caught:
        World(rank=0, size=3).part_of(4)
    assert caught.value.value == "4 sequences, 3 processes"


@pytest.mark.slow
def test_a_study_carries_out_runs_of_two_processes_and_outlives_one_that_is_killed(tmp_path):
    spec = write_small_study(tmp_path, tokens=20_000)
    command = [sys.executable, "-m", "atlas_scaling", "study", "run", spec, "--json"]
    environment = {**os.environ, "ATLAS_CACHE": str(tmp_path / "cache")}

    def outcome(name: str, *options: str, kill: bool = False):
        process = subprocess.Popen(
            [*command, "-o", tmp_path / name, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if kill:
            companion = companion_of(tmp_path / name)
            assert ignored(companion) >= {"SIGTERM", "SIGUSR1", "SIGUSR2"}  # sent to whole jobs
            os.kill(companion, signal.SIGKILL)
        return json.loads(process.communicate(timeout=300)[0])

    two = outcome("two", "-O", "hardware={device: cpu, processes: 2}", kill=True)
    assert (two["n_done"], two["failed"]) == (4, {})
    assert outcome("one", "-O", "hardware={device: cpu}")["n_done"] == 4
    for name in ("even2-s-seed0", "mono-swe_Latn-s-seed0", "mono-spa_Latn-s-seed0"):
        early = [
            [row.loss for row in read_run(tmp_path / study / "runs" / name).rows if row.step <= 80]
            for study in ("one", "two")
        ]  # later, training has amplified what rounding began
        assert len(early[0]) == 10
        assert early[1] == pytest.approx(early[0], rel=1e-4)


def ignored(pid: int) -> set[str]:
    """Signals that a process ignores."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)
    return {one.name for one in signal.Signals if mask >> (one - 1) & 1}


def companion_of(study: Path) -> int:
    """A second process of a run of the study that has begun to train."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        begun = list(study.glob("runs/*/evals.jsonl"))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_text().split("\0")
                if begun and "atlas_scaling.study.companions" in words and str(study) in words:
                    return int(path.parent.name)
        time.sleep(0.05)
    raise AssertionError("there is none")
