"""Multilingual scaling law: Chinchilla times a power of the family's share (He et al. 2024).

``L_f = (E + A / N^alpha + B / D^beta) p_f^-gamma``: ``p_f`` is the share of the target's language
family in the mixture; other families do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law, Parameter
from atlas_scaling.laws.terms import TWO_POWERS


@dataclass(frozen=True)
class MSL(Law):
    """Knows the mixture only through the share of the target's family."""

    name: ClassVar[str] = "msl"
    title: ClassVar[str] = "Multilingual (MSL)"
    formula: ClassVar[str] = "L = (E + A/N^alpha + B/D^beta) p_f^(-gamma)"
    source: ClassVar[str] = "He et al. 2024, arXiv 2410.12883, as cited by ATLAS, section 3"
    inputs = ("n_params", "tokens", "family_share")
    parameters = (
        *TWO_POWERS,
        Parameter(
            "gamma",
            start=(0.0, 0.4),
            bounds=(-1.0, 3.0),
            transform="identity",
            tolerance=0.05,
            learns_from=("family_share",),
            symbol="γ",
            description="how fast the loss rises as the family's share falls",
        ),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``(E + A / N^alpha + B / D^beta) p_f^-gamma``."""
        alone = p.E + p.A / x.n_params**p.alpha + p.B / x.tokens**p.beta
        return alone * x.family_share**-p.gamma

    def reducible(self, p: Any, x: Any) -> Any:
        """The loss above ``E p_f^-gamma``, the floor at this share."""
        return self.loss(p, x) - p.E * x.family_share**-p.gamma
