"""A cubic smoothing spline as a Bayesian model, averaged over how stiff it is.

Observations at t in [0, 1], with columns T of a straight line and of offsets between runs::

    y = T b + g(t) + e,   g ~ integrated Wiener process of variance gamma s^2,   e ~ N(0, s^2)

(Wahba 1978). Neither gamma nor s is chosen: each gamma of a grid is weighted by its restricted
likelihood, and s^2 is drawn from its posterior. ``curves`` uses this on log losses.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# gamma, half a decade apart and equally likely beforehand. At the upper end g may leave the line by
# 600 times the noise (at t = 1 its variance is gamma s^2 / 3); beyond that a few points with one
# sharp early bend were taken as noiseless, and intervals later on came out too narrow.
_GAMMAS: Final = np.logspace(-2, 6, 17)
_NEGLIGIBLE: Final = 0.005


class SmoothingSpline:
    """The posterior of ``T b + g`` on a grid; the offsets are those of a mean run.

    Args:
        t: where observations stand, in [0, 1], shape ``(n,)``.
        y: observations, same shape.
        offsets: columns that sum to zero over runs, shape ``(n, n_runs - 1)``; may have none.
        n_grid: points of the grid, evenly spaced over [0, 1].
        noise: standard deviation of one observation; told by the scatter if None.

    Attributes:
        mean: posterior mean on the grid, shape ``(n_grid,)``.
        noise_variance: posterior mean of s^2.
        n_free: observations left to tell s by, ``n - 2 - n_offsets``.
    """

    def __init__(
        self, t: Floats, y: Floats, offsets: Floats, *, n_grid: int, noise: float | None = None
    ) -> None:
        self._t, self._y = t, y
        self._noise_given = noise is not None
        self._T = np.column_stack([np.ones_like(t), t, offsets])
        self.n_free = self._T.shape[0] - self._T.shape[1]
        self._K = _integrated_wiener(t, t)
        self._weigh(noise)
        self._solve(np.linspace(0.0, 1.0, n_grid))
        self.mean: Floats = np.tensordot(self._weights, self._means, axes=1)
        self.noise_variance = float(self._weights @ self._variances)

    def draw(self, n_draws: int, rng: np.random.Generator) -> Floats:
        """Draws of the posterior on the grid, shape ``(n_draws, n_grid)``."""
        which = rng.choice(len(self._gammas), size=n_draws, p=self._weights)
        scale = np.sqrt(self._variances[which])
        if not self._noise_given:
            scale *= np.sqrt(self.n_free / rng.chisquare(self.n_free, n_draws))
        normal = rng.standard_normal((n_draws, self.mean.size))
        draws = np.empty_like(normal)
        for index in range(len(self._gammas)):
            mine = which == index
            wiggle = normal[mine] @ self._roots[index].T
            draws[mine] = self._means[index] + scale[mine, None] * wiggle
        return draws

    def offset_variance(self) -> float | None:
        """Variance between runs beyond what the noise explains; None where there is one run."""
        n_offsets = self._T.shape[1] - 2
        if n_offsets == 0:
            return None
        last = -self._offsets.sum(axis=1, keepdims=True)
        all_offsets = np.concatenate([self._offsets, last], axis=1)  # gammas x runs
        between = (all_offsets**2).sum(axis=1) / n_offsets
        from_noise = self._variances * self._offset_scales.mean(axis=1)
        return max(float(self._weights @ (between - from_noise)), 0.0)

    def _weigh(self, noise: float | None) -> None:
        """Posterior weight of each gamma, and the noise variance it implies.

        With T projected out, the eigenvalues of K give the likelihood of every gamma at once.
        """
        n_fixed = self._T.shape[1]
        free = np.linalg.qr(self._T, mode="complete")[0][:, n_fixed:]
        eigenvalues, vectors = np.linalg.eigh(free.T @ self._K @ free)
        scores = vectors.T @ (free.T @ self._y)
        inflation_GF = 1.0 + np.outer(_GAMMAS, np.maximum(eigenvalues, 0.0))  # gammas x free
        rss_G = (scores**2 / inflation_GF).sum(axis=1)
        # Observations exactly on a line leave no residual at all: keep the logarithm finite.
        rss_G = np.maximum(rss_G, self.n_free * np.finfo(np.float64).eps ** 2)
        if noise is None:
            fit_G = self.n_free * np.log(rss_G)
            variance_G = rss_G / self.n_free
        else:
            fit_G = rss_G / noise**2
            variance_G = np.full_like(rss_G, noise**2)
        log_weight_G = -0.5 * (np.log(inflation_GF).sum(axis=1) + fit_G)
        weight_G = np.exp(log_weight_G - log_weight_G.max())
        kept = weight_G >= _NEGLIGIBLE * weight_G.sum()
        self._gammas = _GAMMAS[kept]
        self._weights = weight_G[kept] / weight_G[kept].sum()
        self._variances = variance_G[kept]

    def _solve(self, grid: Floats) -> None:
        """Mean, root of the covariance over s^2, and offsets between runs, for each gamma kept."""
        n_fixed = self._T.shape[1]
        T_grid = np.zeros((grid.size, n_fixed))
        T_grid[:, 0], T_grid[:, 1] = 1.0, grid
        K_cross = _integrated_wiener(grid, self._t)
        K_grid = _integrated_wiener(grid, grid)
        means, roots, offsets, scales = [], [], [], []
        for gamma in self._gammas:
            V = np.eye(self._t.size) + gamma * self._K
            right = np.column_stack([self._T, self._y, gamma * K_cross.T])
            VT, Vy, VK = np.split(np.linalg.solve(V, right), [n_fixed, n_fixed + 1], axis=1)
            M = np.linalg.inv(self._T.T @ VT)
            b = M @ (self._T.T @ Vy[:, 0])
            R = T_grid - VK.T @ self._T
            means.append(T_grid @ b + VK.T @ (self._y - self._T @ b))
            covariance = gamma * (K_grid - K_cross @ VK) + R @ M @ R.T
            eigenvalues, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
            roots.append(vectors * np.sqrt(np.maximum(eigenvalues, 0.0)))
            offsets.append(b[2:])
            scales.append(np.diag(M)[2:])
        self._means, self._roots = np.array(means), roots
        self._offsets, self._offset_scales = np.array(offsets), np.array(scales)


def _integrated_wiener(s: Floats, t: Floats) -> Floats:
    """Covariance of the once integrated Wiener process, shape ``(len(s), len(t))``."""
    low: Floats = np.minimum.outer(s, t)
    apart: Floats = np.abs(np.subtract.outer(s, t))
    return low**3 / 3 + apart * low**2 / 2
