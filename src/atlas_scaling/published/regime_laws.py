"""The 18 laws of Table C.1: six languages in three regimes of vocabulary and training data.

``L = E + e^log_A / N^alpha + e^log_B / D^beta``. Losses are the paper's own vocabulary-insensitive
unit; the unit is not defined there, so these laws compare plans with each other and predict nobody
else's loss. In all 18, ``alpha = beta``. ``E = 0`` in seven of them is a bound that was hit, and
Chinese lies on another scale than the rest (1.6 against 0.6-0.96 at N = 1e9, D = 1e11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from atlas_scaling.languages import normalise
from atlas_scaling.published.tables import PAPER, rows

SOURCE: Final = f"{PAPER}, Table C.1"


class Regime(StrEnum):
    """Whose vocabulary, whose training text."""

    MONOLINGUAL = "mono_vocab_mono_train"
    MULTILINGUAL_VOCABULARY = "multi_vocab_mono_train"
    UNIMAX = "multi_vocab_unimax_train"


@dataclass(frozen=True, slots=True)
class RegimeLaw:
    """One row of Table C.1.

    Attributes:
        regime: vocabulary and training data.
        language: our code.
        unique_tokens: distinct tokens of the language in MADLAD-400, as printed.
        E, alpha, beta: as printed, two decimals.
        A, B: e to the power of what is printed, two decimals of the exponent.
    """

    regime: Regime
    language: str
    unique_tokens: float
    E: float
    A: float
    alpha: float
    B: float
    beta: float

    def loss(self, n_params: float, tokens: float) -> float:
        """Loss in the paper's unit; ``tokens`` are all different (no repetition in these laws)."""
        capacity = self.A * math.pow(n_params, -self.alpha)
        return self.E + capacity + self.B * math.pow(tokens, -self.beta)


@cache
def regime_laws(regime: Regime | None = None) -> tuple[RegimeLaw, ...]:
    """All 18 laws, or the six of one regime."""
    laws = tuple(
        RegimeLaw(
            regime=Regime(row["regime"]),
            language=normalise(row["language"]),
            unique_tokens=float(row["unique_tokens"]),
            E=float(row["E"]),
            A=math.exp(float(row["log_A"])),
            alpha=float(row["alpha"]),
            B=math.exp(float(row["log_B"])),
            beta=float(row["beta"]),
        )
        for row in rows("regime_laws")
    )
    return laws if regime is None else tuple(law for law in laws if law.regime is regime)
