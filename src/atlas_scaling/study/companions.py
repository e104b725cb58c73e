"""The processes of a run that several train together.

On one machine the process that was given the run starts the others, is the first of them, and ends
with them. Over several machines ``torchrun`` (or a cluster's own launcher) starts all of them, each
of which is ``python -m atlas_scaling.study.companions STUDY_DIR RUN_ID``; nothing is started here
then, and the first one takes the run's lock and says how it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from atlas_scaling.errors import AtlasError
from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.parallel import LostProcessError, World
from atlas_scaling.study.process import LOST_PROCESS_CODE, STOP_SIGNALS

LOOK_SECONDS: Final = 0.5


@contextmanager
def companions(study_dir: Path, run_id: str, *, processes: int) -> Iterator[World]:
    """Inside, ``processes`` work on the run: this one as the first, the others started here.

    If one of them dies or hangs, this process dies too: whoever gave it the run gives it out
    again, and it goes on from its checkpoint. It cannot go on, for it is in the middle of a sum.
    """
    if processes == 1 or "RANK" in os.environ:
        yield World.of_environment()
        return
    # The place where they meet is opened before they are told of it, on a port that is free now.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # as under torchrun: no process opens another
        "WORLD_SIZE": str(processes),
    }
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "atlas_scaling.study.companions", str(study_dir), run_id],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdin=subprocess.DEVNULL,
        )
        for rank in range(1, processes)
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
            other.kill()
            other.wait()


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
    if not World.of_environment().writes:
        _follow(study, run_id)
    elif _lead(study, run_id).kind is EventKind.FAILED:
        sys.exit(1)


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
