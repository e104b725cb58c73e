"""How well laws describe the losses: predicted against measured, residuals, parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts, log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import (
    UNIT_WORDS,
    count,
    interval,
    language_title,
    number,
    parameter_name,
    short_names,
)
from atlas_scaling.units import LossUnit, counted, plain

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.fitting.result import Fit

MAX_POINTS: Final = 300
MAX_PANELS: Final = 24
ALL_DATA: Final = "all data"


def law_label(fit: Fit) -> str:
    """``ATLAS (full)``: the law and the variant that tells it from others of its name."""
    title = fit.law.title or fit.law.name
    variant = getattr(fit.law, "variant", None)
    tied = ", tied " + " = ".join(fit.law.ties[0]) if fit.law.ties else ""
    return f"{title} ({variant}){tied}" if variant else f"{title}{tied}"


def fit_points(fits: Sequence[Fit]) -> pl.DataFrame:
    """Every fitted row of every fit.

    Columns: ``target``, ``law``, ``run_id``, ``n_params``, ``tokens``, ``measured``, ``predicted``
    and ``residual_percent``, which is 100 (measured / predicted - 1).
    """
    frames = []
    for fit in fits:
        o = fit.observations
        ids = np.asarray(o.run_ids, dtype=object)[o.run]
        frames.append(
            pl.DataFrame(
                {
                    "target": [fit.target or ALL_DATA] * o.n_rows,
                    "law": [law_label(fit)] * o.n_rows,
                    "run_id": [str(run) for run in ids],
                    "n_params": o.facets["n_params"],
                    "tokens": o.facets["tokens"],
                    "measured": o.loss,
                    "predicted": np.array(fit.predicted),
                    "residual_percent": 100.0 * (o.loss / fit.predicted - 1.0),
                }
            )
        )
    return pl.concat(frames) if frames else pl.DataFrame()


def predicted_against_measured(
    points: pl.DataFrame, *, unit: LossUnit = LossUnit.NATS_PER_TOKEN
) -> Figure:
    """Fitted against measured loss, one panel a language; a perfect law lies on the line.

    Args:
        points: as ``fit_points`` gives them, at least one row.
        unit: of the losses.
    """
    import altair as alt

    shown, caption = _thinned(points)
    panels = []
    for target, rows in _by_target(shown, points):
        both = [*rows["measured"], *rows["predicted"]]
        low, high = min(both), max(both)
        pad = 0.03 * (high - low) or 0.1
        scale = alt.Scale(domain=[low - pad, high + pad], zero=False, nice=False)
        line = alt.Chart(alt.InlineData(values=[{"a": low - pad}, {"a": high + pad}])).mark_line(
            color=theme.AXIS, strokeWidth=1, aria=False
        )
        dots = _dots(rows, points).encode(
            x=alt.X("predicted:Q", title=f"predicted, {UNIT_WORDS[unit]}", scale=scale).axis(
                tickCount=5
            ),
            y=alt.Y("measured:Q", title="measured", scale=scale).axis(tickCount=5),
        )
        panels.append(Panel(target, layered([line.encode(x="a:Q", y="a:Q"), dots])))
    return Figure(
        name="predicted-against-measured",
        title=f"Predicted against measured loss ({UNIT_WORDS[unit]})",
        caption="On the line the law says what was measured; above it the law promises too much. "
        "These are the points that were fitted, not held out." + caption,
        alt=_residual_alt(points),
        data=points,
        panels=tuple(panels),
        keys=_law_keys(points),
    )


def residuals(points: pl.DataFrame) -> Figure:
    """Measured over predicted loss, over tokens; a trend is something the law does not say.

    Args:
        points: as ``fit_points`` gives them, at least one row.
    """
    import altair as alt

    shown, caption = _thinned(points)
    panels = []
    for target, rows in _by_target(shown, points):
        zero = alt.Chart(alt.InlineData(values=[{"y": 0}])).mark_rule(
            color=theme.AXIS, strokeWidth=1, aria=False
        )
        dots = _dots(rows, points).encode(
            x=log_counts(alt.X, "tokens", "training tokens", rows["tokens"]),
            y=alt.Y("residual_percent:Q", title="measured above predicted, %").axis(tickCount=5),
        )
        panels.append(Panel(target, layered([zero.encode(y="y:Q"), dots])))
    return Figure(
        name="residuals",
        title="Residuals over tokens (% of the predicted loss)",
        caption="Evenly about zero, what is left is noise. A bend over tokens, or a shift between "
        "sizes, is something the law does not describe." + caption,
        alt=_residual_alt(points),
        data=points,
        panels=tuple(panels),
        keys=_law_keys(points),
    )


def parameter_intervals(fits: Sequence[Fit]) -> Figure | None:
    """Each parameter of each fit with its interval, one panel a parameter.

    None where no parameter has a value or an interval.

    Args:
        fits: at least one.
    """
    rows = [row for fit in fits for row in _parameter_rows(fit)]
    data = pl.DataFrame(rows, schema=_PARAMETER_SCHEMA, orient="row")
    drawn = data.filter(pl.any_horizontal(pl.col("value", "low", "high").is_not_null()))
    if drawn.is_empty():
        return None
    laws = list(dict.fromkeys(data["law"]))
    panels = [
        Panel(parameter_name(str(name)), _interval_panel(group, laws))
        for (name,), group in drawn.group_by("parameter", maintain_order=True)
    ]
    weak = data.filter(~pl.col("verdict").str.starts_with("identified"))
    return Figure(
        name="parameter-intervals",
        title="Parameters with their intervals",
        caption=f"Dots are estimates, lines {100 * fits[0].level:g}% intervals. Hollow dots are "
        "weak. Where a parameter is not identified there is a line and no dot: the interval says "
        "where it may lie, and one value would say nothing.",
        alt=f"{counted(data.height, 'parameter')} of {counted(len(fits), 'fit')}; "
        f"{weak.height} of them weak or not identified. The fit table has every number.",
        data=data.drop("label"),
        panels=tuple(panels),
        keys=_law_keys(data),
    )


_PARAMETER_SCHEMA: Final = {
    "parameter": pl.String,
    "target": pl.String,
    "law": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "verdict": pl.String,
    "label": pl.String,
}


def _parameter_rows(fit: Fit) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    target = fit.target or ALL_DATA
    for name, parameter in fit.parameters.items():
        if parameter.verdict == "given":
            continue
        low, high = parameter.interval or (None, None)
        label = (
            f"{name} of {target}, {law_label(fit)}: {number(parameter.value)} "
            f"({interval(parameter.interval)}), {parameter.verdict}"
        )
        told = (parameter.value, low, high, parameter.verdict, label)
        rows.append((name, target, law_label(fit), *told))
    return rows


def _interval_panel(rows: pl.DataFrame, laws: list[str]) -> alt.LayerChart:
    """One line a language and law; logarithmic where values span more than a decade."""
    import altair as alt

    known = [v for c in ("value", "low", "high") for v in rows[c].drop_nulls() if v > 0]
    positive = rows.select(pl.min_horizontal("value", "low").min()).item() > 0
    wide = positive and max(known) / min(known) > _DECADE
    scale, ticks = log_scale(known) if wide else (alt.Scale(zero=False), alt.Undefined)
    # Laws of a language stand beside each other within its row.
    names = pl.col("target").replace(short_names(rows["target"].unique().to_list()))
    shown = rows.with_columns(target=names, certain=_is_identified())
    present = [law for law in laws if law in set(rows["law"])]
    base = alt.Chart(inline(shown)).encode(
        y=alt.Y("target:N", title=None, sort=None),
        yOffset=alt.YOffset("law:N", sort=present).scale(domain=present),
        color=alt.Color("law:N", title="law").scale(domain=laws, range=_hues(laws)),
    )
    lines = base.mark_rule(strokeWidth=1.6).encode(
        x=alt.X("low:Q", title=None, scale=scale).axis(
            tickCount=4, values=ticks, labelExpr=_NUMBER, labelOverlap=True
        ),
        x2="high:Q",
        description="label:N",
    )
    dots = (
        base.transform_filter("datum.value !== null")
        .mark_point(size=34, filled=True, strokeWidth=1.4, opacity=1)
        .encode(
            x=alt.X("value:Q", scale=scale),
            shape=alt.Shape("law:N", title="law").scale(domain=laws, range=_shapes(laws)),
            fillOpacity=alt.condition("datum.certain", alt.value(1), alt.value(0)),
            stroke=alt.Color("law:N", legend=None).scale(domain=laws, range=_hues(laws)),
            description="label:N",
        )
    )
    n = rows["target"].n_unique()
    height = max(50, n * (8 + 9 * len(present)))
    return layered([lines, dots], width=theme.PANEL_WIDTH - 30, height=height)


_DECADE: Final = 10.0
_NUMBER: Final = (
    "abs(datum.value) >= 1e4 || (datum.value != 0 && abs(datum.value) < 1e-3)"
    " ? replace(format(datum.value, '.2~e'), '+', '') : format(datum.value, '.3~g')"
)
"""A tick of a parameter: 1e-8, 0.01, 100, 1e12."""


def _is_identified() -> pl.Expr:
    return pl.col("verdict") == "identified"


def _thinned(points: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """At most ``MAX_POINTS`` of each panel and law, evenly over tokens, and words for it."""
    n = pl.len().over("target", "law")
    place = pl.int_range(pl.len()).over("target", "law")
    bucket = place * MAX_POINTS // n
    ordered = points.sort("target", "law", "tokens").with_columns(bucket=bucket, n=n)
    first = pl.struct("target", "law", "bucket").is_first_distinct()
    kept = ordered.filter((pl.col("n") <= MAX_POINTS) | first).drop("bucket", "n")
    said = ""
    if kept.height < points.height:
        said = f" Drawn are {kept.height:,} of {points.height:,} points, evenly over tokens."
    targets = points["target"].unique(maintain_order=True).to_list()
    if len(targets) > MAX_PANELS:
        kept = kept.filter(pl.col("target").is_in(targets[:MAX_PANELS]))
        said += f" {counted(len(targets) - MAX_PANELS, 'language')} more are in the tables."
    return kept, said


def _by_target(shown: pl.DataFrame, points: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Title and rows of each panel, languages in the order of the fits."""
    groups = shown.partition_by("target", as_dict=True)
    targets = points["target"].unique(maintain_order=True).to_list()
    return [(language_title(t), groups[t,]) for t in targets if (t,) in groups]


