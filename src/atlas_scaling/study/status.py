"""Where every run of a study stands, from its folder alone (``atlas study status``)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from atlas_scaling.answers import Answer
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class RunStanding(Answer):
    """Where one run stands; ``updated_at`` is when it last said so."""

    run_id: str
    state: str
    tokens: int
    tokens_planned: int
    tokens_per_second: float | None
    updated_at: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class StudyStatus(Answer):
    """All runs of a study and how many are in each state."""

    study: str
    path: str
    states: dict[str, int]
    tokens: int
    tokens_planned: int
    runs: tuple[RunStanding, ...]


def study_status(folder: Path) -> StudyStatus:
    """Look at the study in ``folder``; change nothing.

    Raises:
        InputError: no study began there.
    """
    study = StudyFolder.open(folder)
    standings = []
    for run in study.design.runs:
        status = study.status_of(run.run_id)
        standings.append(
            RunStanding(
                run_id=run.run_id,
                state=WAITING if status is None else status.state.value,
                tokens=0 if status is None else status.tokens,
                tokens_planned=run.tokens,
                tokens_per_second=None if status is None else status.tokens_per_second,
                updated_at=None if status is None else status.updated_at,
                reason=None if status is None else status.reason,
            )
        )
    return StudyStatus(
        study=study.spec.name,
        path=str(folder),
        states=dict(sorted(Counter(s.state for s in standings).items())),
        tokens=sum(s.tokens for s in standings),
        tokens_planned=sum(s.tokens_planned for s in standings),
        runs=tuple(standings),
    )


def status_text(status: StudyStatus) -> RenderableType:
    """The status for people."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("run", "state", "tokens", "of", "tokens/s", "", box=None)
    for run in status.runs:
        speed = run.tokens_per_second
        table.add_row(
            run.run_id,
            run.state,
            format_count(run.tokens),
            format_count(run.tokens_planned),
            format_count(speed) if speed else "",
            run.reason or "",
        )
    states = ", ".join(f"{n} {state}" for state, n in status.states.items())
    share = status.tokens / status.tokens_planned
    return Group(table, Text(f"\n{status.study}: {states}; {share:.0%} of the tokens trained."))
