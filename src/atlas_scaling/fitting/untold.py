"""What rests on directions of the parameters that the rows of a fit leave open.

With one model size E, A and alpha can take one another's place. Refits on resamples stay where they
began along such a direction, so a number that moves with it has a spread over the draws that says
nothing: the loss at another size has no interval, while that at the size fitted has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.identify import FLAT, principal_axes
from atlas_scaling.fitting.objective import Coordinates, Problem, as_inputs
from atlas_scaling.laws.base import FloatArray

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

OPEN: Final = (FLAT, "not seen")
"""How the verdicts of parameters begin that such directions move."""

_MOVES: Final = 1e-3
"""Share of a slope along open directions from which on it rests on them."""


def log_jacobian(fit: Fit, inputs: Mapping[str, Any], n: int) -> FloatArray:
    """Derivatives of log loss at ``n`` rows of inputs by the fit's coordinates, (p, n)."""
    coordinates = Coordinates(fit.law)
    theta = coordinates.inward(np.array([list(fit.values.values())]))
    problem = Problem(coordinates, as_inputs(dict(inputs)), np.zeros(n))
    return np.asarray(problem.log_jacobian(theta)[1][0])


def open_parameters(fit: Fit) -> dict[str, str]:
    """Parameters that open directions move, with their verdicts."""
    return {name: v for name, v in fit.verdicts.items() if v.startswith(OPEN)}


def rests_on_open(fit: Fit, slope: FloatArray) -> NDArray[np.bool_]:
    """Whether numbers move with what the rows of ``fit`` leave open, (n,).

    Args:
        fit: whose draws do not tell it.
        slope: derivatives of the numbers by the fit's coordinates, (p, n).
    """
    known = np.zeros(slope.shape[1], dtype=bool)
    if not open_parameters(fit):
        return known
    J = log_jacobian(fit, fit.observations.x, fit.n_rows)
    J = J if fit.observations.weights is None else J[:, fit.observations.weights > 0]
    axes = principal_axes(J @ J.T)
    coordinates = Coordinates(fit.law)
    moved = [fit.verdicts[one.name].startswith(OPEN) for one in coordinates.free]
    # targets fitted together can tell what the rows of one leave open: the verdicts know
    leading = np.abs(axes.directions).argmax(axis=0)
    opened = axes.directions[:, axes.flat & np.array(moved)[leading]]
    scaled = slope / axes.diagonal[:, None]
    along = np.linalg.norm(opened.T @ scaled, axis=0)
    return np.asarray(along > _MOVES * np.linalg.norm(scaled, axis=0))


def is_told(fit: Fit, **inputs: Any) -> NDArray[np.bool_]:
    """Whether the rows of ``fit`` tell the loss at inputs given by name, (n,)."""
    n = len(np.atleast_1d(fit.predict(**inputs)))
    if not open_parameters(fit):
        return np.ones(n, dtype=bool)
    return ~rests_on_open(fit, log_jacobian(fit, inputs, n))
