"""Documents of text files, one after the other: plain text, JSON lines and Parquet.

In plain text a line is a document; in JSON lines and Parquet a record is one, its text in a column.
Files may be compressed with gzip (``.txt.gz``, ``.jsonl.gz``). A file streams by: a line, or some
megabytes of a Parquet file, are in memory at a time.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from atlas_scaling.errors import InputError, nearest

KINDS: Final = (".txt", ".txt.gz", ".jsonl", ".jsonl.gz", ".parquet")

_TEXT_PER_BYTE: Final = {".gz": 3, ".parquet": 2}  # as compression usually does
_PARQUET_ROWS: Final = 2_000


def kind_of(path: Path) -> str | None:
    """Which of ``KINDS`` a file is by its name, or None."""
    return next((kind for kind in KINDS if path.name.endswith(kind)), None)


def about_bytes(path: Path) -> int:
    """About how much text is in a file, to tell how long it takes."""
    return path.stat().st_size * _TEXT_PER_BYTE.get(path.suffix, 1)


def read_documents(path: Path, *, column: str) -> Iterator[str]:
    """The documents of a file; lines of plain text include empty ones.

    Args:
        path: a file of one of ``KINDS``.
        column: where records have their text.

    Raises:
        InputError: it is no UTF-8, no such file inside, or a record has no text.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        yield from _parquet_column(path, column)
    elif kind is not None and kind.startswith(".jsonl"):
        for number, line in enumerate(_lines(path), 1):
            if line.strip():
                yield _field(_record(line, path, number), column, path, number)
    else:
        yield from _lines(path)


def some_at_a_time(texts: Iterable[str], n_characters: int) -> Iterator[list[str]]:
    """The texts in lists, each with the text that makes it ``n_characters`` or more as its last."""
    some: list[str] = []
    size = 0
    for text in texts:
        some.append(text)
        size += len(text)
        if size >= n_characters:
            yield some
            some, size = [], 0
    if some:
        yield some


def _lines(path: Path) -> Iterator[str]:
    number = 0
    try:
        with _opened(path) as file:
            for number, raw in enumerate(file, 1):
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                yield line.rstrip("\r\n")
    except UnicodeDecodeError:
        raise InputError(
            "this file is not UTF-8", where=f"{path}:{number}", remedy="convert it, e.g. with iconv"
        ) from None
    except (OSError, EOFError) as error:
        raise InputError(f"this file cannot be read: {error}", where=f"{path}:{number}") from None


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    return gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb")


def _record(line: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(
            f"this line is no JSON: {error.msg}", value=line, where=f"{path}:{number}"
        ) from None
    if not isinstance(record, dict):
        raise InputError("this line is no JSON object", value=line, where=f"{path}:{number}")
    return record


def _field(record: Mapping[str, Any], column: str, path: Path, number: int) -> str:
    if column not in record:
        raise InputError(
            f"a record has no field {column!r}",
            value=sorted(record),
            where=f"{path}:{number}",
            remedy=nearest(column, record) or "name the field of the text: column: NAME",
        )
    value = record[column]
    if not isinstance(value, str):
        raise InputError(f"the field {column!r} is no text", value=value, where=f"{path}:{number}")
    return value


def _parquet_column(path: Path, column: str) -> Iterator[str]:
    import polars as pl

    try:
        frame = pl.scan_parquet(path)
        names = frame.collect_schema().names()
        if column not in names:
            raise InputError(
                f"there is no column {column!r}",
                value=names,
                where=str(path),
                remedy=nearest(column, names) or "name the column of the text: column: NAME",
            )
        for batch in frame.select(pl.col(column).cast(pl.String)).collect_batches(
            chunk_size=_PARQUET_ROWS, maintain_order=True
        ):
            for value in batch.to_series():
                yield value or ""
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"this Parquet file cannot be read: {error}", where=str(path)) from None
