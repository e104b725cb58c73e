"""What repeated tokens are worth: two curves of effective data, both ``D`` while data is fresh.

- ATLAS, eq. 3: ``S(D; U) = D`` for ``D <= U``, else ``U (1 + (1 - exp(-lam (D/U - 1))) / lam)``.
- Muennighoff et al. 2023, eq. 5: ``U + U R* (1 - exp(-R / R*))`` with ``R = max(D/U - 1, 0)``.

They are one curve: ``lam = 1 / R*``. Value and slope are continuous at ``D = U``.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from atlas_scaling.units import plain

ENOUGH_EPOCHS: Final = 4.0
"""Fewer epochs than this say little about how repetition loses its worth."""


def saturated(D: Any, U: Any, lam: Any) -> Any:
    """Effective tokens ``S(D; U)`` of ATLAS, eq. 3.

    Args:
        D: tokens seen, repetitions included.
        U: distinct tokens available; infinite where nothing repeats. Where nothing was seen it may
            be 0, and the result is 0.
        lam: how fast repetition loses its worth, above 0.

    >>> float(saturated(100.0, 400.0, 1.0)), round(float(saturated(800.0, 400.0, 1.0)), 1)
    (100.0, 652.8)
    """
    # 0 / 0 is "nothing of nothing": no epochs
    with np.errstate(divide="ignore", invalid="ignore"):
        epochs = np.where(np.asarray(D) > 0, D / U, 0.0) if _is_data(D, U) else D / U
    repeats = np.maximum(epochs - 1.0, 0.0)
    fresh = np.minimum(D, U)
    if _is_data(repeats) and not np.any(repeats):
        return fresh
    if _is_data(lam, repeats) and np.ndim(lam) == 2 and np.ndim(repeats) == 1:
        return _saturated_rows(fresh, repeats, lam)
    # -expm1 keeps the digits that 1 - exp loses while lam * repeats is small
    return fresh * (1.0 - np.expm1(-lam * repeats) / lam)


def _saturated_rows(fresh: Any, repeats: Any, lam: Any) -> Any:
    """The same for data (n,) and many rates (B, 1): most rows repeat nothing."""
    rows = np.flatnonzero(repeats)
    S = np.tile(fresh, (len(lam), 1))
    S[:, rows] *= 1.0 - np.expm1(-lam * repeats[rows]) / lam
    return S


def repeats_with_slope(D: Any, U: Any, lam: Any) -> tuple[Any, Any]:
    """What is beyond ``U`` in ``S(D; U)`` and its slope in ``lam``, for repeated data (n,).

    Rates are (B, 1), results (B, n).
    """
    repeats = D / U - 1.0
    lost = np.expm1(-lam * repeats)
    extra = -lost / lam
    return U * extra, U * (repeats * (1.0 + lost) - extra) / lam


def worth_of_repeats(D: Any, U: Any, r_star: Any) -> Any:
    """The same curve in the constant of Muennighoff et al.: ``R*``, repeats that are worth much."""
    return saturated(D, U, 1.0 / r_star)


def too_few_epochs(D: Any, U: Any) -> str | None:
    """A sentence where the most repeated data was seen too few times to say anything."""
    most = float(np.max(np.where(np.asarray(D) > 0, D / U, 0.0), initial=0.0))
    if most >= ENOUGH_EPOCHS:
        return None
    return f"at most {plain(most)} epochs were seen, aim for {ENOUGH_EPOCHS:g}"


def _is_data(*arrays: Any) -> bool:
    """Plain numbers, not values that carry derivatives of parameters."""
    return all(isinstance(a, np.ndarray | float | int | np.number) for a in arrays)
