"""Optimal scaling trajectories: the best N and D for each compute, by language (paper, Fig. 1).

At compute ``C = 6 N D`` the loss along ``D = C / (6 N)`` is least at ``N*(C)``. For a law
``E + A/N^alpha + B/D^beta`` on fresh text this is ``N* = G (C/6)^(beta/(alpha+beta))`` with
``G = (alpha A / (beta B))^(1/(alpha+beta))``; for others, and with repetition, it is found on a
grid, for the fit and for each of its draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts, log_scale
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.figures.fits import ALL_DATA
from atlas_scaling.report.words import count, language_name, listed, number

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.laws.base import FloatArray
    from atlas_scaling.published.regime_laws import RegimeLaw

N_BUDGETS: Final = 15
PUBLISHED_FLOPS: Final = (1e18, 1e24)
BEYOND: Final = 30.0
"""How far beyond the runs' compute a trajectory is drawn, as a factor; dashed there."""

_GRID: Final = 161
_REACH: Final = 1e4
_DECISIVE: Final = ("alpha", "beta")
"""Without these a trajectory is a guess: fits that do not identify them are left out."""


def fit_trajectories(fits: Sequence[Fit]) -> tuple[pl.DataFrame, list[str]]:
    """Best N and D over compute of each fit that identifies its exponents, and who was left out.

    Training is on the language alone, from its unique tokens where the law has repetition. Columns:
    ``series, flops, n_params, n_params_low, n_params_high, tokens, tokens_low, tokens_high, loss,
    extrapolated``.
    """
    rows, left_out = [], []
    for fit in fits:
        name = language_name(fit.target) if fit.target else ALL_DATA
        vague = [p for p in _DECISIVE if fit.verdicts.get(p, "identified").startswith("not ")]
        if vague or not _inputs_known(fit):
            left_out.append(name)
            continue
        seen = fit.observations.facets["flops"]
        budgets = np.geomspace(seen.min(), seen.max() * BEYOND, N_BUDGETS)
        rows += _trajectory(name, budgets, lambda N, D, f=fit: _draws(f, N, D), fit.level)  # type: ignore[misc]
        sizes = fit.observations.facets["n_params"]
        for row in rows[-N_BUDGETS:]:
            inside = sizes.min() <= row["n_params"] <= sizes.max() and row["flops"] <= seen.max()
            row["extrapolated"] = not inside
    return pl.DataFrame(rows, schema=_SCHEMA), left_out


def published_trajectories(laws: Sequence[RegimeLaw]) -> pl.DataFrame:
    """The same of published laws, without intervals."""
    rows = []
    budgets = np.geomspace(*PUBLISHED_FLOPS, N_BUDGETS)
    for law in laws:

        def loss(N: FloatArray, D: FloatArray, law: RegimeLaw = law) -> FloatArray:
            return (law.E + law.A * N**-law.alpha + law.B * D**-law.beta)[None]

        rows += _trajectory(language_name(law.language), budgets, loss, 0.9)
    return pl.DataFrame(rows, schema=_SCHEMA)


def optimal_trajectories(
    rows: pl.DataFrame, *, source: str, left_out: Sequence[str] = ()
) -> Figure:
    """Best parameters and best tokens over compute, one line a language.

    Args:
        rows: as ``fit_trajectories`` or ``published_trajectories`` gives them.
        source: of the laws, for the caption.
        left_out: languages whose laws do not tell.

    Raises:
        InputError: no row.
    """
    if rows.is_empty():
        raise InputError(
            "no law here tells an optimal size: their exponents are not identified",
            value=listed(list(left_out)),
            remedy="widen the range of model sizes and tokens",
        )
    series = rows["series"].unique(maintain_order=True).to_list()
    panels = tuple(
        Panel(title, _panel(rows, series, name, title))
        for name, title in (("n_params", "best parameters"), ("tokens", "best tokens"))
    )
    looks = _looks(series)
    gone = (
        f" Left out, because α or β is not identified: {listed(list(left_out))}."
        if left_out
        else ""
    )
    return Figure(
        name="optimal-trajectories",
        title="Optimal scaling trajectories: training on the language alone",
        caption="The size and the tokens of least loss for each compute. Dashed and hollow: a size "
        f"or a compute that was not run. Bands are intervals over the fit's draws. {source}.{gone}",
        alt=_alt(rows),
        data=rows,
        panels=panels,
        keys=tuple(Key(s, hue, shape) for s, (hue, shape) in zip(series, looks, strict=True)),
        columns=2,
    )


_SCHEMA: Final = {
    "series": pl.String,
    "flops": pl.Float64,
    "n_params": pl.Float64,
    "n_params_low": pl.Float64,
    "n_params_high": pl.Float64,
    "tokens": pl.Float64,
    "tokens_low": pl.Float64,
    "tokens_high": pl.Float64,
    "loss": pl.Float64,
    "extrapolated": pl.Boolean,
}


