"""A report as one HTML file that needs nothing else: no network, no fonts, no library.

Figures are static SVG made without a browser. Measured with 36 panels of 9 to 12 loss curves each
(Chromium, headless, three times each): static 0.29 to 0.44 s until all is drawn and 2.0 MB, Vega's
own JavaScript in the file 1.5 to 1.9 s and 2.4 MB. Static pictures also print as they are, show
where scripts are off, and allow a Content-Security-Policy without ``eval``. Less than a hundred
lines of script add what a pointer wants: the numbers of a mark, and enlarging.

All text goes through Jinja's autoescape; the policy in the file lets only its own style and script
act (by hash) and allows no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atlas_scaling._version import __version__
from atlas_scaling.errors import InputError
from atlas_scaling.report import theme
from atlas_scaling.report.blocks import Report, Section
from atlas_scaling.report.figure import Figure
from atlas_scaling.report.files import write_atomically
from atlas_scaling.report.svg import for_page

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup

__all__ = ["Report", "Section", "render", "write"]

MAX_DATA_BYTES: Final = 1_200_000
"""Of all CSV links of a page together, smallest first; ``--figure`` gives the rest."""

_SYMBOLS: Final = {
    "circle": "M4,0A4,4,0,1,1,-4,0A4,4,0,1,1,4,0Z",
    "square": "M-3.6,-3.6H3.6V3.6H-3.6Z",
    "diamond": "M0,-4.8L4.2,0L0,4.8L-4.2,0Z",
    "triangle-up": "M0,-4.4L4.6,3.8H-4.6Z",
    "triangle-left": "M-4.4,0L3.8,4.6V-4.6Z",
    "triangle-down": "M0,4.4L4.6,-3.8H-4.6Z",
    "cross": "M-1.4,-4.2H1.4V-1.4H4.2V1.4H1.4V4.2H-1.4V1.4H-4.2V-1.4H-1.4Z",
}


@dataclass(frozen=True, slots=True)
class _Picture:
    """A panel ready for the page; ``csv`` is the figure's data as a link, or None."""

    svg: Markup
    title: str
    wide: bool
    csv: str | None


def render(report: Report) -> str:
    """The report as an HTML document."""
    from markupsafe import Markup

    environment = _environment()
    style = environment.get_template("report.css").render(dark_rules=theme.dark_rules("svg"))
    script = environment.get_template("report.js").render()
    links = _data_links(report.figures().values())
    pictures = {
        name: _pictures(figure, links.get(name)) for name, figure in report.figures().items()
    }
    return environment.get_template("report.html.jinja").render(
        report=report,
        pictures=pictures,
        symbols=_SYMBOLS,
        style=Markup(style),
        script=Markup(script),
        style_hash=_sha256(style),
        script_hash=_sha256(script),
        version=__version__,
    )


def write(report: Report, path: Path | str) -> Path:
    """Write the report to ``path``, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    return write_atomically(Path(path), render(report).encode())


def check_page_file(path: Path) -> None:
    """Refuse a file whose ending says that it is no page.

    Raises:
        InputError: the ending is neither ``.html`` nor ``.htm``.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            "a report is an HTML page",
            value=str(path),
            where="--output",
            remedy=f"{path.stem}.html (a browser prints it as PDF); for one figure: --figure NAME "
            "-o FIGURE.svg, see --list",
        )


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("atlas_scaling", "report/templates"),
        autoescape=jinja2.select_autoescape(["html", "jinja"], default=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _data_links(figures: Iterable[Figure]) -> dict[str, str]:
    """The CSV of each figure as a link, as long as the page has room."""
    links = {}
    room = MAX_DATA_BYTES
    for name, csv in sorted(((f.name, f.csv()) for f in figures), key=lambda pair: len(pair[1])):
        link = "data:text/csv;charset=utf-8;base64," + base64.b64encode(csv.encode()).decode()
        if len(link) > room:
            break
        room -= len(link)
        links[name] = link
    return links


def _pictures(figure: Figure, data: str | None) -> list[_Picture]:
    """Panels in the page's form. Their labels are the only words a screen reader gets of them."""
    from markupsafe import Markup

    several = len(figure.panels) > 1
    made = []
    for i, (panel, svg) in enumerate(zip(figure.panels, figure.panel_svgs(), strict=True)):
        label = f"{panel.title}, panel {i + 1} of {len(figure.panels)}. " if several else ""
        text = label + (figure.alt if i == 0 else "")
        clean = for_page(svg, prefix=f"{figure.name}-{i}-", label=text)
        made.append(
            _Picture(
                svg=Markup(clean),
                title=panel.title or figure.title,
                wide=panel.wide,
                csv=data,
            )
        )
    return made


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
