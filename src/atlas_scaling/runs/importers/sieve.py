"""Rows that drop out, each counted with its reason and place; and what makes a row unusable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from atlas_scaling.runs.importers.cells import LARGEST_NATS, is_count
from atlas_scaling.runs.importers.column_map import MEASURES
from atlas_scaling.runs.importers.rows import ONLY
from atlas_scaling.runs.importers.source import FILE, LINE, Source
from atlas_scaling.runs.importers.summary import PLACES_SHOWN, Tally

MEASURE_WORDS: Final = {"loss": "loss", "bits_per_byte": "bits per byte"}


class Sieve:
    """A frame that loses rows, with a count of why."""

    def __init__(self, frame: pl.DataFrame, source: Source) -> None:
        self.frame = frame
        self.found = frame.height + sum(d.rows for d in source.unreadable)
        self.tally = Tally()
        self._source = source
        for dropped in source.unreadable:
            self.tally.add(dropped.reason, dropped.rows, dropped.first)

    def drop(self, condition: pl.Expr, reason: str) -> int:
        """Drop the rows where ``condition`` holds (missing counts as not) and say how many."""
        bad = self.frame.select(condition.fill_null(False)).to_series()
        n = int(bad.sum())
        if n:
            first = self.frame.filter(bad).select(FILE, LINE).head(PLACES_SHOWN)
            self.tally.add(reason, n, [self._source.place(*row) for row in first.iter_rows()])
            self.frame = self.frame.filter(~bad)
        return n


def drop_unusable(sieve: Sieve, *, named_runs: bool) -> None:
    """Drop rows that were not asked for, that say too little, or whose numbers are impossible.

    Args:
        sieve: of evaluations.
        named_runs: a column has the run ids: a row without one is then of no run.
    """
    columns = sieve.frame.columns
    sieve.drop(~pl.col(ONLY), "left out by only in the map")
    if named_runs:
        sieve.drop(pl.col("run_id").is_null(), "no run id")
    for condition, reason in _reasons(columns):
        sieve.drop(condition, reason)


def _reasons(columns: list[str]) -> Iterator[tuple[pl.Expr, str]]:
    """Each is looked for among the rows that all before it have left."""
    measures = [m for m in MEASURES if m in columns]
    yield pl.all_horizontal(pl.col(m).is_null() for m in measures), "no loss on the row"
    if "language" in columns:
        yield pl.col("language").is_null(), "no language, or one that the map leaves out"
    if "step" in columns:
        step = pl.col("step")
        yield step.is_null(), "no step"
        yield ~_whole(step), "step is not a whole number, zero or above"
    for measure in measures:
        value, word = pl.col(measure), MEASURE_WORDS[measure]
        yield value.is_nan(), f"{word} is NaN or no number"
        yield value.is_infinite(), f"{word} is infinite"
        yield value <= 0, f"{word} is not above zero"
        yield value > LARGEST_NATS, f"{word} above {LARGEST_NATS:g}: diverged, or another unit"
    if "tokens" in columns:
        tokens = pl.col("tokens")
        yield ~is_count(tokens), "tokens are not a number, zero or above"
    if "n_params" in columns:
        n_params = pl.col("n_params")
        yield ~(is_count(n_params) & (n_params > 0)), "n_params is not a number above zero"


def _whole(value: pl.Expr) -> pl.Expr:
    return value.is_finite() & (value >= 0) & (value == value.floor()) & (value < 2.0**53)
