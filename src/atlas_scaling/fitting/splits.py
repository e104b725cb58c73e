"""What is held out to test a law: the five cuts of the ATLAS paper (appendix B.3).

====  ======================================================================================
r2    a random 20 % of the rows
r2_n  the largest model size, and the middle one where there are four sizes or more; the top 20 %
      where sizes hardly repeat
r2_d  the rows with the top 20 % of tokens
r2_c  the rows with the top 20 % of compute
r2_m  mixtures that are neither monolingual nor bilingual nor Unimax
====  ======================================================================================

The paper does not say whether 20 % are of runs or of points, nor the share for compute; here both
are 20 % of the rows, so that a cut exists where all runs are equally long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.observations import Observations
from atlas_scaling.laws.base import FloatArray

SPLITS: Final = ("r2", "r2_n", "r2_d", "r2_c", "r2_m")
HELD_OUT: Final = 0.2
FEWEST: Final = 3
"""Fewer held-out rows than this give no R²."""

_SIZES_FOR_A_MIDDLE: Final = 4
_OTHER_MULTILINGUAL: Final = 4.0


@dataclass(frozen=True, eq=False)
class Split:
    """One cut: which rows are held out, or why there is no such cut.

    Attributes:
        name: ``r2`` … ``r2_m``.
        held_out: rows that the law does not see, (n,).
        missing: why the cut cannot be made, or None.
    """

    name: str
    held_out: NDArray[np.bool_]
    missing: str | None = None


def splits(observations: Observations, seed: int = 0) -> list[Split]:
    """The five cuts of these rows, in the order of ``SPLITS``."""
    facets = observations.facets
    rng = np.random.Generator(np.random.PCG64(seed))
    shuffled = np.zeros(observations.n_rows, dtype=bool)
    n_held = max(1, round(HELD_OUT * observations.n_rows))
    shuffled[rng.permutation(observations.n_rows)[:n_held]] = True
    cuts = [
        (SPLITS[0], shuffled),
        (SPLITS[1], _sizes(facets["n_params"])),
        (SPLITS[2], _top(facets["tokens"])),
        (SPLITS[3], _top(facets["flops"])),
        (SPLITS[4], _mixtures(facets.get("mixture_kind"), observations.n_rows)),
    ]
    return [_checked(name, held_out) for name, held_out in cuts]


def _sizes(n_params: FloatArray) -> NDArray[np.bool_]:
    sizes = np.unique(n_params)
    if len(sizes) < 2:
        return np.zeros(len(n_params), dtype=bool)
    held = [sizes[-1]]
    if len(sizes) >= _SIZES_FOR_A_MIDDLE:
        held.append(sizes[(len(sizes) - 1) // 2])
    chosen = np.isin(n_params, held)
    return chosen if chosen.sum() >= FEWEST else _top(n_params)


def _top(values: FloatArray) -> NDArray[np.bool_]:
    """The rows above the quantile; where many rows share the largest value, those."""
    threshold = np.quantile(values, 1.0 - HELD_OUT)
    above = values > threshold
    return above if above.any() else (values == values.max()) & (values > values.min())


def _mixtures(kind: FloatArray | None, n: int) -> NDArray[np.bool_]:
    return np.zeros(n, dtype=bool) if kind is None else kind == _OTHER_MULTILINGUAL


def _checked(name: str, held_out: NDArray[np.bool_]) -> Split:
    n_held, n_kept = int(held_out.sum()), int((~held_out).sum())
    missing = None
    if n_held < FEWEST:
        missing = f"{n_held} rows to hold out"
    elif n_kept < FEWEST:
        missing = f"{n_kept} rows left to fit"
    return Split(name, held_out, missing)
