"""The one interface of engines, and what they report.

An engine is handed runs in an order in which every base comes before what continues it. It writes
nothing of a run itself: each run's directory is written by the trainer, and is what counts. An
engine either carries runs out while its caller waits (``local``), or hands them to a scheduler
that goes on without the caller (``slurm``, ``ray``); ``study/follow.py`` then watches the
directories. To add one: docs/engines.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from atlas_scaling.study.engines.options import AnyOptions
from atlas_scaling.study.planned_runs import PlannedRun


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


class JobState(StrEnum):
    """What a scheduler says of a job; ``ENDED`` however else it ended, or no longer known."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLED = "cancelled"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Job:
    """The job a run was last given to.

    Attributes:
        job_id: the scheduler's name for it, as its own tools take it.
        state: whether it waits, works or has ended.
        reason: why it waits or how it ended, in the scheduler's words.
        submitted_at: ISO 8601.
        log: where in the study's folder is what it printed, if the scheduler keeps that there.
    """

    job_id: str
    state: JobState
    reason: str | None = None
    submitted_at: str = ""
    log: str | None = None

    @property
    def in_hand(self) -> bool:
        """Whether the scheduler will carry the run out, or does."""
        return self.state in (JobState.QUEUED, JobState.RUNNING)


class Engine(Protocol):
    """Carries out runs."""

    @property
    def options(self) -> AnyOptions:
        """What it was told; noted in the study's folder."""
        ...

    @property
    def n_workers(self) -> int | None:
        """How many at a time; None where a scheduler decides."""
        ...

    def run(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        *,
        on_event: Callable[[Event], None],
    ) -> None:
        """Carry out ``runs``; return when every one has ended or is in a scheduler's hands.

        On KeyboardInterrupt the engine asks the runs that would end with this program to write a
        checkpoint, waits for them, and raises it again.

        Raises:
            RunError: the scheduler refuses, or is not there.
        """
        ...

    def jobs(self, study_dir: Path) -> Mapping[str, Job]:
        """The last job of every run that a scheduler was given, by run id, from any process.

        Raises:
            RunError: the scheduler does not answer.
        """
        ...

    def cancel(self, study_dir: Path) -> int:
        """Stop whatever works on the study or waits to; runs in hand write a checkpoint first.

        Returns how many jobs (or processes) were told to stop.

        Raises:
            RunError: the scheduler does not answer.
            InputError: what works on the study cannot be reached from here.
        """
        ...
