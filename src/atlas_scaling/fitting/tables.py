"""Tables of runs in a file (CSV, TSV, JSON lines, Parquet): reading, renaming, choosing rows."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling.errors import InputError, nearest
from atlas_scaling.runs.memory import free_bytes

if TYPE_CHECKING:
    import polars as pl

GROWTH: Final = 3.0
"""Memory that a table takes, as a multiple of its file, at the least."""

_CONDITION: Final = re.compile(r"^\s*([\w.\- ]+?)\s*(?:(<=|>=|!=|==|=|<|>)\s*(.*?)\s*)?$")
_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


def read(data: Any) -> Any:
    """``data`` itself, or the runs at a path: a folder of runs, or a table."""
    if not isinstance(data, str | Path):
        return data
    path = Path(data)
    if path.is_dir():
        from atlas_scaling.runs.store import read_runs

        return read_runs(path)
    return read_table(path)


def read_table(path: Path) -> pl.DataFrame:
    """Read a table by its ending.

    Raises:
        InputError: the file is missing, empty, of an unknown format or not readable.
    """
    import polars as pl

    from atlas_scaling.runs.export import is_table
    from atlas_scaling.runs.export import read_table as read_own_table
    from atlas_scaling.runs.importers.delimited import ragged_line, separator
    from atlas_scaling.runs.importers.source import READ_ERRORS, Kind

    if not path.exists():
        raise InputError("there is no such file", value=str(path), where="runs")
    if path.stat().st_size == 0:
        raise InputError("the file is empty", value=str(path), where="runs")
    _refuse_what_memory_cannot_hold(path)
    if is_table(path):
        return read_own_table(path)
    readers: dict[str, Callable[[], pl.DataFrame]] = {
        ".csv": lambda: pl.read_csv(
            path, separator=separator(path, Kind.CSV), infer_schema_length=None
        ),
        ".tsv": lambda: pl.read_csv(path, separator="\t", infer_schema_length=None),
        ".jsonl": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".ndjson": lambda: pl.read_ndjson(path, infer_schema_length=None),
        ".parquet": lambda: pl.read_parquet(path),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            "a table of runs has one of the endings that tell its format",
            value=path.name,
            where="runs",
            remedy=", ".join(readers),
        )
    try:
        return reader()
    except READ_ERRORS as error:
        place, reason = str(path), next(iter(str(error).splitlines()), type(error).__name__)
        if path.suffix.lower() in (".csv", ".tsv"):
            place, reason = ragged_line(path, Kind(path.suffix.lower()[1:])) or (place, reason)
        raise InputError(
            f"the table cannot be read: {reason}",
            where=place,
            remedy=f"check that it is {path.suffix} in UTF-8",
        ) from None


def _refuse_what_memory_cannot_hold(path: Path) -> None:
    """Text grows when it is read, and Parquet is packed."""
    free, size = free_bytes(), path.stat().st_size
    if free is not None and GROWTH * size > free:
        raise InputError(
            "the file is larger than this machine can read at once",
            value=f"{size / 1e9:.1f} GB, with {free / 1e9:.1f} GB of memory free",
            where=str(path),
            remedy="keep what a fit needs, few columns and few points of each run: "
            "atlas runs import FILE -o runs.parquet, or polars scan_csv(…).filter(…)",
        )


def renamed(frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    """``frame`` with columns called as this package calls them.

    Args:
        frame: the table.
        columns: our name -> theirs.
    """
    for theirs in columns.values():
        _known_column(frame, theirs, "--column")
    replaced = [name for name in columns if name in frame.columns and name not in columns.values()]
    return frame.drop(replaced).rename({theirs: ours for ours, theirs in columns.items()})


def rows_where(frame: pl.DataFrame, conditions: Iterable[str]) -> pl.DataFrame:
    """The rows that meet all conditions: ``epoch_fit_240``, ``size=1m``, ``tokens>=1e9``.

    A bare column name asks for true; a leading ``not `` asks for false.

    Raises:
        InputError: a condition cannot be read, names no column, or leaves no row.
    """
    for condition in conditions:
        kept = frame.filter(_expression(frame, condition))
        if not kept.height:
            raise InputError(
                "no row meets this condition", value=condition, where="--where", remedy="loosen it"
            )
        frame = kept
    return frame


def _expression(frame: pl.DataFrame, condition: str) -> pl.Expr:
    import polars as pl

    wanted = not condition.strip().startswith("not ")
    match = _CONDITION.match(condition.strip().removeprefix("not "))
    if match is None:
        raise InputError(
            "a condition is a column, or a column compared with a value",
            value=condition,
            where="--where",
            remedy="like epoch_fit_240, size=1m or 'tokens>=1e9'",
        )
    name, sign, text = match.groups()
    _known_column(frame, name, "--where")
    column = pl.col(name)
    if sign is None:
        if frame.schema[name] == pl.String:
            found = column.str.to_lowercase().is_in(["true", "1", "yes"])
        else:
            found = column.cast(pl.Boolean)
    else:
        found = _OPERATORS[sign](*_comparable(frame, name, text))
    found = found.fill_null(False)
    return found if wanted else ~found


def _comparable(frame: pl.DataFrame, name: str, text: str) -> tuple[pl.Expr, Any]:
    import polars as pl

    if frame.schema[name].is_numeric():
        try:
            return pl.col(name), float(text)
        except ValueError:
            raise InputError(
                f"the column {name} has numbers", value=text, where="--where", remedy="a number"
            ) from None
    return pl.col(name).cast(pl.String).str.to_lowercase(), text.lower()


def _known_column(frame: pl.DataFrame, name: str, where: str) -> None:
    if name not in frame.columns:
        raise InputError(
            "the table has no such column",
            value=name,
            where=where,
            remedy=nearest(name, frame.columns) or f"one of {', '.join(frame.columns)}",
        )
