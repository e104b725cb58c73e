"""The one interface of engines, and the events they report.

An engine is handed runs in an order in which every base comes before what continues it. It writes
nothing itself: each run's directory is written by the trainer, and is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from atlas_scaling.study.design import PlannedRun


class EventKind(StrEnum):
    """What happened to a run."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Event:
    """News of one run. ``reason`` is for people: why it failed, or what was done about a loss."""

    run_id: str
    kind: EventKind
    tokens: int = 0
    tokens_per_second: float | None = None
    reason: str | None = None


class Engine(Protocol):
    """Carries out runs; ``n_workers`` is how many at a time."""

    n_workers: int

    def run(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        *,
        on_event: Callable[[Event], None],
    ) -> None:
        """Carry out ``runs``, and return when every one has ended.

        On KeyboardInterrupt the engine asks its runs to write a checkpoint, waits for them, and
        raises it again.
        """
        ...
