"""What sharing a model costs: loss in an even mixture over the loss alone (paper, Fig. 4).

Compared at equal tokens of the language, equal size and one learning-rate state:
``100 (L_K(D_t) / L_1(D_t) - 1)`` per cent, L_1 from the run on the language alone, interpolated in
log tokens between its evaluations and never beyond them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts, log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import count, language_name, listed
from atlas_scaling.runs.store import value_of
from atlas_scaling.units import counted

if TYPE_CHECKING:
    import altair as alt

EVEN: Final = 0.02
"""Shares of an even mixture may differ by this much."""


def degradation_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """One row an evaluation of an even mixture that can be compared with a run on its language.

    Columns ``language, run_id, n_languages, n_params, tokens`` (of the language) and
    ``degradation_percent``.
    """
    rows = frame.filter(pl.col("base_run").is_null(), pl.col("tokens") > 0).with_columns(
        K=pl.col("mixture").list.len(),
        uneven=_spread(),
        state=pl.col("lr_state").fill_null("unknown"),
    )
    found = []
    for code in rows["language"].unique().sort().to_list():
        own = rows.filter(pl.col("language") == code)
        own = own.with_columns(value_of(own, "tokens_by_language", code).alias("own_tokens"))
        own = own.filter(pl.col("own_tokens") > 0)
        alone = own.filter(pl.col("K") == 1)
        mixed = own.filter(pl.col("K") > 1, pl.col("uneven") <= EVEN)
        for (n_params, state), part in mixed.group_by("n_params", "state", maintain_order=True):
            mono = alone.filter(pl.col("n_params") == n_params, pl.col("state") == state)
            found += _against(part, mono.sort("own_tokens"), code)
    return pl.DataFrame(found, schema=_SCHEMA)


def degradation(rows: pl.DataFrame) -> Figure:
    """Degradation over languages, over parameters and over tokens of the language.

    Args:
        rows: as ``degradation_rows`` gives them.

    Raises:
        InputError: no row.
    """
    if rows.is_empty():
        raise InputError(
            "no even mixture can be compared with a run on one of its languages alone",
            where="runs",
            remedy="run languages alone and in even mixtures, at one size and equally long",
        )
    codes = rows["language"].unique().sort().to_list()
    sizes, K = rows["n_params"].unique().sort(), rows["n_languages"].unique().sort()
    last = rows.sort("tokens").group_by("language", "run_id", maintain_order=True).last()
    largest = last.filter(pl.col("n_params") == sizes[-1])
    most = last.filter(pl.col("n_languages") == K[-1])
    panels = [
        Panel(
            f"over languages, {count(sizes[-1])} parameters", _panel(largest, codes, "n_languages")
        )
    ]
    if len(sizes) > 1:
        panels.append(Panel(f"over parameters, {K[-1]} languages", _panel(most, codes, "n_params")))
    curves = rows.filter(pl.col("n_params") == sizes[-1], pl.col("n_languages") == K[-1])
    if curves["tokens"].n_unique() > 1:
        panels.append(Panel(f"over tokens, {K[-1]} languages", _panel(curves, codes, "tokens")))
    mean = largest.group_by("n_languages").agg(pl.col("degradation_percent").mean())
    said = ", ".join(f"{k} languages {v:+.1f} %" for k, v in mean.sort("n_languages").iter_rows())
    return Figure(
        name="degradation",
        title="What sharing the model costs (% above the loss alone, at equal tokens)",
        caption="Even mixtures against a run on the language alone, at equal tokens of the "
        "language and one learning-rate state. Below 0 the other languages help. Over languages "
        "and parameters the last common tokens are taken; lines join means.",
        alt=f"Mean over {counted(len(codes), 'language')} "
        f"({listed([language_name(c) for c in codes])}): {said}.",
        data=rows,
        panels=tuple(panels),
        keys=tuple(
            Key(language_name(c), hue, shape)
            for c, (hue, shape) in zip(codes, _looks(codes), strict=True)
        ),
    )


_SCHEMA: Final = {
    "language": pl.String,
    "run_id": pl.String,
    "n_languages": pl.Int64,
    "n_params": pl.Float64,
    "tokens": pl.Float64,
    "degradation_percent": pl.Float64,
}


def _spread() -> pl.Expr:
    """Largest less smallest share of a run's mixture."""
    shares = pl.col("mixture").list.eval(pl.element().struct.field("value"))
    return shares.list.max() - shares.list.min()


def _against(mixed: pl.DataFrame, mono: pl.DataFrame, code: str) -> list[dict[str, object]]:
    if mono.height < 2:
        return []
    x, y = np.log(mono["own_tokens"].to_numpy()), np.log(mono["loss"].to_numpy())
    found: list[dict[str, object]] = []
    for row in mixed.iter_rows(named=True):
        at = np.log(row["own_tokens"])
        if x[0] <= at <= x[-1]:
            alone = np.exp(np.interp(at, x, y))
            found.append(
                {
                    "language": code,
                    "run_id": row["run_id"],
                    "n_languages": row["K"],
                    "n_params": row["n_params"],
                    "tokens": row["own_tokens"],
                    "degradation_percent": float(100 * (row["loss"] / alone - 1)),
                }
            )
    return found


def _looks(codes: list[str]) -> list[tuple[str, str]]:
    hues, shapes = theme.HUES, theme.SHAPES
    return [(hues[i % len(hues)], shapes[i % len(shapes)]) for i in range(len(codes))]


def _panel(rows: pl.DataFrame, codes: list[str], name: str) -> alt.LayerChart:
    import altair as alt

    hues, shapes = zip(*_looks(codes), strict=True)
    titles = {
        "n_languages": "languages",
        "n_params": "parameters",
        "tokens": "tokens of the language",
    }
    values = [float(v) for v in rows[name]]
    if name == "n_languages":
        scale, _ = log_scale(values)
        x = alt.X("n_languages:Q", title=titles[name], scale=scale).axis(
            values=sorted(set(values)), format="d"
        )
    else:
        x = log_counts(alt.X, name, titles[name], values)
    label = pl.format("{}, {}: {} %", "language", "run_id", pl.col("degradation_percent").round(2))
    names = {code: language_name(code) for code in codes}
    shown = rows.with_columns(label=label, language=pl.col("language").replace(names)).sort(name)
    y = alt.Y("degradation_percent:Q", title="% above the loss alone").axis(tickCount=5)
    color = alt.Color("language:N", title=None).scale(domain=list(names.values()), range=list(hues))
    zero = alt.Chart(alt.InlineData(values=[{"y": 0}])).mark_rule(color=theme.AXIS, aria=False)
    lines = alt.Chart(inline(shown)).mark_line(strokeWidth=1.2, opacity=0.7, aria=False)
    dots = alt.Chart(inline(shown)).mark_point(size=30, filled=True, opacity=1)
    return layered(
        [
            zero.encode(y="y:Q"),
            lines.encode(x=x, y=alt.Y("mean(degradation_percent):Q"), color=color),
            dots.encode(
                x=x,
                y=y,
                color=color,
                shape=alt.Shape("language:N", title=None).scale(
                    domain=list(names.values()), range=list(shapes)
                ),
                description="label:N",
            ),
        ]
    )
