"""JSON lines as a source: one object a line, keys may differ from line to line.

Nested objects become columns with names joined by dots (``mixture.eng_Latn``). A first pass
collects the keys, a second reads the columns asked for, in chunks: a file may be larger than
memory. Lines that are no object are counted with their place; NaN and Infinity are accepted as
Python writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.log import as_float, flattened
from atlas_scaling.runs.importers.source import (
    FILE,
    LINE,
    PLACE_SCHEMA,
    RUN,
    SEGMENT,
    Kind,
    Source,
    Told,
    names_of_files,
    nobody,
)
from atlas_scaling.runs.importers.summary import Tally

CHUNK_ROWS: Final = 100_000
LONGEST_LINE: Final = 1 << 26
_LINES_TOLD: Final = 20_000


def read_json_lines(paths: Sequence[Path], told: Told = nobody) -> Source:
    """The files as one source.

    Args:
        paths: the files.
        told: hears the share read, half of it by the first pass.

    Raises:
        InputError: a file is empty, has no object on any line, or a line longer than 64 MiB.
    """
    keys: dict[str, None] = {}
    seen: set[tuple[str, ...]] = set()
    bad = Tally()
    n_rows = 0
    size = max(1, sum(path.stat().st_size for path in paths))
    read = 0

    def half(first: float) -> Callable[[int], None]:
        return lambda n_bytes: told(first + 0.5 * (read + n_bytes) / size)

    for path in paths:
        n_objects = 0
        for number, row in _lines(path, half(0.0)):
            if isinstance(row, str):
                bad.add(row, 1, [f"{path}:{number}"])
                continue
            n_objects += 1
            if (signature := tuple(row)) not in seen:  # most lines have the keys of others
                seen.add(signature)
                keys.update(dict.fromkeys(row))
        if not n_objects:
            raise _no_objects(path)
        n_rows += n_objects
        read += path.stat().st_size

    names = names_of_files(paths)

    def scan(wanted: Sequence[str]) -> pl.LazyFrame:
        nonlocal read
        read, chunks = 0, []
        for number, path in enumerate(paths):
            for chunk in _chunks(path, wanted, half(0.5)):
                chunks.append(_with_places(chunk, number, names[number]))
            read += path.stat().st_size
        return pl.concat(chunks, how="vertical_relaxed").lazy()

    return Source(
        kind=Kind.JSONL,
        files=tuple(map(str, paths)),
        columns=tuple(keys),
        scan=scan,
        unreadable=bad.dropped(),
        count=lambda told: n_rows,
    )


def _no_objects(path: Path) -> InputError:
    empty = path.stat().st_size == 0
    return InputError(
        "this file is empty" if empty else "no line of this file is a JSON object",
        value=str(path),
        remedy=None if empty else "JSON lines have one {…} a line; say what it is with --kind",
    )


def _lines(path: Path, told: Callable[[int], None]) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Line numbers with the flat object, or with what is wrong with the line."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            if number % _LINES_TOLD == 0:
                told(file.tell())
            if len(line) == LONGEST_LINE:
                raise InputError(
                    "a line of more than 64 MiB: this is no file of JSON lines",
                    where=f"{path}:{number}",
                    remedy="write one object a line",
                )
            if not line.strip():
                continue
            row = _object(line)
            if row is None:
                torn = not line.endswith(b"\n")
                yield number, "torn last line" if torn else "the line is no JSON object"
            else:
                nested = any(value.__class__ is dict for value in row.values())
                yield number, dict(flattened(row)) if nested else row


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
        if (
            b"\\u" in line and b"\\ud" in line.lower()
        ):  # half a surrogate pair is legal JSON and no text
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _chunks(
    path: Path, wanted: Sequence[str], told: Callable[[int], None]
) -> Iterator[pl.DataFrame]:
    lines: list[int] = []
    columns: dict[str, list[Any]] = {name: [] for name in wanted}

    def frame() -> pl.DataFrame:
        values = {name: _series(values) for name, values in columns.items()}
        return pl.DataFrame({LINE: pl.Series(lines, dtype=PLACE_SCHEMA[LINE]), **values})

    for line, row in _lines(path, told):
        if isinstance(row, str):
            continue
        lines.append(line)
        for name, values in columns.items():
            values.append(row.get(name))
        if len(lines) == CHUNK_ROWS:
            yield frame()
            lines.clear()
            for values in columns.values():
                values.clear()
    yield frame()


def _with_places(chunk: pl.DataFrame, number: int, run: str) -> pl.DataFrame:
    return chunk.select(
        pl.lit(number, dtype=PLACE_SCHEMA[FILE]).alias(FILE),
        LINE,
        pl.lit(run).alias(RUN),
        pl.lit(number, dtype=PLACE_SCHEMA[SEGMENT]).alias(SEGMENT),
        pl.exclude(LINE),
    )


def _series(values: list[Any]) -> pl.Series:
    """Numbers as float64; a column with anything else as text."""
    if {value.__class__ for value in values} <= {float, int, NoneType}:
        numbers = [None if value is None else as_float(value) for value in values]
        return pl.Series(numbers, dtype=pl.Float64)
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
