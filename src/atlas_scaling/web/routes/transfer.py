"""``/api/transfer``: matrices, their cells, and who helps whom."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query
from numpy.typing import NDArray

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.languages import language, normalise
from atlas_scaling.runs.store import read_runs
from atlas_scaling.transfer.matrix import Cell, Origin, TransferMatrix
from atlas_scaling.transfer.measure import BtsAnswer, compare_runs
from atlas_scaling.transfer.ranking import (
    SourcesAnswer,
    TargetsAnswer,
    best_sources,
    best_targets,
)
from atlas_scaling.transfer.scores import EVEN_SHARE, tau_from_bts
from atlas_scaling.transfer.sides import SHARE_TOLERANCE
from atlas_scaling.web import requests
from atlas_scaling.web.file_kinds import MatrixFile
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.session import Here, Session

router = APIRouter(prefix="/api/transfer", tags=["transfer"])


@dataclass(frozen=True, slots=True)
class MatrixLanguage(Answer):
    """A language of a matrix, and what it may be grouped by."""

    code: str
    name: str
    script: str
    family: str
    branch: str


@dataclass(frozen=True, slots=True)
class MatrixView(Answer):
    """A matrix as a picture needs it; rows are targets, columns are sources.

    Attributes:
        id: of the matrix.
        languages: all of its targets and sources.
        targets, sources: codes of the rows and columns.
        values: scores; null where missing or censored.
        lower, upper: intervals, or the bound of a censored cell.
        provenance: how each cell was obtained.
        origin: index into ``origins``, -1 where missing.
        early: cells that may yet turn.
        origins: where cells are from.
        counts: cells of each provenance.
    """

    id: str
    languages: tuple[MatrixLanguage, ...]
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    values: list[list[float | None]]
    lower: list[list[float | None]]
    upper: list[list[float | None]]
    provenance: list[list[str]]
    origin: list[list[int]]
    early: list[list[bool]]
    origins: tuple[str, ...]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class CellView(Answer):
    """One pair, both ways.

    Attributes:
        cell: source to target.
        mirror: target to source; None where the matrix has no such place.
        tau: transfer weight that the score gives; None where there is no score.
        rounding: where a rounded number lay before.
        origin: where the score is from.
        curve: the score over tokens, where this session has the runs behind it; else None.
        note: why there is no curve, or None.
    """

    cell: Cell
    mirror: Cell | None
    tau: float | None
    rounding: tuple[float, float] | None
    origin: Origin | None
    curve: BtsAnswer | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Matrices(Answer):
    """Matrices of the session; ``can_measure`` says whether it has runs to measure one on."""

    matrices: tuple[MatrixFile, ...]
    can_measure: bool


@router.get("/matrices", responses=SCHEMAS.answer(Matrices))
def list_matrices(here: Here) -> dict[str, Any]:
    """The published matrix, saved ones, and those of this session."""
    return Matrices(here.files.matrices(), bool(here.files.run_folders)).to_dict()


@router.get("/matrices/{name}", responses=SCHEMAS.answer(MatrixView))
def show_matrix(name: str, here: Here) -> dict[str, Any]:
    """A whole matrix."""
    matrix = here.files.matrix(name)
    codes = tuple(dict.fromkeys((*matrix.targets, *matrix.sources)))
    return MatrixView(
        id=name,
        languages=tuple(_language(code) for code in codes),
        targets=matrix.targets,
        sources=matrix.sources,
        values=_rows(matrix.values),
        lower=_rows(matrix.lower),
        upper=_rows(matrix.upper),
        provenance=matrix.provenance.tolist(),
        origin=matrix.origin.tolist(),
        early=matrix.early.tolist(),
        origins=tuple(map(str, matrix.origins)),
        counts=matrix.counts,
    ).to_dict()


@router.post("/matrices/{name}/save", responses=SCHEMAS.answer(MatrixFile))
def save_matrix(name: str, question: requests.SaveQuestion, here: Here) -> dict[str, Any]:
    """Keep a matrix of this session in the folder of saved things."""
    path = here.files.save_matrix(name, question.name)
    matrix = here.files.matrix(name)
    return MatrixFile(
        here.files.matrix_name(path), path.stem, len(matrix.targets), len(matrix.sources), True
    ).to_dict()


@router.get("/cell", responses=SCHEMAS.answer(CellView))
def show_cell(
    here: Here,
    target: Annotated[str, Query(max_length=40)],
    source: Annotated[str, Query(max_length=40)],
    matrix: Annotated[str | None, Query(max_length=120)] = None,
) -> dict[str, Any]:
    """One pair: its score, what it rests on, and its curve where the runs are at hand."""
    whole = here.files.matrix(matrix)
    cell = whole[target, source]
    curve, note = None, None
    try:
        curve = _curve(cell, here)
    except InputError as error:
        note = error.problem
    return CellView(
        cell=cell,
        mirror=_mirror(whole, cell),
        tau=None if cell.bts is None else float(tau_from_bts(cell.bts)),
        rounding=cell.rounding,
        origin=cell.origin,
        curve=curve,
        note=note,
    ).to_dict()


@router.get("/sources", responses=SCHEMAS.answer(SourcesAnswer))
def sources(
    here: Here,
    target: Annotated[str, Query(max_length=40)],
    matrix: Annotated[str | None, Query(max_length=120)] = None,
    top: Annotated[int | None, Query(ge=1, le=1000)] = None,
    measured_only: bool = False,
) -> dict[str, Any]:
    """What helps a language most."""
    whole = here.files.matrix(matrix)
    return best_sources(whole, target, top=top, measured_only=measured_only).to_dict()


@router.get("/targets", responses=SCHEMAS.answer(TargetsAnswer))
def targets(
    here: Here,
    source: Annotated[str, Query(max_length=40)],
    matrix: Annotated[str | None, Query(max_length=120)] = None,
    top: Annotated[int | None, Query(ge=1, le=1000)] = None,
    measured_only: bool = False,
) -> dict[str, Any]:
    """What a language helps most."""
    whole = here.files.matrix(matrix)
    return best_targets(whole, source, top=top, measured_only=measured_only).to_dict()


def _mirror(matrix: TransferMatrix, cell: Cell) -> Cell | None:
    there = cell.source in matrix.targets and cell.target in matrix.sources
    return matrix[cell.source, cell.target] if there else None


def _curve(cell: Cell, here: Session) -> BtsAnswer:
    """The score over d from the runs of the session.

    Raises:
        InputError: the session has no such runs, or they cannot be compared.
    """
    size = None if cell.origin is None else cell.origin.n_params
    mono, pair = [], []
    for path, record in here.runs.records():
        if record.continues is not None or (size is not None and record.n_params != size):
            continue
        shares = {code: share for code, share in record.mixture.items() if share > 0}
        if set(shares) == {cell.target}:
            mono.append(path)
        elif set(shares) == {cell.target, cell.source} and _is_even(shares.values()):
            pair.append(path)
    if not mono or not pair:
        raise InputError("the runs behind this score are not in this session")
    comparison = compare_runs(read_runs(mono).frame, read_runs(pair).frame, cell.target)
    d = None if cell.origin is None else cell.origin.d
    return comparison.score(d)


def _is_even(shares: Any) -> bool:
    return all(abs(share - EVEN_SHARE) <= SHARE_TOLERANCE for share in shares)


def _rows(array: NDArray[Any]) -> list[list[float | None]]:
    return [[None if math.isnan(x) else x for x in row] for row in array.tolist()]


def _language(code: str) -> MatrixLanguage:
    try:
        one = language(normalise(code))
    except InputError:
        return MatrixLanguage(code, code, "", "", "")
    return MatrixLanguage(one.code, one.name, one.script, one.family, one.branch)
