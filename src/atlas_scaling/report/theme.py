"""Colours, shapes and chart settings that every figure shares, in light and in dark.

Charts are drawn once, in their light colours. In a dark page a style sheet replaces each of them
(``dark_rules``): the SVG stays as it is, and a printed page is light.

The five hues are told apart with every common kind of colour vision: in CIE Lab, after Machado et
al. (2009), the two nearest are 18 apart with protanopia, 22 with deuteranopia, 25 with tritanopia.
Against white they have a contrast of 3.3 or more, their dark forms 7 or more. No figure tells a
thing by hue alone.
"""

from __future__ import annotations

from typing import Any, Final

BLUE: Final = "#005AA8"
ORANGE: Final = "#E0661A"
GREEN: Final = "#0E9F78"
PURPLE: Final = "#A8327F"
INK: Final = "#1E2329"
HUES: Final = (BLUE, ORANGE, GREEN, PURPLE, INK)

MUTED: Final = "#5B6470"
AXIS: Final = "#8A929C"
GRID: Final = "#E3E6EA"
PAPER: Final = "#FFFFFF"

DARK: Final = {
    BLUE: "#62B6F7",
    ORANGE: "#FF8B45",
    GREEN: "#1FD8A4",
    PURPLE: "#D98BC9",
    INK: "#F2F4F6",
    MUTED: "#A9B2BC",
    AXIS: "#737C87",
    GRID: "#2B323A",
    PAPER: "#14181D",
}
"""What each colour of a chart becomes in a dark page."""

DIVERGING: Final = ("#A8480B", "#E38A52", "#F6D3BC", "#F7F7F5", "#BBD8F0", "#5FA3DB", "#005AA8")
"""From harm (orange) over nothing (white) to help (blue); the same in light and dark."""

ON_LIGHT: Final = "#111417"
ON_DARK: Final = "#FEFEFE"
"""Text on a coloured cell; not among ``DARK``, since cells keep their colours."""

SHAPES: Final = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")

# Metrics of these agree (Liberation Sans, which the renderer carries, is made to Arial's), so text
# stays where it was laid out.
FONT: Final = "Helvetica, Arial, 'Liberation Sans', sans-serif"

PANEL_WIDTH: Final = 258
PANEL_HEIGHT: Final = 190
"""Of the plot alone: with axes a panel is about 320 wide, so that it stands on a telephone."""


def config() -> dict[str, Any]:
    """Vega-Lite configuration of every chart."""
    text = {"labelColor": MUTED, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11}
    return {
        "background": None,
        "font": FONT,
        "padding": 4,
        "view": {"stroke": None},
        "axis": {
            **text,
            "titleFontWeight": "normal",
            "domainColor": AXIS,
            "tickColor": AXIS,
            "gridColor": GRID,
            "tickSize": 4,
            "labelPadding": 3,
            "titlePadding": 6,
        },
        "legend": {
            **text,
            "titleFontWeight": "bold",
            "symbolStrokeColor": MUTED,
            "symbolOpacity": 1,
            "labelLimit": 280,
        },
        "title": {"color": INK, "fontSize": 12, "anchor": "start", "fontWeight": "bold"},
        "text": {"color": INK, "fontSize": 11},
    }


def dark_rules(scope: str) -> str:
    """CSS rules that give everything below ``scope`` its dark colours."""
    rules = []
    for light, dark in DARK.items():
        for paint in ("fill", "stroke"):
            rules.append(f'{scope} [{paint}="{light}"]{{{paint}:{dark}}}')
    return "\n".join(rules)
