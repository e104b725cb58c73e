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
_NARROW: Final = 2.0
"""Within a factor of this a log axis is near a linear one, and so are its ticks."""

_STEPS: Final = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8))


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, as many as can be read (at most six, if it can be).

    >>> log_ticks(5e4, 3e6)
    [50000.0, 100000.0, 200000.0, 500000.0, 1000000.0, 2000000.0]
    >>> log_ticks(33_000, 38_500)
    [34000.0, 36000.0, 38000.0]
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
    if len(best) > 1 or (best and high / low > _NARROW):
        return best
    if high / low <= _NARROW:
        return _linear_ticks(low, high)
    each = math.ceil((decades[-1] - decades[0]) / _MOST_TICKS) or 1
    return [10.0**decade for decade in decades[::each] if low <= 10.0**decade <= high]


def _linear_ticks(low: float, high: float) -> list[float]:
    """Two to six multiples of a round step; the ends where they are one number."""
    if high <= low:
        return [low]
    raw = (high - low) / 3
    decade = 10.0 ** math.floor(math.log10(raw))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= raw * (1 - 1e-9))
    while (first := math.ceil(low / step)) + 1 > high / step:
        step /= 2
    n = math.floor(high / step + 1e-9) - first + 1
    return [float(f"{(first + i) * step:.12g}") for i in range(n)]


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
