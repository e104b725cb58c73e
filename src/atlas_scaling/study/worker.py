"""The process that trains: ``python -m atlas_scaling.study.worker STUDY_DIR``.

It reads one run id a line on stdin and answers with events, one JSON object a line, on stdout;
everything else that is printed goes to stderr. It lives for many runs, so that PyTorch is imported
once. Ctrl-C, SIGTERM or the death of its parent make the run in hand write a checkpoint and stop.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from atlas_scaling.errors import AtlasError
from atlas_scaling.runs.record import RunState
from atlas_scaling.study.engines.base import Event, EventKind

_ENDS = {
    RunState.DONE: EventKind.DONE,
    RunState.STOPPED: EventKind.STOPPED,
    RunState.FAILED: EventKind.FAILED,
}


class StopFlag:
    """True once somebody asked this process to stop, or its parent is gone."""

    def __init__(self) -> None:
        self._asked = False
        self._parent = os.getppid()
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    def __call__(self) -> bool:
        """Whether to stop."""
        return self._asked or os.getppid() != self._parent


def serve(study_dir: Path, requests: IO[str], answer: Callable[[Event], None]) -> None:
    """Carry out the runs named on ``requests`` until it ends or a stop is asked for."""
    from atlas_scaling.study.execute import execute_run
    from atlas_scaling.study.folder import StudyFolder

    should_stop = StopFlag()
    study = StudyFolder.open(study_dir)
    while not should_stop():
        run_id = requests.readline().strip()
        if not run_id:
            return
        answer(Event(run_id, EventKind.STARTED))
        try:
            status = execute_run(
                study,
                run_id,
                on_progress=lambda tokens, speed: answer(
                    Event(run_id, EventKind.PROGRESS, tokens, speed)  # noqa: B023 - called at once
                ),
                should_stop=should_stop,
            )
        except AtlasError as error:
            answer(Event(run_id, EventKind.FAILED, reason=str(error)))
            continue
        answer(
            Event(
                run_id,
                _ENDS[status.state],
                status.tokens,
                status.tokens_per_second,
                status.reason,
            )
        )


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

    serve(Path(sys.argv[1]), sys.stdin, answer)


if __name__ == "__main__":
    main()
