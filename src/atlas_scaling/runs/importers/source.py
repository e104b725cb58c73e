"""What every reader hands over: the names of its columns, and a lazy frame of those asked for.

Four columns say where a row stands: ``@file`` (index into ``Source.files``), ``@line``, ``@run``
(the run, where the layout of the files tells it, else null) and ``@segment`` (0, 1, … for the files
that one resumed run was logged to, in order).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from os.path import commonpath
from pathlib import Path
from typing import Final

import polars as pl

from atlas_scaling.runs.importers.summary import Dropped

FILE: Final = "@file"
LINE: Final = "@line"
RUN: Final = "@run"
SEGMENT: Final = "@segment"

PLACE_SCHEMA: Final[dict[str, type[pl.DataType]]] = {
    FILE: pl.UInt32,
    LINE: pl.Int64,
    RUN: pl.String,
    SEGMENT: pl.UInt32,
}

Told = Callable[[float], None]
"""Hears the share of the work that is done, now and then."""

READ_ERRORS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What polars raises on a file that is not what it says; a damaged Parquet footer panics."""


class Kind(StrEnum):
    """What a source is."""

    AUTO = "auto"
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    WANDB = "wandb"
    TENSORBOARD = "tensorboard"
    TRAINER_STATE = "trainer_state"
    MLFLOW = "mlflow"
    ATLAS = "atlas"


def nobody(share: float) -> None:
    """Where nobody is to be told."""


@dataclass(frozen=True, eq=False)
class Source:
    """An opened source.

    Attributes:
        kind: what it was read as; a reader of your own names its own.
        files: the files it consists of.
        columns: names that a column map may use.
        scan: the named columns and the four of ``PLACE_SCHEMA``, rows in their order.
        logged: rows stand in the order they were logged, each metric perhaps on rows of its own.
        line_word: what ``@line`` counts in its files.
        unreadable: rows that could not be read at all.
        notes: what the reader left out or doubts.
        count: about how many rows there are, for files that may be larger than memory; it is told
            a function that hears the share counted. None for what is in memory already.
    """

    kind: Kind | str
    files: tuple[str, ...]
    columns: tuple[str, ...]
    scan: Callable[[Sequence[str]], pl.LazyFrame]
    logged: bool = False
    line_word: str = "line"
    unreadable: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    count: Callable[[Told], int] | None = None

    def place(self, file: int, line: int) -> str:
        """A row's place for people: ``losses.csv:17``, or ``runs.parquet, row 17``."""
        name = self.files[file]
        return f"{name}:{line}" if self.line_word == "line" else f"{name}, {self.line_word} {line}"


def names_of_files(paths: Sequence[Path]) -> list[str]:
    """A run name a file: its stem, or where stems repeat its path below what all have in common."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    root = Path(commonpath(paths))
    return [path.relative_to(root).with_suffix("").as_posix() for path in paths]
