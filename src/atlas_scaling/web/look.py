"""The dashboard's colours: those of the reports' figures, and a page around them."""

from __future__ import annotations

from functools import cache
from typing import Final

from atlas_scaling.report import theme

NAMES: Final = {
    "blue": theme.BLUE,
    "orange": theme.ORANGE,
    "green": theme.GREEN,
    "purple": theme.PURPLE,
    "ink": theme.INK,
    "muted": theme.MUTED,
    "axis": theme.AXIS,
    "line": theme.GRID,
    "paper": theme.PAPER,
}
PAGE: Final = {
    "ground": ("#F4F5F7", "#0E1216"),
    "raised": ("#F5F6F8", "#1D2229"),
    "told": ("#0A7A5C", "#34D6A6"),
    "weak": ("#8A5A00", "#F0B95A"),
    "untold": ("#B3261E", "#FF8A80"),
    "link": ("#005AA8", "#7CC0FF"),
    "field": ("#8A929C", "#66707B"),
    "wash": ("#E8F1FA", "#16283A"),
    "warn-wash": ("#FBF3E4", "#2E2413"),
    "fail-wash": ("#FCECEB", "#361A18"),
}
"""Colours of the page itself, light and dark."""


DARK_SCALE: Final = ("#FF8B45", "#C8682D", "#70432A", "#272D34", "#27496B", "#3D84C2", "#7CC0FF")
"""The reports' diverging scale for a dark page: nothing is dark there, not a glaring white."""


@cache
def style_sheet() -> str:
    """Custom properties in light, in dark, and in dark where the reader's system asks for it."""
    light = {**NAMES, **{name: pair[0] for name, pair in PAGE.items()}}
    dark = {
        **{name: theme.DARK[color] for name, color in NAMES.items()},
        **{name: pair[1] for name, pair in PAGE.items()},
    }
    light |= {f"scale-{i}": color for i, color in enumerate(theme.DIVERGING)}
    dark |= {f"scale-{i}": color for i, color in enumerate(DARK_SCALE)}
    shared = {"on-light": theme.ON_LIGHT, "on-dark": theme.ON_DARK}
    return (
        f":root{{color-scheme:light;{_properties(light | shared)}}}\n"
        f":root[data-theme=dark]{{color-scheme:dark;{_properties(dark)}}}\n"
        "@media screen and (prefers-color-scheme:dark){"
        f":root:not([data-theme=light]){{color-scheme:dark;{_properties(dark)}}}}}\n"
    )


def _properties(colors: dict[str, str]) -> str:
    return ";".join(f"--{name}:{color}" for name, color in colors.items())
