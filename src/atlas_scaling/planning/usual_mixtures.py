"""The mixtures that people use without a plan, to stand beside one.

- uniform over all languages of the plan; target-only: uniform over its targets;
- proportional to distinct tokens U, temperature and Unimax (``atlas_scaling.mixtures``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.mixtures import TEMPERATURE, FloatArray, tempered, unimax

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
        mixtures["temperature"] = _constant(tempered(unique, temperature=TEMPERATURE))
    else:
        said = (
            "proportional and temperature mixtures need the distinct tokens of every language and "
            "are left out",
        )
    if np.isfinite(unique).any():
        mixtures["unimax"] = lambda tokens: unimax(unique, tokens)
    return mixtures, said


def _constant(weights: FloatArray) -> MixtureAt:
    shares = weights / weights.sum()
    return lambda tokens: np.broadcast_to(shares, (len(tokens), len(shares)))


def named(shares: FloatArray, languages: Sequence[str]) -> Mapping[str, float]:
    """Shares by language, those of 0 left out."""
    return {code: float(w) for code, w in zip(languages, shares, strict=True) if w > 0}
