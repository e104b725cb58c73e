"""From evaluations to the run table: one row per (run, step, language), with its tokens."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from atlas_scaling.compute import FLOPS_PER_PARAMETER_TOKEN
from atlas_scaling.errors import unknown
from atlas_scaling.runs.importers.cells import is_count
from atlas_scaling.runs.importers.clock import CLOCK_KEY, counted_up, fill
from atlas_scaling.runs.importers.language_names import listed
from atlas_scaling.runs.importers.restarts import (
    OVERTAKEN,
    SERIES_SEGMENT,
    current,
    overtaken_in_series,
)
from atlas_scaling.runs.importers.rows import KEPT, ROW
from atlas_scaling.runs.importers.sieve import Sieve
from atlas_scaling.runs.importers.source import FILE, LINE, PLACE_SCHEMA, Source
from atlas_scaling.runs.record import LrState
from atlas_scaling.runs.store import SCHEMA

NO_TOKENS: Final = "nothing says how many tokens the run had seen"
PER_STEP: Final = "tokens_per_step"
_CARRIED: Final = (
    "study",
    "group",
    "seed",
    "base_run",
    "lr_state",
    "n_params",
    "n_params_non_embedding",
    "flops",
    "tokenizer",
    "corpus",
)


_PLACES: Final = (*PLACE_SCHEMA, ROW)


def drop_overtaken(sieve: Sieve, rows: pl.DataFrame) -> None:
    """Drop what a later segment of a resumed run has logged again."""
    reason = "overtaken: the run was resumed from an earlier step"
    if OVERTAKEN in rows.columns:
        marks = rows.select(ROW, OVERTAKEN)
        sieve.frame = sieve.frame.join(marks, on=ROW, how="left", maintain_order="left")
        sieve.drop(pl.col(OVERTAKEN), reason)
        sieve.frame = sieve.frame.drop(OVERTAKEN)
    series = [name for name in ("run_id", "language") if name in sieve.frame.columns]
    sieve.frame = overtaken_in_series(sieve.frame, series)
    sieve.drop(pl.col(OVERTAKEN), reason)
    sieve.frame = sieve.frame.drop(OVERTAKEN, SERIES_SEGMENT)


def drop_repeats(sieve: Sieve, rows: pl.DataFrame) -> None:
    """Keep one row per (run, step, language), or tokens where there are no steps: the later one.

    Rows of tables without runs are repeats if they are equal in every field.
    """
    frame = sieve.frame
    losses = [name for name in ("loss", "bits_per_byte") if name in frame.columns]
    if frame["run_id"].null_count():
        said = [c for c in rows.columns if c not in (*_PLACES, *frame.columns)]
        frame = frame.join(rows.select(ROW, *said), on=ROW, how="left", maintain_order="left")
        key = [c for c in frame.columns if c not in _PLACES]
        key = [c for c in key if not frame.schema[c].is_nested()]
    else:
        position = "step" if "step" in frame.columns else "tokens"
        key = [c for c in ("run_id", position, "language") if c in frame.columns]
    numbered = frame.select(*key, *(m for m in losses if m not in key)).with_row_index("@i")
    last = numbered.unique(key, keep="last", maintain_order=True)
    if last.height == frame.height:
        return
    kept = last.select(*key, "@i", *(pl.col(m).alias(f"@kept:{m}") for m in losses))
    joined = numbered.join(kept, on=key, how="left", maintain_order="left", nulls_equal=True)
    same = pl.all_horizontal([pl.col(m).eq_missing(pl.col(f"@kept:{m}")) for m in losses])
    marks = joined.select(
        (pl.col("@i") != pl.col("@i_right")).alias("@repeat"), same.alias("@same")
    )
    sieve.frame = sieve.frame.hstack(marks)
    sieve.drop(pl.col("@repeat") & pl.col("@same"), "the same evaluation again")
    sieve.drop(pl.col("@repeat"), "evaluated again at the same point; the later row is kept")
    sieve.frame = sieve.frame.drop("@repeat", "@same")


def add_tokens(sieve: Sieve, rows: pl.DataFrame, notes: list[str]) -> None:
    """Complete ``tokens`` by step, from counts on other rows or from tokens per step."""
    if "step" not in sieve.frame.columns:
        return
    strangers = sieve.frame.join(rows, on="run_id", how="anti", nulls_equal=True)
    if strangers.height:  # runs named by columns: what their rows say is true of each of them
        own = sieve.frame.select(ROW, "run_id").unique(maintain_order=True)
        rows = rows.drop("run_id").join(own, on=ROW, maintain_order="left")
    for clock, source in ((rows, "tokens"), (_from_rate(rows), PER_STEP)):
        if clock is None or "tokens" not in clock.columns:
            continue
        filled = fill(sieve.frame, current(clock), "tokens")
        sieve.frame = sieve.frame.with_columns(filled.values.alias("tokens"))
        if filled.reset_runs:
            names = listed(filled.reset_runs, most=3)
            notes.append(f"token counters reset by a restart have been continued: {names}")
        if filled.odd_runs:
            names = listed(filled.odd_runs, most=3)
            notes.append(f"token counts fall, but not to a fresh start, left as they are: {names}")
        if filled.joined and source == "tokens":
            notes.append(f"tokens of {filled.joined} evaluations joined by step from other rows")
        if filled.joined and source == PER_STEP:
            notes.append(f"tokens of {filled.joined} evaluations rebuilt from tokens per step")
        if filled.beyond and source == "tokens":
            notes.append(
                f"{filled.beyond} evaluations stand after the last token count of their run; "
                "tokens go on at its last rate"
            )


def drop_without_tokens(sieve: Sieve) -> None:
    """Drop rows of which nothing says the tokens, and zeros anywhere but at step 0."""
    if "tokens" not in sieve.frame.columns:
        sieve.frame = sieve.frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("tokens"))
    sieve.drop(~is_count(pl.col("tokens")).fill_null(False), NO_TOKENS)
    at_start = pl.col("step") == 0 if "step" in sieve.frame.columns else pl.lit(False)
    sieve.drop((pl.col("tokens") == 0) & ~at_start, "zero tokens, and not at step 0")


def add_learning_rate(kept: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """``lr`` of the row, else what was logged last before its step."""
    if "lr" not in rows.columns:
        return kept
    kept = kept.join(rows.select(ROW, "lr"), on=ROW, how="left", maintain_order="left")
    if "step" not in kept.columns or not kept["lr"].null_count():
        return kept
    clock = current(rows).filter(pl.col("lr").is_finite()).select(*CLOCK_KEY, "lr")
    clock = clock.unique(CLOCK_KEY, keep="last", maintain_order=True).sort("step")
    order = kept.with_row_index("@i").sort("step")
    joined = order.join_asof(
        clock, on="step", by="run_id", suffix="_before", check_sortedness=False
    ).sort("@i")
    return joined.with_columns(pl.coalesce("lr", "lr_before")).drop("lr_before", "@i")


def run_table(kept: pl.DataFrame, rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The frame of an import: ``SCHEMA``, then the kept columns; sorted by run, step, language."""
    carried = [c for c in rows.columns if c in _CARRIED or c.startswith(KEPT)]
    frame = kept.drop([c for c in carried if c in kept.columns]).join(
        rows.select(ROW, *carried), on=ROW, how="left", maintain_order="left"
    )
    if frame["run_id"].null_count():
        own = pl.format("{} {}", pl.lit(source.line_word), LINE)
        if len(source.files) > 1:
            file = pl.col(FILE).replace_strict(
                dict(enumerate(source.files)), return_dtype=pl.String
            )
            own = pl.format("{}, {}", file, own)
        frame = frame.with_columns(pl.col("run_id").fill_null(own))
    optional = [c for c in ("step", "language") if c not in frame.columns]
    columns = {name: dtype for name, dtype in SCHEMA.items() if name not in optional}
    frame = frame.with_columns(
        pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in columns.items()
        if name not in frame.columns
    )
    product = FLOPS_PER_PARAMETER_TOKEN * pl.col("n_params") * pl.col("tokens")
    frame = frame.with_columns(pl.col("flops").fill_null(product))
    _check_lr_states(frame["lr_state"])
    order = [c for c in ("run_id", "step", "tokens", "language") if c in frame.columns]
    return frame.sort(order, nulls_last=True).select(
        *(pl.col(name).cast(dtype) for name, dtype in columns.items()),
        *(pl.col(c).alias(c.removeprefix(KEPT)) for c in frame.columns if c.startswith(KEPT)),
    )


