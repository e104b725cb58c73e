"""The process that trains: ``python -m atlas_scaling.study.worker STUDY_DIR [JOB]``.

It reads a run id a line on stdin, or several that it is to train together, and answers with events,
one JSON object a line, on stdout; everything else that is printed goes to stderr. It lives for many
runs, so that PyTorch is imported once. Ctrl-C, SIGTERM, the signals schedulers send before a time
limit, or the death of its parent make the run in hand write a checkpoint and stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from atlas_scaling.errors import AtlasError, RunError
from atlas_scaling.runs.record import RunState, RunStatus
from atlas_scaling.runs.writer import cannot_write, write_status
from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.lock import Lock
from atlas_scaling.study.process import NOT_TOGETHER_CODE, STOP_SIGNALS

_ENDS: Final = {
    RunState.DONE: EventKind.DONE,
    RunState.STOPPED: EventKind.STOPPED,
    RunState.FAILED: EventKind.FAILED,
}
ORPHAN_SECONDS: Final = 30.0
"""Wait so long for a worker whose parent is gone: it writes a checkpoint and stops."""


class StopFlag:
    """While its block runs: true once somebody asked this process to stop, or its parent is gone.

    Works in a process's main thread only, where Python handles signals.
    """

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopFlag:
        for number in STOP_SIGNALS:
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked or os.getppid() != self._parent


def carry_out(
    study: StudyFolder,
    run_id: str,
    *,
    tell: Callable[[Event], None],
    should_stop: Callable[[], bool],
    job: str | None = None,
) -> Event:
    """Carry out one run in this process, as the only one that does; returns how it ended.

    Whatever goes wrong becomes an event, and a reason in the run's ``status.json``.

    Args:
        study: the study it belongs to.
        run_id: one of the study's planned runs.
        tell: told that it began and how far it is.
        should_stop: asked after every step; True writes a checkpoint and stops.
        job: the scheduler's job this process belongs to.
    """
    tell(Event(run_id, EventKind.STARTED))
    try:
        with _lock_of(study, run_id, should_stop, job) as lock:
            if study.is_done(run_id):
                return Event(run_id, EventKind.DONE)
            return _train(study, run_id, lock, tell, should_stop)
    except AtlasError as error:
        return Event(run_id, EventKind.FAILED, reason=str(error))


def carry_out_together(
    study: StudyFolder,
    run_ids: Sequence[str],
    *,
    tell: Callable[[Event], None],
    should_stop: Callable[[], bool],
    job: str | None = None,
) -> list[Event]:
    """Carry out several runs of one kind in one program; returns how they ended.

    If that fails (one of them has another owner, all together need too much memory), this process
    ends: its accelerator may be unfit for more, and each run comes again alone, in which it is seen
    whose fault it was.
    """
    for run_id in run_ids:
        tell(Event(run_id, EventKind.STARTED))
    try:
        return _train_together(study, run_ids, tell, should_stop, job)
    except Exception as error:  # the edge of the process, as in ``_train``
        sys.stderr.write(f"not together, {', '.join(run_ids)}:\n")
        traceback.print_exception(error)
        sys.exit(NOT_TOGETHER_CODE)


def _train_together(
    study: StudyFolder,
    run_ids: Sequence[str],
    tell: Callable[[Event], None],
    should_stop: Callable[[], bool],
    job: str | None,
) -> list[Event]:
    from atlas_scaling.study.execute import execute_together

    with ExitStack() as stack:
        locks = [
            stack.enter_context(_lock_of(study, run_id, should_stop, job)) for run_id in run_ids
        ]

        def must_stop() -> bool:
            for lock in locks:
                lock.require()
            return should_stop()

        done = [run_id for run_id in run_ids if study.is_done(run_id)]
        rest = [run_id for run_id in run_ids if run_id not in done]
        statuses = execute_together(
            study,
            rest,
            on_progress=lambda run_id, tokens, speed: tell(
                Event(run_id, EventKind.PROGRESS, tokens, speed)
            ),
            should_stop=must_stop,
        )
    ended = [_end_of(run_id, status) for run_id, status in statuses.items()]
    return [*(Event(run_id, EventKind.DONE) for run_id in done), *ended]


def _lock_of(
    study: StudyFolder, run_id: str, should_stop: Callable[[], bool], job: str | None
) -> Lock:
    """What makes a run this process's own, in its directory; its base must be done."""
    _require_base(study, run_id)
    directory = study.run_dir(run_id)
    _make(directory)
    return Lock(
        directory, what="run", job=job, patience_seconds=ORPHAN_SECONDS, give_up=should_stop
    )


