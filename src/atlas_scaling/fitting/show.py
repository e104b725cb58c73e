"""A fit for people: a table of parameters, then what to know before using them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas_scaling.answers import Estimate
from atlas_scaling.units import counted, plain

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.fitting.result import Fit


def fit_text(fit: Fit) -> RenderableType:
    """The fit as a rich table with a heading and notes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("parameter", "value", f"{100 * fit.level:g}% interval", "verdict", box=None)
    for name, p in fit.parameters.items():
        table.add_row(
            Text(name), number(p.value), interval(Estimate(p.value, p.interval)), Text(p.verdict)
        )
    return Group(
        Text(_heading(fit), style="bold"),
        Text(fit.law.formula),
        table,
        Text("\n".join(_notes(fit))),
    )


def number(value: float | None, digits: int = 5) -> str:
    """Five significant digits; ``-`` where missing."""
    return "-" if value is None else f"{value:.{digits}g}"


def interval(estimate: Estimate) -> str:
    """``low … high``, or ``-`` where not known."""
    if estimate.interval is None:
        return "-"
    low, high = estimate.interval
    return f"{low:.4g} … {high:.4g}"


def _heading(fit: Fit) -> str:
    title = fit.law.title or fit.law.name
    options = [str(v) for k, v in fit.law.options().items() if k == "variant"]
    variant = f" ({options[0]})" if options else ""
    target = "" if fit.target is None else f" for {fit.target}"
    return f"{title}{variant}{target}: {fit.n_rows} rows of {fit.n_runs} runs, {fit.status.value}"


def _notes(fit: Fit) -> list[str]:
    d = fit.diagnostics
    r2 = "" if d.r2 is None else f", R² {d.r2:.4f}"
    share = (
        ""
        if d.mean_error_reducible_percent is None
        else f" ({plain(d.mean_error_reducible_percent)} % of the reducible loss)"
    )
    lines = [
        f"objective {fit.objective:.8g} ({fit.estimator.name}){r2}, mean error "
        f"{d.mean_error:.3g}{share}",
        f"{d.share_at_optimum:.0%} of {d.n_descended} descents ended here; intervals from "
        + ("no resamples" if fit.draws is None else f"{len(fit.draws)} resamples by {d.resample}"),
    ]
    lines += [f"left out: {counted(x.rows, 'row')}, {x.reason}" for x in fit.observations.dropped]
    lines += list(fit.observations.notes)
    lines += [f"warning: {w}" for w in fit.warnings]
    return lines
