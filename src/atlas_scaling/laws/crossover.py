"""Crossover: ``C = a N^b``, the compute from which training from scratch wins (ATLAS, section 6).

Not a law of the loss: what it predicts is the compute at which a run from scratch overtakes one
that continues from a multilingual checkpoint. It is fitted like the others, with the measured
crossover compute in the place of the loss. Three variants are printed; the text (1113708 N^1.65)
and the legend of Fig. 7 (10283128 N^1.54) agree with Fig. 6 at 2B parameters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from atlas_scaling.laws.base import Law, Parameter


@dataclass(frozen=True)
class Crossover(Law):
    """Compute of the crossing by model size; ``loss`` is in FLOPs."""

    name: ClassVar[str] = "crossover"
    title: ClassVar[str] = "Crossover compute"
    formula: ClassVar[str] = "C = a N^b"
    source: ClassVar[str] = "ATLAS, arXiv 2510.22037v2, section 6 and Fig. 7"
    largest: ClassVar[float] = math.inf
    inputs = ("n_params",)
    parameters = (
        Parameter(
            "a",
            start=(1e3, 1e9),
            bounds=(1e-12, 1e40),
            linear=True,
            tolerance=1.5,
            learns_from=("n_params",),
            symbol="a",
            unit="FLOPs",
            description="compute at one parameter",
        ),
        Parameter(
            "b",
            start=(1.0, 2.0),
            bounds=(0.0, 5.0),
            transform="identity",
            tolerance=0.2,
            learns_from=("n_params",),
            symbol="b",
            description="how fast the crossing moves out with model size",
        ),
    )

    def loss(self, p: Any, x: Any) -> Any:
        """``a N^b``, FLOPs."""
        return p.a * x.n_params**p.b
