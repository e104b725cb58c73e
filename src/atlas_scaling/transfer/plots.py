"""Charts of a transfer matrix as a whole: symmetry, relatedness, dendrogram, model size.

Each has its numbers (``…_rows``, a polars frame) and its chart (Altair). The heat map and scores
over tokens are figures of the report (``report.figures.transfer``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.languages import language
from atlas_scaling.transfer.analysis import square
from atlas_scaling.transfer.effects import shared
from atlas_scaling.transfer.matrix import MEASUREMENTS, Provenance, TransferMatrix
from atlas_scaling.transfer.pairs import MatrixAnswer
from atlas_scaling.transfer.structure import Clusters

if TYPE_CHECKING:
    import altair as alt

    Layers = alt.LayerChart | alt.FacetChart

RELATEDNESS: Final = (
    "script and branch",
    "script and family",
    "script only",
    "family only",
    "neither",
)
"""What two languages share, closest first; one of these for every pair."""

_HUES: Final = ("#005AA8", "#0E9F78", "#A8327F", "#E0661A", "#5B6470")
_SIDE: Final = 320
_MOST_WORDS: Final = 2_000
"""Of more points than this none says what it is: the words would be megabytes."""
_GREY: Final = "#5B6470"
_SHAPES: Final = {"value": "circle", "below": "triangle-down", "above": "triangle-up"}
_LEAF: Final = 16


def relatedness_rows(matrix: TransferMatrix) -> pl.DataFrame:
    """Every known cell with what its languages share.

    Columns ``target, source, bts`` (the bound of a censored cell), ``provenance, shares``.
    """
    codes = tuple(dict.fromkeys([*matrix.targets, *matrix.sources]))
    script, family, branch = (shared(codes, of) for of in ("script", "family", "branch"))
    kinds = np.select(
        [script & branch, script & family, script, family | branch],
        RELATEDNESS[:-1],
        default=RELATEDNESS[-1],
    )
    at = {code: i for i, code in enumerate(codes)}
    rows = [
        {
            "target": cell.target,
            "source": cell.source,
            "bts": cell.best_guess,
            "provenance": cell.provenance.value,
            "shares": str(kinds[at[cell.target], at[cell.source]]),
        }
        for cell in matrix
        if cell.provenance is not Provenance.MISSING and cell.target != cell.source
    ]
    schema = dict.fromkeys(("target", "source", "provenance", "shares"), pl.String)
    return pl.DataFrame(rows, schema={**schema, "bts": pl.Float64})


def symmetry_rows(matrix: TransferMatrix) -> pl.DataFrame:
    """Every pair known in both directions, once.

    Columns ``a, b, b_to_a, a_to_b`` (scores on a and on b), ``measured`` (both are), ``shares``.

    Raises:
        InputError: no pair is known in both directions.
    """
    values, codes = square(matrix)
    shares = {(r["target"], r["source"]): r["shares"] for r in relatedness_rows(matrix).to_dicts()}
    rows = [
        {
            "a": a,
            "b": b,
            "b_to_a": float(values[i, j]),
            "a_to_b": float(values[j, i]),
            "measured": {matrix[a, b].provenance, matrix[b, a].provenance} <= MEASUREMENTS,
            "shares": shares[a, b],
        }
        for i, a in enumerate(codes)
        for j, b in enumerate(codes[i + 1 :], i + 1)
        if not np.isnan(values[i, j]) and not np.isnan(values[j, i])
    ]
    if not rows:
        raise InputError("no pair of this matrix is known in both directions", value=repr(matrix))
    return pl.DataFrame(rows)


def size_rows(answer: MatrixAnswer) -> pl.DataFrame:
    """Every measured pair at every model size.

    Columns ``n_params, pair, bts`` (the bound of a censored score), ``lower, upper, bound`` (which
    side of it a censored score lies on), ``d``.

    Raises:
        InputError: no pair was measured at a known model size.
    """
    rows = [
        {
            "n_params": matrix.n_params,
            "pair": f"{_short(cell.source)} to {_short(cell.target)}",
            "bts": next((x for x in (cell.bts, cell.lower, cell.upper) if x is not None), None),
            "lower": cell.lower,
            "upper": cell.upper,
            "bound": None
            if cell.provenance is not Provenance.CENSORED
            else "below"
            if cell.lower is None
            else "above",
            "d": matrix.d,
        }
        for matrix in answer.matrices
        if matrix.n_params is not None
        for cell in matrix.cells
    ]
    if not rows:
        raise InputError("no pair was measured at a known model size", value=answer.source)
    return pl.DataFrame(rows, infer_schema_length=None)


def dendrogram_rows(found: Clusters) -> pl.DataFrame:
    """The joins of a tree, nearest first.

    Columns ``left, right`` (the languages joined, by comma), ``distance`` and the points of the
    drawn bracket: ``y_left, y_right`` (places of the sides, counted in languages), ``x_left,
    x_right`` (distances at which the sides were joined themselves).
    """
    n = len(found.codes)
    place = {code: float(i) for i, code in enumerate(found.order)}
    members = [[code] for code in found.codes]
    y = [place[code] for code in found.codes]
    x = [0.0] * n
    rows = []
    for a, b, distance, _ in found.linkage:
        i, j = int(a), int(b)
        rows.append(
            {
                "left": ",".join(members[i]),
                "right": ",".join(members[j]),
                "distance": distance,
                "y_left": y[i],
                "y_right": y[j],
                "x_left": x[i],
                "x_right": x[j],
            }
        )
        members.append([*members[i], *members[j]])
        y.append((y[i] + y[j]) / 2)
        x.append(distance)
    return pl.DataFrame(rows)


def dendrogram_chart(found: Clusters) -> Layers:
    """The tree, leaves on the left in its order, and languages of one group in one colour."""
    import altair as alt

    segments = [
        {"x": ends[0], "x2": ends[1], "y": ends[2], "y2": ends[3]}
        for row in dendrogram_rows(found).to_dicts()
        for ends in (
            (row["x_left"], row["distance"], row["y_left"], row["y_left"]),
            (row["x_right"], row["distance"], row["y_right"], row["y_right"]),
            (row["distance"], row["distance"], row["y_left"], row["y_right"]),
        )
    ]
    group = {code: i for i, codes in enumerate(found.groups) for code in codes}
    leaves = [
        {
            "x": 0.0,
            "y": float(i),
            "name": _short(code),
            "hue": _HUES[group[code] % len(_HUES)] if len(found.groups[group[code]]) > 1 else _GREY,
        }
        for i, code in enumerate(found.order)
    ]
    x = alt.X("x:Q", title="distance (BTS)").scale(zero=True)
    y = alt.Y("y:Q", axis=None).scale(domain=[-0.5, len(found.order) - 0.5], reverse=True)
    lines = alt.Chart(alt.InlineData(values=segments)).mark_rule(color="#5B6470")
    names = alt.Chart(alt.InlineData(values=leaves)).mark_text(align="right", dx=-5, fontSize=11)
    return alt.layer(
        lines.encode(x=x, y=y, x2="x2:Q", y2="y2:Q"),
        names.encode(x=x, y=y, text="name:N", color=alt.Color("hue:N", scale=None)),
    ).properties(
        width=_SIDE,
        height=_LEAF * len(found.order),
        padding={"left": 190},
        title="Languages by how much they help each other",
    )


def relatedness_chart(matrix: TransferMatrix) -> Layers:
    """Scores by what languages share: boxes, and a point for every cell.

    Raises:
        InputError: the matrix has no score.
    """
    import altair as alt

    rows = relatedness_rows(matrix)
    if rows.is_empty():
        raise InputError("this matrix has no score", value=repr(matrix))
    kinds = [kind for kind in RELATEDNESS if kind in set(rows["shares"])]
    x = alt.X("shares:N", title="languages share", sort=kinds).axis(labelAngle=0)
    y = alt.Y("bts:Q", title="BTS")
    base = alt.Chart(_inline(rows))
    points = base.mark_circle(size=14, opacity=0.35, aria=rows.height <= _MOST_WORDS).encode(
        x=x,
        y=y,
        description="said:N",
        xOffset=alt.XOffset("jitter:Q").scale(domain=[-1, 1]),
        color=alt.Color("shares:N", legend=None).scale(domain=list(RELATEDNESS), range=list(_HUES)),
        tooltip=["target:N", "source:N", "bts:Q", "provenance:N"],
    )
    boxes = base.mark_boxplot(
        outliers=False,
        size=34,
        opacity=0.6,
        median={"color": "#1E2329", "aria": False},
        box={"aria": False},
        rule={"color": "#8A929C", "aria": False},
    ).encode(x=x, y=y, color=alt.value("#8A929C"))
    # Vega's own pseudo-random numbers depend on the clock; an even spread by row does not.
    spread = points.transform_window(row="row_number()").transform_calculate(
        jitter="(datum.row * 0.6180339887) % 1 - 0.5",
        said="datum.source + ' on ' + datum.target + ': ' + format(datum.bts, '+.2f')",
    )
    return alt.layer(boxes, spread).properties(
        width=110 * len(kinds), height=_SIDE, title="Transfer by what two languages share"
    )


def symmetry_chart(matrix: TransferMatrix) -> Layers:
    """Each pair's score one way against the other; on the line both are equal."""
    import altair as alt

    rows = symmetry_rows(matrix)
    both = np.concatenate([rows["a_to_b"].to_numpy(), rows["b_to_a"].to_numpy()])
    low, high = float(both.min()) - 0.1, float(both.max()) + 0.1
    scale = alt.Scale(domain=[low, high], nice=False)
    line = (
        alt.Chart(alt.InlineData(values=[{"x": low, "y": low}, {"x": high, "y": high}]))
        .mark_line(color="#8A929C", strokeDash=[4, 3])
        .encode(x=alt.X("x:Q", scale=scale), y=alt.Y("y:Q", scale=scale))
    )
    points = (
        alt.Chart(_inline(rows))
        .transform_calculate(
            said="datum.b + ' on ' + datum.a + ' ' + format(datum.b_to_a, '+.2f') + ', back '"
            " + format(datum.a_to_b, '+.2f')"
        )
        .mark_point(size=28, filled=True, aria=rows.height <= _MOST_WORDS)
        .encode(
            description="said:N",
            x=alt.X("b_to_a:Q", title="BTS of b on a", scale=scale),
            y=alt.Y("a_to_b:Q", title="BTS of a on b", scale=scale),
            color=alt.Color("shares:N", title="languages share").scale(
                domain=list(RELATEDNESS), range=list(_HUES)
            ),
            opacity=alt.condition("datum.measured", alt.value(0.95), alt.value(0.3)),
            tooltip=["a:N", "b:N", "b_to_a:Q", "a_to_b:Q", "measured:N"],
        )
    )
    title = "Transfer both ways; faint: a model's estimate"
    return alt.layer(line, points).properties(width=_SIDE, height=_SIDE, title=title)


