"""Kaplan: ``L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D`` (Kaplan et al. 2020, eq. 1.5).

Model size and data are coupled, and there is no irreducible loss. They count parameters without
embeddings; here N is whatever the table gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law, Parameter


def _scale(name: str, learns_from: str, description: str) -> Parameter:
    return Parameter(
        name,
        start=(1e7, 1e16),
        bounds=(1e-3, 1e40),
        tolerance=2.0,
        learns_from=(learns_from,),
        symbol=name,
        unit="count",
        description=description,
    )


def _exponent(name: str, symbol: str, learns_from: str, description: str) -> Parameter:
    return Parameter(
        name,
        start=(0.02, 0.5),
        bounds=(1e-4, 3.0),
        transform="identity",
        tolerance=0.4,
        learns_from=(learns_from,),
        symbol=symbol,
        description=description,
    )


@dataclass(frozen=True)
class Kaplan(Law):
    """One power law of a sum, without a floor."""

    name: ClassVar[str] = "kaplan"
    title: ClassVar[str] = "Kaplan"
    formula: ClassVar[str] = "L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D"
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5"
    inputs = ("n_params", "tokens")
    parameters = (
        _scale("N_c", "n_params", "model size at which the capacity term is one"),
        _scale("D_c", "tokens", "tokens at which the data term is one"),
        _exponent("alpha_N", "α_N", "n_params", "how fast a larger model helps"),
        _exponent("alpha_D", "α_D", "tokens", "how fast more data helps"),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D``."""
        capacity = (p.N_c / x.n_params) ** (p.alpha_N / p.alpha_D)
        return (capacity + p.D_c / x.tokens) ** p.alpha_D
