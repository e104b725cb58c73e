"""Resumed runs: the later segment wins from its first step on.

A run that was killed and resumed from a checkpoint has logged the steps after that checkpoint
twice. Segments are the files it was logged to, in order; inside a file a new one begins where the
steps of a series go back. A row is overtaken where a later segment begins at or before its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from atlas_scaling.runs.importers.rows import ROW
from atlas_scaling.runs.importers.source import SEGMENT

OVERTAKEN: Final = "@overtaken"
CLOCK_OVERTAKEN: Final = "@clock_overtaken"
CLOCK_SEGMENT: Final = "@clock_segment"
_LIMIT: Final = "@limit"
SERIES_SEGMENT: Final = "@series_segment"
_MOST_SEGMENTS: Final = 1 << 32


def with_overtaken_segments(rows: pl.DataFrame, logs: pl.Expr) -> tuple[pl.DataFrame, list[str]]:
    """Source rows with ``@overtaken`` where a later file of the run begins at or before them.

    Args:
        rows: source rows with ``run_id``, ``step`` and ``@segment``.
        logs: whether a row has a loss or tokens; others do not mark where a file begins.

    Returns:
        The rows, and notes on runs of which a later file replaces all of an earlier one.
    """
    firsts = _limits(rows.filter(logs), ["run_id"], SEGMENT)
    marked = rows.join(firsts, on=["run_id", SEGMENT], how="left", maintain_order="left")
    marked = marked.with_columns(_overtaken()).drop(_LIMIT, "@first")
    replaced = firsts.filter(pl.col(_LIMIT) <= pl.col("@first"))
    notes = [
        f"run {run_id}: a later part begins at step {limit:g} and replaces a whole earlier part; "
        "if its step counter began again there, set restarts: append in the map"
        for run_id, limit in replaced.unique("run_id", keep="first", maintain_order=True)
        .select("run_id", _LIMIT)
        .iter_rows()
    ]
    return marked, notes


def overtaken_in_series(rows: pl.DataFrame, series: Sequence[str]) -> pl.DataFrame:
    """Rows with ``@overtaken`` where the same series goes back, later, to or below their step.

    ``@series_segment`` counts how often it has gone back before.

    Args:
        rows: in the order they were logged, with ``step`` and the columns of ``series``.
        series: what makes one series, such as run and language.
    """
    back = pl.col("step") < pl.col("step").shift(1)
    segmented = rows.with_columns(
        back.fill_null(False).cast(pl.UInt32).cum_sum().over(series).alias(SERIES_SEGMENT)
    )
    limits = _limits(segmented, series, SERIES_SEGMENT).drop("@first")
    keys = [*series, SERIES_SEGMENT]
    marked = segmented.join(limits, on=keys, how="left", maintain_order="left", nulls_equal=True)
    return marked.drop(OVERTAKEN, strict=False).with_columns(_overtaken()).drop(_LIMIT)


def with_clock_segments(rows: pl.DataFrame, ticks: pl.Expr) -> pl.DataFrame:
    """Source rows with ``@clock_segment``, and ``@clock_overtaken`` where their count is stale.

    Args:
        rows: source rows in the order they were logged.
        ticks: whether a row has a count of tokens (or what else is joined by step).
    """
    marked = overtaken_in_series(rows.filter(ticks), ["run_id"])
    marks = marked.select(
        ROW,
        pl.col(OVERTAKEN).alias(CLOCK_OVERTAKEN),
        (pl.col(SEGMENT).cast(pl.Int64) * _MOST_SEGMENTS + pl.col(SERIES_SEGMENT)).alias(
            CLOCK_SEGMENT
        ),
    )
    joined = rows.join(marks, on=ROW, how="left", maintain_order="left")
    return joined.with_columns(pl.col(CLOCK_OVERTAKEN).fill_null(False))


def current(rows: pl.DataFrame) -> pl.DataFrame:
    """The source rows whose counts no restart has made stale."""
    marks = [c for c in (OVERTAKEN, CLOCK_OVERTAKEN) if c in rows.columns]
    return rows.filter(~pl.any_horizontal(marks)) if marks else rows


def with_appended_steps(rows: pl.DataFrame, *, by_file: bool) -> pl.DataFrame:
    """Rows whose steps go on where the segment before ended, for counters that began again.

    Args:
        rows: source rows in the order they were logged.
        by_file: segments are files; else one begins wherever the steps of a run go back.
    """
    if not by_file:
        back = (pl.col("step") < pl.col("step").shift(1)).fill_null(False)
        rows = rows.with_columns(back.cast(pl.UInt32).cum_sum().over("run_id").alias(SEGMENT))
    ends = rows.group_by("run_id", SEGMENT).agg(pl.col("step").max().alias("@end"))
    ends = ends.sort("run_id", SEGMENT).with_columns(
        pl.col("@end").fill_null(0.0).cum_sum().shift(1, fill_value=0.0).over("run_id")
    )
    joined = rows.join(ends, on=["run_id", SEGMENT], how="left", maintain_order="left")
    return joined.with_columns(pl.col("step") + pl.col("@end")).drop("@end").sort(ROW)


def _limits(rows: pl.DataFrame, series: Sequence[str], segment: str) -> pl.DataFrame:
    """First step of each segment, and the lowest first step of the later ones."""
    return (
        rows.group_by(*series, segment)
        .agg(pl.col("step").min().alias("@first"))
        .sort(*series, segment)
        .with_columns(
            pl.col("@first").cum_min(reverse=True).shift(-1).over(series).alias(_LIMIT),
        )
    )


def _overtaken() -> pl.Expr:
    return (pl.col("step") >= pl.col(_LIMIT)).fill_null(False).alias(OVERTAKEN)
