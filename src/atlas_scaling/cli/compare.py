"""``atlas compare``: laws side by side on held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from atlas_scaling.cli.fit_options import (
    Column,
    Continued,
    Delta,
    Estimator,
    LrState,
    Runs,
    Seed,
    Unit,
    Where,
    refuse_own_law,
    run_table,
)
from atlas_scaling.cli.law_option import law_of
from atlas_scaling.cli.output import JsonFlag, emit, share_done

COMPARE_EXAMPLE = "Example: atlas compare atlas-demo/runs --target swe_Latn --target spa_Latn"


def compare_command(
    runs: Runs,
    law: Annotated[
        list[str] | None,
        typer.Option(
            "--law", help="These laws only, atlas:target or chinchilla:alpha=beta too; else all."
        ),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Average over these languages; else all.")
    ] = None,
    estimator: Estimator = "huber",
    delta: Delta = None,
    seed: Seed = 0,
    unit: Unit = "nats_per_token",
    lr_state: LrState = None,
    continued: Continued = False,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that share the fits.")
    ] = 1,
    column: Column = None,
    where: Where = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Draw it: .html with the table, .svg, .png, .csv."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Score every law on held-out data: sizes, tokens, compute and mixtures it did not see."""
    from atlas_scaling.cli.compare_text import comparison_text
    from atlas_scaling.fitting.comparison import compare

    if output is not None:
        from atlas_scaling.report.figure import check_page_or_figure
        from atlas_scaling.report.fit_pages import write_comparison

        check_page_or_figure(output)
    refuse_own_law(workers, law or ())
    table = run_table(runs, column, where)
    with share_done("fitting every law to every cut") as done:
        result = compare(
            table,
            None if law is None else [law_of(name) for name in law],
            targets=target,
            estimator=estimator,
            delta=delta,
            seed=seed,
            unit=unit,
            lr_state=lr_state,
            continued=continued,
            workers=workers,
            done=done,
        )
    if output is not None:
        write_comparison(result, output)
    emit(result, as_json=as_json, text=comparison_text)
