"""Additive mixture law: the mixture moves the floor (Shukor et al. 2025).

``L = E + 1 / (sum_i C_i h_i^gamma_i) + A / N^alpha + B / D^beta``: a domain's share ``h_i`` lowers
the floor of the target by its own ``C_i`` and ``gamma_i``; scale acts apart from the mixture. With
``scale=False`` the terms of N and D are left out, for runs of one size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Parameter
from atlas_scaling.laws.mixtures import MixtureLaw
from atlas_scaling.laws.terms import IRREDUCIBLE, TWO_POWERS


@dataclass(frozen=True)
class AdditiveMixture(MixtureLaw):
    """Shares lower the floor; model size and tokens add as in Chinchilla.

    Attributes:
        scale: whether model size and tokens enter.
    """

    scale: bool = True

    name: ClassVar[str] = "additive_mixture"
    title: ClassVar[str] = "Additive mixture"
    formula: ClassVar[str] = "L = E + 1/(sum_i C_i h_i^gamma_i) + A/N^alpha + B/D^beta"
    source: ClassVar[str] = "Shukor et al. 2025, arXiv 2507.09404, additive law"

    @property
    def inputs(self) -> tuple[str, ...]:
        """Shares, and model size and tokens where they enter."""
        return ("n_params", "tokens", "shares") if self.scale else ("shares",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Floor, the terms of scale, then ``C`` and ``gamma`` of each domain."""
        weights = tuple(
            Parameter(
                f"C[{domain}]",
                start=(0.03, 3.0),
                bounds=(1e-8, 1e6),
                tolerance=1.0,
                symbol="C",
                unit="1/loss",
                description=f"how much a share of {domain} lowers the floor",
            )
            for domain in self.known_domains
        )
        bends = tuple(
            Parameter(
                f"gamma[{domain}]",
                start=(0.05, 1.0),
                bounds=(1e-3, 5.0),
                transform="identity",
                tolerance=0.5,
                symbol="γ",
                description=f"how fast more of {domain} stops helping",
            )
            for domain in self.known_domains
        )
        return (*(TWO_POWERS if self.scale else (IRREDUCIBLE,)), *weights, *bends)

    def loss(self, p: Any, x: Any) -> Any:
        """``E + 1 / (sum_i C_i h_i^gamma_i) + A / N^alpha + B / D^beta``."""
        quality = 0.0
        for i, domain in enumerate(self.known_domains):
            quality = quality + p.C[domain] * x.shares[i] ** p.gamma[domain]
        loss = p.E + 1.0 / quality
        if not self.scale:
            return loss
        return loss + p.A / x.n_params**p.alpha + p.B / x.tokens**p.beta
