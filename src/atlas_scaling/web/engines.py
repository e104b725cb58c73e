"""What the engines of the session's studies say of their runs: queued, running where, or lost.

A scheduler is asked by the function behind ``atlas study status``, in a process of its own (Ray
connects, SLURM's programs take seconds), while somebody looks, and never more often than it bears.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from atlas_scaling.answers import Answer
from atlas_scaling.web.jobs import Jobs, JobState, JobView

ASK_SECONDS: Final = 10.0
PAUSE: Final = 5.0
"""At least this many times as long as the last answer took."""


@dataclass(frozen=True, slots=True)
class StudyLine(Answer):
    """A study and what its engine said.

    Attributes:
        study: its name.
        resume: the command that goes on with what is lost, failed or stopped.
        engine: ``local``, ``slurm`` or ``ray``; None before the first answer.
        states: runs in each state, queued and lost ones told apart; empty before the first answer.
        asked_seconds_ago: since that answer; None before the first.
        warnings: why the engine's part is not known.
    """

    study: str
    resume: str
    engine: str | None
    states: dict[str, int]
    asked_seconds_ago: float | None
    warnings: tuple[str, ...]


class EngineWatch:
    """Asks again and again while it is looked at.

    Args:
        folders: of studies.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._jobs = Jobs(workers=1, kept=1)
        self._lock = threading.Lock()
        self._asked: str | None = None
        self._next = -1e9
        self._answered: float | None = None
        self._studies: tuple[dict[str, Any], ...] = ()
        self._standings: Mapping[str, Mapping[str, Any]] = {}
        self._problem: str | None = None

    def look(self) -> None:
        """Take an answer that came, and ask again if it is time; waits for neither."""
        if self._folders:
            with self._lock:
                self._follow()

    @property
    def standings(self) -> Mapping[str, Mapping[str, Any]]:
        """Of each run what ``study.status.RunStanding`` says, by run id.

        It is the same object as long as nothing new was said.
        """
        return self._standings

    def studies(self) -> tuple[StudyLine, ...]:
        """The studies, with the newest answer of each."""
        ago = None if self._answered is None else time.monotonic() - self._answered
        said = {one["path"]: one for one in self._studies}
        own = () if self._problem is None else (self._problem,)
        return tuple(
            StudyLine(
                study=said.get(str(folder), {}).get("study", folder.name),
                resume=shlex.join(["atlas", "study", "resume", str(folder)]),
                engine=said.get(str(folder), {}).get("engine"),
                states=said.get(str(folder), {}).get("states", {}),
                asked_seconds_ago=ago,
                warnings=(*said.get(str(folder), {}).get("warnings", ()), *own),
            )
            for folder in self._folders
        )

    def close(self) -> None:
        """End the process that asks."""
        self._jobs.close()

    def _follow(self) -> None:
        if self._asked is not None:
            job = self._jobs.view(self._asked)
            if job.state in (JobState.WAITING, JobState.RUNNING):
                return
            self._take(job)
        if time.monotonic() >= self._next:
            task = {"paths": [str(folder) for folder in self._folders]}
            self._asked = self._jobs.start("status", task).id

    def _take(self, job: JobView) -> None:
        self._asked = None
        self._next = time.monotonic() + max(ASK_SECONDS, PAUSE * job.seconds)
        if job.result is None:
            self._problem = str((job.error or {}).get("problem", "the engine was not asked"))
            return
        self._problem = None
        self._studies = tuple(job.result["studies"])
        self._answered = time.monotonic()
        now = {run["run_id"]: run for one in self._studies for run in one["runs"]}
        if now != self._standings:
            self._standings = now
