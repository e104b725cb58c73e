"""The last stretch to full precision, along narrow valleys where there are any.

Where the data hardly tells parameters apart the objective is a narrow, curved valley. A
Gauss-Newton step along it runs into the wall, so the solver crawls. Geodesic acceleration
(Transtrum and Sethna 2012) follows the bend: with the step ``v`` it takes the second derivative of
the law along ``v`` and goes to ``theta + t v + t^2 a / 2``, for the best of a few ``t``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import Local
from atlas_scaling.fitting.solver import (
    BLOCK_BYTES,
    MU_MAX,
    MU_MIN,
    Descendable,
    Solution,
    damped_step,
    least_gain,
    minimise,
    solved,
    taken,
)
from atlas_scaling.laws.base import FloatArray

FULL: Final = 1e-13
"""The share of the objective that may still be to gain when a descent is done."""

_PATH: Final = (1.0, 0.5, 0.25, 0.1)
_LARGEST_BEND: Final = 1.5
_DIRECT_ITERATIONS: Final = 25
_VALLEY_ITERATIONS: Final = 100


def refine(
    problem: Descendable,
    theta: FloatArray,
    rows: NDArray[np.intp],
    *,
    deltas: list[float],
    tolerance: float = FULL,
) -> Solution:
    """Descend from good starts, such as the optimum of the full data, to full precision.

    Most arrive directly at the last delta. Those that do not go once more through ``deltas``, wide
    to narrow.

    Args:
        problem: law, data and weights.
        theta: starting points, (B, p).
        rows: the resample each problem belongs to, (B,).
        deltas: Huber's deltas, wide to narrow.
        tolerance: share of the objective that may still be to gain.
    """
    direct = polish(problem, theta, rows, delta=deltas[-1], tolerance=tolerance)
    slow = np.flatnonzero(~direct.converged & np.isfinite(direct.value))
    if not len(slow) or len(deltas) == 1:
        return direct
    at = direct.theta[slow]
    for delta in deltas[:-1]:
        at = minimise(
            problem, at, rows[slow], delta=delta, tolerance=1e-6, max_iterations=40, mu=0.1
        ).theta
    again = polish(problem, at, rows[slow], delta=deltas[-1], tolerance=tolerance)
    return direct.replaced(slow, again)


def polish(
    problem: Descendable,
    theta: FloatArray,
    rows: NDArray[np.intp] | None = None,
    *,
    delta: float,
    held: NDArray[np.bool_] | None = None,
    tolerance: float = FULL,
) -> Solution:
    """Descend at one delta; what crawls goes on with geodesic acceleration.

    Args:
        problem: law, data and weights.
        theta: starting points, (B, p).
        rows: the resample each problem belongs to, (B,); all 0 where None.
        delta: Huber's delta.
        held: coordinates that stay where they are, (p,) or (B, p).
        tolerance: share of the objective that may still be to gain.
    """
    rows = np.zeros(len(theta), dtype=np.intp) if rows is None else rows
    stays = np.broadcast_to(False if held is None else held, theta.shape)
    direct = minimise(
        problem,
        theta,
        rows,
        delta=delta,
        tolerance=tolerance,
        max_iterations=_DIRECT_ITERATIONS,
        held=stays,
        mu=0.1,
    )
    slow = np.flatnonzero(~direct.converged & np.isfinite(direct.value))
    size = max(1, BLOCK_BYTES // problem.bytes_per_problem)
    at = direct.at
    assert at is not None
    for i in range(0, len(slow), size):
        part = slow[i : i + size]
        ended = _follow(problem, direct.theta[part], rows[part], stays[part], (delta, tolerance))
        direct = direct.replaced(part, ended)
        for whole, here in zip(
            at, problem.local(direct.theta[part], rows[part], delta), strict=True
        ):
            whole[part] = here
    return replace(direct, at=at)


def _follow(
    problem: Descendable,
    theta: FloatArray,
    rows: NDArray[np.intp],
    held: NDArray[np.bool_],
    control: tuple[float, float],
) -> Solution:
    """Levenberg-Marquardt with geodesic acceleration on one block of problems."""
    delta, tolerance = control
    c = problem.coordinates
    limits = (c.low, c.high, 0.5 * (c.start_high - c.start_low))
    at = problem.local(theta, rows, delta)
    B = len(theta)
    out = Solution(theta.copy(), at.value.copy(), np.zeros(B, bool), np.zeros(B, np.intp))
    active, mu = np.arange(B), np.full(B, 0.1)
    for iteration in range(1, _VALLEY_ITERATIONS + 1):
        step, promised = damped_step(at, theta, mu, held, limits)
        left = np.abs(promised) * np.maximum(mu, 1.0)
        done = left <= least_gain(at.value, tolerance, delta, problem.n_rows)
        bend = _acceleration(problem, at, theta, step, rows, held, delta, mu, limits)
        theta, t = _best_on_path(problem, at.value, theta, (step, bend), rows, delta, limits)
        at = problem.local(theta, rows, delta)
        factor = np.select([t >= 1.0, t >= 0.5, t > 0.0], [0.2, 0.5, 2.0], 10.0)
        mu = np.maximum(mu * factor, MU_MIN)
        stop = done | (mu > MU_MAX) | (iteration == _VALLEY_ITERATIONS)
        if stop.any():
            k = active[stop]
            out.theta[k], out.value[k] = theta[stop], at.value[stop]
            out.converged[k], out.iterations[k] = done[stop], iteration
            on = np.flatnonzero(~stop)
            if not len(on):
                break
            active, theta, rows, held = active[on], theta[on], rows[on], held[on]
            mu, at = mu[on], taken(at, on)
    return out


def _acceleration(
    problem: Descendable,
    at: Local,
    theta: FloatArray,
    step: FloatArray,
    rows: NDArray[np.intp],
    held: NDArray[np.bool_],
    delta: float,
    mu: FloatArray,
    limits: tuple[FloatArray, FloatArray, FloatArray],
) -> FloatArray:
    """The second-order part of the path along ``step``, 0 where it is not to be trusted, (B, p)."""
    low, high, longest = limits
    reached = theta + step
    moves = ~held & (reached > low) & (reached < high)
    M = at.H_newton + mu[:, None, None] * at.H_irls
    bend = solved(M, problem.bend(theta, step, rows, delta, mu), moves)
    length, allowed = (np.max(np.abs(v) / longest, axis=1) for v in (bend, step))
    trusted = np.isfinite(bend).all(axis=1) & (length <= _LARGEST_BEND * allowed)
    return np.where(trusted[:, None], bend, 0.0)


def _best_on_path(
    problem: Descendable,
    value: FloatArray,
    theta: FloatArray,
    path: tuple[FloatArray, FloatArray],
    rows: NDArray[np.intp],
    delta: float,
    limits: tuple[FloatArray, FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """The lowest of a few points on the path, and how far along it is; 0 where none is lower."""
    low, high, _ = limits
    step, bend = path
    best, where, along = value, theta, np.zeros(len(theta))
    for t in _PATH:
        trial = np.clip(theta + t * step + 0.5 * t * t * bend, low, high)
        there = problem.objective(trial, rows, delta)
        lower = there < best
        best = np.where(lower, there, best)
        where = np.where(lower[:, None], trial, where)
        along = np.where(lower, t, along)
    return where, along
