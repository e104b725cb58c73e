"""Tokens by step: what a run had seen at a step at which it logged something else.

Between two logged counts tokens grow in proportion to steps; before the first they come from zero,
after the last they go on at the last rate:
``D(s) = D_k + (D_{k+1} - D_k) (s - s_k) / (s_{k+1} - s_k)``. A count that falls while the steps go
on was reset by a restart, and is continued from what the steps before it say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from atlas_scaling.runs.importers.cells import is_count
from atlas_scaling.runs.importers.restarts import CLOCK_SEGMENT

FloatArray = NDArray[np.float64]

CLOCK_KEY: Final = ("run_id", "step")
_SEGMENT: Final = "@tick_segment"


@dataclass(frozen=True, eq=False)
class Filled:
    """A column filled from a clock.

    Attributes:
        values: one a row; null where the run has no clock.
        reset_runs: runs whose count was reset and has been continued.
        odd_runs: runs whose count falls, but not to a fresh start; left as it is.
        joined: rows that took their value from other rows of the run.
        beyond: those among them after the last logged count.
    """

    values: pl.Series
    reset_runs: tuple[str, ...] = ()
    odd_runs: tuple[str, ...] = ()
    joined: int = 0
    beyond: int = 0


def fill(rows: pl.DataFrame, clock: pl.DataFrame, column: str) -> Filled:
    """``rows[column]``, completed at the steps where it is missing, continued where it was reset.

    Args:
        rows: ``run_id``, ``step`` and, perhaps with nulls, ``column``.
        clock: ``run_id``, ``step`` and ``column`` wherever it was logged, in logged order.
        column: a count that grows with the steps.
    """
    known = column in rows.columns
    values = (rows[column] if known else pl.repeat(None, rows.height, eager=True)).cast(pl.Float64)
    if not values.null_count() and _rises(clock, column):
        return Filled(values)
    ticks = _ticks(clock, column)
    incomplete = rows["run_id"].filter(values.is_null()).unique()
    stalled = ticks.filter((pl.col(column).diff() <= 0).over("run_id").fill_null(False))["run_id"]
    ticks = ticks.filter(pl.col("run_id").is_in([*incomplete.to_list(), *stalled.unique()]))
    counts, resets, odd = _continued(ticks, column)
    wanted = (values.is_null() & rows["run_id"].is_in(list(counts))) | rows["run_id"].is_in(resets)
    places = rows.select("run_id", "step").with_row_index("@i").filter(wanted)
    result = values.fill_null(float("nan")).to_numpy().copy()
    beyond = 0
    for (run_id,), part in places.partition_by("run_id", as_dict=True).items():
        known_steps, known_counts = counts[str(run_id)]
        steps = part["step"].to_numpy().astype(np.float64)
        result[part["@i"].to_numpy()] = at_steps(steps, known_steps, known_counts)
        beyond += int((steps > known_steps[-1]).sum())
    filled = pl.Series(column, result).fill_nan(None)
    joined = int((values.is_null() & filled.is_not_null()).sum())
    return Filled(filled, tuple(resets), tuple(odd), joined, beyond)


def _rises(clock: pl.DataFrame, column: str) -> bool:
    """Whether the counts stand in order and grow with the steps: most tables are like that."""
    first = pl.col("run_id").ne_missing(pl.col("run_id").shift(1))
    rises = (pl.col("step").diff() > 0) & (pl.col(column).diff() > 0)
    starts, in_order = clock.select(
        first.sum().alias("starts"), (first | rises.fill_null(False)).all().alias("in_order")
    ).row(0)
    return bool(in_order) and starts == clock["run_id"].n_unique()


def _ticks(clock: pl.DataFrame, column: str) -> pl.DataFrame:
    """The counts by run and rising step, each step once, with their segments."""
    segment = pl.col(CLOCK_SEGMENT) if CLOCK_SEGMENT in clock.columns else pl.lit(0)
    return (
        clock.select(*CLOCK_KEY, column, segment.cast(pl.Int64).alias(_SEGMENT))
        .filter(is_count(pl.col(column)), pl.col("step").is_finite())
        .unique(CLOCK_KEY, keep="last", maintain_order=True)
        .sort(CLOCK_KEY)
    )


def _continued(
    ticks: pl.DataFrame, column: str
) -> tuple[dict[str, tuple[FloatArray, FloatArray]], list[str], list[str]]:
    """Steps and counts of each run, continued over resets; runs with resets; with odd falls."""
    counts: dict[str, tuple[FloatArray, FloatArray]] = {}
    resets, odd = [], []
    for part in ticks.partition_by("run_id", maintain_order=True):
        run_id = str(part["run_id"][0])
        steps, logged = part["step"].to_numpy().astype(np.float64), part[column].to_numpy()
        starts = find_resets(logged, part[_SEGMENT].to_numpy())
        counts[run_id] = steps, without_resets(steps, logged, starts)
        if len(starts):
            resets.append(run_id)
        if len(np.setdiff1d(np.flatnonzero(np.diff(logged) < 0) + 1, starts)):
            odd.append(run_id)
    return counts, resets, odd


def at_steps(steps: FloatArray, known_steps: FloatArray, known: FloatArray) -> FloatArray:
    """Counts at ``steps``, (n,), from counts at rising ``known_steps``, (k,) with k at least 1."""
    if known_steps[0] > 0:  # nothing was seen at step 0
        known_steps, known = np.append(0.0, known_steps), np.append(0.0, known)
    values = np.interp(steps, known_steps, known)
    after = steps > known_steps[-1]
    if after.any() and len(known_steps) > 1:
        rate = (known[-1] - known[-2]) / (known_steps[-1] - known_steps[-2])
        values[after] = known[-1] + rate * (steps[after] - known_steps[-1])
    return values


def find_resets(counts: FloatArray, segments: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where a count starts again: it halves or worse, or a new segment does not raise it.

    Smaller falls inside a segment are no fresh start: a jitter, or two runs under one id.

    Args:
        counts: by rising step, (k,).
        segments: segment of each, (k,).
    """
    before, now = counts[:-1], counts[1:]
    halved = now <= before / 2
    stalled = (segments[1:] != segments[:-1]) & (now <= before)
    return np.flatnonzero((halved | stalled) & (before > 0)) + 1


def without_resets(steps: FloatArray, counts: FloatArray, starts: NDArray[np.intp]) -> FloatArray:
    """Counts continued across resets: each start gets what its step would have had.

    Args:
        steps: rising, (k,).
        counts: (k,).
        starts: rising indices at which the count starts again, none of them 0.
    """
    result = counts.astype(np.float64).copy()
    for i in starts:
        # The rate before the restart: the batch may have changed with it.
        expected = at_steps(steps[i : i + 1], steps[:i], result[:i])[0]
        result[i:] = counts[i:] + (expected - counts[i])
    return result


def counted_up(steps: FloatArray, per_step: FloatArray) -> FloatArray:
    """Tokens from the tokens of a step: ``D_k = D_{k-1} + b_k (s_k - s_{k-1})``, ``D_0 = b_0 s_0``.

    Args:
        steps: rising, (k,).
        per_step: tokens that each step took since the step before, (k,).
    """
    return np.cumsum(per_step * np.diff(steps, prepend=0.0))
