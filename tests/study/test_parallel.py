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

from rich.console import Console  # noqa: E402

from atlas_scaling.errors import InputError  # noqa: E402
from atlas_scaling.runs.record import RunState  # noqa: E402
from atlas_scaling.runs.store import read_run  # noqa: E402
from atlas_scaling.study.conduct import prepare_inputs  # noqa: E402
from atlas_scaling.study.display import ConsoleDisplay  # noqa: E402
from atlas_scaling.study.engines.options import LocalOptions, note_options  # noqa: E402
from atlas_scaling.study.execute import execute_run  # noqa: E402
from atlas_scaling.study.folder import StudyFolder  # noqa: E402
from atlas_scaling.study.parallel import World  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from atlas_scaling.study.spec import load_study  # noqa: E402
from atlas_scaling.study.train import train  # noqa: E402
from atlas_scaling.study.training_run import Assignment  # noqa: E402
from tests.study.small_study import write_small_study  # noqa: E402
from tests.study.tiny import CONFIG, EVALS, MODEL, TEXTS, eval_lines, record  # noqa: E402

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch is built without gloo",
)
RUN = "even2-s-seed0"
FOUR = CONFIG.model_copy(update={"batch_size": 4, "checkpoint_seconds": 0.1})


def carry_out(run_dir: Path, hardware: Hardware | None = None, stop_at: int | None = None):
    """A run of this process, or its part of one; ``stop_at`` counts the times it is asked."""
    asked = iter(range(1, 1 << 30))
    return train(
        Assignment(run_dir, record(), MODEL, FOUR, TEXTS, EVALS),
        hardware=hardware,
        world=World.of_environment(),
        should_stop=lambda: next(asked) == stop_at,
    )


CHILD = """
import errno, faulthandler, os, pathlib, sys
faulthandler.dump_traceback_later({limit}, exit=True)  # where it hung, if it does
from tests.study.test_parallel import Hardware, carry_out
{first}
hardware = Hardware(device="cpu", processes=2, sharding={sharding!r}, micro_batch_size=1)
carry_out(pathlib.Path({run_dir!r}), hardware, {stop_at})
"""
LIMIT_SECONDS = 180
LOOK = """
import gc, torch
part, kind = torch.distributed.destroy_process_group, torch.nn.parallel.DistributedDataParallel
def looking():
    print("left:", sum(type(one) is kind for one in gc.get_objects()), file=sys.stderr)
    part()
torch.distributed.destroy_process_group = looking
"""


def pair(run_dir: Path, sharding: str, *, stop_at: int | None = None, first: str = ""):
    """Two processes that carry out the run; ``first`` is what they do before."""
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    code = CHILD.format(
        limit=LIMIT_SECONDS, first=first, sharding=sharding, run_dir=str(run_dir), stop_at=stop_at
    )
    environment = {
        **os.environ,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**environment, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=LIMIT_SECONDS + 20)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def together(run_dir: Path, sharding: str, *, stop_at: int | None = None):
    """The run by two processes; returns how it ended. PyTorch has nothing to warn us of."""
    codes, said = pair(run_dir, sharding, stop_at=stop_at)
    assert codes == [0, 0], said
    assert "Warning" not in "".join(said)
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
    # DDP, where it is the last to hold the processes' group, can lock up when it goes: none is left
    codes, said = pair(tmp_path / "whole", sharding, first=LOOK)
    assert codes == [0, 0], said
    assert ["left: 0" in one for one in said] == [True, True]
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


@pytest.mark.slow
def test_where_one_process_cannot_write_its_part_of_a_checkpoint_all_of_them_end(tmp_path):
    full = """
def full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
if os.environ["RANK"] == "1":
    os.fsync = full
"""
    codes, said = pair(tmp_path, "shard", first=full)
    assert codes == [1, 1]
    assert "another process of this run could not write its part of a checkpoint" in said[0]
    assert "the disk is full" in said[1]
    assert files(tmp_path) == []


def test_a_batch_that_cannot_be_dealt_out_evenly_is_refused():
    with pytest.raises(InputError, match="dealt out") as caught:
        World(rank=0, size=3).part_of(4)
    assert caught.value.value == "4 sequences, 3 processes"


