"""ATLAS for runs whose mixture changes: tokens of an earlier stage may be worth more or less.

``D_eff = sum_i tau_i S(D_i; U_i) (1 - (1 - omega_i) e_i)``, ``e_i`` the share of a language's
tokens that came before the present stage; ``omega`` is ``early`` for the target's own text and
``early_other`` for all else. At 1 a token is worth as much early as late: ATLAS, as is every
run of one stage. This extension is ours; ATLAS has no order of tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.laws.atlas import ATLAS, ENOUGH_SHARES, FLOOR, Variant, at_floor
from atlas_scaling.laws.base import DataFacts, Law, Parameter
from atlas_scaling.laws.repetition import saturated


def _early(name: str, description: str) -> Parameter:
    return Parameter(
        name,
        start=(0.3, 1.5),
        bounds=(-1.0, 4.0),
        transform="identity",
        tolerance=0.3,
        symbol="ω",
        description=description,
    )


@dataclass(frozen=True)
class TwoStage(Law):
    """ATLAS with a worth of its own for tokens of earlier stages.

    Attributes:
        variant: of ATLAS.
        sources: the languages that get a transfer weight of their own; None lets the data decide.
        others: whether tokens of languages that are no source count, with ``tau_other``.
    """

    variant: Variant = "full"
    sources: tuple[str, ...] | None = None
    others: bool = True

    name: ClassVar[str] = "atlas_two_stage"
    title: ClassVar[str] = "ATLAS, two stages"
    formula: ClassVar[str] = (
        "L = E + A/N^alpha + B/D_eff^beta, "
        "D_eff = sum_i tau_i S(D_i;U_i) (1 - (1 - omega_i) e_i), e_i the early share"
    )
    source: ClassVar[str] = "ATLAS, arXiv 2510.22037v2, eqs. 1-3; the worth of early tokens is ours"

    def __post_init__(self) -> None:
        if self.sources is not None:
            object.__setattr__(self, "sources", tuple(self.sources))

    @property
    def atlas(self) -> ATLAS:
        """The law for runs of one stage."""
        return ATLAS(variant=self.variant, sources=self.sources, others=self.others)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Those of ATLAS, and the early share of each kind of tokens."""
        names = self.atlas.inputs
        kinds = [kind for kind in ("target", "source", "other") if f"{kind}_tokens" in names]
        return (*names, *(f"{kind}_early" for kind in kinds))

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Those of ATLAS, and what early tokens are worth."""
        own = _early("early", "worth of an early token of the target over a late one")
        other = _early("early_other", "the same for other languages")
        knows_others = any(kind in self.inputs for kind in ("source_early", "other_early"))
        return (*self.atlas.parameters, own, *([other] if knows_others else []))

    def adapted(self, facts: DataFacts) -> Law:
        """Take the sources that ATLAS takes."""
        chosen = self.atlas.adapted(facts)
        assert isinstance(chosen, ATLAS)
        return replace(self, sources=chosen.sources, others=chosen.others)

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A / N^alpha + B / D_eff^beta`` with ``D_eff`` held above its floor."""
        D_eff = np.maximum(self.effective_tokens(p, x), FLOOR * x.tokens)
        return p.E + p.A / x.n_params**p.alpha + p.B / D_eff**p.beta

    def effective_tokens(self, p: Any, x: Any) -> Any:
        """``D_eff`` before the floor, shape (..., n)."""
        total = saturated(x.target_tokens, x.target_unique, p.lam)
        total = total * (1 - (1 - p.early) * x.target_early)
        if "source_early" in self.inputs:
            for i, source in enumerate(self.sources or ()):
                worth = saturated(x.source_tokens[i], x.source_unique[i], p.lam)
                total = total + p.tau[source] * worth * (
                    1 - (1 - p.early_other) * x.source_early[i]
                )
        if "other_early" in self.inputs:
            worth = saturated(x.other_tokens, x.other_unique, p.lam)
            total = total + p.tau_other * worth * (1 - (1 - p.early_other) * x.other_early)
        return total

    def guards(self, p: Any, x: Any) -> dict[str, NDArray[np.bool_]]:
        """Rows where the floor of ``D_eff`` decided the loss."""
        return at_floor(self.effective_tokens(p, x), x)

    def evidence(self, x: Any) -> dict[str, str]:
        """What ATLAS needs, and runs with stages for the worth of early tokens."""
        said = dict(self.atlas.evidence(x))
        others = [
            np.ravel(getattr(x, name))
            for name in self.inputs
            if name in ("source_early", "other_early")
        ]
        early = {"early": x.target_early, "early_other": np.concatenate([*others, np.zeros(1)])}
        for name, shares in early.items():
            seen = len(np.unique(np.round(shares[shares > 0], 3)))
            if seen < ENOUGH_SHARES:
                said[name] = (
                    "no run has a stage before its last"
                    if not seen
                    else f"early tokens come in {seen} different share(s), aim for {ENOUGH_SHARES}"
                )
        return said
