"""Refusing numbers out of range, by name."""

from __future__ import annotations

import math

from atlas_scaling.errors import InputError


def check_above_zero(**numbers: float | None) -> None:
    """Each number is above zero and finite, or None.

    Raises:
        InputError: the first that is not, with its name as the place.
    """
    for name, value in numbers.items():
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} must be above zero and finite", value=value, where=name)
