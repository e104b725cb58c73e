"""Values that answers are made of, and their one JSON form.

An ``Estimate`` is a number with its interval, or with None where the data (or a published constant
without covariance) cannot give one. ``Answer`` is the base of every result: a frozen dataclass with
``to_dict()``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

DEFAULT_LEVEL: Final = 0.9


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and its interval at the level of the answer that holds it; None is 'not known'."""

    value: float | None
    interval: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """``{"value": …, "interval": [low, high] | null}``."""
        return {"value": jsonable(self.value), "interval": jsonable(self.interval)}


class Answer:
    """Base of results. Subclasses are frozen dataclasses whose field names are the JSON keys."""

    def to_dict(self) -> dict[str, Any]:
        """The result as plain lists, dicts, floats and None."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {f.name: jsonable(getattr(self, f.name)) for f in fields if f.repr}


def jsonable(value: Any) -> Any:
    """``value`` as JSON takes it: tuples as lists, enums by value, NaN and infinities as null."""
    if isinstance(value, Answer | Estimate):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(v) for v in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy here
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
