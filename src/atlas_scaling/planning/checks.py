"""Refusing numbers out of range, by name, and languages given twice."""

from __future__ import annotations

from collections.abc import Mapping

from atlas_scaling import units
from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise


def check_above_zero(**numbers: float | None) -> None:
    """Each number is above zero and finite, or None.

    Raises:
        InputError: the first that is not, with its name as the place.
    """
    for name, value in numbers.items():
        if value is not None:
            units.check_above_zero(name, value)


def by_our_codes(values: Mapping[str, float] | None, *, where: str) -> dict[str, float]:
    """``values`` by our codes instead of the user's.

    Raises:
        InputError: an unknown language, or two codes of one.
    """
    found: dict[str, float] = {}
    for code, value in (values or {}).items():
        ours = normalise(code)
        if ours in found:
            raise InputError("a language is given twice", value=ours, where=where)
        found[ours] = float(value)
    return found
