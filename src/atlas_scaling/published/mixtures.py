"""Mixtures of the published runs: Unimax rates (Table B.4), capacity mixtures (Table B.5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from atlas_scaling.languages import normalise
from atlas_scaling.published.tables import PAPER, rows

UNIMAX_SOURCE: Final = f"{PAPER}, Table B.4"


@dataclass(frozen=True, slots=True)
class CapacityMixture:
    """An evenly sampled mixture of Table B.5, named as the paper names it (``8v0``)."""

    version: str
    languages: tuple[str, ...]


@cache
def unimax_percent() -> dict[str, float]:
    """Per cent of training tokens of each of the 419 languages, as printed (they sum to 99.93)."""
    return {normalise(row["madlad"]): float(row["percent"]) for row in rows("unimax_rates")}


def unimax_mixture() -> dict[str, float]:
    """The same as shares that sum to 1."""
    percent = unimax_percent()
    total = sum(percent.values())
    return {code: value / total for code, value in percent.items()}


@cache
def capacity_mixtures() -> tuple[CapacityMixture, ...]:
    """The twelve mixtures of 4 to 50 languages."""
    return tuple(
        CapacityMixture(row["version"], tuple(normalise(code) for code in row["languages"].split()))
        for row in rows("capacity_mixtures")
    )
