"""``/api/jobs``: what takes longer than a request should, with progress and an end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body

from atlas_scaling.web import requests
from atlas_scaling.web.jobs import JobView
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.session import Here, Session
from atlas_scaling.web.workspace import DataSet

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

Finish = Callable[[dict[str, Any]], None]
_OPTIONS = {"kind", "data", "laws", "targets", "shared", "matrix", "languages"}


@router.post("", responses=SCHEMAS.answer(JobView))
def start(task: Annotated[requests.Task, Body()], here: Here) -> dict[str, Any]:
    """Begin a task; its ``result`` is in the job once that is ``done``."""
    arguments, finish = _prepared(task, here)
    return here.jobs.start(task.kind, arguments, finish).to_dict()


@router.get("/{job_id}", responses=SCHEMAS.answer(JobView))
def show(job_id: str, here: Here) -> dict[str, Any]:
    """Where a job stands."""
    return here.jobs.view(job_id).to_dict()


@router.delete("/{job_id}", responses=SCHEMAS.answer(JobView))
def cancel(job_id: str, here: Here) -> dict[str, Any]:
    """Stop a job."""
    return here.jobs.cancel(job_id).to_dict()


def _prepared(task: requests.Task, here: Session) -> tuple[dict[str, Any], Finish]:
    """What the worker is told, with paths in place of ids, and what is done with its result."""
    files = here.files
    match task:
        case requests.PreviewTask():
            return {"path": str(files.upload_path(task.upload))}, _nothing
        case requests.ImportTask():
            arguments = {
                "path": str(files.upload_path(task.upload)),
                "output": str(files.import_path(task.upload)),
                "map": task.map.model_dump(mode="json", exclude_defaults=True),
            }
            return arguments, lambda result: _imported(task.upload, result, here)
        case requests.FitTask():
            arguments = _fitting(task, here)
            arguments |= {"shared": task.shared, "output": str(files.new_fits)}
            return arguments, lambda result: _named(result, here)
        case requests.CompareTask():
            return _fitting(task, here), _nothing
        case requests.MatrixTask():
            paths = [str(path) for path in files.data_paths("runs")]
            output = str(files.scratch / "matrices")
            return {"paths": paths, "output": output, "options": _options(task)}, _nothing
        case requests.CompleteTask():
            path = files.matrix_path(task.matrix)
            path_of_new = files.new_matrix_path(f"{task.matrix}-completed")
            return {
                "path": None if path is None else str(path),
                "output": str(path_of_new),
                "languages": task.languages,
                "options": _options(task),
            }, lambda result: result.update(id=files.matrix_name(path_of_new))
        case requests.AnalyzeTask():
            path = files.matrix_path(task.matrix)
            return {
                "path": None if path is None else str(path),
                "options": _options(task),
            }, _nothing


def _fitting(task: requests.FitTask | requests.CompareTask, here: Session) -> dict[str, Any]:
    return {
        "paths": [str(path) for path in here.files.data_paths(task.data)],
        "laws": [choice.model_dump(mode="json") for choice in task.laws],
        "targets": task.targets,
        "options": _options(task),
    }


def _options(task: requests.Question) -> dict[str, Any]:
    return task.model_dump(mode="json", exclude=_OPTIONS)


def _nothing(result: dict[str, Any]) -> None:
    """A result that is whole as it is."""


def _named(result: dict[str, Any], here: Session) -> None:
    """Ids in place of paths."""
    for one in result["fits"]:
        if "file" in one:
            one["id"] = here.files.fit_name(Path(one.pop("file")))


def _imported(upload: str, result: dict[str, Any], here: Session) -> None:
    here.files.add_import(
        DataSet(
            id=upload,
            title=f"upload of {result['summary']['kept']} rows",
            targets=tuple(result["targets"]),
            n_runs=result["summary"]["n_runs"],
        )
    )
    result["data"] = upload
