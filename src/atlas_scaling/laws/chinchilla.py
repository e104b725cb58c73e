"""Chinchilla: ``L = E + A / N^alpha + B / D^beta`` (Hoffmann et al. 2022, eq. 2).

With ``ties=(("alpha", "beta"),)`` the exponents are one number, as in all 18 published laws of the
ATLAS paper (Table C.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law
from atlas_scaling.laws.terms import TWO_POWERS


@dataclass(frozen=True)
class Chinchilla(Law):
    """Two power laws over an irreducible loss; knows model size and total tokens only."""

    name: ClassVar[str] = "chinchilla"
    title: ClassVar[str] = "Chinchilla"
    formula: ClassVar[str] = "L = E + A/N^alpha + B/D^beta"
    source: ClassVar[str] = "Hoffmann et al. 2022, arXiv 2203.15556, eq. 2"
    inputs = ("n_params", "tokens")
    parameters = TWO_POWERS

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A / N^alpha + B / D^beta``."""
        return p.E + p.A / x.n_params**p.alpha + p.B / x.tokens**p.beta
