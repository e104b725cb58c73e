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

FloatArray = NDArray[np.float64]

CLOCK_KEY: Final = ("run_id", "step")


@dataclass(frozen=True, eq=False)
class Filled:
    """A column filled from a clock.

    Attributes:
        values: one a row; null where the run has no clock.
        reset_runs: runs whose count was reset and has been continued.
        joined: rows that took their value from other rows of the run.
        beyond: those among them after the last logged count.
    """

    values: pl.Series
    reset_runs: tuple[str, ...]
    joined: int
    beyond: int


def fill(rows: pl.DataFrame, clock: pl.DataFrame, column: str) -> Filled:
    """``rows[column]``, completed at the steps where it is missing.

    Args:
        rows: ``run_id``, ``step`` and, perhaps with nulls, ``column``.
        clock: ``run_id``, ``step`` and ``column`` wherever it was logged, in logged order.
        column: a count that grows with the steps.
    """
    clock = (
        clock.select(*CLOCK_KEY, column)
        .filter(pl.col(column).is_finite(), pl.col("step").is_finite())
        .unique(CLOCK_KEY, keep="last", maintain_order=True)
        .sort(CLOCK_KEY)
    )
    falls = clock.filter((pl.col(column).diff() < 0).over("run_id").fill_null(False))
    reset_runs = tuple(falls["run_id"].unique().sort().to_list())
    values = rows[column] if column in rows.columns else pl.repeat(None, rows.height, eager=True)
    wanted = values.is_null() | rows["run_id"].is_in(reset_runs)
    if not wanted.any() or not clock.height:
        return Filled(values.cast(pl.Float64), reset_runs, 0, 0)
    result = values.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
    beyond = 0
    steps_of = {
        run: (part["step"].to_numpy(), part[column].to_numpy())
        for (run,), part in clock.partition_by("run_id", as_dict=True).items()
    }
    places = rows.select("run_id", "step").with_row_index("@i").filter(wanted)
    for (run,), part in places.partition_by("run_id", as_dict=True).items():
        if run not in steps_of:
            continue
        known_steps, known = steps_of[run]
        if run in reset_runs:
            known = without_resets(known_steps, known)
        steps = part["step"].to_numpy().astype(np.float64)
        result[part["@i"].to_numpy()] = at_steps(steps, known_steps, known)
        beyond += int((steps > known_steps[-1]).sum())
    filled = pl.Series(result).fill_nan(None)
    joined = int((values.is_null() & filled.is_not_null()).sum())
    return Filled(filled, reset_runs, joined, beyond)


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


def without_resets(steps: FloatArray, counts: FloatArray) -> FloatArray:
    """Counts continued across resets: a count that falls starts from what its step would have.

    Args:
        steps: rising, (k,).
        counts: (k,).
    """
    result = counts.astype(np.float64).copy()
    for i in range(1, len(result)):
        if counts[i] >= counts[i - 1]:
            continue
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
