"""The same function on many arguments, in this process or in several; BLAS on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from atlas_scaling.errors import InputError

R = TypeVar("R")


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one thread: its own threads cost more than they gain on matrices of this size."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def spread_over(
    function: Callable[..., R],
    calls: Iterable[tuple[Any, ...]],
    *,
    workers: int,
    done: Callable[[float], None] | None = None,
    n: int = 1,
) -> list[R]:
    """Results of ``function(*call)`` for every call, in order.

    With several workers each is a fresh process (not a fork: the threads of polars do not survive
    one), so a script that calls this needs ``if __name__ == "__main__":`` around its work.

    Raises:
        InputError: fewer than one worker.
    """
    if workers < 1:
        raise InputError("there is no fit without a worker", value=workers, where="workers")
    if workers == 1:
        return list(_told((function(*call) for call in calls), done, n))
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=workers, mp_context=context) as pool:
        waiting = [pool.submit(function, *call) for call in calls]
        return list(_told((one.result() for one in waiting), done, n))


def _told(results: Iterator[R], done: Callable[[float], None] | None, n: int) -> Iterator[R]:
    for i, result in enumerate(results, 1):
        if done is not None:
            done(i / n)
        yield result
