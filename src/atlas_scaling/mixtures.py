"""Mixtures by rule: how tokens are divided among languages that have so many distinct tokens.

- uniform: ``w_i = 1/n``; proportional: ``w_i ∝ U_i``; temperature: ``w_i ∝ U_i^(1/T)``;
- Unimax (Chung et al. 2023, arXiv 2304.09151, algorithm 1): equal tokens for every language, but of
  none more than so many epochs; what one cannot take is shared equally by the others.

All functions take distinct tokens (n,) above zero and give shares (n,) that sum to 1.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MIXTURE_TOLERANCE: Final = 1e-6
"""Shares that somebody chose sum to 1 within this."""

ROUNDED_TOLERANCE: Final = 0.02
"""Shares that were rounded, as in a table of somebody else's, sum to 1 within this."""

TEMPERATURE: Final = 1 / 0.3
"""``w ~ U^0.3``, as XLM-R (Conneau et al. 2020) samples."""

UNIMAX_EPOCHS: Final = 10.0
"""The published mixture gives Swahili 9.3 epochs (ATLAS paper, Tables B.4 and C.1)."""


def tempered(unique: FloatArray, *, temperature: float) -> FloatArray:
    """Shares ∝ ``U^(1/T)``: 1 is proportional, infinity is uniform.

    >>> tempered(np.array([1.0, 16.0]), temperature=4).round(4).tolist()
    [0.3333, 0.6667]
    """
    weights = (unique / unique.max()) ** (1.0 / temperature)
    return np.asarray(weights / weights.sum())


def unimax(
    unique: FloatArray, tokens: FloatArray | float, *, epochs: float = UNIMAX_EPOCHS
) -> FloatArray:
    """Unimax shares of ``tokens`` in all; of several totals (G,) at once, (G, n).

    Where there is less text than tokens, every language is at its limit, and all are repeated
    further in the same proportion.

    >>> unimax(np.array([1e9, 1e12, 1e12]), 210e9).round(4).tolist()
    [0.0476, 0.4762, 0.4762]
    """
    order = np.argsort(unique, kind="stable")
    left = np.array(tokens, dtype=np.float64)
    taken = np.empty((*left.shape, len(unique)))
    for place, i in enumerate(order):
        taken[..., i] = np.minimum(left / (len(order) - place), epochs * unique[i])
        left -= taken[..., i]
    return np.asarray(taken / taken.sum(axis=-1, keepdims=True))
