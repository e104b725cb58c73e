"""What runs tell of a decision by the Jacobian of the law at the fitted values.

In the fit's coordinates theta, with ``J`` the derivatives of log loss by them, one run counting as
one observation with noise ``sigma``::

    M = J J' n_runs / (n_rows sigma^2)         Fisher information of the fit
    T = M^(-1/2)    x_i = T' J_i    c = T' dg/dtheta

so that ``z = T^-1 (theta - theta_0)`` has covariance 1, as the whitened draws of ``next_runs``.
This is local and needs no draws; draws also see how a badly known parameter bends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.planning.decisions import CandidateRun, Decision, inputs_of

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

STEP: Final = 1e-4
LEAST_INFORMATION: Final = 1e-10
"""Eigenvalues of M below this share of the largest are raised to it: nothing is known there."""


def local_information(
    fit: Fit,
    decision: Decision,
    runs: Sequence[CandidateRun],
    unique: Mapping[str, float] | None,
    sigma: float,
) -> tuple[FloatArray, FloatArray]:
    """``x_i`` of each run, (p, n), and ``c``, (p,).

    Raises:
        InputError: the decision cannot be computed at other values of the parameters.
    """
    from atlas_scaling.fitting.untold import log_jacobian

    slope = slope_of(fit, decision)
    if slope is None:
        raise InputError(
            "this decision is known by its draws only",
            value=decision.name,
            where="information",
            remedy="choose draws, or a decision that loss_decision and its like make",
        )
    J = log_jacobian(fit, fit.observations.x, fit.n_rows)
    candidates = log_jacobian(fit, inputs_of(fit, runs, unique), len(runs))
    eigenvalues, V = np.linalg.eigh(J @ J.T * fit.n_runs / (fit.n_rows * sigma**2))
    T = V / np.sqrt(np.maximum(eigenvalues, LEAST_INFORMATION * eigenvalues[-1]))
    return T.T @ candidates, T.T @ slope


def slope_of(fit: Fit, decision: Decision) -> FloatArray | None:
    """Derivatives of a decision by the fit's coordinates, (p,); None where only draws tell it."""
    from atlas_scaling.fitting.objective import Coordinates

    if decision.at is None:
        return None
    coordinates = Coordinates(fit.law)
    theta = coordinates.inward(np.array([list(fit.values.values())]))
    steps = STEP * np.maximum(1.0, np.abs(theta[0]))
    moved = np.concatenate([theta + np.diag(steps), theta - np.diag(steps)])
    values = decision.at(coordinates.natural(moved))
    return np.asarray((values[: len(steps)] - values[len(steps) :]) / (2 * steps))
