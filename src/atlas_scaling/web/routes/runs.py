"""``/api/runs``: a study while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from atlas_scaling.answers import Answer
from atlas_scaling.web.live import RunDetail, RunsPage
from atlas_scaling.web.run_directory import RunCurve
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.session import Here

router = APIRouter(prefix="/api/runs", tags=["runs"])

Sort = Literal[
    "", "run_id", "group", "n_params", "tokens", "progress", "state", "tokens_per_second",
    "seconds_left", "updated_at",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Curves(Answer):
    """Loss curves."""

    curves: tuple[RunCurve, ...]


@router.get("", responses=SCHEMAS.answer(RunsPage))
def list_runs(
    here: Here,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=0, le=500)] = 100,
    state: Annotated[list[str] | None, Query(max_length=10)] = None,
    group: Annotated[list[str] | None, Query(max_length=100)] = None,
    size: Annotated[list[int] | None, Query(max_length=100)] = None,
    language: Annotated[str | None, Query(max_length=40)] = None,
    q: Annotated[str, Query(max_length=120, description="Part of a run's name.")] = "",
    sort: Sort = "",
    descending: bool = False,
) -> dict[str, Any]:
    """A page of the runs, with sums over all that the filter leaves."""
    here.engines.look()
    return here.runs.page(
        offset=offset,
        limit=limit,
        states=state or (),
        groups=group or (),
        sizes=size or (),
        language=language or None,
        text=q,
        sort=sort,
        descending=descending,
    ).to_dict()


@router.get("/curves", responses=SCHEMAS.answer(Curves))
def show_curves(
    here: Here,
    run: Annotated[list[str], Query(min_length=1, max_length=20)],
    language: Annotated[list[str] | None, Query(max_length=40)] = None,
) -> dict[str, Any]:
    """Loss over tokens, of some runs in some languages."""
    return Curves(tuple(here.runs.curves(run, language or ()))).to_dict()


@router.get("/{run_id}", responses=SCHEMAS.answer(RunDetail))
def show_run(run_id: str, here: Here) -> dict[str, Any]:
    """Everything about one run."""
    return here.runs.detail(run_id).to_dict()
