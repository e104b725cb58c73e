"""A figure as a value: panels, a legend, its data; and its forms as SVG, PNG and CSV.

Panels are small charts of one size. A page sets them side by side and breaks the row where it is
narrow; a file (``save_figure``) has them in ``columns``. Nothing here needs a browser or a network.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.files import write_atomically

if TYPE_CHECKING:
    import altair as alt

    Chart = alt.Chart | alt.LayerChart | alt.FacetChart
    AnyChart = Chart | alt.ConcatChart

FORMATS: Final = (".svg", ".png", ".csv", ".json")
PAGE: Final = ".html"
FILE_NAME: Final = "the file's name"
PNG_SCALE: Final = 2.0
_WITH_LEGEND: Final = frozenset(
    {"color", "fill", "stroke", "shape", "size", "strokeWidth", "strokeDash", "opacity"}
)


@dataclass(frozen=True, slots=True)
class Key:
    """One entry of a legend.

    Attributes:
        label: what it says.
        color: of the mark; one of ``theme``.
        shape: a Vega symbol, or ``line`` or ``dashed``.
        width: of a line, in pixels.
        filled: whether a symbol is filled.
    """

    label: str
    color: str = theme.INK
    shape: str = "circle"
    width: float = 2.0
    filled: bool = True


@dataclass(frozen=True, eq=False)
class Panel:
    """One chart of a figure, under its own title; ``wide`` ones take a row of the page."""

    title: str
    chart: Chart
    wide: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    """A titled figure and the numbers that it shows.

    Attributes:
        name: short, for ``--figure NAME`` and file names.
        title: what is shown, with its unit.
        caption: how to read it, and what was left out.
        alt: what a reader who cannot see it should know.
        data: every number drawn, one row a mark; what the CSV holds.
        panels: at least one.
        keys: the legend of a page; a file has the charts' own.
        columns: panels side by side in a file.
    """

    kind: ClassVar[str] = "figure"

    name: str
    title: str
    caption: str
    alt: str
    data: pl.DataFrame
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...] = ()
    columns: int = 3

    def __repr__(self) -> str:
        return (
            f"Figure({self.name}: {self.title}; {len(self.panels)} panels, {self.data.height} rows)"
        )

    def chart(self) -> AnyChart:
        """The whole figure as one Altair chart, titles and legends in it."""
        import altair as alt

        charts = [panel.chart.properties(title=panel.title) for panel in self.panels]
        if len(charts) == 1:
            return charts[0].properties(title=_title(self.title, self.panels[0].title))
        return alt.concat(*charts, columns=self.columns, title=self.title)

    def spec(self) -> dict[str, Any]:
        """The whole figure as a Vega-Lite document, its data inside."""
        return _spec(self.chart())

    def svg(self) -> str:
        """The whole figure as an SVG document, on white: it is also read on dark pages."""
        return _svg(_on_paper(self.spec()))

    def png(self) -> bytes:
        """The whole figure as a PNG on white, ``PNG_SCALE`` pixels to a CSS pixel."""
        import vl_convert

        png: bytes = vl_convert.vegalite_to_png(
            _on_paper(self.spec()), vl_version=_vega_lite(), scale=PNG_SCALE, allowed_base_urls=[]
        )
        return png

    def csv(self) -> str:
        """The data, one header line; missing values are empty."""
        return self.data.write_csv()

    def panel_svgs(self) -> list[str]:
        """Each panel as an SVG document; without legends where ``keys`` stand for them."""
        shown = []
        for panel in self.panels:
            chart = (
                panel.chart
                if panel.title == self.title
                else panel.chart.properties(title=panel.title)
            )
            spec = _spec(chart)
            shown.append(_svg(_without_legends(spec) if self.keys else spec))
        return shown

    def _repr_mimebundle_(self, *args: Any, **kwargs: Any) -> dict[str, str]:
        """A notebook shows the picture, which needs no script and no network; ``chart()`` moves."""
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}


def save_figure(figure: Figure, path: Path | str) -> Path:
    """Write a figure as ``.svg``, ``.png``, ``.csv`` (its data) or ``.json`` (Vega-Lite).

    Raises:
        InputError: the ending is none of these, or the file cannot be written.
    """
    path = Path(path)
    check_figure_file(path)
    content: bytes
    match path.suffix.lower():
        case ".svg":
            content = figure.svg().encode()
        case ".png":
            content = figure.png()
        case ".csv":
            content = figure.csv().encode()
        case _:
            content = (json.dumps(figure.spec(), allow_nan=False) + "\n").encode()
    return write_atomically(path, content)


def save_figures(figures: Iterable[Figure], folder: Path | str) -> list[Path]:
    """Write each figure as ``NAME.svg``, ``NAME.png`` and ``NAME.csv`` into ``folder``.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"this folder cannot be made: {error.strerror}", value=str(folder)
        ) from None
    return [
        save_figure(figure, folder / f"{figure.name}.{ending}")
        for figure in figures
        for ending in ("svg", "png", "csv")
    ]


