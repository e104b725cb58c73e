"""A single power law with a floor: ``L = E + A / X^alpha`` of compute, tokens or model size.

The baseline of most plots. It cannot tell a large model on little data from the reverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from atlas_scaling.errors import InputError
from atlas_scaling.laws.base import Law, Parameter
from atlas_scaling.laws.terms import IRREDUCIBLE, amplitude, exponent

Over = Literal["flops", "tokens", "n_params"]
_OVER: Final = ("flops", "tokens", "n_params")


@dataclass(frozen=True)
class SinglePower(Law):
    """One power law over an irreducible loss.

    Attributes:
        over: the quantity X.
    """

    over: Over = "flops"

    name: ClassVar[str] = "single_power"
    title: ClassVar[str] = "Single power"
    formula: ClassVar[str] = "L = E + A/X^alpha"
    source: ClassVar[str] = "Kaplan et al. 2020, arXiv 2001.08361, eqs. 1.1-1.3, with a floor"

    def __post_init__(self) -> None:
        if self.over not in _OVER:
            raise InputError(
                "a single power law is over one of three quantities",
                value=self.over,
                where="over",
                remedy=", ".join(_OVER),
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The quantity X."""
        return (self.over,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Floor, amplitude, exponent."""
        return (
            IRREDUCIBLE,
            amplitude("A", (self.over,), "size of the power law A / X^alpha"),
            exponent("alpha", "α", (self.over,), "how fast more of X helps"),
        )

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A / X^alpha``."""
        return p.E + p.A / getattr(x, self.over) ** p.alpha
