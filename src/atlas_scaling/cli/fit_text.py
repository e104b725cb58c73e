"""What ``atlas fit`` prints of several targets, and of a sweep of Huber's delta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from atlas_scaling.answers import Answer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.fitting.pooled import PooledFit
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.fitting.sweep import DeltaSweep


@dataclass(frozen=True)
class Fits(Answer):
    """Fits of several targets, each on its own."""

    fits: dict[str, Fit]


def several_text(several: Fits | PooledFit) -> RenderableType:
    """A row a target, then the shared parameters, then what to know."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from atlas_scaling.answers import Estimate
    from atlas_scaling.fitting.show import interval, number
    from atlas_scaling.units import counted

    shared = getattr(several, "shared", {})
    groups = dict.fromkeys(
        n.partition("[")[0] for one in several.fits.values() for n in one.values if n not in shared
    )
    table = Table("target", "rows", *map(escape, groups), "R²", "status", box=None)
    for target, one in several.fits.items():
        cells = [_group(one, group) for group in groups]
        r2 = one.diagnostics.r2
        fits_well = "-" if r2 is None else f"{r2:.4f}"
        table.add_row(target, str(one.n_rows), *cells, fits_well, one.status.value)
    lines = [
        f"{name}, shared: {number(p.value)}, {interval(Estimate(p.value, p.interval))}, {p.verdict}"
        for name, p in shared.items()
    ]
    if shared:
        pooled: Any = several
        lines.append(
            f"sharing raises the objective from {pooled.separate_objective:.6g} to "
            f"{pooled.objective:.6g}"
        )
    targets = counted(len(several.fits), "target")
    lines.append(f"- is a value that the data does not identify; {targets}")
    return Group(table, Text("\n".join([*lines, *_said(several.fits)])))


def _said(fits: Mapping[str, Fit]) -> list[str]:
    """Rows left out, notes and warnings, each once with its targets; not what ``-`` says."""
    from atlas_scaling.fitting.selection import OTHER_LANGUAGE
    from atlas_scaling.units import counted

    targets: dict[str, list[str]] = {}
    for target, fit in fits.items():
        unidentified = {f"{name} is {verdict}" for name, verdict in fit.verdicts.items()}
        warnings = [f"warning: {w}" for w in fit.warnings if w not in unidentified]
        left_out = [
            f"left out: {counted(one.rows, 'row')}, {one.reason}"
            for one in fit.observations.dropped
            if not one.reason.startswith(OTHER_LANGUAGE)
        ]
        for text in (*left_out, *fit.observations.notes, *warnings):
            targets.setdefault(text, []).append(target)
    return [
        text if len(of) == len(fits) else f"{text} ({', '.join(of)})"
        for text, of in targets.items()
    ]


def _group(fit: Fit, group: str) -> str:
    """Values of ``E``, or of all ``tau[…]``, one a line with its label."""
    from atlas_scaling.fitting.show import number

    lines = []
    for name, parameter in fit.parameters.items():
        first, _, label = name.partition("[")
        if first == group:
            lines.append(f"{label.removesuffix(']')} {number(parameter.value, 3)}".strip())
    return "\n".join(lines)


def sweep_text(sweep: DeltaSweep) -> RenderableType:
    """A row an estimator."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from atlas_scaling.fitting.show import number
    from atlas_scaling.units import counted

    table = Table("delta", *map(escape, sweep.spread), "rows within", "R²", box=None)
    for row in sweep.rows:
        name = row.estimator if row.delta is None else f"{row.delta:g}"
        within = "" if row.share_within is None else f"{row.share_within:.0%}"
        r2 = "-" if row.r2 is None else f"{row.r2:.4f}"
        table.add_row(name, *map(number, row.values.values()), within, r2)
    text = (
        f"{sweep.law}, {sweep.n_rows} rows, from least absolute deviations (lad) to least squares "
        "(lsq). Where a parameter moves by more than its interval, the answer is the choice of "
        "delta."
    )
    if None in sweep.spread.values():
        text += " - is a value that the data does not identify."
    left_out = [f"left out: {counted(one.rows, 'row')}, {one.reason}" for one in sweep.dropped]
    return Group(table, Text("\n".join([text, *left_out, *sweep.notes])))
