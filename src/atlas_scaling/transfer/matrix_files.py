"""Transfer matrices as files: one row a pair, Parquet or CSV, and back without loss.

Columns: ``target, source, bts, lower, upper, provenance, early, notes`` (separated by semicolons)
and the origin's ``origin, d, unit, n_params, level, step``. A hand-written file needs the first
three only; its cells count as measured. Missing pairs are written too, so that the order and the
shape come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.languages import normalise
from atlas_scaling.transfer.matrix import (
    NOTE_BREAK,
    Cell,
    Origin,
    Provenance,
    TransferMatrix,
    split_notes,
)

if TYPE_CHECKING:
    import polars as pl

_NUMBERS: Final = ("bts", "lower", "upper", "d", "n_params", "level", "step")
_FLAGS: Final = {"true": True, "false": False}
COLUMNS: Final = (
    *("target", "source", "bts", "lower", "upper", "provenance", "early", "notes"),
    *("origin", "d", "unit", "n_params", "level", "step"),
)
REQUIRED: Final = ("target", "source", "bts")
_PROVENANCES: Final = tuple(kind.value for kind in Provenance)


def matrix_frame(matrix: TransferMatrix) -> pl.DataFrame:
    """The matrix as a long polars frame with ``COLUMNS``, one row a pair, missing ones too."""
    import polars as pl

    schema: dict[str, Any] = {n: pl.Float64 if n in _NUMBERS else pl.String for n in COLUMNS}
    schema["early"] = pl.Boolean
    return pl.DataFrame([_row(cell) for cell in matrix], schema=schema, orient="row")


def matrix_from_frame(frame: pl.DataFrame, *, name: str) -> TransferMatrix:
    """A matrix of a long frame; ``name`` stands for it in messages and for a missing origin.

    Raises:
        InputError: a column is missing or unknown, or a row has an unknown language or provenance,
            a number that is none, or repeats a pair; with the row.
    """
    _check_columns(frame.columns, name)
    frame = _with_types(frame, name)
    cells = [
        _cell(row, where=f"{name}, row {number}", origin_name=name)
        for number, row in enumerate(frame.iter_rows(named=True), 1)
    ]
    if not cells:
        raise InputError("this matrix has no row", value=name)
    try:
        return TransferMatrix.from_cells(cells)
    except InputError as error:
        raise InputError(error.problem, value=error.value, where=name) from None


def save_matrix(matrix: TransferMatrix, path: Path) -> None:
    """Write ``matrix`` to ``path``, as its ending says: ``.parquet`` or ``.csv``.

    Raises:
        InputError: another ending, or the file cannot be written.
    """
    frame = matrix_frame(matrix)
    check_matrix_file(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            frame.write_parquet(path)
        else:
            frame.write_csv(path)
    except OSError as error:
        raise InputError(f"this file cannot be written: {error}", value=str(path)) from None


def load_matrix(path: Path) -> TransferMatrix:
    """Read a matrix that ``save_matrix`` wrote, or a hand-written one with ``REQUIRED``.

    Raises:
        InputError: no such file, another ending, or content that is no matrix.
    """
    import polars as pl

    check_matrix_file(path)
    if not path.is_file():
        raise InputError("there is no such file", value=str(path))
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"this file cannot be read: {reason}", value=str(path)) from None
    return matrix_from_frame(frame, name=str(path))


def _row(cell: Cell) -> tuple[Any, ...]:
    origin = cell.origin
    return (
        cell.target,
        cell.source,
        cell.bts,
        cell.lower,
        cell.upper,
        cell.provenance.value,
        cell.early,
        NOTE_BREAK.join(cell.notes) or None,
        *(
            (None,) * 6
            if origin is None
            else (origin.name, origin.d, origin.unit, origin.n_params, origin.level, origin.step)
        ),
    )


def _cell(row: dict[str, Any], *, where: str, origin_name: str) -> Cell:
    try:
        target, source = (normalise(row[side] or "") for side in ("target", "source"))
    except InputError as error:
        raise InputError(
            error.problem, value=error.value, where=where, remedy=error.remedy
        ) from None
    bts, lower, upper = (row.get(column) for column in ("bts", "lower", "upper"))
    default = Provenance.MISSING if bts is None else Provenance.MEASURED
    stated = row.get("provenance")
    if stated is not None and stated not in _PROVENANCES:
        raise unknown("unknown provenance", stated, _PROVENANCES, where=where)
    provenance = default if stated is None else Provenance(stated)
    _check_consistent(bts, lower, upper, provenance, where)
    if provenance is Provenance.MISSING:
        return Cell(target, source)
    origin = Origin(
        name=row.get("origin") or origin_name,
        d=row.get("d"),
        unit=row.get("unit") or "tokens",
        n_params=row.get("n_params"),
        level=row.get("level"),
        step=row.get("step"),
    )
    notes = split_notes(row.get("notes") or "")
    return Cell(target, source, bts, lower, upper, provenance, origin, _early(row, where), notes)


def _early(row: dict[str, Any], where: str) -> bool:
    flag = (row.get("early") or "false").lower()
    if flag not in _FLAGS:
        raise InputError("early is true or false", value=flag, where=where)
    return _FLAGS[flag]


def _check_consistent(
    bts: float | None,
    lower: float | None,
    upper: float | None,
    provenance: Provenance,
    where: str,
) -> None:
    if provenance is Provenance.CENSORED:
        if bts is not None or (lower is None and upper is None):
            raise InputError(
                "a censored pair has a bound and no value",
                value={"bts": bts, "lower": lower, "upper": upper},
                where=where,
            )
    elif (provenance is Provenance.MISSING) != (bts is None):
        raise InputError(
            f"a pair that is {provenance.value} {'has no' if bts is not None else 'needs a'} value",
            value=bts,
            where=where,
        )
    if lower is not None and upper is not None and not lower <= upper:
        raise InputError(
            "an interval has its lower end first", value=(lower, upper), where=f"{where}, lower"
        )
    if bts is not None and not bts <= 2:
        raise InputError(
            "a BTS is a number of at most 2",
            value=bts,
            where=where,
            remedy="convert the ratio form d/sigma with transfer.scores.bts_from_ratio",
        )


def _check_columns(columns: Sequence[str], name: str) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise unknown("unknown column", column, COLUMNS, where=name)
    missing = [column for column in REQUIRED if column not in columns]
    if missing:
        raise InputError("a column is missing", value=missing, where=name)


def _with_types(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Numbers as float64, texts as strings, empty texts as missing."""
    import polars as pl

    for column in frame.columns:
        wanted = pl.Float64 if column in _NUMBERS else pl.String
        given = frame[column]
        if given.dtype == pl.String:
            given = given.set(given == "", None)
        cast = given.cast(wanted, strict=False)
        lost = (cast.is_null() & given.is_not_null()).arg_max()
        if cast.null_count() > given.null_count() and lost is not None:
            raise InputError(
                "this is not a number", value=given[lost], where=f"{name}, row {lost + 1}, {column}"
            )
        frame = frame.with_columns(cast.alias(column))
    return frame


def check_matrix_file(path: Path) -> None:
    """Refuse a file whose ending says no form of a matrix.

    Raises:
        InputError: the ending is neither ``.parquet`` nor ``.csv``.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise InputError(
            "a matrix is a .parquet or a .csv file", value=str(path), remedy="name it so"
        )