def check_figure_file(path: Path) -> None:
    """Refuse a file whose ending says no form of a figure.

    Raises:
        InputError: the ending is none of ``FORMATS``.
    """
    _check_ending(path, FORMATS, FILE_NAME)


def check_page_or_figure(path: Path, *, where: str = FILE_NAME) -> None:
    """Refuse a file whose ending says neither a page nor a form of a figure.

    Raises:
        InputError: the ending is neither ``PAGE`` nor one of ``FORMATS``.
    """
    _check_ending(path, (PAGE, *FORMATS), where)


def _check_ending(path: Path, endings: Sequence[str], where: str) -> None:
    if path.suffix.lower() not in endings:
        raise InputError(
            "what is drawn is chosen by the ending of the file",
            value=str(path),
            where=where,
            remedy=f"one of {', '.join(endings)}",
        )


def layered(
    charts: Iterable[alt.Chart | alt.LayerChart],
    *,
    width: float = theme.PANEL_WIDTH,
    height: float = theme.PANEL_HEIGHT,
) -> alt.LayerChart:
    """Charts over one another, the first at the bottom, on a plot of this size in pixels."""
    import altair as alt

    return alt.LayerChart(layer=list(charts)).properties(width=width, height=height)


def inline(frame: pl.DataFrame) -> alt.InlineData:
    """Rows of a frame as data of a chart; NaN and infinities become missing.

    Given as values, not as a frame: Altair refuses frames of more than 5,000 rows.
    """
    import altair as alt

    floats = [name for name, kind in frame.schema.items() if kind.is_float()]
    finite = [
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).otherwise(None).alias(name)
        for name in floats
    ]
    return alt.InlineData(values=frame.with_columns(finite).to_dicts())


def _title(figure: str, panel: str) -> str:
    return figure if panel in ("", figure) else f"{figure}: {panel}"


def _spec(chart: AnyChart) -> dict[str, Any]:
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["config"] = theme.config()
    return spec


def _without_legends(part: Any) -> Any:
    """The same document with every legend switched off."""
    if isinstance(part, list):
        return [_without_legends(inner) for inner in part]
    if not isinstance(part, dict):
        return part
    whole = {name: _without_legends(inner) for name, inner in part.items() if name != "data"}
    if "data" in part:
        whole["data"] = part["data"]
    for channel in _WITH_LEGEND & set(whole.get("encoding", ())):
        whole["encoding"][channel] = {**whole["encoding"][channel], "legend": None}
    return whole


def _on_paper(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "config": {**spec["config"], "background": theme.PAPER}}


def _svg(spec: dict[str, Any]) -> str:
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec, vl_version=_vega_lite(), allowed_base_urls=[])
    return svg


def _vega_lite() -> str:
    """The Vega-Lite release that this Altair writes for, ``v6.1``."""
    import altair as alt

    return ".".join(alt.SCHEMA_VERSION.split(".")[:2])
