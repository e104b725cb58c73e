"""Skaling: Chinchilla with an interaction of model size and data (Videau et al. 2026).

``L = E + (A / N^alpha + B / D^beta)^k``. At ``k = 1`` it is Chinchilla; ``k < 1`` makes more data
worth more to a larger model. The optimal N for a budget does not depend on k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law, Parameter
from atlas_scaling.laws.terms import (
    CAPACITY_EXPONENT,
    DATA_EXPONENT,
    IRREDUCIBLE,
)


def _inner_amplitude(name: str, learns_from: str) -> Parameter:
    return Parameter(
        name,
        start=(1.0, 1e8),
        bounds=(1e-12, 1e40),
        tolerance=2.5,
        learns_from=(learns_from,),
        symbol=name,
        unit="loss^(1/k)",
        description="size of a term inside the power",
    )


@dataclass(frozen=True)
class Skaling(Law):
    """Chinchilla's exponents with Kaplan's coupling."""

    name: ClassVar[str] = "skaling"
    title: ClassVar[str] = "Skaling (N-D interaction)"
    formula: ClassVar[str] = "L = E + (A/N^alpha + B/D^beta)^k"
    source: ClassVar[str] = "Videau et al. 2026, arXiv 2608.07222"
    inputs = ("n_params", "tokens")
    parameters = (
        IRREDUCIBLE,
        _inner_amplitude("A", "n_params"),
        _inner_amplitude("B", "tokens"),
        CAPACITY_EXPONENT,
        DATA_EXPONENT,
        Parameter(
            "k",
            start=(0.3, 1.2),
            bounds=(0.01, 3.0),
            transform="identity",
            tolerance=0.3,
            learns_from=("n_params", "tokens"),
            symbol="k",
            description="interaction of model size and data; 1 is none",
        ),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``E + (A / N^alpha + B / D^beta)^k``."""
        return p.E + (p.A / x.n_params**p.alpha + p.B / x.tokens**p.beta) ** p.k
