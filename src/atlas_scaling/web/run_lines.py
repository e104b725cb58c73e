"""Lines of the table of runs: what a design, a run directory and an engine say of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling.answers import Answer
from atlas_scaling.runs.record import RunRecord, RunState, RunStatus

if TYPE_CHECKING:
    from atlas_scaling.study.planned_runs import PlannedRun

WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class RunLine(Answer):
    """One run in the table.

    Attributes:
        run_id: its name.
        group: its kind in the study's design.
        mixture: share by language.
        n_params: model size, embeddings counted.
        tokens: trained so far.
        tokens_planned: in all.
        state: ``waiting``, ``running``, ``done``, ``stopped`` or ``failed``; of a study's run also
            ``queued`` (a scheduler has it) and ``lost`` (its process is gone).
        tokens_per_second: last said; None before the first.
        seconds_left: at that speed; None unless the run is going on.
        updated_at: when it last said something.
        reason: why it waits, stopped or failed.
        base_run: the run it continues.
        seed: of weights and data.
        host: where it runs, or last ran; None if no engine was asked.
        job: the scheduler's name for its job, or None.
    """

    run_id: str
    group: str
    mixture: dict[str, float]
    n_params: int
    tokens: int
    tokens_planned: int
    state: str
    tokens_per_second: float | None
    seconds_left: float | None
    updated_at: str | None
    reason: str | None
    base_run: str | None
    seed: int
    host: str | None = None
    job: str | None = None


def planned_line(plan: PlannedRun) -> RunLine:
    """A run that has not begun."""
    return RunLine(
        run_id=plan.run_id,
        group=plan.group,
        mixture=dict(plan.mixture or {}),
        n_params=plan.n_params,
        tokens=0,
        tokens_planned=plan.tokens,
        state=WAITING,
        tokens_per_second=None,
        seconds_left=None,
        updated_at=None,
        reason=None,
        base_run=plan.base_run,
        seed=plan.seed,
    )


def begun_line(record: RunRecord, status: RunStatus | None) -> RunLine:
    """A run as it says itself."""
    speed = None if status is None else status.tokens_per_second
    tokens = 0 if status is None else status.tokens
    goes_on = status is not None and status.state is RunState.RUNNING and bool(speed)
    return RunLine(
        run_id=record.run_id,
        group=record.group,
        mixture=dict(record.mixture),
        n_params=record.n_params,
        tokens=tokens,
        tokens_planned=record.tokens,
        state=WAITING if status is None else status.state.value,
        tokens_per_second=speed,
        seconds_left=max(record.tokens - tokens, 0) / speed if goes_on and speed else None,
        updated_at=None if status is None else status.updated_at,
        reason=None if status is None else status.reason,
        base_run=record.base_run,
        seed=record.seed,
    )


def with_standing(line: RunLine, standing: Mapping[str, Any] | None) -> RunLine:
    """The line with what the engine says; what the run said of itself since then is newer."""
    if standing is None:
        return line
    line = replace(line, host=standing["host"], job=standing["job"])
    if standing["updated_at"] != line.updated_at:
        return line
    goes_on = standing["state"] == RunState.RUNNING
    return replace(
        line,
        state=standing["state"],
        reason=standing["reason"] or line.reason,
        seconds_left=line.seconds_left if goes_on else None,
    )


def sort_key(line: RunLine, name: str) -> Any:
    """What is sorted by; None where it is missing, which comes last in either order."""
    if name == "progress":
        return line.tokens / line.tokens_planned
    return getattr(line, name, None)
