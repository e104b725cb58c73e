"""The same function on many arguments, in this process or in several; BLAS on one thread."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

from atlas_scaling.errors import InputError

R = TypeVar("R")

_M_TRIM_THRESHOLD: Final = -1  # malloc.h
_M_MMAP_THRESHOLD: Final = -3


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one thread: its own threads cost more than they gain on matrices of this size."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _keep_freed_memory()
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@cache
def _keep_freed_memory() -> None:
    """Have the C library keep up to 64 MB of freed memory instead of giving it back at once.

    The arrays of an iteration are freed and asked for again; the system would clear each page every
    time, which takes a quarter of a fit. A C library other than GNU's is left as it is.
    """
    import ctypes
    import sys

    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, 1 << 25)
            mallopt(_M_TRIM_THRESHOLD, 1 << 26)


def spread_over(
    function: Callable[..., R],
    calls: Iterable[tuple[Any, ...]],
    *,
    workers: int,
    common: tuple[Any, ...] = (),
    done: Callable[[float], None] | None = None,
    n: int = 1,
) -> list[R]:
    """Results of ``function(*common, *call)`` for every call, in order.

    With several workers each is a fresh process (not a fork: the threads of polars do not survive
    one), so a script that calls this needs ``if __name__ == "__main__":`` around its work. What is
    ``common`` goes to each worker once.

    Raises:
        InputError: fewer than one worker.
    """
    if workers < 1:
        raise InputError("there is no fit without a worker", value=workers, where="workers")
    if workers == 1:
        return list(_told((function(*common, *call) for call in calls), done, n))
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_remember,
        initargs=(common,),
    ) as pool:
        try:
            return list(_told(_in_order(pool, function, calls, ahead=2 * workers), done, n))
        except BaseException:
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()  # what they are at is of no use to anyone
            raise


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C comes after; in processes that begin meanwhile, never: their parent ends them.

    New processes inherit what this thread blocks. The signal may reach another thread of ours, and
    Python would then raise here all the same, between a process's beginning and our knowing of it:
    hence the handler.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and handler is not None
    if ours:  # only the main thread may, and one that a C library set could not be put back
        signal.signal(signal.SIGINT, lambda *_: came.append(1))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if ours:
            signal.signal(signal.SIGINT, handler)
    if came:
        raise KeyboardInterrupt


_COMMON: Final[list[Any]] = []
"""Of a worker process: what all of its calls begin with."""


def _remember(common: tuple[Any, ...]) -> None:
    _COMMON[:] = common


def _with_common(function: Callable[..., R], call: tuple[Any, ...]) -> R:
    return function(*_COMMON, *call)


def _in_order(
    pool: Executor, function: Callable[..., R], calls: Iterable[tuple[Any, ...]], *, ahead: int
) -> Iterator[R]:
    """Results as they come; no more than ``ahead`` calls are made before they are needed."""
    waiting: deque[Future[R]] = deque()
    for call in calls:
        with _ctrl_c_waits():  # a call may begin a process
            waiting.append(pool.submit(_with_common, function, call))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _told(results: Iterator[R], done: Callable[[float], None] | None, n: int) -> Iterator[R]:
    for i, result in enumerate(results, 1):
        if done is not None:
            done(i / n)
        yield result
