"""Exponential mixing law: ``L = c + exp(sum_j t_j h_j)`` at one model size and token count.

Ye et al. 2024 write ``c + k exp(sum_j t_j h_j)``. Shares sum to one, so that
``k exp(sum t h) = exp(sum (t + log k) h)``: ``k`` is left out. A low ``t_j``: j helps the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from atlas_scaling.laws.base import Parameter
from atlas_scaling.laws.mixtures import MixtureLaw
from atlas_scaling.laws.terms import IRREDUCIBLE


@dataclass(frozen=True)
class ExponentialMixture(MixtureLaw):
    """Log of the reducible loss is linear in the shares; knows no model size and no tokens."""

    name: ClassVar[str] = "exponential_mixture"
    title: ClassVar[str] = "Exponential mixing"
    formula: ClassVar[str] = "L = E + exp(sum_j t_j h_j)"
    source: ClassVar[str] = "Ye et al. 2024, arXiv 2403.16952, k absorbed into t"
    inputs = ("shares",)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Floor, then one coefficient a domain."""
        return (
            IRREDUCIBLE,
            *(
                Parameter(
                    f"t[{domain}]",
                    start=(-2.0, 2.0),
                    bounds=(-30.0, 30.0),
                    transform="identity",
                    tolerance=1.0,
                    symbol="t",
                    unit="log loss",
                    description=f"log of the reducible loss on {domain} alone",
                )
                for domain in self.known_domains
            ),
        )

    def loss(self, p: Any, x: Any) -> Any:
        """``E + exp(sum_j t_j h_j)``."""
        exponent = 0.0
        for j, domain in enumerate(self.known_domains):
            exponent = exponent + p.t[domain] * x.shares[j]
        return p.E + np.exp(exponent)
