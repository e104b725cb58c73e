"""``atlas fit`` and ``atlas compare``: parameters with intervals, and laws side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_scaling.cli.fit_text import Fits, several_text, sweep_text
from atlas_scaling.cli.law_option import is_own, law_of, pairs, two_numbers
from atlas_scaling.cli.output import JsonFlag, emit, share_done, working
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from atlas_scaling.fitting.pooled import PooledFit
    from atlas_scaling.fitting.result import Fit
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
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of starting points and resamples.")]


def fit_command(
    runs: Runs,
    law: Annotated[
        str, typer.Option("--law", help="Name of the law, or your own: my_law.py:MyLaw.")
    ] = "chinchilla",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Language whose loss is fitted; again for more, or all."),
    ] = None,
    shared: Annotated[
        str | None,
        typer.Option("--shared", help="One value for all targets of: alpha,beta. Else each own."),
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
    bound: Annotated[
        list[str] | None, typer.Option("--bound", help="Limits of a parameter: alpha=0.1:0.6.")
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option("--prior", help="Pull a parameter to a value, +- a deviation: E=1.7:0.1."),
    ] = None,
    estimator: Annotated[str, typer.Option("--estimator", help="huber, lad or lsq.")] = "huber",
    delta: Annotated[float | None, typer.Option("--delta", help="Of huber; 1e-3.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Fit with many deltas instead, lad to lsq.")
    ] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", help="Refits for intervals.")] = 200,
    resample: Annotated[str, typer.Option("--resample", help="run, pairs or wild.")] = "run",
    level: Annotated[float, typer.Option("--level", help="Of the intervals.")] = 0.9,
    starts: Annotated[
        int | None, typer.Option("--starts", help="Descend from this many starting points.")
    ] = None,
    seed: Seed = 0,
    workers: Annotated[
        int, typer.Option("--workers", min=1, help="Processes that share fits of several targets.")
    ] = 1,
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
        Path | None,
        typer.Option(
            "-o", "--output", help="Save the fit (JSON, .npz beside); a folder for several targets."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw it: .html with all figures, or .svg, .png, .csv."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit a scaling law to runs: parameters, intervals, and what the data can tell."""
    if plot is not None:
        from atlas_scaling.report.fit_pages import check_page_or_figure

        check_page_or_figure(plot)
    of_many = len(target or ()) > 1 or target == ["all"] or shared is not None
    if sweep:
        _refuse(of_many or bool(output or plot) or estimator != "huber", "--sweep")
    if of_many:
        _check_folder(output)
    elif output is not None:
        from atlas_scaling.fitting.saved import check_fit_file

        check_fit_file(output)
    if workers > 1 and not of_many:
        raise InputError(
            "several processes share the fits of several targets",
            value=f"{workers} processes, one fit",
            where="--workers",
            remedy="leave it out, or name more targets (--target all)",
        )
    _refuse_own_law(workers, [law])
    made = law_of(law, variant, sources, tie, fix, bound)
    table = _table(runs, column, where)
    options: dict[str, Any] = {
        "unit": unit,
        "lr_state": lr_state,
        "continued": continued,
        "zero_shot": True if zero_shot else None,
        "weights": weights,
        "seed": seed,
        "starts": starts,
        "priors": _priors(prior),
    }
    if sweep:
        _sweep(table, made, _only(target), options, as_json)
        return
    options |= {
        "estimator": estimator,
        "delta": delta,
        "bootstrap": bootstrap,
        "resample": resample,
        "level": level,
    }
    if of_many:
        named = None if target in (None, ["all"]) else target
        _several(table, made, named, shared, options | {"workers": workers}, output, plot, as_json)
    else:
        _one(table, made, _only(target), options, output, plot, as_json)


def _refuse_own_law(workers: int, named: Sequence[str]) -> None:
    own = [law for law in named if is_own(law)]
    if workers > 1 and own:
        raise InputError(
            "only laws that are packaged go to several processes",
            value=f"{workers} processes, law {own[0]}",
            where="--workers",
            remedy="leave it out",
        )


def _only(target: Sequence[str] | None) -> str | None:
    return target[0] if target else None


def _sweep(
    table: Any, law: Law, target: str | None, options: dict[str, Any], as_json: bool
) -> None:
    from atlas_scaling.fitting.sweep import sweep_delta

    with working("fitting with every delta"):
        swept = sweep_delta(table, law, target=target, **options)
    emit(swept, as_json=as_json, text=sweep_text)


def _one(
    table: Any,
    law: Law,
    target: str | None,
    options: dict[str, Any],
    output: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    from atlas_scaling.fitting.api import fit
    from atlas_scaling.fitting.show import fit_text

    with working("fitting"):
        result = fit(table, law, target=target, **options)
    if output is not None:
        result.save(output)
    if plot is not None:
        from atlas_scaling.report.fit_pages import write_fits

        write_fits([result], plot)
    emit(result, as_json=as_json, text=fit_text)


def _several(
    table: Any,
    law: Law,
    targets: Sequence[str] | None,
    shared: str | None,
    options: dict[str, Any],
    output: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    from atlas_scaling.fitting.pooled import fit_each, fit_pooled

    several: Fits | PooledFit
    with share_done("fitting") as done:
        if shared is None:
            several = Fits(fit_each(table, law, targets=targets, done=done, **options))
        else:
            names = tuple(name.strip() for name in shared.split(",") if name.strip())
            several = fit_pooled(table, law, targets=targets, shared=names, done=done, **options)
    _save_several(several.fits, output, plot)
    emit(several, as_json=as_json, text=several_text)


def _save_several(fits: Mapping[str, Fit], output: Path | None, plot: Path | None) -> None:
    """One file a target in the folder ``output``; all in one page or figure ``plot``."""
    if output is not None:
        for target, one in fits.items():
            one.save(output / f"{target}.json")
    if plot is not None:
        from atlas_scaling.report.fit_pages import write_fits

        write_fits(list(fits.values()), plot)


def _check_folder(output: Path | None) -> None:
    if output is not None and output.suffix:
        raise InputError(
            "several fits are saved in a folder, one file a language",
            value=str(output),
            where="--output",
            remedy="-o fits",
        )


def _priors(given: Sequence[str] | None) -> dict[str, tuple[float, float]] | None:
    found = {name: two_numbers(text, "--prior") for name, text in pairs(given, "--prior")}
    return found or None


def _refuse(wrong: bool, option: str) -> None:
    """An option that would be ignored is refused."""
    if wrong:
        raise InputError(
            f"{option} does not go with another option that was given",
            where=option,
            remedy="give one of them; atlas fit --help",
        )


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
    estimator: Annotated[str, typer.Option("--estimator", help="huber, lad or lsq.")] = "huber",
    delta: Annotated[float | None, typer.Option("--delta", help="Of huber; 1e-3.")] = None,
    seed: Seed = 0,
    unit: Unit = "nats_per_token",
    lr_state: LrState = None,
    continued: Annotated[
        bool, typer.Option("--continued", help="Let in runs that continue another.")
    ] = False,
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
        from atlas_scaling.report.fit_pages import check_page_or_figure, write_comparison

        check_page_or_figure(output)
    _refuse_own_law(workers, law or ())
    table = _table(runs, column, where)
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


def _table(runs: Path, column: Sequence[str] | None, where: Sequence[str] | None) -> Any:
    from atlas_scaling.fitting.tables import as_frame, read, renamed, rows_where

    with working(f"reading {runs}"):
        frame = as_frame(read(runs), our_codes=False)
    return rows_where(renamed(frame, dict(pairs(column, "--column"))), where or ())
