"""How far the parameters move when the data is drawn again: bootstrap refits, all at once.

- ``run`` (the default): whole runs are drawn, because points of one run are correlated;
- ``pairs``: single rows are drawn;
- ``wild``: rows stay, and the log residuals of each run keep or change their sign (Wu 1986, by
  cluster as Cameron, Gelbach and Miller 2008).

A resample is a row of weights or of targets over the same arrays: nothing is copied. Every refit
starts where the tangent of the law at the optimum of the full data has its own optimum, and from a
rival optimum of the full data if that wins in a tenth of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.fitting.identify import open_coordinates
from atlas_scaling.fitting.objective import Estimator, Problem
from atlas_scaling.fitting.refine import refine
from atlas_scaling.fitting.solver import Descendable, Solution, minimise, values_at
from atlas_scaling.fitting.tangent import Tangent
from atlas_scaling.laws.base import FloatArray

RESAMPLES: Final = ("run", "pairs", "wild")

TOLERANCE: Final = 1e-8
"""Refits stop when less than this share of the objective is to gain: far below sampling error."""

NEAR: Final = 1e-5
"""The same for the tangents that lead there."""

FEW_UNITS: Final = 30
"""Of more runs than this a resample hardly ever lacks those that tell a parameter."""

_RIVALS: Final = 3
_PILOT: Final = 20


@dataclass(frozen=True, slots=True)
class Draws:
    """Refits on resamples.

    Attributes:
        theta: free coordinates of the refits that converged, (R, p).
        value: their objectives, (R,).
        failed: refits that did not converge and are left out.
        resample: how the data was drawn.
        lost: share of the resamples whose rows leave a coordinate open, (p,): refits stay where
            they began then, which says nothing. None where rows stay.
    """

    theta: FloatArray
    value: FloatArray
    failed: int
    resample: str
    lost: FloatArray | None = None


def bootstrap(
    problem: Problem,
    best: FloatArray,
    unit: NDArray[np.intp],
    *,
    n: int,
    resample: str,
    estimator: Estimator,
    seed: int,
    rivals: FloatArray | None = None,
) -> Draws:
    """Refit ``n`` times.

    Args:
        problem: the law on the full data.
        best: its optimum, (p,).
        unit: the run of each row, (n_rows,).
        n: number of resamples.
        resample: ``run``, ``pairs`` or ``wild``.
        estimator: what is minimised.
        seed: of the draws.
        rivals: other optima to start from, best first, (q, p).

    Raises:
        InputError: ``resample`` is unknown, or there is one run only.
    """
    drawn = resampled(problem, best, unit, n=n, resample=resample, seed=seed)
    every = np.arange(n)

    def refits(start: FloatArray, rows: NDArray[np.intp]) -> Solution:
        return refitted(drawn, Tangent(drawn, start), start, rows, estimator)

    solution = refits(best, every)
    for rival in () if rivals is None else rivals[:_RIVALS]:
        pilot = every[: max(_PILOT, n // 10)]
        won = refits(rival, pilot).value < solution.value[pilot] * (1.0 - 1e-6)
        if won.any():
            solution = solution.lower(refits(rival, every))
    good = solution.converged & np.isfinite(solution.value)
    n_failed = int((~good).sum())
    lost = _lost(drawn, best) if resample == "run" else None
    return Draws(solution.theta[good], solution.value[good], n_failed, resample, lost)


def _lost(drawn: Problem, best: FloatArray) -> FloatArray | None:
    """Share of resamples by run that leave each coordinate open, (p,)."""
    if drawn.counts is None or drawn.counts.shape[1] > FEW_UNITS:
        return None
    unit = np.arange(drawn.n_rows) if drawn.unit is None else drawn.unit
    J = drawn.log_jacobian(best[None])[1][0]
    of_unit = np.array([J[:, unit == u] @ J[:, unit == u].T for u in range(drawn.counts.shape[1])])
    if drawn.prior is not None:
        of_unit += np.diag((drawn.prior.precision > 0) * np.trace(of_unit.sum(axis=0)))
    seen = (drawn.counts > 0).astype(np.float64)
    share: FloatArray = open_coordinates(np.tensordot(seen, of_unit, axes=1)).mean(axis=0)
    return share


def refitted(
    problem: Descendable,
    tangent: Descendable,
    start: FloatArray,
    rows: NDArray[np.intp],
    estimator: Estimator,
) -> Solution:
    """Refit resamples ``rows`` of ``problem`` from ``start`` (p,), by way of its tangent there."""
    deltas = estimator.stages()
    here = np.tile(start, (len(rows), 1))
    ahead = minimise(
        tangent, here, rows, delta=deltas[-1], tolerance=NEAR, max_iterations=60, mu=0.1
    ).theta
    there, now = (values_at(problem, theta, rows, deltas[-1]) for theta in (ahead, here))
    theta = np.where((there < now)[:, None], ahead, here)
    return refine(problem, theta, rows, deltas=deltas, tolerance=TOLERANCE)


def resampled(
    problem: Problem,
    best: FloatArray,
    unit: NDArray[np.intp],
    *,
    n: int,
    resample: str,
    seed: int,
) -> Problem:
    """``problem`` with ``n`` resamples of its data.

    Raises:
        InputError: there are fewer than two units, or ``resample`` is unknown.
    """
    present, unit = np.unique(unit, return_inverse=True)
    n_units = problem.n_rows if resample == "pairs" else len(present)
    if n_units < 2:
        raise InputError(
            "intervals need more than one run: points of one run are not independent",
            value=n_units,
            where=f"resample={resample}",
            remedy="add runs, or resample='pairs' if the points are independent",
        )
    drawn = draw(n_units, n, resample, seed)
    return redrawn(problem, best, drawn, None if n_units == problem.n_rows else unit, resample)


def draw(n_units: int, n: int, resample: str, seed: int | Sequence[int]) -> FloatArray:
    """How often each unit is drawn, or its signs where ``wild``, in each resample, (n, n_units).

    Raises:
        InputError: ``resample`` is unknown.
    """
    if resample not in RESAMPLES:
        raise unknown("there is no such way to resample", resample, RESAMPLES, where="resample")
    rng = np.random.Generator(np.random.PCG64(seed))
    if resample == "wild":
        return rng.choice(np.array([-1.0, 1.0]), size=(n, n_units))
    return rng.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=n).astype(np.float64)


def redrawn(
    problem: Problem,
    best: FloatArray,
    drawn: FloatArray,
    unit: NDArray[np.intp] | None,
    resample: str,
) -> Problem:
    """``problem`` with the resamples that ``drawn`` (n, n_units) says.

    Args:
        problem: the law on the full data.
        best: its optimum, (p,).
        drawn: counts or signs of the units.
        unit: the unit of each row, (n_rows,); None where every row is one.
        resample: ``run``, ``pairs`` or ``wild``.
    """
    if resample == "wild":
        log_fitted = problem.log_prediction(best[None])[0]
        targets = log_fitted + (problem.log_loss - log_fitted) * (
            drawn if unit is None else drawn[:, unit]
        )
        return Problem(
            problem.coordinates, problem.x, targets, weights=problem.weights, prior=problem.prior
        )
    return Problem(
        problem.coordinates,
        problem.x,
        problem.log_loss,
        weights=problem.weights,
        counts=drawn,
        unit=unit,
        prior=problem.prior,
    )
