"""``atlas fit``: parameters of a scaling law, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlas_scaling.cli.fit_options import (
    Bootstrap,
    Bound,
    Column,
    Continued,
    Delta,
    Estimator,
    Fix,
    LawName,
    Level,
    LrState,
    Output,
    Plot,
    Prior,
    Resample,
    Runs,
    Seed,
    Shared,
    Sources,
    Starts,
    Sweep,
    Targets,
    Tie,
    Unit,
    Variant,
    Weights,
    Where,
    Workers,
    ZeroShot,
    refuse_own_law,
    run_table,
)
from atlas_scaling.cli.fit_text import Fits, several_text, sweep_text
from atlas_scaling.cli.law_option import law_of, pairs, two_numbers
from atlas_scaling.cli.output import JsonFlag, emit, share_done, working
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from atlas_scaling.fitting.pooled import PooledFit
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.laws.base import Law

FIT_EXAMPLE = "Example: atlas fit atlas-demo/runs --law atlas --target swe_Latn -o fit.json"


def fit_command(
    runs: Runs,
    law: LawName = "chinchilla",
    target: Targets = None,
    shared: Shared = None,
    variant: Variant = None,
    sources: Sources = None,
    tie: Tie = None,
    fix: Fix = None,
    bound: Bound = None,
    prior: Prior = None,
    estimator: Estimator = "huber",
    delta: Delta = None,
    sweep: Sweep = False,
    bootstrap: Bootstrap = 200,
    resample: Resample = "run",
    level: Level = 0.9,
    starts: Starts = None,
    seed: Seed = 0,
    workers: Workers = 1,
    unit: Unit = "nats_per_token",
    lr_state: LrState = None,
    continued: Continued = False,
    zero_shot: ZeroShot = False,
    weights: Weights = None,
    column: Column = None,
    where: Where = None,
    output: Output = None,
    plot: Plot = None,
    as_json: JsonFlag = False,
) -> None:
    """Fit a scaling law to runs: parameters, intervals, and what the data can tell."""
    of_many = len(target or ()) > 1 or target == ["all"] or shared is not None
    if sweep and (of_many or output or plot or estimator != "huber"):
        raise InputError(
            "--sweep does not go with another option that was given",
            where="--sweep",
            remedy="give one of them; atlas fit --help",
        )
    _check_files(output, plot, of_many)
    _check_workers(workers, law, of_many)
    made = law_of(law, variant, sources, tie, fix, bound)
    table = run_table(runs, column, where)
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


def _check_files(output: Path | None, plot: Path | None, of_many: bool) -> None:
    """Refuse what cannot be written before the work is done."""
    if plot is not None:
        from atlas_scaling.report.figure import check_page_or_figure

        check_page_or_figure(plot)
    if output is None:
        return
    if not of_many:
        from atlas_scaling.fitting.saved import check_fit_file

        check_fit_file(output)
    elif output.suffix:
        raise InputError(
            "several fits are saved in a folder, one file a language",
            value=str(output),
            where="--output",
            remedy="-o fits",
        )


def _check_workers(workers: int, law: str, of_many: bool) -> None:
    if workers > 1 and not of_many:
        raise InputError(
            "several processes share the fits of several targets",
            value=f"{workers} processes, one fit",
            where="--workers",
            remedy="leave it out, or name more targets (--target all)",
        )
    refuse_own_law(workers, [law])


def _only(target: Sequence[str] | None) -> str | None:
    return target[0] if target else None


def _sweep(
    table: pl.DataFrame, law: Law, target: str | None, options: dict[str, Any], as_json: bool
) -> None:
    from atlas_scaling.fitting.sweep import sweep_delta

    with working("fitting with every delta"):
        swept = sweep_delta(table, law, target=target, **options)
    emit(swept, as_json=as_json, text=sweep_text)


def _one(
    table: pl.DataFrame,
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
    table: pl.DataFrame,
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


def _priors(given: Sequence[str] | None) -> dict[str, tuple[float, float]] | None:
    found = {name: two_numbers(text, "--prior") for name, text in pairs(given, "--prior")}
    return found or None
