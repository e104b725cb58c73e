"""Answers of the planner: ways to keep a loss with more languages; where scratch overtakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import polars as pl

from atlas_scaling.report import theme
from atlas_scaling.report.axes import FACTOR_LABEL, log_counts, log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import count, language_name, number

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.planning.expand import Expansion
    from atlas_scaling.planning.start import StartAdvice


def expand_frontier(answer: Expansion) -> Figure:
    """Every pair of factors on parameters and tokens that keeps the loss, the cheapest marked."""
    import altair as alt

    points = [
        {
            "point": "same loss",
            "n_params_ratio": p.n_params_ratio,
            "tokens_ratio": p.tokens_ratio,
            "flops_ratio": p.flops_ratio,
        }
        for p in answer.frontier
    ]
    cheapest = {
        "point": "cheapest",
        "n_params_ratio": answer.n_params_ratio.value,
        "tokens_ratio": answer.tokens_ratio.value,
        "flops_ratio": answer.flops_ratio.value,
    }
    data = pl.DataFrame([*points, cheapest]).with_columns(label=_frontier_label())
    marked = pl.concat([data.filter(pl.col("point") == "cheapest"), _today(answer)], how="diagonal")
    shown = pl.concat([data, _today(answer)], how="diagonal")
    x, y = _factor_axes(shown)
    line = alt.Chart(inline(data.filter(pl.col("point") == "same loss")))
    dots = alt.Chart(inline(marked))
    kinds = ["cheapest", "today"]
    layers = [
        line.mark_line(color=theme.BLUE, strokeWidth=2, aria=False).encode(x=x, y=y),
        line.mark_point(size=14, filled=True, color=theme.BLUE, opacity=1).encode(
            x=x, y=y, description="label:N"
        ),
        dots.mark_point(size=70, filled=True, opacity=1).encode(
            x=x,
            y=y,
            color=alt.Color("point:N", title=None).scale(
                domain=kinds, range=[theme.ORANGE, theme.INK]
            ),
            shape=alt.Shape("point:N", title=None).scale(domain=kinds, range=["diamond", "square"]),
            description="label:N",
        ),
    ]
    before, after = answer.from_languages, answer.to_languages
    return Figure(
        name="expand-frontier",
        title=f"From {before:.4g} to {after:.4g} languages at the same loss",
        caption="Every point of the line keeps the loss of each language; compute grows by the "
        "product of its two factors. " + answer.source + ".",
        alt=f"Iso-loss frontier. Cheapest: {number(answer.n_params_ratio.value, 3)} times the "
        f"parameters and {number(answer.tokens_ratio.value, 3)} times all tokens, "
        f"{number(answer.flops_ratio.value, 3)} times the compute.",
        data=data.drop("label"),
        panels=(Panel("", layered(layers)),),
        keys=(
            Key("same loss", theme.BLUE, "line"),
            Key("least compute", theme.ORANGE, "diamond"),
            Key("today", theme.INK, "square"),
        ),
    )


def iso_loss_frontiers(answers: Sequence[Expansion]) -> Figure:
    """Frontiers of several expansions from one baseline in one picture (paper, Fig. 5).

    Args:
        answers: at least one; each is a line.
    """
    import altair as alt

    names = [f"{a.from_languages:.4g} to {a.to_languages:.4g}" for a in answers]
    rows = [
        {
            "expansion": name,
            "n_params_ratio": n_params,
            "tokens_ratio": tokens,
            "flops_ratio": flops,
            "cheapest": cheapest,
        }
        for name, answer in zip(names, answers, strict=True)
        for n_params, tokens, flops, cheapest in _frontier_points(answer)
    ]
    data = pl.DataFrame(rows)
    shown = data.with_columns(label=_frontier_label())
    x, y = _factor_axes(data)
    hues = [theme.HUES[i % len(theme.HUES)] for i in range(len(names))]
    color = alt.Color("expansion:N", title="languages").scale(domain=names, range=hues)
    base = alt.Chart(inline(shown))
    layers = [
        base.transform_filter("!datum.cheapest")
        .mark_line(strokeWidth=2, aria=False)
        .encode(x=x, y=y, color=color),
        base.transform_filter("datum.cheapest")
        .mark_point(size=80, filled=True, shape="diamond", opacity=1)
        .encode(x=x, y=y, color=color, description="label:N"),
    ]
    best = data.filter(pl.col("cheapest"))
    said = "; ".join(
        f"{row['expansion']}: {row['n_params_ratio']:.2f} times the parameters, "
        f"{row['tokens_ratio']:.2f} times all tokens"
        for row in best.iter_rows(named=True)
    )
    return Figure(
        name="iso-loss-frontiers",
        title="More languages at the same loss",
        caption="Every point of a line keeps the loss of each language; diamonds need the least "
        f"compute. {answers[0].source}.",
        alt=f"Least compute: {said}.",
        data=data,
        panels=(Panel("", layered(layers)),),
        keys=tuple(
            Key(f"{name} languages", hue, "line") for name, hue in zip(names, hues, strict=True)
        ),
    )


def crossover(answer: StartAdvice) -> Figure:
    """Each reading of the crossover, the range they allow, and the tokens that were asked about."""
    readings = [
        {"reading": name, "tokens": value, "kind": "reading"}
        for name, value in answer.readings.items()
    ]
    best = answer.crossover_tokens.value
    if best is not None:
        readings.append({"reading": "taken here", "tokens": best, "kind": "answer"})
    asked = {"reading": "your run", "tokens": answer.tokens, "kind": "asked"}
    data = pl.DataFrame([*readings, asked]).with_columns(
        label=pl.format(
            "{}: {} tokens",
            "reading",
            pl.col("tokens").map_elements(count, return_dtype=pl.String),
        )
    )
    low, high = answer.likely_range or (None, None)
    title = f"tokens of {language_name(answer.language)}"
    return Figure(
        name="crossover",
        title=f"{language_name(answer.language)}: from scratch or from a checkpoint, "
        f"at {count(answer.n_params)} parameters",
        caption=f"Left of the crossover continuing is ahead, right of it scratch. The band is the "
        f"{answer.range_basis}. Checkpoint: {answer.basis.description}. Tokens are those of "
        f"{language_name(answer.language)} alone.",
        alt=f"Crossover at {count(best)} tokens, range {count(low)} to {count(high)}; the run "
        f"asked about has {count(answer.tokens)}: {answer.recommendation.value}.",
        data=data.drop("label"),
        panels=(Panel("", _crossover_chart(data, answer.likely_range, title)),),
        keys=(
            Key("a reading of the crossover", theme.BLUE),
            Key("taken here", theme.INK, "diamond"),
            Key("your run", theme.ORANGE, "square"),
        ),
    )


def _crossover_chart(
    data: pl.DataFrame, likely: tuple[float, float] | None, title: str
) -> alt.LayerChart:
    import altair as alt

    x = log_counts(alt.X, "tokens", title, [*data["tokens"], *(v for v in likely or () if v)])
    y = alt.Y("reading:N", title=None, sort=None).axis(labelLimit=170)
    kinds = ["reading", "answer", "asked"]
    dots = alt.Chart(inline(data)).mark_point(size=60, filled=True, opacity=1)
    layers: list[alt.Chart] = []
    if likely is not None:
        band = alt.InlineData(values=[{"low": likely[0], "high": likely[1]}])
        layers.append(
            alt.Chart(band)
            .mark_rect(color=theme.BLUE, opacity=0.15, aria=False)
            .encode(x=alt.X("low:Q"), x2="high:Q")
        )
    rule = alt.Chart(inline(data.filter(pl.col("kind") == "asked")))
    layers += [
        rule.mark_rule(color=theme.ORANGE, strokeDash=[5, 3], aria=False).encode(x=x),
        dots.encode(
            x=x,
            y=y,
            color=alt.Color("kind:N", legend=None).scale(
                domain=kinds, range=[theme.BLUE, theme.INK, theme.ORANGE]
            ),
            shape=alt.Shape("kind:N", legend=None).scale(
                domain=kinds, range=["circle", "diamond", "square"]
            ),
            description="label:N",
        ),
    ]
    return layered(layers, width=theme.PANEL_WIDTH - 60, height=26 * data.height)


def _frontier_points(answer: Expansion) -> Iterator[tuple[float, float, float, bool]]:
    """Factors on parameters, tokens and compute; and whether it is the cheapest point."""
    for p in answer.frontier:
        yield p.n_params_ratio, p.tokens_ratio, p.flops_ratio, False
    best = (answer.n_params_ratio.value, answer.tokens_ratio.value, answer.flops_ratio.value)
    if None not in best:
        yield *best, True  # type: ignore[misc]


def _factor_axes(rows: pl.DataFrame) -> tuple[alt.X, alt.Y]:
    import altair as alt

    n_scale, n_ticks = log_scale(rows["n_params_ratio"])
    t_scale, t_ticks = log_scale(rows["tokens_ratio"])
    x = alt.X("n_params_ratio:Q", title="parameters, new over old", scale=n_scale)
    y = alt.Y("tokens_ratio:Q", title="all tokens, new over old", scale=t_scale)
    return (
        x.axis(values=n_ticks, labelExpr=FACTOR_LABEL),
        y.axis(values=t_ticks, labelExpr=FACTOR_LABEL),
    )


def _frontier_label() -> pl.Expr:
    rounded = [pl.col(c).round(2) for c in ("n_params_ratio", "tokens_ratio", "flops_ratio")]
    return pl.format("{}× parameters, {}× tokens, {}× compute", *rounded)


def _today(answer: Expansion) -> pl.DataFrame:
    label = f"today: {answer.from_languages:.4g} languages"
    return pl.DataFrame(
        {
            "point": ["today"],
            "n_params_ratio": [1.0],
            "tokens_ratio": [1.0],
            "flops_ratio": [1.0],
            "label": [label],
        }
    )
