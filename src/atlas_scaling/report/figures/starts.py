"""From scratch or from a checkpoint: own curves (paper, Fig. 6) and crossovers by size (Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.published.crossover import (
    CROSSOVER_N_PARAMS,
    CROSSOVER_TOKENS,
    LAWS,
    N_PARAMS_RANGE,
)
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import count, language_name
from atlas_scaling.transfer.curves import LossCurve

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.report.start_curves import StartComparison

_KINDS: Final = ("from scratch", "continued")
_CURVE_POINTS: Final = 32
_LOOKS: Final = {"from scratch": (theme.BLUE, "circle"), "continued": (theme.ORANGE, "square")}


def scratch_against_continued(comparisons: Sequence[StartComparison]) -> Figure:
    """Both curves of each language and size, with the crossing or which way it lies.

    Args:
        comparisons: at least one.
    """
    rows, panels = [], []
    for one in comparisons:
        points = _rows(one)
        rows += points
        title = f"{language_name(one.language)}, {count(one.n_params)}: {_where(one)}"
        panels.append(Panel(title, _panel(one, pl.DataFrame(points))))
    return Figure(
        name="scratch-against-continued",
        title="From scratch against continued from a mixture's checkpoint (nats per token)",
        caption="Tokens of the language in each run, the checkpoint's own not counted; one "
        "learning-rate state. Bands are 90% of the curves that fit as well. Where the curves do "
        "not cross, the crossing is only bounded.",
        alt="; ".join(panel.title for panel in panels) + ".",
        data=pl.DataFrame(rows),
        panels=tuple(panels),
        keys=tuple(Key(kind, *_LOOKS[kind]) for kind in _KINDS),
    )


def crossover_laws(comparisons: Sequence[StartComparison] = ()) -> Figure:
    """Crossovers over model size: published laws and languages, and one's own where measured."""
    low, high = N_PARAMS_RANGE
    sizes = np.geomspace(low, high, 25)
    rows = [
        {"series": f"published law ({name})", "n_params": float(n), "tokens": law.tokens(float(n))}
        for name, law in LAWS.items()
        for n in sizes
    ]
    rows += [
        {"series": "published languages", "n_params": float(CROSSOVER_N_PARAMS), "tokens": tokens}
        for tokens in CROSSOVER_TOKENS.values()
    ]
    own = [c for c in comparisons if c.crossing.measured is not None]
    rows += [
        {"series": "your runs", "n_params": c.n_params, "tokens": c.crossing.measured} for c in own
    ]
    data = pl.DataFrame(rows)
    return Figure(
        name="crossover-laws",
        title="Tokens of the language at which scratch overtakes, by model size",
        caption="Published: the two readings of C = a N^b that agree with Fig. 6, and its eight "
        "languages at 2B parameters. They rest on one checkpoint; yours differs."
        + ("" if own else " None of these runs has a measured crossing."),
        alt=f"Published crossovers from {count(data['tokens'].min())} tokens at {count(low)} "  # type: ignore[arg-type]
        f"parameters; {len(own)} measured here.",
        data=data,
        panels=(Panel("", _law_panel(data)),),
        keys=(
            *(
                Key(f"published law ({name})", theme.BLUE, look)
                for name, look in _LAW_LOOKS.items()
            ),
            Key("published languages, 2B", theme.PURPLE),
            *([Key("your runs", theme.ORANGE, "diamond")] if own else []),
        ),
    )


_LAW_LOOKS: Final = {"text": "line", "legend": "dashed"}


def _where(one: StartComparison) -> str:
    found = one.crossing
    if found.measured is not None:
        return f"cross at {count(found.measured)}"
    if found.after is not None:
        return f"no crossing up to {count(found.after)}"
    return f"scratch ahead from {count(found.before)} on"


def _rows(one: StartComparison) -> list[dict[str, object]]:
    return [
        {
            "language": one.language,
            "n_params": one.n_params,
            "kind": kind,
            "tokens": float(tokens),
            "loss": float(loss),
        }
        for kind, curve in zip(_KINDS, (one.crossing.scratch, one.crossing.continued), strict=True)
        for tokens, loss in zip(curve.points.tokens, curve.points.loss, strict=True)
    ]


