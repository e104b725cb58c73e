"""Learning rate and batch by model size, by two rules.

``table-b2`` is the ATLAS paper's Table B.2: one base learning rate, 1,000 steps of warmup, and a
batch that grows with the model. It is for models from 9M parameters on, and windows of 2,048.

``fitted`` is ours, for small ones: ``lr = c (N / 200,000)^a (B / 512)^b``, N the parameters without
the embedding, B the tokens of a step. ``benchmarks/learning_rates.py`` says how it was found: the
learning rate with the lowest loss after 1M tokens on six languages, at three sizes and two batches.
Of the two batches the smaller had the lower loss at every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Rule = Literal["fitted", "table-b2"]

BASE_LR: Final = 2e-4
WARMUP_STEPS: Final = 1000
BATCH_BELOW: Final = ((150e6, 256), (1e9, 512), (2e9, 1024))
LARGEST_BATCH: Final = 2048

FITTED_CONSTANT: Final = 0.0044
FITTED_SIZE_EXPONENT: Final = -0.53
FITTED_BATCH_EXPONENT: Final = 0.42


@dataclass(frozen=True, slots=True)
class Suggested:
    """What a rule says; None where it says nothing. Batches are of sequences, warmup of steps."""

    lr: float
    batch_size: int | None = None
    warmup_steps: int | None = None


def table_b2(n_params: float) -> Suggested:
    """Table B.2, by parameters with the embedding.

    >>> table_b2(2.03e9)
    Suggested(lr=0.0002, batch_size=2048, warmup_steps=1000)
    """
    batch = next((size for below, size in BATCH_BELOW if n_params < below), LARGEST_BATCH)
    return Suggested(BASE_LR, batch, WARMUP_STEPS)


def fitted(n_params_non_embedding: float, tokens_per_step: float) -> Suggested:
    """The rule for small models."""
    size = (n_params_non_embedding / 200_000) ** FITTED_SIZE_EXPONENT
    batch = (tokens_per_step / 512) ** FITTED_BATCH_EXPONENT
    return Suggested(FITTED_CONSTANT * size * batch)
