"""The mixtures that people use without a plan, to stand beside one.

- uniform over all languages of the plan; target-only: uniform over its targets;
- proportional to distinct tokens U, and temperature: ``w ~ U^(1/T)``;
- Unimax (Chung et al. 2023): equal tokens, but of no language more than so many epochs; what one
  cannot take is shared equally by the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

TEMPERATURE: Final = 1 / 0.3
"""``w ~ U^0.3``, as XLM-R (Conneau et al. 2020) samples."""

UNIMAX_EPOCHS: Final = 10.0
"""The published mixture gives Swahili 9.3 epochs (Tables B.4 and C.1)."""

MixtureAt = Callable[[FloatArray], FloatArray]
"""Tokens (G,) to shares (G, n)."""


def usual_mixtures(
    unique: FloatArray, is_target: NDArray[np.bool_]
) -> tuple[dict[str, MixtureAt], tuple[str, ...]]:
    """The usual mixtures by name, and which are left out and why.

    Args:
        unique: distinct tokens, (n,), infinite where not known.
        is_target: which languages are targets, (n,).
    """
    mixtures: dict[str, MixtureAt] = {"uniform": _constant(np.ones(len(unique)))}
    if not is_target.all():
        mixtures["target_only"] = _constant(is_target.astype(np.float64))
    said: tuple[str, ...] = ()
    if np.isfinite(unique).all():
        mixtures["proportional"] = _constant(unique)
        mixtures["temperature"] = _constant((unique / unique.max()) ** (1 / TEMPERATURE))
        mixtures["unimax"] = lambda tokens: np.stack([unimax(unique, float(D)) for D in tokens])
    else:
        said = (
            "proportional, temperature and Unimax mixtures need the distinct tokens of every "
            "language and are left out",
        )
    return mixtures, said


def unimax(unique: FloatArray, tokens: float, *, epochs: float = UNIMAX_EPOCHS) -> FloatArray:
    """Unimax shares of ``tokens`` over languages with ``unique`` tokens, (n,).

    >>> unimax(np.array([1e9, 1e12, 1e12]), 210e9).round(4).tolist()
    [0.0476, 0.4762, 0.4762]
    """
    order = np.argsort(unique, kind="stable")
    left, shares = tokens, np.zeros(len(unique))
    for place, i in enumerate(order):
        shares[i] = min(left / (len(order) - place), epochs * unique[i])
        left -= shares[i]
    # less text than tokens: every language is at its limit, and all are repeated further
    return np.asarray(shares / shares.sum())


def _constant(weights: FloatArray) -> MixtureAt:
    shares = weights / weights.sum()
    return lambda tokens: np.broadcast_to(shares, (len(tokens), len(shares)))


def named(shares: FloatArray, languages: Sequence[str]) -> Mapping[str, float]:
    """Shares by language, those of 0 left out."""
    return {code: float(w) for code, w in zip(languages, shares, strict=True) if w > 0}