def _dots(rows: pl.DataFrame, points: pl.DataFrame) -> alt.Chart:
    """Points coloured and shaped by law; each says which run it is."""
    import altair as alt

    laws = list(dict.fromkeys(points["law"]))
    label = pl.format(
        "{}, {} tokens: measured {}, {} predicts {} ({} %)",
        "run_id",
        pl.col("tokens").map_elements(count, return_dtype=pl.String),
        pl.col("measured").round(4),
        "law",
        pl.col("predicted").round(4),
        pl.col("residual_percent").round(2),
    )
    used = rows.select(
        "law", "tokens", "measured", "predicted", "residual_percent", label.alias("label")
    )
    marks: alt.Chart = alt.Chart(inline(used)).mark_point(size=20, strokeWidth=1.1, opacity=0.9)
    return marks.encode(
        color=alt.Color("law:N", title="law").scale(domain=laws, range=_hues(laws)),
        shape=alt.Shape("law:N", title="law").scale(domain=laws, range=_shapes(laws)),
        description="label:N",
    )


def _hues(laws: Sequence[str]) -> list[str]:
    return [theme.HUES[i % len(theme.HUES)] for i in range(len(laws))]


def _shapes(laws: Sequence[str]) -> list[str]:
    return [theme.SHAPES[i % len(theme.SHAPES)] for i in range(len(laws))]


def _law_keys(rows: pl.DataFrame) -> tuple[Key, ...]:
    laws = list(dict.fromkeys(rows["law"]))
    looks = zip(laws, _hues(laws), _shapes(laws), strict=True)
    return tuple(Key(law, hue, shape, filled=False) for law, hue, shape in looks)


def _residual_alt(points: pl.DataFrame) -> str:
    spread = points.group_by("law", maintain_order=True).agg(
        pl.col("residual_percent").abs().median()
    )
    said = ", ".join(f"{law} {plain(percent)} %" for law, percent in spread.iter_rows())
    return f"Median distance of measured from predicted loss: {said}."