@pytest.mark.slow
def test_a_study_of_runs_of_two_processes_outlives_one_that_is_killed_and_one_that_hangs(tmp_path):
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
            os.kill(companion_of(tmp_path / name, but=companion), signal.SIGSTOP)
        return json.loads(process.communicate(timeout=300)[0])

    options = "hardware={device: cpu, processes: 2, patience_seconds: 10}"
    two = outcome("two", "-O", options, kill=True)
    assert (two["n_done"], two["failed"]) == (4, {})
    log = "".join(path.read_text() for path in (tmp_path / "two" / "logs").glob("*.log"))
    # of the one that was killed, heard of by either way, and of the one that hung
    assert log.count("lost the others") + log.count("ended with -9") >= 2, log
    assert "Warning" not in log
    assert outcome("one", "-O", "hardware={device: cpu}")["n_done"] == 4
    for name in ("even2-s-seed0", "mono-swe_Latn-s-seed0", "mono-spa_Latn-s-seed0"):
        early = [
            [row.loss for row in read_run(tmp_path / study / "runs" / name).rows if row.step <= 80]
            for study in ("one", "two")
        ]  # later, training has amplified what rounding began
        assert len(early[0]) == 10
        assert early[1] == pytest.approx(early[0], rel=1e-4)


@pytest.mark.slow
def test_two_nodes_train_one_run_and_one_that_is_lost_leaves_it_to_be_gone_on_with(tmp_path):
    spec = load_study(write_small_study(tmp_path, tokens=20_000))
    display = ConsoleDisplay(Console(quiet=True))
    inputs = prepare_inputs(spec, cache=tmp_path / "cache", display=display)
    alone, spread = (StudyFolder.begin(tmp_path / name, spec) for name in ("alone", "spread"))
    for study in (alone, spread):
        study.write_inputs(inputs)
    hardware = Hardware(device="cpu", sharding="shard", patience_seconds=60)
    note_options(spread.path, LocalOptions(hardware=hardware))
    nothing = {"on_progress": lambda *_: None, "should_stop": lambda: False}
    execute_run(alone, RUN, **nothing)

    agents = nodes(spread.path)
    begun = spread.run_dir(RUN) / "evals.jsonl"
    wait_for(begun.exists)
    agents[1].kill()
    assert [agent.wait(120) for agent in agents] == [1, -signal.SIGKILL]
    status = spread.status_of(RUN)
    assert status.state is RunState.FAILED
    assert "lost the others" in status.reason

    assert [agent.wait(240) for agent in nodes(spread.path)] == [0, 0]
    assert spread.is_done(RUN)
    early, whole = (
        [row.loss for row in read_run(study.run_dir(RUN)).rows if row.step <= 80]
        for study in (spread, alone)
    )
    assert early == pytest.approx(whole, rel=1e-4)
    assert len(losses(spread.run_dir(RUN))) == len(losses(alone.run_dir(RUN)))


def nodes(study: Path) -> list[subprocess.Popen]:
    """What two machines would be told to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    meeting = ["--master-addr=127.0.0.1", f"--master-port={port}"]
    process = ["-m", "atlas_scaling.study.companions", str(study), RUN]
    return [
        subprocess.Popen(
            [*launcher, f"--node-rank={number}", *meeting, *process],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.DEVNULL,
        )
        for number in range(2)
    ]


def wait_for(condition, *, seconds: float = 120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def ignored(pid: int) -> set[str]:
    """Signals that a process ignores."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16)
    return {one.name for one in signal.Signals if mask >> (one - 1) & 1}


def companion_of(study: Path, *, but: int = 0) -> int:
    """A second process of a run of the study that has begun to train, ``but`` that one."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        begun = list(study.glob("runs/*/evals.jsonl"))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words, pid = path.read_text().split("\0"), int(path.parent.name)
                is_one = "atlas_scaling.study.companions" in words and str(study) in words
                if begun and is_one and pid != but:
                    return pid
        time.sleep(0.05)
    raise AssertionError("there is none")
