"""Where every run of a study stands: from its folder, and what the engine says of its jobs.

The folder is asked first, since it is the truth: a run that is done is done, and one whose
directory is held by a living process is running. Of the rest, those that a scheduler still has in
hand are queued. What is left has failed or stopped and says so, or is lost, or was never begun.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import AtlasError
from atlas_scaling.runs.record import RunState, RunStatus
from atlas_scaling.study.engines.base import Job, JobState
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.lock import Holder, Life, last_holder
from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

QUIET_AFTER_SECONDS: Final = 60.0


class Standing(StrEnum):
    """Where a run stands."""

    DONE = "done"
    RUNNING = "running"
    QUEUED = "queued"
    WAITING = "waiting"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


IN_HAND: Final = frozenset({Standing.RUNNING, Standing.QUEUED})
"""What goes on, or will begin, without anybody's doing."""


@dataclass(frozen=True, slots=True)
class RunStanding(Answer):
    """Where one run stands.

    ``updated_at`` is when it last said so, ``seconds_left`` its own estimate at its present speed,
    ``job`` the scheduler's, and ``reason`` is for people. ``tokens_by_language`` and ``epochs`` are
    so far, empty where the run has not begun or did not note them.
    """

    run_id: str
    state: Standing
    tokens: int
    tokens_planned: int
    tokens_per_second: float | None
    seconds_left: float | None
    updated_at: str | None
    host: str | None
    job: str | None
    reason: str | None
    tokens_by_language: dict[str, int]
    epochs: dict[str, float]


@dataclass(frozen=True, slots=True)
class StudyStatus(Answer):
    """All runs of a study and how many are in each state."""

    study: str
    path: str
    engine: str
    states: dict[str, int]
    tokens: int
    tokens_planned: int
    runs: tuple[RunStanding, ...]
    warnings: tuple[str, ...]

    @property
    def in_hand(self) -> int:
        """How many runs go on or will begin by themselves."""
        return sum(run.state in IN_HAND for run in self.runs)


def study_status(folder: Path) -> StudyStatus:
    """Look at the study in ``folder`` and ask the engine noted there; change nothing.

    Raises:
        InputError: no study began there.
    """
    from atlas_scaling.study.engines.make import make_engine
    from atlas_scaling.study.engines.options import noted_options

    study = StudyFolder.open(folder)
    options = noted_options(folder)
    warnings = []
    jobs: Mapping[str, Job] = {}
    try:
        jobs = make_engine(options).jobs(study.path)
    except AtlasError as error:
        warnings.append(f"{options.kind} does not answer, queued runs are not known: {error}")
    runs = standings(study, jobs)
    return StudyStatus(
        study=study.spec.name,
        path=str(folder),
        engine=options.kind,
        states=dict(sorted(Counter(run.state.value for run in runs).items())),
        tokens=sum(run.tokens for run in runs),
        tokens_planned=sum(run.tokens_planned for run in runs),
        runs=runs,
        warnings=tuple(warnings),
    )


def standings(study: StudyFolder, jobs: Mapping[str, Job]) -> tuple[RunStanding, ...]:
    """Where each planned run stands, in the order of the design."""
    statuses = {run.run_id: study.status_of(run.run_id) for run in study.design.runs}
    return tuple(
        _standing(
            run,
            statuses[run.run_id],
            last_holder(study.run_dir(run.run_id)),
            jobs.get(run.run_id),
            None if run.base_run is None else statuses[run.base_run],
        )
        for run in study.design.runs
    )


def left_to_do(study: StudyFolder, jobs: Mapping[str, Job]) -> tuple[PlannedRun, ...]:
    """Planned runs that are neither done nor in a scheduler's hands.

    One that looks as if it ran is among them where no scheduler has it: whoever holds the study
    knows that it is an orphan about to stop, and its directory's lock sees to the rest.
    """
    given = {run_id for run_id, job in jobs.items() if job.in_hand}
    away = {
        one.run_id
        for one in standings(study, jobs)
        if one.state is Standing.DONE or (one.state in IN_HAND and one.run_id in given)
    }
    return tuple(run for run in study.design.runs if run.run_id not in away)


def _standing(
    run: PlannedRun,
    status: RunStatus | None,
    holder: Holder | None,
    job: Job | None,
    base: RunStatus | None,
) -> RunStanding:
    state, reason = _state(run, status, holder, job, base)
    tokens = 0 if status is None else status.tokens
    speed = None if status is None else status.tokens_per_second
    running = state is Standing.RUNNING
    return RunStanding(
        run_id=run.run_id,
        state=state,
        tokens=tokens,
        tokens_planned=run.tokens,
        tokens_per_second=speed,
        seconds_left=(run.tokens - tokens) / speed if running and speed else None,
        updated_at=None if status is None else status.updated_at,
        host=None if status is None else status.host,
        job=None if job is None else job.job_id,
        reason=reason,
        tokens_by_language={} if status is None else status.tokens_by_language,
        epochs={} if status is None else status.epochs,
    )


