"""Axes that figures share: counts on a log scale with few, round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import altair as alt

COUNT_LABEL: Final = "replace(format(datum.value, '~s'), 'G', 'B')"
"""Vega expression for 20k, 3M, 2B: d3 writes a billion as G."""

FACTOR_LABEL: Final = "format(datum.value, '~r') + '×'"

_MOST_TICKS: Final = 6
_STEPS: Final = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, as many as can be read (at most six, if it can be).

    >>> log_ticks(5e4, 3e6)
    [50000.0, 100000.0, 200000.0, 500000.0, 1000000.0, 2000000.0]
    >>> log_ticks(1.0, 1.9)
    [1.0, 1.5]
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    best: list[float] = []
    for steps in _STEPS:
        ticks = [
            float(f"{step}e{decade}")
            for decade in decades
            for step in steps
            if low * (1 - 1e-9) <= step * 10.0**decade <= high * (1 + 1e-9)
        ]
        if len(ticks) <= _MOST_TICKS and len(ticks) > len(best):
            best = ticks
    if best:
        return best
    each = math.ceil((decades[-1] - decades[0]) / _MOST_TICKS) or 1
    return [10.0**decade for decade in decades[::each] if low <= 10.0**decade <= high]


def log_scale(values: Iterable[float], *, pad: float = 1.06) -> tuple[Any, list[float]]:
    """A log scale that just holds ``values``, and its ticks.

    Args:
        values: above zero; not empty.
        pad: how far the scale reaches beyond them, as a factor.
    """
    import altair as alt

    shown = list(values)
    low, high = min(shown) / pad, max(shown) * pad
    return alt.Scale(type="log", domain=[low, high], nice=False), log_ticks(low, high)


def log_counts(channel: type[Any], field: str, title: str, values: Iterable[float]) -> Any:
    """``alt.X`` or ``alt.Y`` of a count on a log axis."""
    scale, ticks = log_scale(values)
    axis: alt.Axis | dict[str, Any] = {"values": ticks, "labelExpr": COUNT_LABEL}
    return channel(f"{field}:Q", title=title, scale=scale, axis=axis)
