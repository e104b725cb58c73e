"""Long work in processes of its own, with progress, and an end that does not wait for it.

A worker is a fresh process (``spawn``: the threads of polars do not survive a fork) that takes one
task after another as JSON and answers in JSON; a cancelled task's worker is killed and replaced.
Fits and tables go through files of the session.
"""

from __future__ import annotations

import json
import multiprocessing
import secrets
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from atlas_scaling.answers import Answer, jsonable
from atlas_scaling.errors import AtlasError, InputError, RunError

MOST_KEPT: Final = 200
MOST_WAITING: Final = 50
POLL_SECONDS: Final = 0.1
MEMORY_SHARE: Final = 0.75
"""Of the machine's memory, for one worker: a table that unfolds to more ends as a message."""

Tell = Callable[[int, int, str], None]
"""Steps done, steps in all, and what is being done."""


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobView(Answer):
    """A job as callers see it.

    Attributes:
        id: of the job.
        kind: of the task.
        state: where it stands.
        done, total: steps; total is 0 while it is not known.
        what: is being done now.
        seconds: since it began to run.
        seconds_left: at the pace of the steps done; None before the first.
        result: once it is done.
        error: the document of the error, where it failed.
    """

    id: str
    kind: str
    state: JobState
    done: int
    total: int
    what: str
    seconds: float
    seconds_left: float | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class _Job:
    """A job in work; its fields are written by one thread and read by others."""

    def __init__(self, kind: str, task: dict[str, Any], finish: Callable[[dict[str, Any]], None]):
        self.id = secrets.token_hex(8)
        self.kind = kind
        self.task = task
        self.finish = finish
        self.state = JobState.WAITING
        self.done, self.total, self.what = 0, 0, "waiting for a free worker"
        self.began: float | None = None
        self.ended: float | None = None
        self.result: dict[str, Any] | None = None
        self.error: dict[str, Any] | None = None
        self.cancelled = threading.Event()

    def view(self) -> JobView:
        until = time.monotonic() if self.ended is None else self.ended
        seconds = 0.0 if self.began is None else until - self.began
        left = None
        if self.state is JobState.RUNNING and 0 < self.done < self.total:
            left = seconds / self.done * (self.total - self.done)
        return JobView(
            id=self.id,
            kind=self.kind,
            state=self.state,
            done=self.done,
            total=self.total,
            what=self.what,
            seconds=seconds,
            seconds_left=left,
            result=self.result,
            error=self.error,
        )


class Jobs:
    """All jobs of a session.

    Args:
        workers: processes at a time.
        kept: jobs that are remembered with their results.
    """

    def __init__(self, workers: int = 1, *, kept: int = MOST_KEPT) -> None:
        self._kept = kept
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="job")
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._closed = False

    def start(
        self,
        kind: str,
        task: dict[str, Any],
        finish: Callable[[dict[str, Any]], None] = lambda result: None,
    ) -> JobView:
        """Put a task of ``web.tasks`` in line.

        Args:
            kind: which one.
            task: its arguments, as JSON takes them.
            finish: is called with the result in this process, before the job counts as done.

        Raises:
            InputError: too many jobs wait already.
        """
        job = _Job(kind, task, finish)
        with self._lock:
            waiting = sum(one.state is JobState.WAITING for one in self._jobs.values())
            if waiting >= MOST_WAITING:
                raise InputError(
                    "too many jobs are waiting",
                    value=waiting,
                    remedy="wait for some of them, or cancel them",
                )
            self._jobs[job.id] = job
            self._forget_old()
        self._threads.submit(self._run, job)
        return job.view()

    def view(self, job_id: str) -> JobView:
        """One job."""
        return self._job(job_id).view()

    def cancel(self, job_id: str) -> JobView:
        """Stop a job; one that has ended stays as it is."""
        job = self._job(job_id)
        job.cancelled.set()
        if job.state is JobState.WAITING:
            job.state, job.what = JobState.CANCELLED, "cancelled"
        for _ in range(20):
            if job.state is not JobState.RUNNING:
                break
            time.sleep(POLL_SECONDS / 2)
        return job.view()

    def close(self) -> None:
        """Cancel everything and end the workers."""
        self._closed = True
        with self._lock:
            for job in self._jobs.values():
                job.cancelled.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        while self._idle:
            self._idle.pop().kill()

    def _job(self, job_id: str) -> _Job:
        with self._lock:
            job = self._jobs.get(job_id)
        if job is None:
            raise InputError(
                "there is no such job", value=job_id, where="job", remedy="start it again"
            )
        return job

    def _forget_old(self) -> None:
        for job_id, job in list(self._jobs.items()):
            if len(self._jobs) <= self._kept:
                return
            if job.ended is not None:
                del self._jobs[job_id]

    def _run(self, job: _Job) -> None:
        if job.cancelled.is_set():
            job.state, job.ended = JobState.CANCELLED, time.monotonic()
            return
        job.began, job.state, job.what = time.monotonic(), JobState.RUNNING, "starting"
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            state, document = worker.carry_out(job)
            if state is JobState.DONE:
                job.finish(document)
                job.result = document
            elif state is JobState.FAILED:
                job.error = document
            job.state = state
        except AtlasError as error:
            job.error, job.state = error.to_dict(), JobState.FAILED
        finally:
            job.ended = time.monotonic()
            if worker.is_alive and not self._closed:
                self._idle.append(worker)
            else:
                worker.kill()


class _Worker:
    """A process that takes tasks."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def carry_out(self, job: _Job) -> tuple[JobState, dict[str, Any]]:
        """How the job ended, and its result or error."""
        try:
            self._connection.send_bytes(json.dumps({"kind": job.kind, **job.task}).encode())
            while not job.cancelled.is_set():
                if not self._connection.poll(POLL_SECONDS):
                    if not self._process.is_alive():
                        raise EOFError
                    continue
                message = json.loads(self._connection.recv_bytes())
                if "result" in message:
                    return JobState.DONE, message["result"]
                if "error" in message:
                    return JobState.FAILED, message["error"]
                job.done, job.total, job.what = message["progress"]
        except (EOFError, OSError):
            self.kill()
            error = RunError(
                "the worker ended before the job did, most likely for want of memory",
                value=self._process.exitcode,
                where=job.kind,
                remedy="a smaller table, or fewer refits",
            )
            return JobState.FAILED, error.to_dict()
        self.kill()
        return JobState.CANCELLED, {}


def _work(connection: Connection) -> None:
    """What a worker does until its server goes away."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory()
    from atlas_scaling.web.tasks import TASKS

    while True:
        try:
            task = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return

        def tell(done: int, total: int, what: str) -> None:
            connection.send_bytes(json.dumps({"progress": [done, total, what]}).encode())

        try:
            message = {"result": jsonable(TASKS[task.pop("kind")](task, tell))}
        except AtlasError as error:
            message = {"error": error.to_dict()}
        except MemoryError:
            message = {
                "error": RunError(
                    "this needs more memory than there is", remedy="a smaller table"
                ).to_dict()
            }
        except Exception as error:  # a defect of ours: say which, and keep the worker
            sys.excepthook(type(error), error, error.__traceback__)
            problem = f"this failed for a reason that was not foreseen: {error!r}"
            message = {"error": RunError(problem, remedy="see what atlas serve printed").to_dict()}
        connection.send_bytes(json.dumps(message).encode())


def _limit_memory() -> None:
    try:
        import os
        import resource

        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        most = int(MEMORY_SHARE * whole)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    except (ImportError, OSError, ValueError):
        return  # not on this system; the machine's own limit stands