def _state(
    run: PlannedRun,
    status: RunStatus | None,
    holder: Holder | None,
    job: Job | None,
    base: RunStatus | None,
) -> tuple[Standing, str | None]:
    """The first of these that holds, and why."""
    if status is not None and status.state is RunState.DONE:
        return Standing.DONE, None
    if holder is not None and _is_at_work(holder, status, job):
        quiet = holder.silent > QUIET_AFTER_SECONDS and holder.life is Life.UNHEARD
        return Standing.RUNNING, f"no sign of life for {holder.silent:.0f} s" if quiet else None
    if job is not None and job.in_hand and not _failed_in(job, status):
        waits = job.reason if job.state is JobState.QUEUED else "after others of its job"
        return Standing.QUEUED, waits
    if status is not None and status.state is RunState.FAILED:
        return Standing.FAILED, status.reason
    if status is not None and status.state is RunState.STOPPED:
        return Standing.STOPPED, _with_job(status.reason, job)
    if status is not None:
        return Standing.LOST, _with_job(_gone(status, holder), job)
    if run.base_run is not None and (base is None or base.state is not RunState.DONE):
        return Standing.WAITING, f"for {run.base_run}"
    if job is not None:
        cancelled = job.state is JobState.CANCELLED
        state = Standing.STOPPED if cancelled else Standing.LOST
        return state, _with_job("it never began", job)
    return Standing.WAITING, None


def _gone(status: RunStatus, holder: Holder | None) -> str:
    """Which process is gone, as far as the run or its directory's lock noted one."""
    pid, host = status.pid, status.host
    if (pid is None or host is None) and holder is not None and holder.owner.pid:
        pid, host = holder.owner.pid, holder.owner.host
    which = "its process" if pid is None else f"process {pid}"
    where = "" if host is None else f" on {host}"
    return f"{which}{where} is gone, last heard of {status.updated_at}; see logs/ of the study"


def _is_at_work(holder: Holder, status: RunStatus | None, job: Job | None) -> bool:
    """Whether the owner of a run's directory lives, and still trains it."""
    owner = holder.owner
    if holder.life is Life.GONE:
        return False
    if job is not None and owner.job == job.job_id and not job.in_hand:
        return False  # the scheduler knows better than the owner's file
    if status is None or status.state is not RunState.FAILED or status.updated_at < owner.since:
        return True
    # who said that it failed may go on with others, trained together with it
    return (status.host, status.pid) != (owner.host, owner.pid)


def _failed_in(job: Job, status: RunStatus | None) -> bool:
    """Whether the run failed in this very job, which goes on with others."""
    return (
        job.state is JobState.RUNNING
        and status is not None
        and status.state is RunState.FAILED
        and status.updated_at >= job.submitted_at
    )


def _with_job(reason: str | None, job: Job | None) -> str | None:
    if job is None or job.in_hand:
        return reason
    ended = f"its job ended: {job.reason or 'without a word'}"
    if job.log is not None and job.state is JobState.ENDED:
        ended += f"; see {job.log}"
    return f"{reason}; {ended}" if reason else ended


def status_text(status: StudyStatus) -> RenderableType:
    """The status for people: every run, then the sum."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for name in ("run", "state", "tokens", "of", "tokens/s", "left", "job"):
        table.add_column(name, no_wrap=True)
    table.add_column("", overflow="fold")
    for run in status.runs:
        speed, left = run.tokens_per_second, run.seconds_left
        table.add_row(
            run.run_id,
            run.state.value,
            format_count(run.tokens),
            format_count(run.tokens_planned),
            format_count(speed) if speed else "",
            "" if left is None else duration(left),
            run.job or "",
            (run.reason or "").partition("\n")[0],
        )
    states = ", ".join(f"{n} {state}" for state, n in status.states.items())
    share = status.tokens / status.tokens_planned
    lines = [f"\n{status.study}: {states}; {share:.0%} of the tokens trained."]
    lines += [f"WARNING {warning}" for warning in status.warnings]
    lost = any(status.states.get(state) for state in ("lost", "failed", "stopped"))
    if lost:
        lines.append(
            f"What is lost, failed or stopped: atlas study resume {shlex.quote(status.path)}"
        )
    return Group(table, Text("\n".join(lines)))


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42), duration(150), duration(7000), duration(200_000)
    ('42 s', '2 min', '1 h 56 min', '2 d 7 h')
    """
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24} h"
