"""Run tables as files, and back: Parquet as it is, CSV with the columns by language as JSON text.

``read_table(path)`` gives the frame that ``write_table(frame, path)`` was given, for frames that
``read_runs`` or ``import_runs`` made. In CSV a mixture is ``{"deu_Latn": 0.25, "eng_Latn": 0.75}``,
numbers have all their digits, and missing is an empty cell.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.cells import as_useful
from atlas_scaling.runs.importers.source import READ_ERRORS
from atlas_scaling.runs.store import SCHEMA

BY_LANGUAGE: Final = tuple(name for name, dtype in SCHEMA.items() if dtype.is_nested())
WHERE_KNOWN: Final = ("step", "language")
"""Columns that a table may lack."""


def check_suffix(path: Path) -> str:
    """The suffix of a run table's name.

    Raises:
        InputError: it is neither ``.parquet`` nor ``.csv``.
    """
    if path.suffix not in {".parquet", ".csv"}:
        raise InputError(
            "a run table is Parquet or CSV",
            value=str(path),
            remedy="give a name that ends in .parquet or .csv",
        )
    return path.suffix


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a run table whole, by the suffix of ``path``: a reader never sees half of it.

    Raises:
        InputError: the suffix is neither ``.parquet`` nor ``.csv``, or the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        if check_suffix(path) == ".parquet":
            frame.write_parquet(temporary)
        else:
            present = [name for name in BY_LANGUAGE if name in frame.columns]
            frame.with_columns(_as_text(frame[name]) for name in present).write_csv(temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"this file cannot be written: {error}", value=str(path)) from None


def read_table(path: Path) -> pl.DataFrame:
    """Read a run table that ``write_table`` wrote: the columns of ``SCHEMA``, then any others.

    Raises:
        InputError: there is no such file, it cannot be read, or it is no run table of ours.
    """
    if not path.is_file():
        raise InputError("there is no such file", value=str(path))
    suffix = check_suffix(path)
    try:
        frame = pl.read_parquet(path) if suffix == ".parquet" else _read_text(path)
        lacking = _lacking(frame.columns)
        if lacking:
            raise InputError(
                f"this is no run table of ours: it lacks {', '.join(lacking)}",
                value=str(path),
                remedy=f"import it: atlas runs import {path} -o runs.parquet",
            )
        return frame.with_columns(
            _typed(frame[name], dtype) for name, dtype in SCHEMA.items() if name in frame.columns
        )
    except READ_ERRORS as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"this table cannot be read: {reason}", value=str(path)) from None


def is_table(path: Path) -> bool:
    """Whether ``path`` is a run table of ours, from its columns alone."""
    if path.suffix not in {".parquet", ".csv"} or not path.is_file():
        return False
    try:
        scan = pl.scan_parquet if path.suffix == ".parquet" else pl.scan_csv
        return not _lacking(scan(path, glob=False).collect_schema().names())
    except READ_ERRORS:
        return False


def _lacking(columns: list[str]) -> list[str]:
    return [name for name in SCHEMA if name not in columns and name not in WHERE_KNOWN]


def _read_text(path: Path) -> pl.DataFrame:
    frame = pl.read_csv(path, infer_schema=False, glob=False)
    others = [name for name in frame.columns if name not in SCHEMA]
    return frame.with_columns(as_useful(frame[name]) for name in others)


def _typed(column: pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    if column.name in BY_LANGUAGE and column.dtype == pl.String:
        return _as_lists(column)
    try:
        return column.cast(dtype)
    except pl.exceptions.PolarsError:
        raise InputError(
            f"the column {column.name} is not what we wrote",
            value=column.drop_nulls().head(3).to_list(),
            where=f"column {column.name}",
            remedy="import the file with a column map: atlas runs import",
        ) from None


def _as_text(column: pl.Series) -> pl.Series:
    """Lists of ``{language, value}`` as JSON objects."""
    cells = [
        None if cell is None else json.dumps({e["language"]: e["value"] for e in cell})
        for cell in column.to_list()
    ]
    return pl.Series(column.name, cells, dtype=pl.String)


def _as_lists(column: pl.Series) -> pl.Series:
    """The reverse of ``_as_text``; equal cells are read once."""
    known: dict[str | None, list[dict[str, Any]] | None] = {None: None}
    for cell in column.unique().drop_nulls().to_list():
        try:
            values = {str(k): float(v) for k, v in json.loads(cell).items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise InputError(
                "this cell is no JSON object of numbers by language",
                value=cell,
                where=f"column {column.name}",
                remedy='write it like {"eng_Latn": 0.5, "deu_Latn": 0.5}',
            ) from None
        known[cell] = [{"language": k, "value": v} for k, v in values.items()]
    lists = [known[cell] for cell in column.to_list()]
    return pl.Series(column.name, lists, dtype=SCHEMA[column.name])
