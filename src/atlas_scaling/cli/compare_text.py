"""``atlas compare`` for people: laws side by side, then by language, then what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atlas_scaling.units import NO_FIT

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from atlas_scaling.fitting.comparison import Comparison

MOST_LANGUAGES: Final = 5


def comparison_text(comparison: Comparison) -> RenderableType:
    """Laws side by side on held-out data, then what is missing and why."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("law", "params", "R²", "R²(N)", "R²(D)", "R²(C)", "R²(M)", "error", "%", box=None)
    for row in comparison.rows:
        name = f"{row.law} ({row.variant})" if row.variant else row.law
        scores = (row.r2, row.r2_n, row.r2_d, row.r2_c, row.r2_m)
        share = row.errors_reducible_percent["r2"]
        table.add_row(
            Text(name),
            "-" if row.n_parameters is None else str(row.n_parameters),
            *map(_r_squared, scores),
            "-" if row.errors["r2"] is None else f"{row.errors['r2']:.4f}",
            "-" if share is None else f"{share:.2f}",
        )
    scored = [t for t in comparison.targets if _has_score(comparison, t)]
    languages = ", ".join(t for t in scored if t) or "one unnamed target"
    lines = [
        "R² on held-out data: random 20 %; largest and a middle model size; top 20 % of tokens; "
        "top 20 % of compute; mixtures of three languages or more. Mean over "
        f"{languages}; {comparison.n_rows} rows in all.",
        f"error: mean on the random cut, in {comparison.loss_unit}; %: of the reducible loss.",
        *(f"{name}: {said}" for name, said in comparison.cuts.items() if "not made" in said),
        *comparison.notes,
        *(f"missing: {w}" for w in comparison.warnings),
    ]
    by_language = _by_language(comparison)
    return Group(table, *([] if by_language is None else [by_language]), Text("\n".join(lines)))


def _has_score(comparison: Comparison, target: str) -> bool:
    scores = [score for row in comparison.rows for score in row.by_target[target].values()]
    return any(score.error is not None for score in scores)


def _r_squared(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= NO_FIT else f"<{NO_FIT}"


def _by_language(comparison: Comparison) -> Table | None:
    """R² on the random cut and the error in per cent of the reducible loss, language by language.

    None for one language; of many those that a line has room for, the rest is in the JSON.
    """
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    if len(comparison.targets) < 2:
        return None
    shown = comparison.targets[:MOST_LANGUAGES]
    table = Table("R² (error, %)", *map(escape, shown), box=None)
    for row in comparison.rows:
        cells = []
        for target in shown:
            score = row.by_target[target]["r2"]
            share = score.error_reducible_percent
            error = "" if share is None else f" ({share:.1f})"
            cells.append(_r_squared(score.r2) + error)
        table.add_row(Text(f"{row.law} ({row.variant})" if row.variant else row.law), *cells)
    return table