def _from_rate(rows: pl.DataFrame) -> pl.DataFrame | None:
    """A clock counted up from the tokens of a step, for runs that log those."""
    if "batch_size" in rows.columns and "sequence_length" in rows.columns:
        product = pl.col("batch_size") * pl.col("sequence_length")
        known = [pl.col(PER_STEP)] if PER_STEP in rows.columns else []
        rows = rows.with_columns(pl.coalesce(*known, product).alias(PER_STEP))
    if PER_STEP not in rows.columns or "step" not in rows.columns:
        return None
    clock = (
        current(rows)
        .filter(is_count(pl.col(PER_STEP)) & (pl.col(PER_STEP) > 0), pl.col("step").is_finite())
        .unique(CLOCK_KEY, keep="last", maintain_order=True)
        .sort(CLOCK_KEY)
        .select(*CLOCK_KEY, PER_STEP)
    )
    tokens = [
        counted_up(part["step"].to_numpy(), part[PER_STEP].to_numpy())
        for part in clock.partition_by("run_id", maintain_order=True)
    ]
    return clock.with_columns(
        pl.Series("tokens", np.concatenate(tokens) if tokens else [], dtype=pl.Float64)
    )


def _check_lr_states(states: pl.Series) -> None:
    known = [state.value for state in LrState]
    for state in states.drop_nulls().unique().to_list():
        if state not in known:
            raise unknown("unknown state of the learning rate", state, known, where="lr_state")
