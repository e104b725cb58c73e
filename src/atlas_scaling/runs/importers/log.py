"""Tracker logs as a source: each metric is logged at steps of its own, a run has a configuration.

``SparseRows`` holds only the numbers that are there (16 bytes each); ``log_source`` lays the few
metrics that a column map asks for side by side. The configuration of a run stands in columns
``config.<name>``, nested names joined by dots.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from atlas_scaling.runs.importers.source import (
    FILE,
    LINE,
    PLACE_SCHEMA,
    RUN,
    SEGMENT,
    Kind,
    Source,
)

CONFIG_PREFIX: Final = "config."

Scalar = str | float | bool


class SparseRows:
    """Logged rows, each with some metrics; columns are kept apart and hold no gaps."""

    def __init__(self) -> None:
        self._lines = array("q")
        self._columns: dict[str, tuple[array[int], array[float]]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that occur in any row."""
        return tuple(self._columns)

    def add(self, line: int, values: Iterable[tuple[str, float]]) -> None:
        """Append one row; ``line`` is its place in the file."""
        row = len(self._lines)
        self._lines.append(line)
        for name, value in values:
            rows, numbers = self._columns.setdefault(name, (array("q"), array("d")))
            rows.append(row)
            numbers.append(value)

    def last(self, name: str) -> float | None:
        """The value logged last, or None."""
        column = self._columns.get(name)
        return column[1][-1] if column else None

    def frame(self, names: Sequence[str]) -> pl.DataFrame:
        """``@line`` and the named metrics, null where a row does not have them."""
        columns = {LINE: pl.Series(np.array(self._lines, dtype=np.int64))}
        for name in names:
            numbers = np.zeros(len(self))
            present = np.zeros(len(self), dtype=bool)
            if name in self._columns:
                rows, values = self._columns[name]
                numbers[rows], present[rows] = values, True
            # A mask and not NaN: a logged NaN is news, a gap is none.
            gaps = pl.select(pl.when(pl.Series(present)).then(pl.Series(numbers))).to_series()
            columns[name] = gaps.cast(pl.Float64)
        return pl.DataFrame(columns)


@dataclass
class LoggedRun:
    """One file's, or one directory's, part of a run.

    Attributes:
        run_id: what makes parts belong together.
        file: where it was read.
        name: what people call the run, if that is something else.
        order: parts of one run are segments in this order (a start time).
        rows: what was logged, in that order.
        config: the run's configuration, flat.
    """

    run_id: str
    file: str
    name: str | None = None
    order: float = 0.0
    rows: SparseRows = field(default_factory=SparseRows)
    config: dict[str, Scalar] = field(default_factory=dict)


def log_source(
    kind: Kind | str, runs: Sequence[LoggedRun], *, line_word: str, notes: Iterable[str] = ()
) -> Source:
    """A source of logged runs; parts of one run become its segments."""
    parts = sorted((run for run in runs if len(run.rows)), key=lambda r: (r.run_id, r.order))
    files = tuple(dict.fromkeys(run.file for run in parts))
    names = _unique_names(parts)
    metrics = {name for run in parts for name in run.rows.names}
    config = {CONFIG_PREFIX + key for run in parts for key in run.config}

    def scan(columns: Sequence[str]) -> pl.LazyFrame:
        frames = []
        segment: Counter[str] = Counter()
        for run in parts:
            places = {
                FILE: files.index(run.file),
                RUN: names[run.run_id],
                SEGMENT: segment[run.run_id],
            }
            segment[run.run_id] += 1
            frames.append(_laid_out(run, columns, metrics, places))
        return pl.concat(frames, how="vertical_relaxed").lazy() if frames else _nothing(columns)

    return Source(
        kind=kind,
        files=files,
        columns=(*sorted(metrics), *sorted(config - metrics)),
        scan=scan,
        logged=True,
        line_word=line_word,
        notes=tuple(notes),
    )


def flattened(tree: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """Leaves of nested mappings with their names joined by dots; lists as JSON text."""
    stack = [("", tree)]
    while stack:
        start, mapping = stack.pop()
        for key, value in mapping.items():
            name = f"{start}{key}"
            if isinstance(value, Mapping):
                stack.append((f"{name}.", value))
            elif isinstance(value, str | float | bool):
                yield name, value
            elif isinstance(value, int):
                yield name, as_float(value)
            elif value is not None:
                yield name, json.dumps(value)


def numbers_in(tree: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numeric leaves of a logged record."""
    for name, value in flattened(tree):
        if isinstance(value, float):
            yield name, value


def as_float(value: float) -> float:
    """A JSON number as float64; an integer beyond it is infinite."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _laid_out(
    run: LoggedRun, columns: Sequence[str], metrics: set[str], places: Mapping[str, Any]
) -> pl.DataFrame:
    own = [name for name in columns if name in metrics]
    frame = run.rows.frame(own)
    constants = {
        name: run.config.get(name.removeprefix(CONFIG_PREFIX))
        for name in columns
        if name not in metrics
    }
    return frame.with_columns(
        *(_constant(value).alias(name) for name, value in constants.items()),
        *(pl.lit(value, dtype=PLACE_SCHEMA[name]).alias(name) for name, value in places.items()),
    ).select(*PLACE_SCHEMA, *columns)


def _constant(value: Scalar | None) -> pl.Expr:
    if isinstance(value, bool):
        return pl.lit(str(value).lower())
    return pl.lit(value, dtype=pl.String if isinstance(value, str) else pl.Float64)


def _nothing(columns: Sequence[str]) -> pl.LazyFrame:
    return pl.LazyFrame(schema={**PLACE_SCHEMA, **dict.fromkeys(columns, pl.Float64)})


def _unique_names(runs: Sequence[LoggedRun]) -> dict[str, str]:
    """The name people use, with the run id behind it where two runs bear the same."""
    names = {run.run_id: run.name or run.run_id for run in runs}
    times = Counter(names.values())
    return {
        run_id: name if times[name] == 1 else f"{name}-{run_id}" for run_id, name in names.items()
    }