def _trajectory(
    name: str,
    budgets: FloatArray,
    loss_of: Callable[[FloatArray, FloatArray], FloatArray],
    level: float,
) -> list[dict[str, object]]:
    """One row a budget. ``loss_of`` gives (1 + R, n): the fit first, then its draws."""
    rows: list[dict[str, object]] = []
    tail = 50 * (1 - level)
    for C in budgets:
        N = np.sqrt(C / 6) * np.geomspace(1 / _REACH, _REACH, _GRID)
        losses_RG = loss_of(N, C / (6 * N))  # fit and draws x grid
        best_R = np.exp(_least(np.log(N), losses_RG))
        n_low, n_high = (
            np.percentile(best_R[1:], [tail, 100 - tail]) if len(best_R) > 1 else (None,) * 2
        )
        rows.append(
            {
                "series": name,
                "flops": float(C),
                "n_params": float(best_R[0]),
                "n_params_low": n_low,
                "n_params_high": n_high,
                "tokens": float(C / (6 * best_R[0])),
                "tokens_low": None if n_high is None else float(C / (6 * n_high)),
                "tokens_high": None if n_low is None else float(C / (6 * n_low)),
                "loss": float(losses_RG[0].min()),
                "extrapolated": False,
            }
        )
    return rows


def _least(x: FloatArray, y_RG: FloatArray) -> FloatArray:
    """Where each row is least: the vertex of a parabola through the lowest point and its two."""
    i = np.clip(np.argmin(y_RG, axis=1), 1, y_RG.shape[1] - 2)
    r = np.arange(len(y_RG))
    before, here, after = y_RG[r, i - 1], y_RG[r, i], y_RG[r, i + 1]
    bend = before - 2 * here + after
    shift = np.where(bend > 0, 0.5 * (before - after) / np.where(bend > 0, bend, 1.0), 0.0)
    return np.asarray(x[i] + np.clip(shift, -1, 1) * (x[1] - x[0]), dtype=np.float64)


_ALONE: Final = frozenset(
    {"n_params", "tokens", "flops", "n_languages", "family_share"}
    | {"target_tokens", "target_unique", "source_tokens", "source_unique"}
    | {"other_tokens", "other_unique"}
)


def _inputs_known(fit: Fit) -> bool:
    return set(fit.law.inputs) <= _ALONE


def _draws(fit: Fit, N: FloatArray, D: FloatArray) -> FloatArray:
    """Loss of the fit and its draws, (1 + R, n), trained on the target alone."""
    x = fit.observations.x
    n_sources = len(x["source_tokens"]) if "source_tokens" in x else 0
    unique = x["target_unique"].max() if "target_unique" in x else np.inf
    alone = {
        "n_params": N,
        "tokens": D,
        "flops": 6 * N * D,
        "n_languages": np.ones_like(N),
        "family_share": np.ones_like(N),
        "target_tokens": D,
        "target_unique": np.full_like(N, unique),
        "source_tokens": np.zeros((n_sources, len(N))),
        "source_unique": np.full((n_sources, len(N)), np.inf),
        "other_tokens": np.zeros_like(N),
        "other_unique": np.full_like(N, np.inf),
    }
    inputs = {name: alone[name] for name in fit.law.inputs}
    here = fit.predict(**inputs)[None]
    return here if fit.draws is None else np.concatenate([here, fit.predict_draws(**inputs)])


def _looks(series: list[str]) -> list[tuple[str, str]]:
    hues, shapes = theme.HUES, theme.SHAPES
    return [(hues[i % len(hues)], shapes[i % len(shapes)]) for i in range(len(series))]


def _panel(rows: pl.DataFrame, series: list[str], name: str, title: str) -> alt.LayerChart:
    import altair as alt

    hues, shapes = zip(*_looks(series), strict=True)
    ends = [v for c in (name, f"{name}_low", f"{name}_high") for v in rows[c].drop_nulls()]
    label = pl.format(
        "{}: {} FLOPs, {} parameters, {} tokens",
        "series",
        pl.col("flops").map_elements(lambda v: number(v, 2), return_dtype=pl.String),
        *(pl.col(c).map_elements(count, return_dtype=pl.String) for c in ("n_params", "tokens")),
    )
    shown = rows.with_columns(label=label)
    scale, ticks = log_scale(rows["flops"])
    x = alt.X("flops:Q", title="compute, FLOPs (6 N D)", scale=scale).axis(
        values=ticks, format="~e"
    )
    y = log_counts(alt.Y, name, title, ends)
    color = alt.Color("series:N", title=None).scale(domain=series, range=list(hues))
    shape = alt.Shape("series:N", title=None).scale(domain=series, range=list(shapes))
    base = alt.Chart(inline(shown))
    dash = alt.StrokeDash("extrapolated:N", legend=None).scale(
        domain=[False, True], range=[[1, 0], [4, 3]]
    )
    # A line that changes its dash is two lines: the second starts at the last of the first.
    layers = [
        base.transform_filter(f"datum.{name}_low !== null")
        .mark_area(opacity=0.13, aria=False)
        .encode(
            x=x, y=log_counts(alt.Y, f"{name}_low", title, ends), y2=f"{name}_high:Q", color=color
        ),
        base.mark_line(strokeWidth=1.6, aria=False).encode(x=x, y=y, color=color, strokeDash=dash),
    ]
    for beyond in (False, True):
        marks = base.transform_filter(f"datum.extrapolated === {str(beyond).lower()}")
        layers.append(
            marks.mark_point(size=22, filled=not beyond, opacity=1).encode(
                x=x, y=y, color=color, shape=shape, description="label:N"
            )
        )
    return layered(layers)


def _alt(rows: pl.DataFrame) -> str:
    last = rows.sort("flops").group_by("series", maintain_order=True).last()
    said = [
        f"{row['series']} {count(row['n_params'])} parameters and {count(row['tokens'])} tokens"
        for row in last.head(6).iter_rows(named=True)
    ]
    return f"At {number(rows['flops'].max(), 2)} FLOPs the best is: {'; '.join(said)}."  # type: ignore[arg-type]
