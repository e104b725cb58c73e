"""``/api/fits`` and ``/api/uploads``: saved fits, and files to fit to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.result import Fit
from atlas_scaling.web import requests, snippets
from atlas_scaling.web.failures import failure_response
from atlas_scaling.web.file_kinds import FitFile
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.session import Here
from atlas_scaling.web.workspace import RUNS, DataSet

router = APIRouter(prefix="/api", tags=["fits"])

MOST_POINTS = 4000


@dataclass(frozen=True, slots=True)
class Fits(Answer):
    """Fits of the session, and what more can be fitted to."""

    fits: tuple[FitFile, ...]
    data: tuple[DataSet, ...]


@dataclass(frozen=True, slots=True)
class FitPoints(Answer):
    """What was fitted, row by row; of very many rows, evenly chosen ones.

    Attributes:
        run: run of each row.
        loss, predicted: measured, and by the law.
        inputs: the law's inputs by name.
        n_rows: of the fit in all.
        loss_unit: of both losses.
    """

    run: tuple[str, ...]
    loss: tuple[float, ...]
    predicted: tuple[float, ...]
    inputs: dict[str, tuple[float, ...]]
    n_rows: int
    loss_unit: str


@dataclass(frozen=True, slots=True)
class Saved(Answer):
    """Where something was saved, and its id from now on."""

    id: str
    path: str


@dataclass(frozen=True, slots=True)
class Uploaded(Answer):
    """A file that arrived."""

    upload: str
    bytes: int


@router.get("/fits", responses=SCHEMAS.answer(Fits))
def list_fits(here: Here) -> dict[str, Any]:
    """Saved fits, fits of this session, and data sets."""
    languages = here.runs.languages()
    data = tuple(
        DataSet(one.id, one.title, languages, len(here.runs.records())) if one.id == RUNS else one
        for one in here.files.data_sets()
    )
    return Fits(here.files.fits(), data).to_dict()


@router.post("/fits/code", responses=SCHEMAS.answer(snippets.Snippets))
def show_code(
    task: Annotated[requests.FitTask | requests.CompareTask, Body(discriminator="kind")], here: Here
) -> dict[str, Any]:
    """The same fits, or the same comparison, as commands and as Python."""
    if isinstance(task, requests.FitTask):
        return snippets.fits(task, here).to_dict()
    return snippets.comparison(task, here).to_dict()


@router.get("/fits/{name}", responses={200: {"description": "What ``atlas fit --json`` prints."}})
def show_fit(name: str, here: Here) -> dict[str, Any]:
    """Parameters with intervals and verdicts."""
    return here.files.fit(name).to_dict()


@router.get("/fits/{name}/points", responses=SCHEMAS.answer(FitPoints))
def show_points(name: str, here: Here) -> dict[str, Any]:
    """Measured and predicted losses."""
    return _points(here.files.fit(name)).to_dict()


@router.post("/fits/{name}/save", responses=SCHEMAS.answer(Saved))
def save_fit(name: str, question: requests.SaveQuestion, here: Here) -> dict[str, Any]:
    """Keep a fit in the folder of saved things."""
    path = here.files.save_fit(name, question.name)
    return Saved(here.files.fit_name(path), str(path)).to_dict()


@router.post(
    "/uploads",
    responses=SCHEMAS.answer(Uploaded) | {413: failure_response("The file is too large.")},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def upload(
    request: Request,
    here: Here,
    name: Annotated[str, Query(min_length=1, max_length=300, description="The file's name.")],
) -> dict[str, Any]:
    """Take a table: the request's body is the file. It is looked at by a job, ``preview``."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/octet-stream":
        raise HTTPException(415, "send the file as it is, as application/octet-stream")
    most = here.max_upload_bytes
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > most:
        raise _too_large(most)
    upload_id, path = here.files.new_upload(name)
    taken = 0
    try:
        with path.open("wb") as file:
            async for part in request.stream():
                taken += len(part)
                if taken > most:
                    raise _too_large(most)
                await run_in_threadpool(file.write, part)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not taken:
        path.unlink()
        raise InputError("the file is empty", value=name[-80:], where="name")
    return Uploaded(upload_id, taken).to_dict()


def _too_large(most: int) -> HTTPException:
    return HTTPException(
        413,
        f"the file is larger than the dashboard takes, {most / 1e6:g} MB; larger ones: "
        "atlas runs import FILE -o runs.parquet, then atlas serve runs.parquet",
    )


def _points(fit: Fit) -> FitPoints:
    o = fit.observations
    rows = np.arange(o.n_rows)
    if len(rows) > MOST_POINTS:
        rows = np.linspace(0, o.n_rows - 1, MOST_POINTS).round().astype(np.intp)
    return FitPoints(
        run=tuple(o.run_ids[i] for i in o.run[rows]),
        loss=tuple(o.loss[rows].tolist()),
        predicted=tuple(fit.predicted[rows].tolist()),
        inputs={
            name: tuple(values[rows].tolist()) for name, values in o.x.items() if values.ndim == 1
        },
        n_rows=o.n_rows,
        loss_unit=o.unit.value,
    )
