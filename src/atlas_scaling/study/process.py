"""What a training process is told from outside: signals, and its environment on a CPU.

The environment must be set before it starts:

- One thread: runs are independent, so a core each beats threads that wait for one another.
- glibc's allocator returns and re-maps big blocks at every step by default, and each page is then
  cleared anew; told to keep them it trains up to half again as fast
  (``benchmarks/train_throughput.py``). Other C libraries ignore the variable.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

STOP_SIGNALS: Final = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
)
"""Asked to stop: by a user, by a system, and by schedulers before a time limit. These tell all
processes of a job, so that each of ours must know what to do with them."""

LOST_PROCESS_CODE: Final = 75
"""Exit code of a process that trained a run with others, of which one died or hung."""

_KEEP_BLOCKS: Final = {
    "glibc.malloc.mmap_threshold": 4 << 30,
    "glibc.malloc.trim_threshold": 4 << 30,
    "glibc.malloc.top_pad": 256 << 20,
}


def process_environment() -> dict[str, str]:
    """Variables to add to the environment of a process that trains on one CPU core."""
    return {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "GLIBC_TUNABLES": ":".join(f"{name}={value}" for name, value in _KEEP_BLOCKS.items()),
    }


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """While its block runs SIGTERM does what Ctrl-C does; for the main thread of a program.

    Without a handler the first process of a container never hears SIGTERM, and is killed with all
    others of the container some seconds after, without a checkpoint.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
