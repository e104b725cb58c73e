"""The plan of an allocation beside the usual mixtures, and over other budgets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import count, interval, language_name, listed, number

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.planning.allocation_answer import Allocation

PLAN: Final = "this plan"
NO_EPOCH: Final = 0.01
"""Passes over a text so few that their digits say nothing."""


def plan_shares(answer: Allocation) -> Figure:
    """Share of each language in the plan, with its passes over the distinct text."""
    import altair as alt

    data = pl.DataFrame(
        [
            {"language": language_name(code), "share": share, "epochs": answer.epochs.get(code)}
            for code, share in answer.mixture.items()
        ],
        schema_overrides={"epochs": pl.Float64},
    )
    epochs = pl.col("epochs").map_elements(
        lambda v: number(v, 2) if v >= NO_EPOCH else f"<{NO_EPOCH}", return_dtype=pl.String
    )
    shown = data.with_columns(
        said=pl.concat_str(
            (pl.col("share") * 100).round(1).cast(pl.String) + pl.lit(" %"),
            pl.when(pl.col("epochs").is_null())
            .then(pl.lit(""))
            .otherwise(pl.lit(", ") + epochs + pl.lit(" epochs")),
        )
    )
    y = alt.Y("language:N", title=None, sort=data["language"].to_list()).axis(labelLimit=120)
    x = alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1])).axis(
        format="%", tickCount=5, labelOverlap=True
    )
    base = alt.Chart(inline(shown))
    chart = layered(
        [
            base.mark_bar(color=theme.BLUE, size=12).encode(x=x, y=y, description="said:N"),
            base.mark_text(align="left", dx=5, color=theme.INK, aria=False).encode(
                x=x, y=y, text="said:N"
            ),
        ],
        width=theme.PANEL_WIDTH - 60,
        height=24 * data.height,
    )
    size, tokens = count(answer.n_params), count(answer.tokens)
    return Figure(
        name="plan-shares",
        title=f"{size} parameters on {tokens} tokens",
        caption="Share of each language in the training tokens, and passes over its distinct text "
        "where their number is known.",
        alt=f"{shares_in_words(answer)}.",
        data=data,
        panels=(Panel("", chart),),
    )


def plan_alternatives(answer: Allocation) -> Figure:
    """Loss of each target under the plan and under each usual mixture, one panel a target."""
    rows = [
        {"mixture": name, "target": target, "loss": e.value, "low": low, "high": high}
        for name, losses in {
            PLAN: answer.loss,
            **{name.replace("_", " "): one.loss for name, one in answer.alternatives.items()},
        }.items()
        for target, e in losses.items()
        for low, high in [e.interval or (None, None)]
    ]
    data = pl.DataFrame(rows, schema_overrides=dict.fromkeys(("loss", "low", "high"), pl.Float64))
    order = [PLAN, *(name.replace("_", " ") for name in answer.alternatives)]
    targets = list(answer.loss)
    unbounded = "; an arrow ends where nothing bounds the loss" if _is_open(data).any() else ""
    panels = tuple(
        Panel(f"loss of {language_name(t)}", _panel(data.filter(pl.col("target") == t), order))
        for t in targets
    )
    own = answer.objective.value
    better = {
        name: one.objective.value
        for name, one in answer.alternatives.items()
        if one.objective.value is not None
    }
    best = min(better, key=lambda name: better[name]) if better else None
    beside = f"; best of the usual mixtures: {best} {number(better[best])}" if best else ""
    return Figure(
        name="plan-alternatives",
        title=f"The plan beside the usual mixtures ({answer.loss_unit.replace('_', ' ')})",
        caption="Each mixture under the same budget, at its own best model size. Lines are "
        f"{100 * answer.level:g}% intervals of the laws, where the laws have draws{unbounded}; "
        "mixtures share them, so overlapping lines may still be told apart: see the probabilities "
        "in the table.",
        alt=f"{answer.objective_kind.value} objective: plan {number(own)}{beside}.",
        data=data,
        panels=panels,
        keys=(Key(PLAN, theme.ORANGE, "diamond"), Key("usual mixtures", theme.BLUE)),
    )


def budget_frontier(answer: Allocation) -> Figure | None:
    """The best plan of other budgets: objective and size over compute; None for one budget only."""
    if len(answer.frontier) < 2:
        return None
    data = pl.DataFrame(
        [
            {
                "flops": p.flops,
                "objective": p.objective,
                "n_params": p.n_params,
                "tokens": p.tokens,
                "here": abs(p.flops / answer.flops - 1) < 1e-6,
            }
            for p in answer.frontier
        ]
    )
    first, last = answer.frontier[0], answer.frontier[-1]
    return Figure(
        name="budget-frontier",
        title="The best plan of other budgets",
        caption="Objective of the best plan for each compute; all else as asked.",
        alt=f"From {number(first.flops, 2)} to {number(last.flops, 2)} FLOPs the objective falls "
        f"from {number(first.objective)} to {number(last.objective)}.",
        data=data,
        panels=(Panel("", _frontier_panel(data)),),
        keys=(Key("best plan", theme.BLUE, "line"), Key("your budget", theme.ORANGE, "diamond")),
    )


def shares_in_words(answer: Allocation) -> str:
    """``Catalan 62 %, Spanish 30 % and Occitan 8 %``, largest first."""
    ordered = sorted(answer.mixture.items(), key=lambda item: -item[1])
    return listed([f"{language_name(code)} {share:.1%}" for code, share in ordered], most=8)


def _is_open(rows: pl.DataFrame) -> pl.Series:
    """Rows with an interval that has no upper end."""
    return rows["low"].is_not_null() & rows["high"].is_infinite()


def _panel(rows: pl.DataFrame, order: list[str]) -> alt.LayerChart:
    import altair as alt

    known = [v for name in ("loss", "low", "high") for v in rows[name] if v is not None]
    known = [v for v in known if math.isfinite(v)] or [0.0]
    edge = max(known) + 0.08 * (max(known) - min(known) or 1.0)
    is_open = _is_open(rows)
    shown = rows.with_columns(
        open=is_open,
        end=pl.when(is_open).then(edge).otherwise(pl.col("high")),
        kind=pl.when(pl.col("mixture") == PLAN).then(pl.lit("plan")).otherwise(pl.lit("usual")),
        label=pl.struct("mixture", "loss", "low", "high").map_elements(
            lambda r: f"{r['mixture']}: {number(r['loss'])} ({interval((r['low'], r['high']))})",
            return_dtype=pl.String,
        ),
    )
    y = alt.Y("mixture:N", title=None, sort=order, scale=alt.Scale(domain=order)).axis(
        labelLimit=150
    )
    scale, kinds = alt.Scale(zero=False), ["plan", "usual"]
    x = alt.X("loss:Q", title=None, scale=scale).axis(tickCount=4, labelOverlap=True)
    base = alt.Chart(inline(shown))
    color = alt.Color("kind:N", legend=None).scale(domain=kinds, range=[theme.ORANGE, theme.BLUE])
    return layered(
        [
            base.transform_filter("datum.low !== null")
            .mark_rule(strokeWidth=1.6, aria=False)
            .encode(x=alt.X("low:Q", scale=scale), x2="end:Q", y=y, color=color),
            base.transform_filter("datum.open")
            .mark_point(size=40, filled=True, opacity=1, shape="triangle-right", aria=False)
            .encode(x=alt.X("end:Q", scale=scale), y=y, color=color),
            base.mark_point(size=50, filled=True, opacity=1).encode(
                x=x,
                y=y,
                color=color,
                shape=alt.Shape("kind:N", legend=None).scale(
                    domain=kinds, range=["diamond", "circle"]
                ),
                description="label:N",
            ),
        ],
        width=theme.PANEL_WIDTH - 90,
        height=20 * len(order),
    )


def _frontier_panel(data: pl.DataFrame) -> alt.LayerChart:
    import altair as alt

    label = pl.format(
        "{} FLOPs: objective {}, {} parameters, {} tokens",
        pl.col("flops").map_elements(lambda v: number(v, 2), return_dtype=pl.String),
        pl.col("objective").round(4),
        *(pl.col(c).map_elements(count, return_dtype=pl.String) for c in ("n_params", "tokens")),
    )
    scale, ticks = log_scale(data["flops"])
    x = alt.X("flops:Q", title="compute, FLOPs", scale=scale).axis(values=ticks, format="~e")
    y = alt.Y("objective:Q", title="objective", scale=alt.Scale(zero=False)).axis(tickCount=5)
    shown = data.with_columns(label=label)
    base, here = alt.Chart(inline(shown)), alt.Chart(inline(shown.filter(pl.col("here"))))
    return layered(
        [
            base.mark_line(color=theme.BLUE, strokeWidth=2, aria=False).encode(x=x, y=y),
            base.mark_point(color=theme.BLUE, size=24, filled=True, opacity=1).encode(
                x=x, y=y, description="label:N"
            ),
            here.mark_point(
                color=theme.ORANGE, size=80, shape="diamond", filled=True, opacity=1
            ).encode(x=x, y=y, description="label:N"),
        ]
    )
