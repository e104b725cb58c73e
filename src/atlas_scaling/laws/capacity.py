"""Capacity law, the curse of multilinguality: terms that grow with the number of languages.

``L = E + A K^phi / N^alpha + B K^psi / D_t^beta`` (ATLAS, eq. 7, where E is printed ``L_inf``), for
even sampling of K languages, ``D_tot = K D_t``. ``phi > 0``: more languages want a larger model;
``psi < 0``: they share data. Published: phi = 0.11, psi = -0.04.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law, Parameter
from atlas_scaling.laws.terms import (
    CAPACITY_AMPLITUDE,
    CAPACITY_EXPONENT,
    IRREDUCIBLE,
    amplitude,
    exponent,
)


def _language_exponent(name: str, symbol: str, description: str) -> Parameter:
    return Parameter(
        name,
        start=(-0.3, 0.5),
        bounds=(-2.0, 2.0),
        transform="identity",
        tolerance=0.05,
        learns_from=("n_languages",),
        symbol=symbol,
        description=description,
    )


@dataclass(frozen=True)
class Capacity(Law):
    """Model size and target tokens, each term scaled by a power of the number of languages."""

    name: ClassVar[str] = "capacity"
    title: ClassVar[str] = "Capacity (curse of multilinguality)"
    formula: ClassVar[str] = "L = E + A K^phi/N^alpha + B K^psi/D_t^beta"
    source: ClassVar[str] = "ATLAS, arXiv 2510.22037v2, eq. 7"
    inputs = ("n_params", "target_tokens", "n_languages")
    parameters = (
        IRREDUCIBLE,
        CAPACITY_AMPLITUDE,
        amplitude("B", ("target_tokens",), "size of the data term B K^psi / D_t^beta"),
        CAPACITY_EXPONENT,
        exponent("beta", "β", ("target_tokens",), "how fast more target data helps"),
        _language_exponent("phi", "φ", "how the capacity term grows with K"),
        _language_exponent("psi", "ψ", "how the data term grows with K"),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A K^phi / N^alpha + B K^psi / D_t^beta``."""
        K = x.n_languages
        capacity = p.A * K**p.phi / x.n_params**p.alpha
        return p.E + capacity + p.B * K**p.psi / x.target_tokens**p.beta
