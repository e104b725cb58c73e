"""Profile likelihood: how much the objective rises when one parameter is held elsewhere.

The interval is where it rises by less than ``chi2 / 2`` in units of the dispersion of the
residuals, times the square of how much wider the parameter's standard error is by run than by row:
rows of one run are not independent (the robust adjusted profile of Royall and Tsou 2003). Where it
never rises enough on a side, the data says nothing on that side: the interval is open there, which
is what an unidentified parameter looks like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import identify
from atlas_scaling.fitting.objective import Coordinates, Problem, as_inputs
from atlas_scaling.fitting.refine import polish
from atlas_scaling.fitting.result import Fit
from atlas_scaling.fitting.solver import minimise
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.laws.base import FloatArray

N_POINTS: Final = 41
_REACH: Final = 6.0
"""How far the profile looks on each side, in standard errors."""

_WIDEST: Final = 3.0
_RUNS_A_COORDINATE: Final = 3


@dataclass(frozen=True, slots=True)
class Profile(Answer):
    """The profile of one parameter.

    Attributes:
        parameter: its name.
        value: at the optimum.
        values: where it was held, in its own unit, rising.
        rise: how much the objective rises there, in units of the threshold of ``level``.
        interval: where ``rise`` is below 1; None on a side that is open.
        level: of the interval.
        open_sides: ``low``, ``high``: sides on which the data sets no limit, as far as was looked.
    """

    parameter: str
    value: float
    values: tuple[float, ...]
    rise: tuple[float, ...]
    interval: tuple[float | None, float | None]
    level: float
    open_sides: tuple[str, ...]


def profile(fit: Fit, parameter: str, *, n_points: int = N_POINTS) -> Profile:
    """Profile one parameter of a fit, all points at once.

    Args:
        fit: the fit; its data is used again.
        parameter: name of a fitted parameter.
        n_points: points on the curve.

    Raises:
        InputError: the parameter is given, not fitted, or unknown to the law.
    """
    fit.law.parameter(parameter)
    coordinates = Coordinates(fit.law)
    k = coordinates.index[coordinates.names.index(parameter)]
    if k is None:
        raise InputError(f"{parameter} was given, not fitted: no profile", where=parameter)
    o = fit.observations
    problem = Problem(coordinates, as_inputs(dict(o.x)), np.log(o.loss), weights=o.weights)
    best = coordinates.inward(np.array(list(fit.values.values())))
    with one_thread():
        curved = identify.curvature(problem, best, o.run, fit.estimator.delta)
        grid = _grid(problem, best, k, float(curved.standard_error[k]), n_points)
        value = _held(problem, best, k, grid, fit)
    base = float(problem.objective(best[None], np.zeros(1, np.intp), fit.estimator.delta)[0])
    residual = problem.residuals(best)
    threshold = 0.5 * _chi2(fit.level) * identify.dispersion(residual, fit.estimator.delta)
    threshold *= (
        _widening(
            float(curved.standard_error[k]),
            float(curved.independent_error[k]),
            few_runs=fit.n_runs < _RUNS_A_COORDINATE * coordinates.n_free,
        )
        ** 2
    )
    rise = (value - base) / threshold
    low, high = _crossing(grid, rise, best[k], -1), _crossing(grid, rise, best[k], +1)
    free = coordinates.free[k]

    def natural(x: Any) -> Any:
        return np.exp(x) if free.transform == "log" else x

    return Profile(
        parameter=parameter,
        value=float(natural(best[k])),
        values=tuple(map(float, natural(grid))),
        rise=tuple(map(float, rise)),
        interval=(
            None if low is None else float(natural(low)),
            None if high is None else float(natural(high)),
        ),
        level=fit.level,
        open_sides=tuple(s for s, end in (("low", low), ("high", high)) if end is None),
    )


def _widening(by_run: float, by_row: float, *, few_runs: bool) -> float:
    """How much wider a standard error is by run than by row; few runs never make it narrower."""
    if not (by_row > 0 and math.isfinite(by_run)):
        return 1.0
    ratio = by_run / by_row
    return max(ratio, 1.0) if few_runs else ratio


def _grid(problem: Problem, best: FloatArray, k: int, error: float, n_points: int) -> FloatArray:
    """Points around the optimum, as far as standard error and bounds let look."""
    coordinates = problem.coordinates
    width = coordinates.start_high[k] - coordinates.start_low[k]
    reach = float(np.clip(_REACH * error, 1e-6 * width, _WIDEST * width))
    low = max(best[k] - reach, coordinates.low[k])
    high = min(best[k] + reach, coordinates.high[k])
    half = max(n_points // 2, 2)
    below = np.linspace(low, best[k], half + 1)[:-1] if low < best[k] else np.empty(0)
    above = np.linspace(best[k], high, half + 1)[1:] if high > best[k] else np.empty(0)
    return np.concatenate([below, [best[k]], above])


def _held(problem: Problem, best: FloatArray, k: int, grid: FloatArray, fit: Fit) -> FloatArray:
    """The objective with coordinate ``k`` held at each grid point, the others free."""
    theta = np.tile(best, (len(grid), 1))
    theta[:, k] = grid
    held = np.zeros(len(best), dtype=bool)
    held[k] = True
    *wide, last = fit.estimator.stages()
    for delta in wide:
        theta = minimise(problem, theta, delta=delta, held=held, tolerance=1e-6, mu=0.1).theta
    return polish(problem, theta, delta=last, held=held).value


def _crossing(grid: FloatArray, rise: FloatArray, best: float, side: int) -> float | None:
    """Where the rise reaches 1 on one side; its square root is taken as linear between points."""
    on_side = grid >= best if side > 0 else grid <= best
    x, y = grid[on_side], np.sqrt(np.maximum(rise[on_side], 0.0))
    if side < 0:
        x, y = x[::-1], y[::-1]
    beyond = np.flatnonzero(y >= 1.0)
    if not len(beyond):
        return None
    i = int(beyond[0])
    if i == 0:
        return float(x[0])
    return float(x[i - 1] + (1.0 - y[i - 1]) / (y[i] - y[i - 1]) * (x[i] - x[i - 1]))


def _chi2(level: float) -> float:
    """Quantile of chi-squared with one degree of freedom: the square of a normal quantile."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + level / 2) ** 2 if level < 1 else math.inf
