"""Options of ``atlas fit`` and ``atlas compare``, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.law_option import is_own, pairs
from atlas_scaling.cli.output import working
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    import polars as pl

Runs = Annotated[
    Path, typer.Argument(help="A folder of runs, or a table: CSV, TSV, JSON lines, Parquet.")
]

# which rows enter
Column = Annotated[
    list[str] | None,
    typer.Option("--column", help="What a column is called in the table: n_params=size."),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="Use these rows only: converged, size=1m, 'tokens>=1e9'."),
]
Unit = Annotated[str, typer.Option("--unit", help="Loss unit: nats_per_token, bits_per_byte.")]
LrState = Annotated[
    str | None,
    typer.Option("--lr-state", help="Learning-rate state of the rows: stable, decayed, all."),
]
Continued = Annotated[bool, typer.Option("--continued", help="Let in runs that continue another.")]
ZeroShot = Annotated[
    bool, typer.Option("--zero-shot", help="Let in languages a run was not trained on.")
]
Weights = Annotated[str | None, typer.Option("--weights", help="Column of row weights.")]

# which law, of which languages
LawName = Annotated[
    str, typer.Option("--law", help="Name of the law, or your own: my_law.py:MyLaw.")
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", help="Language whose loss is fitted; again for more, or all."),
]
Variant = Annotated[str | None, typer.Option("--variant", help="Of atlas: target, other or full.")]
Sources = Annotated[
    str | None, typer.Option("--sources", help="Of atlas: languages with a weight, by comma.")
]
Tie = Annotated[list[str] | None, typer.Option("--tie", help="Parameters held equal: alpha=beta.")]
Fix = Annotated[list[str] | None, typer.Option("--fix", help="A parameter held at a value: E=1.7.")]
Bound = Annotated[
    list[str] | None, typer.Option("--bound", help="Limits of a parameter: alpha=0.1:0.6.")
]
Prior = Annotated[
    list[str] | None,
    typer.Option("--prior", help="Pull a parameter to a value, +- a deviation: E=1.7:0.1."),
]
Shared = Annotated[
    str | None,
    typer.Option("--shared", help="One value for all targets of: alpha,beta. Else each own."),
]

# how it is fitted
Estimator = Annotated[str, typer.Option("--estimator", help="huber, lad or lsq.")]
Delta = Annotated[float | None, typer.Option("--delta", help="Of huber; 1e-3.")]
Sweep = Annotated[bool, typer.Option("--sweep", help="Fit with many deltas instead, lad to lsq.")]
Bootstrap = Annotated[int, typer.Option("--bootstrap", help="Refits for intervals.")]
Resample = Annotated[str, typer.Option("--resample", help="run, pairs or wild.")]
Level = Annotated[float, typer.Option("--level", help="Of the intervals.")]
Starts = Annotated[
    int | None, typer.Option("--starts", help="Descend from this many starting points.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of starting points and resamples.")]
Workers = Annotated[
    int, typer.Option("--workers", min=1, help="Processes that share fits of several targets.")
]

# what is done with it
Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="Save the fit (JSON, .npz beside); a folder for several targets."
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", help="Draw it: .html with all figures, or .svg, .png, .csv."),
]


def run_table(
    runs: Path, column: Sequence[str] | None, where: Sequence[str] | None
) -> pl.DataFrame:
    """The table at ``runs``, its columns called as here, with the rows that were asked for."""
    from atlas_scaling.fitting.tables import read, renamed, rows_where

    with working(f"reading {runs}"):
        frame = read(runs)
    return rows_where(renamed(frame, dict(pairs(column, "--column"))), where or ())


def refuse_own_law(workers: int, named: Sequence[str]) -> None:
    """Refuse several processes for a law in a user's file, which they could not load."""
    own = [law for law in named if is_own(law)]
    if workers > 1 and own:
        raise InputError(
            "only laws that are packaged go to several processes",
            value=f"{workers} processes, law {own[0]}",
            where="--workers",
            remedy="leave it out",
        )
