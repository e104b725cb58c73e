"""The other processes of a run that several train together on one machine.

``python -m atlas_scaling.study.companions STUDY_DIR RUN_ID`` is one of them. The process that was
given the run starts them, is the first of them, and ends with them; where ``torchrun`` (or a
cluster's own launcher) has started all of them, nothing is started here.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from atlas_scaling.study.parallel import World
from atlas_scaling.study.process import STOP_SIGNALS

LOOK_SECONDS: Final = 0.5
GONE_SECONDS: Final = 2.0


@contextmanager
def companions(study_dir: Path, run_id: str, *, processes: int) -> Iterator[World]:
    """Inside, ``processes`` work on the run: this one as the first, the others started here.

    If one of them dies, this process dies too: whoever gave it the run gives it out again, and it
    goes on from its checkpoint. It cannot wait for them, for they are in the middle of a sum.
    """
    if processes == 1 or "RANK" in os.environ:
        yield World.of_environment()
        return
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
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
    except RuntimeError:  # what a sum says when one of those who add is gone
        _wait_for_any(others)
        _die_if_any_did(others)
        raise
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
        _die_if_any_did(others)


def _die_if_any_did(others: list[subprocess.Popen[bytes]]) -> None:
    dead = next((other for other in others if other.poll()), None)
    if dead is None:
        return
    sys.stderr.write(f"process {dead.pid} of this run ended with {dead.returncode}\n")
    sys.stderr.flush()
    for other in others:
        other.kill()
    os._exit(1)


def _wait_for_any(others: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline and all(other.poll() is None for other in others):
        time.sleep(LOOK_SECONDS / 10)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Be one of the processes of a run; end with the one that started this."""
    from atlas_scaling.study.execute import execute_run
    from atlas_scaling.study.folder import StudyFolder

    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    for number in STOP_SIGNALS:  # the first process decides when to stop
        signal.signal(number, signal.SIG_IGN)
    execute_run(
        StudyFolder.open(Path(sys.argv[1])),
        sys.argv[2],
        on_progress=lambda *_: None,
        should_stop=lambda: False,
    )


if __name__ == "__main__":
    main()
