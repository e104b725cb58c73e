"""What a training process is told from outside: signals, and its environment on a CPU.

The environment must be set before it starts:

- One thread: runs are independent, so a core each beats threads that wait for one another.
- glibc's allocator returns and re-maps big blocks at every step by default, and each page is then
  cleared anew; told to keep them it trains up to half again as fast
  (``benchmarks/train_throughput.py``). Other C libraries ignore the variable.
"""

from __future__ import annotations

import os
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

NOT_TOGETHER_CODE: Final = 76
"""Exit code of a process that could not train several runs together; its log says why."""

_OF_OUR_STEP: Final = ("SLURM_CPU_BIND", "SLURM_CPUS_PER_TASK", "SLURM_TRES_PER_TASK")
"""Beginnings of the variables that tell srun how to lay out *our* step, not one that we start."""

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


def step_environment() -> dict[str, str]:
    """Our environment, for an srun that is started from within a step of a SLURM job."""
    found = os.environ.items()
    return {name: text for name, text in found if not name.startswith(_OF_OUR_STEP)}


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """While its block runs SIGTERM does what Ctrl-C does; for the main thread of a program.

    Without a handler the first process of a container never hears SIGTERM, and is killed with all
    others of the container some seconds after, without a checkpoint.
    """
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt(*_: object) -> NoReturn:
    """What a signal's handler does to be Ctrl-C."""
    raise KeyboardInterrupt