def _smooth(curve: LossCurve, kind: str) -> list[dict[str, object]]:
    """The curve and 90 % of its draws at some points of its grid."""
    bands = [None, None] if curve.draws is None else np.quantile(curve.draws, [0.05, 0.95], axis=0)
    return [
        {
            "kind": kind,
            "tokens": float(np.exp(curve.log_tokens[i])),
            "loss": float(np.exp(curve.log_loss[i])),
            "low": None if bands[0] is None else float(np.exp(bands[0][i])),
            "high": None if bands[1] is None else float(np.exp(bands[1][i])),
        }
        for i in np.linspace(0, len(curve.log_tokens) - 1, _CURVE_POINTS).astype(int)
    ]


def _panel(one: StartComparison, points: pl.DataFrame) -> alt.LayerChart:
    import altair as alt

    found = one.crossing
    smooth = pl.DataFrame(
        [*_smooth(found.scratch, _KINDS[0]), *_smooth(found.continued, _KINDS[1])],
        infer_schema_length=None,
    )
    x = log_counts(alt.X, "tokens", f"tokens of {language_name(one.language)}", points["tokens"])
    scale = alt.Scale(zero=False)
    y = alt.Y("loss:Q", title="nats per token", scale=scale).axis(tickCount=5)
    color = alt.Color("kind:N", title=None).scale(
        domain=list(_KINDS), range=[_LOOKS[kind][0] for kind in _KINDS]
    )
    label = pl.format(
        "{}: {} tokens, loss {}",
        "kind",
        pl.col("tokens").map_elements(count, return_dtype=pl.String),
        pl.col("loss").round(4),
    )
    base = alt.Chart(inline(smooth))
    layers = [
        base.transform_filter("datum.low !== null")
        .mark_area(opacity=0.15, aria=False)
        .encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q", color=color),
        base.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=y, color=color),
        alt.Chart(inline(points.with_columns(label=label)))
        .mark_point(size=26, filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=color,
            shape=alt.Shape("kind:N", title=None).scale(
                domain=list(_KINDS), range=[_LOOKS[kind][1] for kind in _KINDS]
            ),
            description="label:N",
        ),
    ]
    if found.measured is not None:
        at = alt.Chart(alt.InlineData(values=[{"tokens": found.measured}]))
        layers.append(at.mark_rule(color=theme.INK, strokeDash=[4, 3], aria=False).encode(x=x))
    return layered(layers)


def _law_panel(data: pl.DataFrame) -> alt.LayerChart:
    import altair as alt

    label = pl.format(
        "{}: {} tokens at {} parameters",
        "series",
        *(pl.col(c).map_elements(count, return_dtype=pl.String) for c in ("tokens", "n_params")),
    )
    shown = data.with_columns(label=label)
    x = log_counts(alt.X, "n_params", "parameters", data["n_params"])
    y = log_counts(alt.Y, "tokens", "tokens of the language", data["tokens"])
    is_law = pl.col("series").str.starts_with("published law")
    lines = alt.Chart(inline(shown.filter(is_law)))
    dots = alt.Chart(inline(shown.filter(~is_law)))
    kinds = ["published languages", "your runs"]
    return layered(
        [
            lines.mark_line(color=theme.BLUE, strokeWidth=1.8, aria=False).encode(
                x=x,
                y=y,
                strokeDash=alt.StrokeDash("series:N", title=None).scale(
                    domain=[f"published law ({name})" for name in LAWS], range=[[1, 0], [5, 3]]
                ),
            ),
            dots.mark_point(size=40, filled=True, opacity=1).encode(
                x=x,
                y=y,
                color=alt.Color("series:N", title=None).scale(
                    domain=kinds, range=[theme.PURPLE, theme.ORANGE]
                ),
                shape=alt.Shape("series:N", title=None).scale(
                    domain=kinds, range=["circle", "diamond"]
                ),
                description="label:N",
            ),
        ]
    )
