"""Tables of runs, given or in a file (CSV, TSV, JSON lines, Parquet), as polars frames.

They are read, renamed, cut to the rows that meet conditions, and their cells read as numbers.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling.errors import InputError, nearest, unknown
from atlas_scaling.runs.memory import free_bytes
from atlas_scaling.units import counted

if TYPE_CHECKING:
    import polars as pl

GROWTH: Final = 3.0
"""Memory that a table takes, as a multiple of its file, at the least."""

SHARE_PREFIX: Final = "w_"
_BY_LANGUAGE: Final = ("mixture", "tokens_by_language", "unique_tokens", "early_tokens")

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


def read(data: Any) -> pl.DataFrame:
    """The table that ``data`` is, or that lies at the path it is.

    Args:
        data: a ``RunTable``, a polars or pandas frame, a mapping of columns, or a path of a folder
            of runs or of a table.

    Raises:
        InputError: it is no such thing, or what lies at the path cannot be read.
    """
    import polars as pl

    if isinstance(data, str | Path):
        return _at_path(Path(data))
    frame = getattr(data, "frame", data)
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, Mapping):
        return pl.DataFrame(dict(frame))
    if hasattr(frame, "columns") and hasattr(frame, "notna"):
        return _from_pandas(frame)
    raise InputError(
        "this is no table of runs",
        value=type(frame).__name__,
        where="data",
        remedy="give a RunTable, a polars or pandas frame, or a path",
    )


def _at_path(path: Path) -> pl.DataFrame:
    if path.is_dir():
        from atlas_scaling.runs.store import read_runs

        return read_runs(path).frame
    return read_table(path)


def _from_pandas(frame: Any) -> pl.DataFrame:
    """A pandas frame, without pandas or pyarrow; its several kinds of missing become null."""
    import polars as pl

    columns = [
        pl.Series(
            str(name), frame[name].astype(object).where(frame[name].notna(), None).tolist(),
            strict=False,
        )
        for name in frame.columns
    ]  # fmt: skip
    return pl.DataFrame(columns)


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
        remedy = f"check that it is {path.suffix} in UTF-8"
        if path.suffix.lower() in (".csv", ".tsv"):
            place, reason = ragged_line(path, Kind(path.suffix.lower()[1:])) or (place, reason)
        elif path.suffix.lower() == ".parquet":
            remedy = "write the file again, or give it the ending of what it is"
        else:
            place, reason = _no_json_line(path) or (place, reason)
        raise InputError(
            f"the table cannot be read: {reason}", where=place, remedy=remedy
        ) from None


def _no_json_line(path: Path) -> tuple[str, str] | None:
    """Place of the first line that is no JSON object, and so much."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            try:
                known = not line.strip() or isinstance(json.loads(line), dict)
            except ValueError:
                known = False
            if not known:
                return f"{path}:{number}", "the line is no JSON object"
    return None


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


def with_numbers(frame: pl.DataFrame, needed: Sequence[str]) -> pl.DataFrame:
    """``frame`` with the needed columns as numbers; text that is one number a cell is read.

    Raises:
        InputError: a column is missing, or a cell is no number.
    """
    import polars as pl

    for name in needed:
        if name not in frame.columns:
            raise InputError(
                f"the table has no column {name}",
                value=[c for c in frame.columns if not c.startswith("_")],
                where="columns",
                remedy=nearest(name, frame.columns) or f"say which it is: --column {name}=THEIRS",
            )
        if f"{name}_duplicated_0" in frame.columns:  # how polars reads a second one
            raise InputError(
                f"two columns are called {name}",
                where=f"columns, {name}",
                remedy="give one of them another name in the file",
            )
        column = frame[name]
        if column.dtype.is_numeric():
            continue
        text = column.cast(pl.String, strict=False).str.strip_chars()
        numbers = text.cast(pl.Float64, strict=False)
        bad = (numbers.is_null() & text.is_not_null() & (text != "")).arg_true()
        if len(bad) or numbers.is_null().all():
            row = int(bad[0]) if len(bad) else 0
            raise InputError(
                f"the column {name} is not numbers",
                value=column[row],
                where=f"row {row + 1} of the table, column {name} "
                f"({counted(len(bad), 'row')} in all)",
                remedy="write plain numbers such as 1.4e9; atlas runs import reads 7B and 400M",
            )
        frame = frame.with_columns(numbers.alias(name))
    return frame


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


def with_our_codes(frame: pl.DataFrame) -> pl.DataFrame:
    """``frame`` with languages called by our codes: ``sv`` and ``w_sv`` become ``swe_Latn``.

    A column of names that are not all codes of languages is of domains, which keep their names.

    Raises:
        InputError: two columns of shares are of one language.
    """
    import polars as pl

    if frame.schema.get("language") != pl.String:
        return frame
    ours = _our_codes(frame["language"].drop_nulls().unique().to_list())
    if ours is None:
        return frame
    shares = {c: _share_column(c) for c in frame.columns if c.startswith(SHARE_PREFIX)}
    names = [shares.get(column, column) for column in frame.columns]
    twice = [column for column, name in shares.items() if names.count(name) > 1]
    if twice:
        raise InputError(
            "two columns of shares are of one language",
            value=twice,
            where="columns",
            remedy="leave one out, or add them up",
        )
    if any(code != theirs for theirs, code in ours.items()):
        frame = frame.with_columns(
            pl.col("language").replace(ours),
            *(_nested_codes(frame, column) for column in _BY_LANGUAGE if column in frame.columns),
        )
    return frame.rename({theirs: name for theirs, name in shares.items() if theirs != name})


def _our_codes(names: Iterable[str]) -> dict[str, str] | None:
    """Our code of each name; None where one is no language."""
    from atlas_scaling.languages import normalise

    try:
        return {name: normalise(name) for name in names}
    except InputError:
        return None


def _share_column(name: str) -> str:
    ours = _our_codes([name.removeprefix(SHARE_PREFIX)])
    return name if ours is None else SHARE_PREFIX + next(iter(ours.values()))


def _nested_codes(frame: pl.DataFrame, column: str) -> pl.Expr:
    """A column by language, ``{code: value}`` or ``{language, value}``, with our codes."""
    import polars as pl

    dtype, cell = frame.schema[column], pl.col(column)
    if isinstance(dtype, pl.Struct):
        ours = [_our_codes([field.name]) or {field.name: field.name} for field in dtype.fields]
        return cell.struct.rename_fields([next(iter(one.values())) for one in ours])
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return cell
    codes = frame[column].explode().struct.field("language").drop_nulls().unique().to_list()
    ours_of = {code: (_our_codes([code]) or {code: code})[code] for code in codes}
    entry = pl.element().struct
    return cell.list.eval(entry.with_fields(entry.field("language").replace(ours_of)))


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
        raise unknown("the table has no such column", name, frame.columns, where=where)
