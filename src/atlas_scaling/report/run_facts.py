"""What is known of each run, from its record or, of imported runs, from the rows of the table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from atlas_scaling.runs.store import RunTable


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run. ``n_params`` and ``seed`` are None where an import did not know them."""

    run_id: str
    study: str | None
    group: str
    mixture: dict[str, float]
    n_params: float | None
    seed: int | None
    base_run: str | None


def run_facts(runs: RunTable) -> tuple[RunFacts, ...]:
    """Every run, also one that was never evaluated; imported runs have no records."""
    known = {
        r.run_id: RunFacts(
            r.run_id, r.study, r.group, r.mixture, float(r.n_params), r.seed, r.base_run
        )
        for r in runs.records
    }
    columns = ("run_id", "study", "group", "mixture", "n_params", "seed", "base_run")
    others = runs.frame.filter(~pl.col("run_id").is_in(list(known))).unique(
        "run_id", keep="first", maintain_order=True
    )
    return (*known.values(), *(_of_row(row) for row in others.select(columns).to_dicts()))


def as_runs(runs: RunTable | pl.DataFrame) -> RunTable:
    """Runs with a language, a step and a group on every row; imports may lack them."""
    from atlas_scaling.runs.store import RunTable

    if isinstance(runs, pl.DataFrame):
        return RunTable(_completed(runs), ())
    return replace(runs, frame=_completed(runs.frame))


def _completed(frame: pl.DataFrame) -> pl.DataFrame:
    added = []
    if "language" not in frame.columns:
        added.append(pl.lit(ALL_TEXT).alias("language"))
    if "step" not in frame.columns:
        order = pl.col("tokens").rank("dense").over("run_id").cast(pl.Int64)
        added.append(order.alias("step"))
    return frame.with_columns(added).with_columns(
        pl.col("language").fill_null(ALL_TEXT), pl.col("group").fill_null(_group())
    )


ALL_TEXT = "all text"
"""Stands for the language where a table does not say which."""


def _of_row(row: dict[str, Any]) -> RunFacts:
    mixture = {entry["language"]: entry["value"] for entry in row.pop("mixture") or ()}
    return RunFacts(mixture=mixture, **row)


def _group() -> pl.Expr:
    """The study's word for what a run was trained on."""
    shares = pl.col("mixture").list
    return (
        pl.when(pl.col("base_run").is_not_null())
        .then(pl.lit("continued"))
        .when(shares.len() == 1)
        .then(pl.lit("monolingual"))
        .when(shares.len() == 2)
        .then(pl.lit("bilingual"))
        .when(shares.len() > 2)
        .then(pl.lit("mixture"))
        .otherwise(pl.lit("imported"))
    )
