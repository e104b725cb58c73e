"""CSV, TSV and Parquet tables as a source, scanned lazily: only mapped columns are ever in memory.

Text columns are read as text; numbers are made of them later, where a cell that is none can be
counted with its place. Line numbers hold where no field has a line break in it.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.source import (
    FILE,
    LINE,
    PLACE_SCHEMA,
    READ_ERRORS,
    RUN,
    SEGMENT,
    Kind,
    Source,
    Told,
    names_of_files,
)

_BLOCK: Final = 1 << 24
SEPARATORS: Final = {Kind.CSV: (",", ";"), Kind.TSV: ("\t",)}
LINE_OF_FIRST_ROW: Final = {Kind.CSV: 2, Kind.TSV: 2, Kind.PARQUET: 1}


def read_delimited(paths: Sequence[Path], kind: Kind) -> Source:
    """The tables as one source; files may have different columns.

    Raises:
        InputError: a file is empty, has a column twice, or cannot be read as its kind.
    """
    scans = [_scan(path, kind) for path in paths]
    columns = [_columns(scan, path, kind) for scan, path in zip(scans, paths, strict=True)]
    names = tuple(dict.fromkeys(name for own in columns for name in own))

    runs = names_of_files(paths)

    def scan(wanted: Sequence[str]) -> pl.LazyFrame:
        parts = [
            frame.select(
                pl.lit(number, dtype=PLACE_SCHEMA[FILE]).alias(FILE),
                pl.col(LINE).cast(PLACE_SCHEMA[LINE]),
                pl.lit(run).alias(RUN),
                pl.lit(number, dtype=PLACE_SCHEMA[SEGMENT]).alias(SEGMENT),
                *(
                    pl.col(name) if name in own else pl.lit(None, dtype=pl.String).alias(name)
                    for name in wanted
                ),
            )
            for number, (frame, run, own) in enumerate(zip(scans, runs, columns, strict=True))
        ]
        return pl.concat(parts, how="vertical_relaxed")

    return Source(
        kind=kind,
        files=tuple(map(str, paths)),
        columns=names,
        scan=scan,
        line_word="row" if kind is Kind.PARQUET else "line",
        count=lambda told: _count(paths, kind, told),
    )


def _count(paths: Sequence[Path], kind: Kind, told: Told) -> int:
    """Rows of Parquet, lines of text, of which a quoted cell may have several."""
    if kind is Kind.PARQUET:
        return sum(pl.scan_parquet(p, glob=False).select(pl.len()).collect().item() for p in paths)
    size, seen, lines = max(1, sum(path.stat().st_size for path in paths)), 0, 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                lines += block.count(b"\n")
                seen += len(block)
                told(seen / size)
    return lines


def explain(error: BaseException, source: Source) -> InputError:
    """Polars' reason for not reading a table, with the line where we can find it."""
    reason = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    where = ", ".join(source.files[:3])
    if isinstance(source.kind, Kind) and source.kind in SEPARATORS:
        ragged = next(filter(None, (ragged_line(Path(f), source.kind) for f in source.files)), None)
        if ragged is not None:
            where, reason = ragged
    return InputError(
        f"this table cannot be read: {reason}",
        where=where,
        remedy=f"is it {source.kind.upper()} in UTF-8? Say what it is with --kind",
    )


def _scan(path: Path, kind: Kind) -> pl.LazyFrame:
    offset = LINE_OF_FIRST_ROW[kind]
    if kind is Kind.PARQUET:
        return pl.scan_parquet(path, row_index_name=LINE, row_index_offset=offset, glob=False)
    return pl.scan_csv(
        path,
        separator=separator(path, kind),
        infer_schema=False,
        row_index_name=LINE,
        row_index_offset=offset,
        glob=False,
    )


def _columns(frame: pl.LazyFrame, path: Path, kind: Kind) -> list[str]:
    if path.stat().st_size == 0:
        raise InputError("this file is empty", value=str(path))
    try:
        names = [name for name in frame.collect_schema().names() if name != LINE]
    except READ_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"this is no readable {kind.value} file: {reason}",
            where=str(path),
            remedy="say what it is with --kind",
        ) from None
    if kind in SEPARATORS:
        _refuse_repeated_columns(path, kind)
    return names


def _refuse_repeated_columns(path: Path, kind: Kind) -> None:
    """Polars renames a second column of one name; which of them is meant is not ours to guess."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            header = next(csv.reader(file, delimiter=separator(path, kind)), [])
        except csv.Error:
            return
    repeated = [name for name, times in Counter(header).items() if times > 1 and name]
    if repeated:
        raise InputError(
            "the header has a column twice",
            value=repeated[0],
            where=f"{path}:1",
            remedy="rename one of the two",
        )


def separator(path: Path, kind: Kind) -> str:
    """The usual one, unless the header has none of it and has the other."""
    usual, *others = SEPARATORS[kind]
    with path.open("rb") as file:
        header = file.readline(1 << 20)
    if usual.encode() in header:
        return usual
    return next((other for other in others if other.encode() in header), usual)


def ragged_line(path: Path, kind: Kind) -> tuple[str, str] | None:
    """Place of the first row with more fields than the header, and what is wrong with it."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=separator(path, kind))
        try:
            n_columns = len(next(reader, []))
            for row in reader:
                if len(row) > n_columns:
                    reason = f"{len(row)} fields where the header has {n_columns}"
                    return f"{path}:{reader.line_num}", reason
        except csv.Error as error:
            return f"{path}:{reader.line_num}", str(error)
    return None
