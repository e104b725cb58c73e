"""Data-constrained law: Chinchilla on effective parameters and tokens (Muennighoff et al. 2023).

``L = E + A / N'^alpha + B / D'^beta`` with ``D' = U_D + U_D R_D* (1 - exp(-R_D / R_D*))``,
``R_D = D / U_D - 1``, and ``N'`` likewise from ``U_N = min(N, N_opt(U_D))``: parameters beyond what
the distinct tokens would call for are worth less, as repeated tokens are.

``N_opt(U) = G (G U)^(beta / alpha)`` with ``G = (alpha A / (beta B))^(1 / (alpha + beta))`` is the
compute-optimal model of Chinchilla for ``U`` tokens. Published: ``R_D* = 15.39``, ``R_N* = 5.31``,
fitted with ``E, A, B, alpha = beta`` held at the fit of unrepeated runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from atlas_scaling.laws.base import Law, Parameter
from atlas_scaling.laws.repetition import ENOUGH_EPOCHS, too_few_epochs, worth_of_repeats
from atlas_scaling.laws.terms import TWO_POWERS

_HALF_LIFE_RANGE: Final = (1e-2, 1e4)


def _half_life(name: str, description: str) -> Parameter:
    return Parameter(
        name,
        start=(1.0, 50.0),
        bounds=_HALF_LIFE_RANGE,
        tolerance=0.7,
        symbol="R*",
        unit="repeats",
        description=description,
    )


@dataclass(frozen=True)
class DataConstrained(Law):
    """Repeated tokens and excess parameters lose their worth exponentially."""

    name: ClassVar[str] = "data_constrained"
    title: ClassVar[str] = "Data-constrained"
    formula: ClassVar[str] = "L = E + A/N'^alpha + B/D'^beta, D' = U + U R_D*(1 - e^(-R_D/R_D*))"
    source: ClassVar[str] = "Muennighoff et al. 2023, arXiv 2305.16264, eq. 6"
    inputs = ("n_params", "tokens", "unique_tokens")
    parameters = (
        *TWO_POWERS,
        _half_life("R_D", "repeats after which repeated tokens have lost 63 % of their worth"),
        _half_life("R_N", "the same for parameters beyond the optimum of the distinct tokens"),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A / N'^alpha + B / D'^beta``."""
        N = worth_of_repeats(x.n_params, self.optimal_params(p, x.unique_tokens), p.R_N)
        D = worth_of_repeats(x.tokens, x.unique_tokens, p.R_D)
        return p.E + p.A / N**p.alpha + p.B / D**p.beta

    def optimal_params(self, p: Any, tokens: Any) -> Any:
        """``N_opt``: parameters of the compute-optimal model for this many distinct tokens."""
        G = (p.alpha * p.A / (p.beta * p.B)) ** (1.0 / (p.alpha + p.beta))
        return G * (G * tokens) ** (p.beta / p.alpha)

    def evidence(self, x: Any) -> dict[str, str]:
        """The half-lives need tokens that were repeated, several times."""
        few = too_few_epochs(x.tokens, x.unique_tokens)
        if few is None:
            return {}
        most = float(np.max(x.tokens / x.unique_tokens, initial=0.0))
        none = "no run repeats its data" if most <= 1 else few
        return {"R_D": few, "R_N": f"{none} (aim for {ENOUGH_EPOCHS:g} epochs)"}
