"""Held-out R² of the published laws (Table 1), to compare one's own fits with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from atlas_scaling.published.tables import PAPER, rows

SOURCE: Final = f"{PAPER}, Table 1"


@dataclass(frozen=True, slots=True)
class FitQuality:
    """One row of Table 1; None where a dash is printed.

    Attributes:
        setting: ``monolingual`` or ``multilingual``.
        law: as printed.
        r2: random 20 % held out.
        r2_n: two sizes held out, the largest among them.
        r2_d: the top 20 % of training tokens held out.
        r2_c: the largest compute held out; the fraction is not printed.
        r2_m: all mixtures held out that are neither mono- nor bilingual nor Unimax.
    """

    setting: str
    law: str
    r2: float | None
    r2_n: float | None
    r2_d: float | None
    r2_c: float | None
    r2_m: float | None


@cache
def fit_quality() -> tuple[FitQuality, ...]:
    """The eight rows of Table 1."""
    scores = ("r2", "r2_n", "r2_d", "r2_c", "r2_m")
    return tuple(
        FitQuality(
            row["setting"],
            row["law"],
            **{score: float(row[score]) if row[score] else None for score in scores},
        )
        for row in rows("fit_quality")
    )