def _train(
    study: StudyFolder,
    run_id: str,
    lock: Lock,
    tell: Callable[[Event], None],
    should_stop: Callable[[], bool],
) -> Event:
    """Train under the lock; a failure is written down while the run is still ours."""
    from atlas_scaling.study.execute import execute_run

    def must_stop() -> bool:
        lock.require()
        return should_stop()

    try:
        status = execute_run(
            study,
            run_id,
            on_progress=lambda tokens, speed: tell(
                Event(run_id, EventKind.PROGRESS, tokens, speed)
            ),
            should_stop=must_stop,
        )
    except Exception as error:  # the edge of the process: whatever it is, the study goes on
        if not isinstance(error, AtlasError):
            traceback.print_exc()
        lock.require()
        reason = str(error) if isinstance(error, AtlasError) else f"{type(error).__name__}: {error}"
        return _failed(study, run_id, reason)
    return _end_of(run_id, status)


def _end_of(run_id: str, status: RunStatus) -> Event:
    return Event(
        run_id, _ENDS[status.state], status.tokens, status.tokens_per_second, status.reason
    )


def _failed(study: StudyFolder, run_id: str, reason: str) -> Event:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    before = study.status_of(run_id) or RunStatus(state=RunState.FAILED, updated_at=now)
    status = before.model_copy(
        update={"state": RunState.FAILED, "reason": reason, "updated_at": now}
    )
    with suppress(RunError):  # a full disk: the event has to tell
        write_status(study.run_dir(run_id), status)
    return Event(run_id, EventKind.FAILED, status.tokens, reason=reason)


def _require_base(study: StudyFolder, run_id: str) -> None:
    base = study.planned(run_id).base_run
    if base is not None and not study.is_done(base):
        raise RunError(f"the run it continues, {base}, is not done")


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(directory, error) from None


def serve(
    study_dir: Path, requests: IO[str], answer: Callable[[Event], None], *, job: str | None = None
) -> None:
    """Carry out the runs named on ``requests`` until it ends, a stop is asked for, or one fails.

    A process in which a run failed is not used again: what went wrong may have left it unfit.
    """
    study = StudyFolder.open(study_dir)
    with StopFlag() as should_stop:
        while not should_stop():
            run_ids = requests.readline().split()
            if not run_ids:
                return
            if len(run_ids) == 1:
                events = [
                    carry_out(study, run_ids[0], tell=answer, should_stop=should_stop, job=job)
                ]
            else:
                events = carry_out_together(
                    study, run_ids, tell=answer, should_stop=should_stop, job=job
                )
            for event in events:
                answer(event)
            if any(event.kind is EventKind.FAILED for event in events):
                return


def event_to_line(event: Event) -> str:
    """One line of the protocol."""
    return json.dumps(
        {
            "run_id": event.run_id,
            "kind": event.kind.value,
            "tokens": event.tokens,
            "tokens_per_second": event.tokens_per_second,
            "reason": event.reason,
        }
    )


def event_from_line(line: str) -> Event:
    """The event a line holds."""
    data = json.loads(line)
    return Event(**{**data, "kind": EventKind(data["kind"])})


def main() -> None:
    """Talk to the parent on the original stdout; stray prints go to stderr."""
    channel = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)

    def answer(event: Event) -> None:
        # Nobody listens once the parent is gone; the stop flag then ends the run with a checkpoint.
        with suppress(BrokenPipeError):
            channel.write(event_to_line(event) + "\n")

    serve(Path(sys.argv[1]), sys.stdin, answer, job=sys.argv[2] if len(sys.argv) > 2 else None)


if __name__ == "__main__":
    main()
