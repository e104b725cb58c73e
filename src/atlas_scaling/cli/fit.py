"""``atlas fit`` and ``atlas compare``: parameters with intervals, and laws side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_scaling.cli.output import JsonFlag, emit
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from atlas_scaling.laws.base import Law

COMPARE_EXAMPLE = "Example: atlas compare atlas-demo/runs --target swe_Latn --target spa_Latn"
FIT_EXAMPLE = "Example: atlas fit atlas-demo/runs --law atlas --target swe_Latn -o fit.json"

Runs = Annotated[
    Path, typer.Argument(help="A folder of runs, or a table: CSV, TSV, JSON lines, Parquet.")
]
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
Seed = Annotated[int, typer.Option("--seed", help="Seed of starting points and resamples.")]


def fit_command(
    runs: Runs,
    law: Annotated[str, typer.Option("--law", help="Name of the law.")] = "chinchilla",
    target: Annotated[
        str | None, typer.Option("--target", help="Language whose loss is fitted.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="Of atlas: target, other or full.")
    ] = None,
    sources: Annotated[
        str | None, typer.Option("--sources", help="Of atlas: languages with a weight, by comma.")
    ] = None,
    tie: Annotated[
        list[str] | None, typer.Option("--tie", help="Parameters held equal: alpha=beta.")
    ] = None,
    fix: Annotated[
        list[str] | None, typer.Option("--fix", help="A parameter held at a value: E=1.7.")
    ] = None,
    estimator: Annotated[str, typer.Option("--estimator", help="huber, lad or lsq.")] = "huber",
    delta: Annotated[float | None, typer.Option("--delta", help="Of huber; 1e-3.")] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Refits for intervals.")] = 200,
    resample: Annotated[str, typer.Option("--resample", help="run, pairs or wild.")] = "run",
    level: Annotated[float, typer.Option("--level", help="Of the intervals.")] = 0.9,
    starts: Annotated[
        int | None, typer.Option("--starts", help="Descend from this many starting points.")
    ] = None,
    seed: Seed = 0,
    unit: Unit = "nats_per_token",
    lr_state: LrState = None,
    continued: Annotated[
        bool, typer.Option("--continued", help="Let in runs that continue another.")
    ] = False,
    zero_shot: Annotated[
        bool, typer.Option("--zero-shot", help="Let in languages a run was not trained on.")
    ] = False,
    weights: Annotated[str | None, typer.Option("--weights", help="Column of row weights.")] = None,
    column: Column = None,
    where: Where = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Save the fit here (JSON, .npz beside).")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit a scaling law to runs: parameters, intervals, and what the data can tell."""
    from atlas_scaling.fitting.api import fit
    from atlas_scaling.fitting.show import fit_text

    made = _law(law, variant, sources, tie, fix)
    result = fit(
        _table(runs, column, where),
        made,
        target=target,
        estimator=estimator,
        delta=delta,
        bootstrap=bootstrap,
        resample=resample,
        level=level,
        starts=starts,
        seed=seed,
        unit=unit,
        lr_state=lr_state,
        continued=continued,
        zero_shot=True if zero_shot else None,
        weights=weights,
    )
    if output is not None:
        result.save(output)
    emit(result, as_json=as_json, text=fit_text)


def compare_command(
    runs: Runs,
    law: Annotated[
        list[str] | None, typer.Option("--law", help="Compare these laws only; else all.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Average over these languages; else all.")
    ] = None,
    estimator: Annotated[str, typer.Option("--estimator", help="huber, lad or lsq.")] = "huber",
    delta: Annotated[float | None, typer.Option("--delta", help="Of huber; 1e-3.")] = None,
    seed: Seed = 0,
    unit: Unit = "nats_per_token",
    lr_state: LrState = None,
    continued: Annotated[
        bool, typer.Option("--continued", help="Let in runs that continue another.")
    ] = False,
    column: Column = None,
    where: Where = None,
    as_json: JsonFlag = False,
) -> None:
    """Score every law on held-out data: sizes, tokens, compute and mixtures it did not see."""
    from atlas_scaling.cli.compare_text import comparison_text
    from atlas_scaling.fitting.comparison import compare

    result = compare(
        _table(runs, column, where),
        law,
        targets=target,
        estimator=estimator,
        delta=delta,
        seed=seed,
        unit=unit,
        lr_state=lr_state,
        continued=continued,
    )
    emit(result, as_json=as_json, text=comparison_text)


def _table(runs: Path, column: Sequence[str] | None, where: Sequence[str] | None) -> Any:
    from atlas_scaling.fitting.data import as_frame
    from atlas_scaling.fitting.tables import read, renamed, rows_where

    frame = as_frame(read(runs))
    return rows_where(renamed(frame, dict(_pairs(column, "--column"))), where or ())


def _law(
    name: str,
    variant: str | None,
    sources: str | None,
    tie: Sequence[str] | None,
    fix: Sequence[str] | None,
) -> Law:
    from atlas_scaling import laws

    options: dict[str, Any] = {}
    if variant is not None:
        options["variant"] = variant
    if sources is not None:
        from atlas_scaling.languages import normalise

        options["sources"] = tuple(normalise(s.strip()) for s in sources.split(",") if s.strip())
    law = laws.get(name, **options)
    for one in tie or ():
        law = law.tied(*(part.strip() for part in one.split("=")))
    held = dict(_pairs(fix, "--fix"))
    return law.with_fixed(**{k: _number(v, "--fix") for k, v in held.items()}) if held else law


def _pairs(given: Sequence[str] | None, option: str) -> list[tuple[str, str]]:
    pairs = []
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(
                f"{option} takes NAME=VALUE", value=text, where=option, remedy="like n_params=size"
            )
        pairs.append((name.strip(), value.strip()))
    return pairs


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError("not a number", value=text, where=option) from None
