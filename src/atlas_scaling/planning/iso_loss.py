"""The iso-loss curve of the capacity law in numbers: (s, t) = (N'/N, D'/D) that keep the loss.

See ``planning.expand`` for the formulas. Parameters come as arrays over draws, shape (R,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from atlas_scaling.answers import Answer
from atlas_scaling.planning.capacity_law import CapacityLaw, FloatArray

FRONTIER_POINTS: Final = 41
FRONTIER_REACH: Final = 3.0
"""The frontier is drawn to this multiple of the least compute, on both sides."""


@dataclass(frozen=True)
class FrontierPoint(Answer):
    """One way to keep the loss."""

    n_params_ratio: float
    tokens_ratio: float
    flops_ratio: float


@dataclass(frozen=True)
class Case:
    """The question in numbers; ``share_loss`` is how much more all tokens grow than t."""

    k: float
    k_new: float
    share_loss: float
    n_params: float | None
    tokens: float | None
    capacity_share: float | None

    @property
    def r(self) -> float:
        """``K'/K``."""
        return self.k_new / self.k


def optimal_share(p: dict[str, FloatArray]) -> FloatArray:
    """``w*``, the capacity term's share at least compute, shape (R,)."""
    return p["beta"] / (p["alpha"] + p["beta"])


def terms(p: dict[str, FloatArray], case: Case) -> tuple[FloatArray, FloatArray]:
    """Capacity and data term of the baseline, each shape (R,)."""
    assert case.n_params is not None
    assert case.tokens is not None
    tokens = case.tokens / case.k
    capacity = p["A"] * case.k ** p["phi"] / case.n_params ** p["alpha"]
    return capacity, p["B"] * case.k ** p["psi"] / tokens ** p["beta"]


def capacity_share_of(p: dict[str, FloatArray], case: Case) -> FloatArray:
    """``w_N`` of the baseline, shape (R,)."""
    return _shares(p, case)[0]


def _shares(p: dict[str, FloatArray], case: Case) -> tuple[FloatArray, FloatArray]:
    """``w_N`` and ``1 - w_N`` of the baseline, each to all its digits, shape (R,)."""
    if case.capacity_share is not None:
        w = np.full_like(p["alpha"], case.capacity_share)
        return w, 1 - w
    if "A" in p and "B" in p and case.n_params is not None and case.tokens is not None:
        capacity, data = terms(p, case)
        return capacity / (capacity + data), data / (capacity + data)
    w = optimal_share(p)
    return w, 1 - w


def optimum(p: dict[str, FloatArray], case: Case) -> tuple[FloatArray, FloatArray]:
    """``(s, t)`` of least compute, each shape (R,)."""
    return _on_curve(p, case, optimal_share(p))


def _on_curve(
    p: dict[str, FloatArray], case: Case, share: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(s, t)`` on the iso-loss curve where the capacity term ends with ``share`` of the loss."""
    of_capacity, of_data = _shares(p, case)
    s = (case.r ** p["phi"] * of_capacity / share) ** (1 / p["alpha"])
    t = (case.r ** p["psi"] * of_data / (1 - share)) ** (1 / p["beta"])
    return s, t


def unbalanced(law: CapacityLaw, case: Case) -> FrontierPoint:
    """The same loss with the baseline's own balance: the paper's closed form."""
    v = law.values
    s = case.r ** (v["phi"] / v["alpha"])
    tokens = case.share_loss * case.r ** (v["psi"] / v["beta"])
    return FrontierPoint(s, tokens, s * tokens)


def frontier_of(law: CapacityLaw, case: Case) -> tuple[FrontierPoint, ...]:
    """The iso-loss curve, evenly spaced in log N, up to a multiple of the least compute."""
    p = {name: np.array([value]) for name, value in law.values.items()}
    logit = np.linspace(-12, 12, 2401)
    s, t = _on_curve(p, case, 1 / (1 + np.exp(-logit)))
    near = s[s * t <= FRONTIER_REACH * np.prod(optimum(p, case))]
    s = np.geomspace(near.min(), near.max(), FRONTIER_POINTS)
    share = case.r ** p["phi"] * capacity_share_of(p, case) * s ** -p["alpha"]
    s, t = _on_curve(p, case, share)
    return tuple(
        FrontierPoint(float(a), float(case.share_loss * b), float(case.share_loss * a * b))
        for a, b in zip(s, t, strict=True)
    )