def size_chart(answer: MatrixAnswer) -> Layers:
    """Scores over model size, one line a pair; each size at its own d."""
    import altair as alt

    rows = size_rows(answer)
    x = alt.X("n_params:Q", title="parameters").scale(type="log").axis(format="~s", tickCount=4)
    color = alt.Color("pair:N", title=None)
    base = alt.Chart(_inline(rows))
    intervals = (
        base.transform_filter("datum.lower !== null && datum.upper !== null")
        .mark_rule(opacity=0.5)
        .encode(x=x, y="lower:Q", y2="upper:Q", color=color)
    )
    values = base.transform_filter("datum.bound === null")
    lines = values.mark_line(opacity=0.7).encode(x=x, y=alt.Y("bts:Q", title="BTS"), color=color)
    kinds = base.transform_calculate(kind="datum.bound === null ? 'value' : datum.bound")
    points = kinds.mark_point(size=40, opacity=1).encode(
        x=x,
        y="bts:Q",
        color=color,
        shape=alt.Shape("kind:N", title="score").scale(
            domain=list(_SHAPES), range=list(_SHAPES.values())
        ),
        tooltip=["pair:N", "n_params:Q", "d:Q", "bts:Q", "lower:Q", "upper:Q"],
    )
    return alt.layer(intervals, lines, points).properties(
        width=_SIDE, height=_SIDE, title="Transfer over model size"
    )


def _short(code: str) -> str:
    """The name of a language without what stands in brackets."""
    return language(code).name.partition(" (")[0]


def _inline(rows: pl.DataFrame) -> Any:
    import altair as alt

    return alt.InlineData(values=rows.to_dicts())
