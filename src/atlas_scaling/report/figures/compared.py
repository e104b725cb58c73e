"""Laws side by side: held-out R² of every cut, and profiles of the parameters of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling import laws
from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.figures.fits import law_label
from atlas_scaling.report.words import interval, number, parameter_name, r_squared, signed
from atlas_scaling.units import counted

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.fitting.comparison import ComparedLaw, Comparison
    from atlas_scaling.fitting.profile import Profile
    from atlas_scaling.fitting.result import Fit

CUTS: Final = {
    "r2": "a random fifth",
    "r2_n": "the largest models",
    "r2_d": "the most tokens",
    "r2_c": "the most compute",
    "r2_m": "other mixtures",
}
"""What each cut of ``fitting.splits`` holds out, in words."""

LOWEST: Final = -0.5
"""Worse scores than this are drawn here, as arrows: a law that fails may reach any depth."""

_EDGES: Final = (LOWEST, 0.0, 0.5, 0.8, 0.9, 0.98)
"""Where the axis may begin: as far right as all scores allow, so that good laws are told apart."""


def compared_name(row: ComparedLaw) -> str:
    """``ATLAS (full)``."""
    try:
        title = laws.get(row.law).title or row.law
    except InputError:  # a user's own law
        title = row.law
    return f"{title} ({row.variant})" if row.variant else title


def compared_laws(comparison: Comparison) -> Figure:
    """Held-out R² of each law, one panel a cut; 0 is no better than the mean, 1 is exact."""
    rows = [
        {
            "law": compared_name(row),
            "held_out": CUTS[cut],
            "r2": getattr(row, cut),
            "error": row.errors[cut],
            "error_reducible_percent": row.errors_reducible_percent[cut],
            "n_parameters": row.n_parameters,
        }
        for cut in CUTS
        for row in comparison.rows
    ]
    numbers = dict.fromkeys(("r2", "error", "error_reducible_percent"), pl.Float64)
    data = pl.DataFrame(rows, schema_overrides={**numbers, "n_parameters": pl.Int64})
    order = [compared_name(row) for row in comparison.rows]
    least = min(data["r2"].drop_nulls(), default=0.0)
    edge = max((edge for edge in _EDGES if edge < least), default=LOWEST)
    panels = tuple(
        Panel(f"held out: {words}", _cut_panel(part, order, edge))
        for words in CUTS.values()
        if (part := data.filter(pl.col("held_out") == words))["r2"].drop_nulls().len()
    )
    return Figure(
        name="laws-compared",
        title="Held-out R² of each law",
        caption="Each law is fitted without the rows held out and asked for them; means over "
        f"{counted(len(comparison.targets), 'language')}. 0 is no better than the mean of the "
        f"losses. Arrows are scores below {signed(LOWEST)}, drawn at the edge.",
        alt=_best_laws(data),
        data=data,
        panels=panels,
        keys=(
            Key("R²", theme.BLUE),
            Key(f"below {signed(LOWEST)}", theme.ORANGE, "triangle-left"),
        ),
    )


def profile_curves(fit: Fit, profiles: Sequence[Profile]) -> Figure:
    """How much worse the fit gets when a parameter is held elsewhere, one panel a parameter.

    Args:
        fit: the fit.
        profiles: of it, at least one.
    """
    data = pl.concat(
        pl.DataFrame(
            {
                "parameter": [p.parameter] * len(p.values),
                "value": list(p.values),
                "rise": list(p.rise),
            }
        )
        for p in profiles
    )
    panels = tuple(Panel(parameter_name(p.parameter), _profile_panel(p)) for p in profiles)
    open_ones = [parameter_name(p.parameter) for p in profiles if p.open_sides]
    said = "; ".join(f"{parameter_name(p.parameter)} {interval(p.interval)}" for p in profiles)
    where = "" if fit.target is None else f", {fit.target}"
    return Figure(
        name="profiles" if fit.target is None else f"profiles-{fit.law.name}-{fit.target}",
        title=f"Profile likelihood of {law_label(fit)}{where}",
        caption=f"The fit with the parameter held elsewhere and all others free. Below the dashed "
        f"line lies the {100 * fit.level:g}% interval. A curve that stays low on a side sets no "
        "limit there" + (f": {', '.join(open_ones)}." if open_ones else "."),
        alt=f"Profile intervals: {said}.",
        data=data,
        panels=panels,
        keys=(
            Key("rise of the objective, 1 is the interval's edge", theme.BLUE, "line"),
            Key("at the optimum", theme.ORANGE, "diamond"),
        ),
    )


def _cut_panel(rows: pl.DataFrame, order: list[str], edge: float) -> alt.LayerChart:
    import altair as alt

    known = rows.drop_nulls("r2").with_columns(
        shown=pl.col("r2").clip(LOWEST, None),
        kind=pl.when(pl.col("r2") < LOWEST).then(pl.lit("below")).otherwise(pl.lit("R²")),
        label=pl.format(
            "{}: R² {}", "law", pl.col("r2").map_elements(r_squared, return_dtype=pl.String)
        ),
    )
    y = alt.Y("law:N", title=None, sort=order, scale=alt.Scale(domain=order)).axis(labelLimit=150)
    ticks = [-0.5, 0, 0.5, 1] if edge < 0 else [edge, (1 + edge) / 2, 1]
    x = alt.X("shown:Q", title="R²", scale=alt.Scale(domain=[edge, 1], nice=False)).axis(
        values=ticks, format=".2~f"
    )
    nothing = [{"x": 0}] if edge <= 0 else []
    zero = alt.Chart(alt.InlineData(values=nothing)).mark_rule(color=theme.AXIS, aria=False)
    dots = alt.Chart(inline(known)).mark_point(size=46, filled=True, opacity=1)
    return layered(
        [
            zero.encode(x="x:Q"),
            dots.encode(
                x=x,
                y=y,
                color=alt.Color("kind:N", legend=None).scale(
                    domain=["R²", "below"], range=[theme.BLUE, theme.ORANGE]
                ),
                shape=alt.Shape("kind:N", legend=None).scale(
                    domain=["R²", "below"], range=["circle", "triangle-left"]
                ),
                description="label:N",
            ),
        ],
        width=theme.PANEL_WIDTH - 100,
        height=17 * len(order),
    )


def _best_laws(data: pl.DataFrame) -> str:
    said = []
    for (words,), rows in data.drop_nulls("r2").group_by("held_out", maintain_order=True):
        best = rows.sort("r2", descending=True).row(0, named=True)
        said.append(f"{words}: {best['law']} {r_squared(best['r2'])}")
    return f"Best held-out R². {'; '.join(said)}."


def _profile_panel(one: Profile) -> alt.LayerChart:
    import altair as alt

    pairs = [(v, r) for v, r in zip(one.values, one.rise, strict=True) if r <= _HIGHEST_RISE]
    values = [v for v, _ in pairs]
    wide = min(values) > 0 and max(values) / min(values) > 10
    scale, ticks = log_scale(values) if wide else (alt.Scale(zero=False, nice=False), alt.Undefined)
    x = alt.X("value:Q", title=None, scale=scale).axis(
        values=ticks, tickCount=4, labelExpr="format(datum.value, '.3~g')", labelOverlap=True
    )
    y = alt.Y("rise:Q", title="rise", scale=alt.Scale(domain=[0, _HIGHEST_RISE])).axis(
        values=[0, 1, 2, 3]
    )
    points = alt.InlineData(values=[{"value": v, "rise": max(r, 0.0)} for v, r in pairs])
    edge = alt.Chart(alt.InlineData(values=[{"rise": 1}]))
    best = alt.InlineData(
        values=[{"value": one.value, "rise": 0, "label": f"optimum {number(one.value)}"}]
    )
    return layered(
        [
            edge.mark_rule(color=theme.AXIS, strokeDash=[5, 3], aria=False).encode(y=y),
            alt.Chart(points)
            .mark_line(color=theme.BLUE, strokeWidth=2, aria=False)
            .encode(x=x, y=y),
            alt.Chart(best)
            .mark_point(size=60, filled=True, color=theme.ORANGE, shape="diamond", opacity=1)
            .encode(x=x, y=y, description="label:N"),
        ],
        height=120,
    )


_HIGHEST_RISE: Final = 3.5
