"""Whether a run is still worth its compute: seen from its losses and gradients as it goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

HOPELESS: Final = 2.0
"""A loss above this many times ``log V``: far worse than knowing nothing."""

MEMORY_STEPS: Final = 50
"""The losses of about so many steps are averaged, so that one hard batch is no divergence."""


@dataclass
class Health:
    """Takes in the loss and the gradient's norm of every step.

    A run has diverged when its averaged loss has lost more than half of what it had learnt, from
    ``log V`` down to its best: runs that blow up come to rest at the unigram entropy or above it.
    What an earlier process saw is not known to a later one.

    Attributes:
        log_vocabulary: nats of a token when nothing is known.
        averaged: exponential average of the loss over about ``MEMORY_STEPS`` steps.
        best: the lowest it has been.
    """

    log_vocabulary: float
    averaged: float | None = None
    best: float = math.inf

    def trouble(self, step: int, loss: float, norm: float) -> str | None:
        """What is wrong at ``step``, in words; None if nothing is."""
        if not math.isfinite(loss):
            return f"diverged: training loss {loss} at step {step}"
        if not math.isfinite(norm):
            return f"diverged: norm of the gradient {norm} at step {step}, training loss {loss:.4g}"
        if loss > HOPELESS * self.log_vocabulary:
            return f"diverged: training loss {loss:.4g} at step {step}"
        before = loss if self.averaged is None else self.averaged
        self.averaged = before + (loss - before) / MEMORY_STEPS
        self.best = min(self.best, self.averaged)
        if self.averaged > (self.best + max(self.best, self.log_vocabulary)) / 2 + 0.5:
            return (
                f"diverged: training loss about {self.averaged:.4g} at step {step}, "
                f"{self.best:.4g} at best"
            )
        return None
