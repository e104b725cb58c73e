"""What one server works with: its files, its runs, its jobs; and how a route gets at it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

from fastapi import Depends, Request

from atlas_scaling.errors import InputError
from atlas_scaling.web.engines import EngineWatch
from atlas_scaling.web.jobs import Jobs
from atlas_scaling.web.live import LiveRuns
from atlas_scaling.web.workspace import Workspace

if TYPE_CHECKING:
    from atlas_scaling.study.planned_runs import PlannedRun

MAX_UPLOAD_BYTES: Final = 200_000_000


@dataclass(frozen=True, eq=False)
class Session:
    """Everything behind the API.

    Attributes:
        files: what may be read and written.
        runs: where the given runs stand.
        jobs: long work.
        engines: what carries out the given studies.
        max_upload_bytes: of one file that is sent.
        notes: what was found amiss in the given paths.
    """

    files: Workspace
    runs: LiveRuns
    jobs: Jobs
    engines: EngineWatch
    max_upload_bytes: int = MAX_UPLOAD_BYTES
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls, files: Workspace, *, workers: int | None = None, max_upload_bytes: int | None = None
    ) -> Session:
        """A session on some files.

        Args:
            files: what may be read and written.
            workers: processes for long work; half the cores if not given.
            max_upload_bytes: of one file that is sent.
        """
        planned, notes = _planned(files.study_folders)
        engines = EngineWatch(files.study_folders)
        return cls(
            files=files,
            runs=LiveRuns(files.run_folders, planned, engines),
            engines=engines,
            jobs=Jobs(workers or max(1, (os.cpu_count() or 2) // 2)),
            max_upload_bytes=max_upload_bytes or MAX_UPLOAD_BYTES,
            notes=notes,
        )

    def close(self) -> None:
        """End every process of it."""
        self.jobs.close()
        self.engines.close()


def _planned(folders: tuple[Path, ...]) -> tuple[list[PlannedRun], tuple[str, ...]]:
    """Runs that the studies' designs name, and why a study could not be read."""
    from atlas_scaling.study.folder import StudyFolder

    runs: list[PlannedRun] = []
    notes = []
    for folder in folders:
        try:
            runs += StudyFolder.open(folder).design.runs
        except InputError as error:
            notes.append(f"{folder}: {error.problem}; runs that have not begun are not shown")
    return runs, tuple(notes)


def _session(request: Request) -> Session:
    return cast(Session, request.app.state.session)


Here = Annotated[Session, Depends(_session)]
"""The session of the server that a route runs in."""
