"""What runs cost and what they would tell: bars of a cost, the interval after each next run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import count, language_name, number

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.planning.cost import CostAnswer
    from atlas_scaling.planning.next_runs import NextRuns
    from atlas_scaling.planning.two_stage import TwoStagePlan


def cost_bars(answer: CostAnswer) -> Figure:
    """Wall-clock and energy on each kind of accelerator, and money where there is a price."""
    data = pl.DataFrame(
        [
            {
                "accelerator": f"{one.devices} {one.accelerator}",
                "wall_clock_hours": one.wall_clock_hours,
                "energy_kwh": one.energy_kwh,
                "money": one.money,
            }
            for one in answer.options
        ],
        schema_overrides={"money": pl.Float64},
    )
    panels = [
        Panel("wall-clock, hours", _dots(data, "wall_clock_hours", "hours")),
        Panel("energy, kWh", _dots(data, "energy_kwh", "kWh")),
    ]
    if answer.currency is not None:
        panels.append(Panel(f"money, {answer.currency}", _dots(data, "money", answer.currency)))
    shortest = data.sort("wall_clock_hours").row(0, named=True)
    return Figure(
        name="cost",
        title=f"Cost of {number(answer.flops, 3)} FLOPs",
        caption="Logarithmic scales. "
        + " ".join(f"{w[:1].upper()}{w[1:]}." for w in answer.warnings),
        alt=f"Shortest on {shortest['accelerator']}: {number(shortest['wall_clock_hours'], 3)} "
        f"hours, {number(shortest['energy_kwh'], 3)} kWh.",
        data=data,
        panels=tuple(panels),
    )


def interval_left(answer: NextRuns) -> Figure:
    """Width of the decision's interval after each run, over the width now."""
    rows = [{"run": 0, "left": 1.0, "flops": 0.0, "label": "now"}]
    spent = 0.0
    for i, run in enumerate(answer.runs, start=1):
        spent += run.flops
        shares = ", ".join(f"{code} {share:.0%}" for code, share in run.mixture.items())
        label = f"{count(run.n_params)} on {count(run.tokens)}" + (f", {shares}" if shares else "")
        rows.append({"run": i, "left": run.interval_left, "flops": spent, "label": label})
    data = pl.DataFrame(rows)
    return Figure(
        name="interval-left",
        title=f"What the next runs leave of the interval of: {answer.decision}",
        caption="Expected width over the width now, after each run and those before it, if the law "
        f"holds. {answer.source}.",
        alt=f"{len(answer.runs)} runs of {number(answer.flops, 3)} FLOPs leave "
        f"{answer.interval_left:.0%} of the interval.",
        data=data,
        panels=(Panel("", _left_panel(data)),),
        keys=(Key("after each run", theme.BLUE, "line"),),
    )


def stage_mixtures(answer: TwoStagePlan) -> Figure:
    """Share of each language in each stage: of the schedule, or of the runs that are missing."""
    import altair as alt

    if answer.schedule is None:
        plans = [(f"run {i}", list(run.stages)) for i, run in enumerate(answer.missing)]
    else:
        plans = [("plan", [(one.fraction, one.mixture) for one in answer.schedule.stages])]
    data = pl.DataFrame(
        [
            {
                "stage": f"{name}, stage {number} ({part:.0%} of tokens)",
                "language": language_name(code),
                "share": share,
            }
            for name, stages in plans
            for number, (part, mixture) in enumerate(stages, start=1)
            for code, share in mixture.items()
        ]
    )
    languages = data["language"].unique(maintain_order=True).to_list()
    hues = [theme.HUES[i % len(theme.HUES)] for i in range(len(languages))]
    shown = data.with_columns(
        said=pl.format("{}: {} {} %", "stage", "language", (pl.col("share") * 100).round(1))
    )
    bars = (
        alt.Chart(inline(shown))
        .mark_bar(size=14)
        .encode(
            x=alt.X("share:Q", title=None, stack="zero").axis(format="%", tickCount=5),
            y=alt.Y("stage:N", title=None, sort=None).axis(labelLimit=220),
            color=alt.Color("language:N", title="language").scale(domain=languages, range=hues),
            description="said:N",
        )
    )
    chart = layered([bars], width=theme.PANEL_WIDTH - 60, height=22 * data["stage"].n_unique())
    saved = answer.gain.value
    said = answer.reason if saved is None else f"the second stage saves {number(saved)}"
    return Figure(
        name="stages",
        title="Stages of the plan" if answer.schedule is not None else "Runs that are missing",
        caption="Share of each language in each stage, in order.",
        alt=f"{len(plans)} runs with their stages; {said}.",
        data=data,
        panels=(Panel("", chart),),
        keys=tuple(Key(name, hue, "square") for name, hue in zip(languages, hues, strict=True)),
    )


def _dots(data: pl.DataFrame, column: str, unit: str) -> alt.LayerChart:
    import altair as alt

    shown = data.select("accelerator", value=pl.col(column)).with_columns(
        label=pl.format(
            "{}: {} {}",
            "accelerator",
            pl.col("value").map_elements(lambda v: number(v, 3), return_dtype=pl.String),
            pl.lit(unit),
        )
    )
    scale, ticks = log_scale(shown["value"], pad=1.5)
    y = alt.Y("accelerator:N", title=None, sort=None).axis(labelLimit=120)
    x = alt.X("value:Q", title=None, scale=scale).axis(values=ticks, format="~s")
    base = alt.Chart(inline(shown))
    return layered(
        [
            base.mark_point(size=70, filled=True, color=theme.BLUE, opacity=1).encode(
                x=x, y=y, description="label:N"
            )
        ],
        width=theme.PANEL_WIDTH - 80,
        height=24 * data.height,
    )


def _left_panel(data: pl.DataFrame) -> alt.LayerChart:
    import altair as alt

    shown = data.with_columns(
        said=pl.format("{}: {} left", "label", (pl.col("left") * 100).round(0).cast(pl.Int64))
    )
    x = alt.X("run:Q", title="runs made").axis(values=data["run"].to_list(), format="d")
    y = alt.Y("left:Q", title="interval left", scale=alt.Scale(domain=[0, 1])).axis(format="%")
    base = alt.Chart(inline(shown))
    return layered(
        [
            base.mark_line(color=theme.BLUE, strokeWidth=2, aria=False).encode(x=x, y=y),
            base.mark_point(color=theme.BLUE, size=50, filled=True, opacity=1).encode(
                x=x, y=y, description="said:N"
            ),
        ]
    )
