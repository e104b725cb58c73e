"""The processes of a run that several train together.

The process that was given the run starts the others, is the first of them, and ends with them.
Those on its machine are its children; in a SLURM job of several nodes ``srun`` starts those on the
other nodes, as one step. Elsewhere ``torchrun`` (or a cluster's own launcher) can start all of
them, each of which is ``python -m atlas_scaling.study.companions STUDY_DIR RUN_ID``; nothing is
started here then, and the first one takes the run's lock and says how it ended.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from atlas_scaling.errors import AtlasError, RunError
from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.engines.options import Nodes
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.parallel import LostProcessError, World
from atlas_scaling.study.process import LOST_PROCESS_CODE, STOP_SIGNALS, step_environment

LOOK_SECONDS: Final = 0.5
STEP_SECONDS: Final = 10.0
"""What a step of SLURM may take to end by itself, its processes having nothing left to do."""


@contextmanager
def companions(
    study_dir: Path, run_id: str, *, processes: int, nodes: Nodes | None = None
) -> Iterator[World]:
    """Inside, ``processes`` work on the run: this one as the first, the others started here.

    If one of them dies or hangs, this process dies too: whoever gave it the run gives it out
    again, and it goes on from its checkpoint. It cannot go on, for it is in the middle of a sum.

    Raises:
        RunError: there are other ``nodes``, but this is no SLURM job that could reach them.
    """
    if processes == 1 or "RANK" in os.environ:
        yield World.of_environment()
        return
    nodes = nodes or Nodes()
    here = processes // nodes.n
    host = "127.0.0.1" if nodes.n == 1 else socket.gethostname()
    # The place where they meet is opened before they are told of it, on a port that is free now.
    store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
    shared = {
        "MASTER_ADDR": host,
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as under torchrun: no process opens another
        "WORLD_SIZE": str(processes),
    }
    command = ["-m", "atlas_scaling.study.companions", str(study_dir), run_id]
    others: list[subprocess.Popen[bytes]] = []
    if nodes.n > 1:
        others.append(_Step(command, shared, nodes, first=here))
    others += [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
        )
        for rank in range(1, here)
    ]
    ended = threading.Event()
    watcher = threading.Thread(target=_die_with, args=(others, ended), daemon=True)
    watcher.start()
    os.environ.update(shared)
    try:
        yield World(rank=0, size=processes, local_rank=0)
    except LostProcessError as error:
        _die(others, str(error))
    finally:
        ended.set()
        watcher.join()
        for name in shared:
            del os.environ[name]
        for other in others:  # what they had to write is written: the first waited for that
            if isinstance(other, _Step):
                other.leave()
            other.kill()
            other.wait()


class _Step(subprocess.Popen[bytes]):
    """The srun of a step with as many processes on every other node as on this one, from ``first``.

    They end with this process, however it ends: their standard input, which srun carries, ends.
    """

    def __init__(
        self, command: list[str], shared: dict[str, str], nodes: Nodes, *, first: int
    ) -> None:
        node = os.environ.get("SLURMD_NODENAME")
        if node is None or shutil.which("srun") is None:
            raise RunError(
                "the other nodes of a run are reached by srun from within a SLURM job",
                value="srun is not on the PATH" if node else "this is no SLURM job",
                remedy="where a container hides SLURM's programs, mount them into it",
            )
        step = ["--overlap", "--overcommit", "--kill-on-bad-exit=1", f"--exclude={node}"]
        step += [f"--nodes={nodes.n - 1}", f"--ntasks={first * (nodes.n - 1)}"]
        step += [f"--ntasks-per-node={first}"]
        super().__init__(
            ["srun", *step, *shlex.split(nodes.python), *command, str(first)],
            env={**step_environment(), **shared},
            stdin=subprocess.PIPE,
        )

    def kill(self) -> None:
        """Told to end, srun kills its processes; killed, it would have to leave that to others."""
        self.terminate()

    def leave(self) -> None:
        """Wait until its processes have ended by themselves: no line of a log is about a kill."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(STEP_SECONDS)


def _die_with(others: list[subprocess.Popen[bytes]], ended: threading.Event) -> None:
    while not ended.wait(LOOK_SECONDS):
        for other in others:
            if other.poll():
                _die(others, f"process {other.pid} of this run ended with {other.returncode}")


def _die(others: list[subprocess.Popen[bytes]], why: str) -> None:
    sys.stderr.write(f"{why}\n")
    sys.stderr.flush()
    for other in others:
        other.kill()
    os._exit(LOST_PROCESS_CODE)


def main() -> None:
    """Be one of the processes of a run."""
    study, run_id = StudyFolder.open(Path(sys.argv[1])), sys.argv[2]
    if len(sys.argv) > 3:  # of a step that srun started; its first process has this rank
        os.environ["RANK"] = str(int(sys.argv[3]) + int(os.environ["SLURM_PROCID"]))
        os.environ["LOCAL_RANK"] = os.environ["SLURM_LOCALID"]
        threading.Thread(target=_end_with_input, daemon=True).start()
    if not World.of_environment().writes:
        _follow(study, run_id)
    elif _lead(study, run_id).kind is EventKind.FAILED:
        sys.exit(1)


def _end_with_input() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def _lead(study: StudyFolder, run_id: str) -> Event:
    """Be the first of several that a launcher started."""
    from atlas_scaling.study.worker import StopFlag, carry_out

    with StopFlag() as should_stop:
        event = carry_out(study, run_id, tell=lambda _: None, should_stop=should_stop)
    reason = "" if event.reason is None else f": {event.reason}"
    sys.stderr.write(f"{run_id}: {event.kind.value}{reason}\n")
    return event


def _follow(study: StudyFolder, run_id: str) -> None:
    """Be another than the first, which decides when to stop; end with whoever started this."""
    from atlas_scaling.study.execute import execute_run

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if study.is_done(run_id):
        return  # the first one says so, and waits for nobody
    try:
        execute_run(study, run_id, on_progress=lambda *_: None, should_stop=lambda: False)
    except AtlasError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
