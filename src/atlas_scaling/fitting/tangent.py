"""A law replaced by its tangent: where refits on resamples start.

Around an optimum ``log L̂(theta) ≈ log L̂(centre) + J (theta - centre)``. With the tangent in the
place of the law a resample is Huber regression on a matrix that all resamples share: one matrix
product gives the predictions of all of them and another all their Gauss-Newton matrices, at a
fraction of what the law costs. The law itself then needs a few iterations instead of many.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import (
    Coordinates,
    Local,
    Problem,
    huber,
    huber_weights,
    sum_rows,
)
from atlas_scaling.laws.base import FloatArray

_WORK_ARRAYS: Final = 4


class Tangent:
    """``problem`` with the tangent of its law at ``centre`` (p,) instead of the law.

    Axes: B problems, p coordinates, n rows.
    """

    def __init__(self, problem: Problem, centre: FloatArray) -> None:
        log_fitted, J = problem.log_jacobian(centre[None])
        self.problem = problem
        self.n_rows = problem.n_rows
        self.J = J[0]  # p, n
        self.log_at_zero = log_fitted[0] - centre @ self.J
        self.upper = np.triu_indices(len(centre))
        self.products = self.J[self.upper[0]] * self.J[self.upper[1]]  # p (p + 1) / 2, n

    @property
    def coordinates(self) -> Coordinates:
        """Those of the law."""
        return self.problem.coordinates

    @property
    def bytes_per_problem(self) -> int:
        """A few arrays of one number a row."""
        return int(8 * _WORK_ARRAYS * max(self.n_rows, 1))

    def objective(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> FloatArray:
        """The objective at ``theta`` (B, p), (B,)."""
        value = sum_rows(huber(self._residual(theta, rows), delta), self.problem.weights_of(rows))
        prior = self.problem.prior
        return value if prior is None else value + prior.value(theta)

    def local(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> Local:
        """Value, gradient and both Gauss-Newton matrices at ``theta`` (B, p)."""
        residual = self._residual(theta, rows)
        weights = self.problem.weights_of(rows)
        within, irls = huber_weights(residual, delta)
        value = sum_rows(huber(residual, delta), weights)
        if weights is not None:
            within, irls = within * weights, irls * weights
        gradient = -(residual * irls) @ self.J.T
        H_irls = self._matrices(irls)
        H_newton = H_irls if math.isinf(delta) else self._matrices(within)
        at = Local(value, gradient, H_newton, H_irls)
        prior = self.problem.prior
        return at if prior is None else prior.added(at, theta)

    def bend(
        self,
        theta: FloatArray,
        step: FloatArray,
        rows: NDArray[np.intp],
        delta: float,
        mu: FloatArray,
    ) -> FloatArray:
        """A tangent does not bend, (B, p)."""
        return np.zeros_like(theta)

    def _residual(self, theta: FloatArray, rows: NDArray[np.intp]) -> FloatArray:
        log_fitted: FloatArray = self.log_at_zero + theta @ self.J
        return self.problem.targets_of(rows) - log_fitted

    def _matrices(self, weights: FloatArray) -> FloatArray:
        """``J diag(w) J'`` for weights (B, n), (B, p, p)."""
        H = np.empty((len(weights), len(self.J), len(self.J)))
        H[:, self.upper[0], self.upper[1]] = weights @ self.products.T
        H[:, self.upper[1], self.upper[0]] = H[:, self.upper[0], self.upper[1]]
        return H
