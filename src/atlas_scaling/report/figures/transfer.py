"""Transfer: the matrix as a heat map, and scores over the tokens they are taken at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.languages import language
from atlas_scaling.report import theme
from atlas_scaling.report.axes import log_counts
from atlas_scaling.report.figure import Figure, Key, Panel, inline, layered
from atlas_scaling.report.words import (
    MISSING,
    interval,
    language_name,
    listed,
    short_names,
    signed,
)
from atlas_scaling.transfer.analysis import square
from atlas_scaling.transfer.matrix import Cell, Provenance, TransferMatrix
from atlas_scaling.transfer.scores import MAX_BTS
from atlas_scaling.transfer.structure import clusters
from atlas_scaling.units import counted, format_count

if TYPE_CHECKING:
    import altair as alt

    from atlas_scaling.transfer.measure import BtsAnswer

_BOUNDS: Final = {
    "upper": ("triangle-down", "the score is below this: the loss was never reached"),
    "lower": ("triangle-up", "the score is above this: reached before the first evaluation"),
}
_SIZES: Final = ((8, 40), (12, 34), (20, 26), (1000, 17))
_MIN_CELL_FOR_TEXT: Final = 26
_MIN_CELL_FOR_TWO_DIGITS: Final = 40
_LEAST_RANGE: Final = 0.5


def transfer_heatmap(matrix: TransferMatrix, *, by_cluster: bool = False) -> Figure:
    """Scores of sources (columns) on targets (rows), languages in order of family, or of cluster.

    Bounds are written as bounds and marked by a corner; estimates have no frame.

    Raises:
        InputError: the matrix has no score, or too few pairs of it are known to find clusters.
    """
    width, n = _cell_width(matrix), len(matrix.targets)
    data = _cells(matrix, width)
    known = data.filter(pl.col("shown").is_not_null())
    if known.is_empty():
        raise InputError("this matrix has no cell with a value or a bound", value=repr(matrix))
    kinds = {Provenance(k) for k in known["provenance"].unique()}
    return Figure(
        name="transfer-heatmap",
        title="Transfer scores, source to target (BTS)",
        caption=_heatmap_caption(matrix, kinds, width >= _MIN_CELL_FOR_TEXT),
        alt=_heatmap_alt(matrix),
        data=data.drop("label", "text", "shown"),
        panels=(
            Panel(
                "rows: target, columns: source",
                _heatmap(data, matrix, width, _cluster_order(matrix) if by_cluster else None),
                wide=n > _SIZES[0][0],
            ),
        ),
    )


def bts_curves(answers: Sequence[BtsAnswer]) -> Figure:
    """Scores over d, one panel a target, one line a source; bounds are hollow.

    Args:
        answers: at least one; one unit of text in all.
    """
    data = _curve_rows(answers)
    sources = sorted(data["source"].unique().to_list())
    targets = list(dict.fromkeys(a.target for a in answers))
    unit = answers[0].unit
    panels = tuple(
        Panel(
            f"on {language_name(target)}",
            _curve_panel(data.filter(pl.col("target") == target), sources, unit),
        )
        for target in targets
    )
    looks = [_look(sources, s) for s in sources]
    keys = [
        Key(f"with {language_name(s)}", hue, shape)
        for s, (hue, shape) in zip(sources, looks, strict=True)
    ]
    for bound, (shape, words) in _BOUNDS.items():
        if bound in set(data["censored"]):
            keys.append(Key(words, theme.MUTED, shape, filled=False))
    if data["early"].any():
        keys.append(Key("hollow: early, still falling steeply", theme.MUTED, filled=False))
    return Figure(
        name="bts-curves",
        title=f"Transfer score over the {unit} it is taken at (BTS)",
        caption="Above 0 the source helps, below it harms. Near the left end every pair stands "
        "near +1, related or not: learning is still limited by optimiser steps. Read a pair where "
        f"its curve has settled. Bands are {100 * answers[0].level:g}% intervals.",
        alt=_curves_alt(answers),
        data=data.drop("label"),
        panels=panels,
        keys=tuple(keys),
    )


def shown_value(cell: Cell) -> float | None:
    """The score, or of a censored one the bound that says something: 2 is always above it."""
    if cell.bts is not None:
        return cell.bts
    return cell.upper if cell.upper is not None and cell.upper < MAX_BTS else cell.lower


def bound(cell: Cell) -> str:
    """``below −0.80`` or ``above +1.10`` of a censored cell."""
    value = shown_value(cell)
    return f"{'below' if value == cell.upper else 'above'} {signed(value)}"


def _cells(matrix: TransferMatrix, width: int) -> pl.DataFrame:
    rows = [
        {
            "target": cell.target,
            "source": cell.source,
            "bts": cell.bts,
            "lower": cell.lower,
            "upper": cell.upper,
            "provenance": cell.provenance.value,
            "early": cell.early,
            "origin": None if cell.origin is None else str(cell.origin),
            "shown": shown_value(cell),
            "text": _cell_text(cell, width),
            "label": _cell_label(cell),
        }
        for cell in matrix
        if cell.target != cell.source
    ]
    return pl.DataFrame(rows, schema=_CELL_SCHEMA)


_CELL_SCHEMA: Final[dict[str, Any]] = {
    "target": pl.String,
    "source": pl.String,
    "bts": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "provenance": pl.String,
    "early": pl.Boolean,
    "origin": pl.String,
    "shown": pl.Float64,
    "text": pl.String,
    "label": pl.String,
}


def _cell_text(cell: Cell, width: int) -> str:
    value = shown_value(cell)
    if value is None:
        return ""
    censored = cell.provenance is Provenance.CENSORED
    digits = 2 if width >= _MIN_CELL_FOR_TWO_DIGITS and not censored else 1
    sign = "~" if cell.early else ""
    if censored:
        sign = "<" if value == cell.upper else ">"
    return sign + f"{value:+.{digits}f}".replace("-", "−")


def _cell_label(cell: Cell) -> str:
    pair = f"{language_name(cell.source)} on {language_name(cell.target)}"
    if shown_value(cell) is None:
        return f"{pair}: not known"
    if cell.provenance is Provenance.CENSORED:
        return f"{pair}: BTS {bound(cell)}"
    bounds = interval(cell.interval)
    said = "" if bounds == MISSING else f", {bounds}"
    early = ", early: may yet turn" if cell.early else ""
    return f"{pair}: BTS {signed(cell.bts)}{said} ({cell.provenance.value}{early})"


def _cell_width(matrix: TransferMatrix) -> int:
    n = max(len(matrix.targets), len(matrix.sources))
    return next(width for most, width in _SIZES if n <= most)


def _by_family(codes: Sequence[str]) -> list[str]:
    def key(code: str) -> tuple[str, str, str]:
        try:
            entry = language(code)
        except InputError:
            return ("~", "~", code)
        return (entry.family or "~", entry.branch or "~", entry.name)

    return sorted(codes, key=key)


def _cluster_order(matrix: TransferMatrix) -> list[str]:
    """All languages in the order of the dendrogram; those without a score last."""
    values, codes = square(matrix)
    known = ~np.isnan(values)
    kept = [i for i in range(len(codes)) if known[i].any() or known[:, i].any()]
    found = clusters(values[np.ix_(kept, kept)], [codes[i] for i in kept])
    if found is None:
        raise InputError(
            "too few pairs are known to order languages by cluster",
            value=repr(matrix),
            remedy="order them by family, or complete the matrix first",
        )
    return [*found.order, *(code for code in codes if code not in found.order)]


def _heatmap(
    data: pl.DataFrame, matrix: TransferMatrix, width: int, order: Sequence[str] | None
) -> alt.LayerChart:
    """``order`` is that of the languages; by family if None."""
    import altair as alt

    ordered = _by_family([*matrix.targets, *matrix.sources]) if order is None else list(order)
    ordered = list(dict.fromkeys(ordered))
    names = short_names(list(dict.fromkeys([*matrix.targets, *matrix.sources])))
    rows = data.with_columns(t=pl.col("target").replace(names), s=pl.col("source").replace(names))
    reach = max(float(rows.select(pl.col("shown").abs().max()).item()), _LEAST_RANGE)
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("s:N", title=None, sort=[names[c] for c in ordered if c in matrix.sources]).axis(
            orient="top", labelAngle=-60, domain=False, ticks=False, grid=False
        ),
        y=alt.Y("t:N", title=None, sort=[names[c] for c in ordered if c in matrix.targets]).axis(
            domain=False, ticks=False, grid=False
        ),
    )
    color = (
        alt.Color("shown:Q", title="BTS")
        .scale(domain=[-reach, reach], range=list(theme.DIVERGING), interpolate="lab")
        .legend(orient="bottom", gradientLength=180, titleAnchor="start", tickCount=5)
    )
    known = base.transform_filter("datum.shown !== null")
    layers = [
        base.transform_filter("datum.shown === null").mark_rect(
            color=theme.GRID, opacity=0.6, aria=False
        ),
        known.mark_rect().encode(color=color, description="label:N"),
        *_marks(known, data, width),
    ]
    if width >= _MIN_CELL_FOR_TEXT:
        strong = f"abs(datum.shown) > {0.62 * reach}"
        layers.append(
            known.mark_text(aria=False, fontSize=11 if width > 30 else 9).encode(
                text="text:N",
                color=alt.condition(strong, alt.value(theme.ON_DARK), alt.value(theme.ON_LIGHT)),
            )
        )
    return layered(layers, width=width * len(matrix.sources), height=width * len(matrix.targets))


def _marks(known: alt.Chart, data: pl.DataFrame, width: int) -> list[alt.Chart]:
    """A frame around cells from runs, where others are estimates; a corner in bounds."""
    kinds = set(data["provenance"])
    marks = []
    if Provenance.ESTIMATED in kinds:
        from_runs = known.transform_filter(f"datum.provenance !== '{Provenance.ESTIMATED}'")
        marks.append(from_runs.mark_rect(filled=False, stroke=theme.ON_LIGHT, aria=False))
    if Provenance.CENSORED in kinds:
        bounds = known.transform_filter(f"datum.provenance === '{Provenance.CENSORED}'")
        corner = bounds.mark_point(
            shape="M-1,-1L1,-1L-1,1Z",
            size=70,
            filled=True,
            opacity=1,
            color=theme.ON_LIGHT,
            xOffset=5 - width / 2,
            yOffset=5 - width / 2,
            aria=False,
        )
        marks.append(corner)
    return marks


def _heatmap_caption(matrix: TransferMatrix, kinds: set[Provenance], has_text: bool) -> str:
    said = ["Rows are helped (or harmed), columns help. 0 is no effect, 2 the most there can be."]
    if Provenance.CENSORED in kinds:
        said.append(
            "A dark corner and < or > mark a bound: the loss was never reached, or too soon."
        )
    early = int(matrix.early.sum())
    if early:
        said.append(
            f"~ marks {counted(early, 'early score')}: positive as those of any pair at first, "
            "and may yet turn."
        )
    if Provenance.ESTIMATED in kinds:
        said.append("Framed cells come from runs, the others are estimates.")
    if Provenance.MISSING.value in matrix.counts:
        said.append(f"{counted(matrix.counts['missing'], 'pair')} (grey) were not run.")
    if not has_text:
        said.append("Point at a cell for its number, or enlarge the figure.")
    if matrix.measured_note is not None:
        said.append(f"{matrix.measured_note.capitalize()}.")
    origins = listed([str(origin) for origin in matrix.origins], most=3)
    return " ".join([*said, f"From {origins}."])


def _heatmap_alt(matrix: TransferMatrix) -> str:
    cells = [c for c in matrix if c.target != c.source and c.bts is not None]
    ranked = sorted(cells, key=lambda c: c.bts or 0.0)

    def said(some: list[Cell]) -> str:
        return ", ".join(
            f"{language_name(c.source)} on {language_name(c.target)} {signed(c.bts)}" for c in some
        )

    size = f"{len(matrix.targets)} targets by {len(matrix.sources)} sources"
    counts = ", ".join(f"{n} {kind}" for kind, n in matrix.counts.items())
    helping = [c for c in ranked if (c.bts or 0.0) > 0 and not c.early]
    harming = [c for c in ranked if (c.bts or 0.0) < 0]
    if not ranked:
        return f"Transfer matrix, {size}: {counts}."
    return (
        f"Transfer matrix, {size}: {counts}. Most help: {said(helping[::-1][:3]) or 'none'}. "
        f"Most harm: {said(harming[:3]) or 'none'}. Early, may yet turn: {int(matrix.early.sum())}."
    )


def _curve_rows(answers: Sequence[BtsAnswer]) -> pl.DataFrame:
    rows = []
    for answer in answers:
        source = "+".join(answer.sources)
        for point in answer.curve:
            bound = point.upper if point.censored == "upper" else point.lower
            shown = point.bts if point.censored is None else bound
            label = (
                f"{language_name(source)} on {language_name(answer.target)} at "
                f"{format_count(point.tokens)}: "
                + (signed(point.bts) if point.censored is None else f"a bound, {signed(shown)}")
            )
            rows.append(
                {
                    "target": answer.target,
                    "source": source,
                    "n_params": answer.n_params,
                    "d": point.tokens,
                    "bts": point.bts,
                    "lower": point.lower,
                    "upper": point.upper,
                    "censored": None if point.censored is None else point.censored.value,
                    "early": point.early,
                    "shown": shown,
                    "label": label,
                }
            )
    numbers = ("n_params", "d", "bts", "lower", "upper", "shown")
    types: dict[str, Any] = {**dict.fromkeys(numbers, pl.Float64), "censored": pl.String}
    return pl.DataFrame(rows, schema_overrides=types)


def _look(sources: list[str], source: str) -> tuple[str, str]:
    """Hue and shape of a source: all different up to twenty. Triangles are for bounds."""
    i = sources.index(source)
    shapes = [shape for shape in theme.SHAPES if not shape.startswith("triangle")]
    return theme.HUES[i % len(theme.HUES)], shapes[i % len(shapes)]


def _curve_panel(rows: pl.DataFrame, sources: list[str], unit: str) -> alt.LayerChart:
    import altair as alt

    hues, shapes = zip(*(_look(sources, s) for s in sources), strict=True)
    color = alt.Color("source:N", title="with").scale(domain=sources, range=list(hues))
    valued = rows.filter(pl.col("bts").is_not_null())
    x = log_counts(alt.X, "d", f"{unit} of the run on the target alone", rows["d"])
    y = alt.Y("shown:Q", title="BTS").axis(tickCount=5)
    zero = alt.Chart(alt.InlineData(values=[{"y": 0}])).mark_rule(
        color=theme.AXIS, strokeWidth=1, aria=False
    )
    band = alt.Chart(inline(valued.drop_nulls(["lower", "upper"]))).mark_area(
        opacity=0.16, aria=False
    )
    line = alt.Chart(inline(valued)).mark_line(strokeWidth=1.8, aria=False)
    shape = alt.Shape("source:N", title="with").scale(domain=sources, range=list(shapes))
    settled, early = valued.filter(~pl.col("early")), valued.filter(pl.col("early"))
    bounds = rows.filter(pl.col("bts").is_null())
    layers = [
        zero.encode(y="y:Q"),
        band.encode(x=x, y="lower:Q", y2="upper:Q", color=color),
        line.encode(x=x, y=y, color=color),
    ]
    look: dict[str, Any] = {"size": 24, "opacity": 1, "strokeWidth": 1.2}
    for shown, filled in ((settled, True), (early, False)):
        if shown.height:
            marks = alt.Chart(inline(shown)).mark_point(filled=filled, **look)
            layers.append(marks.encode(x=x, y=y, color=color, shape=shape, description="label:N"))
    for side, (arrow, _) in _BOUNDS.items():
        of_side = bounds.filter(pl.col("censored") == side)
        if of_side.height:
            marks = alt.Chart(inline(of_side)).mark_point(filled=False, shape=arrow, **look)
            layers.append(marks.encode(x=x, y=y, color=color, description="label:N"))
    return layered(layers)


def _curves_alt(answers: Sequence[BtsAnswer]) -> str:
    said = []
    for answer in answers[:6]:
        at = answer.at
        score = signed(at.bts) if at.censored is None else f"bound {interval((at.lower, at.upper))}"
        pair = f"{'+'.join(map(language_name, answer.sources))} on {language_name(answer.target)}"
        said.append(f"{pair} {score} at {format_count(at.tokens)}")
    more = "" if len(answers) <= 6 else f"; and {len(answers) - 6} more"
    return f"Transfer scores over {answers[0].unit}: {'; '.join(said)}{more}."
