"""The allocation problem in numbers: losses of targets as functions of model size and mixture.

For targets t over languages l, with model size ``N = e^v``, tokens ``D = D(v)`` and shares w::

    q_t = sum_l tau_tl S(w_l D; U_l, lam_tl)         effective tokens, tau_tt = 1
    L_t = E_t + A_t / N^alpha_t + B_t / q_t^beta_t
    D(v) = C / (6 N) - D_inf / 3                     6 N D + 2 N D_inf = C

Where text does not repeat, ``B q^-beta`` is convex in ``(v, w)`` together: q is ``D(v) sum tau w``,
and ``exp(beta (v - log sum tau w))`` is the exponential of a convex function. With repetition it is
convex in w (for ``tau >= 0``), in v for one source alone, and in practice in both.

Arrays carry a batch axis R in front: starts, budgets, or draws of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.laws.repetition import saturated

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """Laws of T targets over n languages for R cases.

    Attributes:
        E, A, alpha, B, beta: shape (R, T).
        tau: worth of a token of each language to each target, (R, T, n).
        lam: repetition constants, (R, T, n).
        unique: distinct tokens, (n,); infinite where text never repeats.
        flops: compute C, (R,).
        inference_tokens: D_inf.
        tokens: D where it is fixed, else None; then D does not depend on v.
    """

    E: FloatArray
    A: FloatArray
    alpha: FloatArray
    B: FloatArray
    beta: FloatArray
    tau: FloatArray
    lam: FloatArray
    unique: FloatArray
    flops: FloatArray
    inference_tokens: float = 0.0
    tokens: float | None = None

    @property
    def n_languages(self) -> int:
        """Languages, n."""
        return int(self.tau.shape[-1])

    @property
    def n_targets(self) -> int:
        """Targets, T."""
        return int(self.tau.shape[-2])

    def rows(self, index: NDArray[np.intp]) -> Problem:
        """The cases ``index``, repeated as it says."""
        arrays = {
            name: getattr(self, name)[index]
            for name in ("E", "A", "alpha", "B", "beta", "tau", "lam", "flops")
        }
        return replace(self, **arrays)

    def alone(self, targets: NDArray[np.intp]) -> Problem:
        """Case r for target ``targets[r]`` alone, so that T is 1."""
        rows = np.arange(len(targets))
        arrays = {
            name: getattr(self, name)[rows, targets][:, None]
            for name in ("E", "A", "alpha", "B", "beta", "tau")
        }
        shared = self.lam.shape[1] == 1
        return replace(self, **arrays, lam=self.lam if shared else self.lam[rows, targets][:, None])

    def tokens_at(self, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``D(v)`` and its first two derivatives, each (R,)."""
        if self.tokens is not None:
            zero = np.zeros_like(v)
            return zero + self.tokens, zero, zero
        spent = self.flops / 6 * np.exp(-v)
        return spent - self.inference_tokens / 3, -spent, spent

    def losses(self, v: FloatArray, w: FloatArray) -> FloatArray:
        """``L_t``, shape (R, T); infinite where the effective tokens are not above zero."""
        D = self.tokens_at(v)[0][:, None] * w
        q = (self.tau * saturated(D[:, None, :], self.unique, self.lam)).sum(axis=-1)
        return self._loss(v, q)

    def _loss(self, v: FloatArray, q: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            data = np.where(q > 0, self.B * np.power(np.maximum(q, 1e-300), -self.beta), np.inf)
        return np.asarray(self.E + self.A * np.exp(-self.alpha * v[:, None]) + data)

    def expand(self, v: FloatArray, w: FloatArray) -> Expansion:
        """Losses with first and second derivatives in ``x = (v, w)``; NaN outside the domain."""
        D, D1, D2 = self.tokens_at(v)
        seen = D[:, None] * w
        S, S1, S2 = worth_derivatives(seen[:, None, :], self.unique, self.lam)
        q = (self.tau * S).sum(axis=-1)
        first, second = self.tau * S1, self.tau * S2
        moved = w * D1[:, None]  # how D_l moves with v
        slope = np.empty((*q.shape, self.n_languages + 1))
        slope[..., 0] = np.einsum("rtl,rl->rt", first, moved)
        slope[..., 1:] = first * D[:, None, None]
        q = np.where(q > 0, q, np.nan)  # outside the law's domain
        power = self.B * np.power(q, -self.beta - 1)
        L_q = -self.beta * power
        L_qq = self.beta * (self.beta + 1) * power / q
        capacity = self.A * np.exp(-self.alpha * v[:, None])
        return Expansion(
            loss=self.E + capacity + power * q,
            slope=slope,
            L_q=L_q,
            L_qq=L_qq,
            capacity_1=-self.alpha * capacity,
            capacity_2=self.alpha**2 * capacity,
            q_vv=np.einsum("rtl,rl->rt", second, moved**2)
            + np.einsum("rtl,rl->rt", first, w * D2[:, None]),
            q_vw=second * (moved * D[:, None])[:, None, :] + first * D1[:, None, None],
            q_ww=second * np.square(D)[:, None, None],
        )


@dataclass(frozen=True, eq=False)
class Expansion:
    """Losses to second order; q's Hessian is a border (v) and a diagonal (w)."""

    loss: FloatArray
    slope: FloatArray = field(repr=False)
    L_q: FloatArray = field(repr=False)
    L_qq: FloatArray = field(repr=False)
    capacity_1: FloatArray = field(repr=False)
    capacity_2: FloatArray = field(repr=False)
    q_vv: FloatArray = field(repr=False)
    q_vw: FloatArray = field(repr=False)
    q_ww: FloatArray = field(repr=False)

    def gradients(self) -> FloatArray:
        """Of each loss, (R, T, 1 + n)."""
        gradient = self.L_q[..., None] * self.slope
        gradient[..., 0] += self.capacity_1
        return gradient

    def hessian(self, weights: FloatArray) -> FloatArray:
        """Of ``sum_t weights_t L_t``, (R, 1 + n, 1 + n)."""
        scaled = self.slope * np.sqrt(weights * self.L_qq)[..., None]
        hessian: FloatArray = np.matmul(scaled.transpose(0, 2, 1), scaled)
        bent = weights * self.L_q
        hessian[:, 0, 0] += (bent * self.q_vv + weights * self.capacity_2).sum(axis=1)
        border = np.einsum("rt,rtl->rl", bent, self.q_vw)
        hessian[:, 0, 1:] += border
        hessian[:, 1:, 0] += border
        diagonal = np.arange(1, hessian.shape[1])
        hessian[:, diagonal, diagonal] += np.einsum("rt,rtl->rl", bent, self.q_ww)
        return hessian


def worth_derivatives(
    D: FloatArray, U: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``S(D; U)`` (ATLAS, eq. 3) and its first two derivatives in D; the second jumps at U."""
    repeats = np.maximum(D / U - 1, 0.0)
    left = np.exp(-lam * repeats)
    finite = np.where(np.isfinite(U), U, 0.0)
    S = np.minimum(D, U) + finite * (1 - left) / lam
    return S, left, np.asarray(np.where(repeats > 0, -lam / U * left, 0.0))
