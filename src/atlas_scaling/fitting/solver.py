"""Levenberg-Marquardt on Huber's function, for many problems in step.

Each iteration solves ``(H_newton + mu H_irls) s = -g`` for all problems that are not done.
``H_newton`` alone is Newton's step for the piecewise quadratic objective; adding ``H_irls``, the
majoriser, turns it into the cautious reweighted-least-squares step. Damping by a matrix of the
problem rather than by its diagonal makes the path independent of how parameters are scaled and
correlated, so nothing needs to be centred. Problems that are done are dropped from the batch.

Huber's delta goes from wide to narrow (0.3 ... delta): at a wide delta the objective is least
squares, which has few minima.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import Local
from atlas_scaling.laws.base import FloatArray

BLOCK_BYTES: Final = 2_000_000
"""Size of one (problems, parameters, rows) block; a few fit into a core's cache."""

_RIDGE: Final = 1e-10
MU_MIN: Final = 1e-9
MU_MAX: Final = 1e9
_NOISE: Final = 1e-28
_ROUNDING: Final = 1e-16


class Box(Protocol):
    """Where coordinates may go: bounds and start ranges, each (p,)."""

    low: FloatArray
    high: FloatArray
    start_low: FloatArray
    start_high: FloatArray


class Descendable(Protocol):
    """What the solver needs of a problem."""

    n_rows: int

    @property
    def coordinates(self) -> Box:
        """Bounds and start ranges."""

    @property
    def bytes_per_problem(self) -> int:
        """Size of the largest array that one problem of a batch needs."""

    def objective(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> FloatArray:
        """The objective at ``theta`` (B, p) for problems of resamples ``rows`` (B,)."""

    def local(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> Local:
        """The objective around ``theta``."""

    def bend(
        self,
        theta: FloatArray,
        step: FloatArray,
        rows: NDArray[np.intp],
        delta: float,
        mu: FloatArray,
    ) -> FloatArray:
        """How the law bends along ``step``, as a gradient (B, p)."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Where B problems ended. Axes: B problems, p coordinates.

    ``at`` is the objective around those points, where the descent still has it.
    """

    theta: FloatArray  # B, p
    value: FloatArray  # B
    converged: NDArray[np.bool_]  # B
    iterations: NDArray[np.intp]  # B
    at: Local | None = None

    def replaced(self, index: NDArray[np.intp], other: Solution) -> Solution:
        """With problems ``index`` as in ``other``, where that is better or has converged."""
        better = (other.value < self.value[index]) | (other.converged & ~self.converged[index])
        kept = index[better]
        theta, value = self.theta.copy(), self.value.copy()
        converged, iterations = self.converged.copy(), self.iterations.copy()
        theta[kept], value[kept] = other.theta[better], other.value[better]
        converged[kept], iterations[kept] = other.converged[better], other.iterations[better]
        return Solution(theta, value, converged, iterations)

    def lower(self, other: Solution) -> Solution:
        """Of two solutions of the same problems the better one, problem by problem."""
        index = np.flatnonzero(other.value < self.value)
        return self.replaced(index, other.take(index))

    def ordered(self) -> Solution:
        """Best first."""
        order = np.argsort(self.value, kind="stable")
        return self.take(order)

    def take(self, index: NDArray[np.intp]) -> Solution:
        """Some of the problems."""
        return Solution(
            self.theta[index], self.value[index], self.converged[index], self.iterations[index]
        )


def minimise(
    problem: Descendable,
    theta: FloatArray,
    rows: NDArray[np.intp] | None = None,
    *,
    delta: float,
    tolerance: float = 1e-13,
    max_iterations: int = 200,
    held: NDArray[np.bool_] | None = None,
    mu: float = 1.0,
) -> Solution:
    """Descend from every row of ``theta``, in blocks that fit the cache.

    Args:
        problem: law, data and weights.
        theta: starting points, (B, p).
        rows: the resample each problem belongs to, (B,); all 0 where None.
        delta: Huber's delta.
        tolerance: stop when the decrease still to be gained is below this share of the objective.
        max_iterations: stop there, not converged.
        held: coordinates that stay where they are, (p,) or (B, p); for profiles.
        mu: first damping; 1 is cautious, 0.01 trusts the start.
    """
    B, p = theta.shape
    rows = np.zeros(B, dtype=np.intp) if rows is None else rows
    fixed = np.zeros((B, p), dtype=bool) if held is None else np.broadcast_to(held, (B, p))
    size = max(1, BLOCK_BYTES // problem.bytes_per_problem)
    parts = [
        _minimise_block(
            problem,
            theta[i : i + size],
            rows[i : i + size],
            fixed[i : i + size],
            (delta, tolerance, max_iterations, mu),
        )
        for i in range(0, B, size)
    ]
    return Solution(
        np.concatenate([s.theta for s in parts]),
        np.concatenate([s.value for s in parts]),
        np.concatenate([s.converged for s in parts]),
        np.concatenate([s.iterations for s in parts]),
        joined([s.at for s in parts]),
    )


def _minimise_block(
    problem: Descendable,
    theta: FloatArray,
    rows: NDArray[np.intp],
    held: NDArray[np.bool_],
    control: tuple[float, float, int, float],
) -> Solution:
    delta, tolerance, max_iterations, first_mu = control
    coordinates = problem.coordinates
    low, high = coordinates.low, coordinates.high
    longest = 0.5 * (coordinates.start_high - coordinates.start_low)
    theta = np.clip(theta, low, high)
    B = len(theta)
    at = problem.local(theta, rows, delta)
    ended = Local(*(array.copy() for array in at))
    out = Solution(theta.copy(), np.full(B, np.inf), np.zeros(B, bool), np.zeros(B, np.intp), ended)
    active = np.flatnonzero(np.isfinite(at.value))
    if len(active) < B:
        theta, rows, held, at = theta[active], rows[active], held[active], taken(at, active)
    mu = np.full(len(active), first_mu)
    for iteration in range(max_iterations + 1):
        if not len(active):
            return out
        step, promised = damped_step(at, theta, mu, held, (low, high, longest))
        # a damped step promises less than there is to gain: about mu times less
        left = np.abs(promised) * np.maximum(mu, 1.0)
        done = left <= least_gain(at.value, tolerance, delta, problem.n_rows)
        stop = done | (mu > MU_MAX) | (iteration == max_iterations)
        if stop.any():
            k = active[stop]
            out.theta[k], out.value[k] = theta[stop], at.value[stop]
            out.converged[k], out.iterations[k] = done[stop], iteration
            for whole, part in zip(ended, at, strict=True):
                whole[k] = part[stop]
            on = np.flatnonzero(~stop)
            active, theta, rows, held = active[on], theta[on], rows[on], held[on]
            mu, at, step, promised = mu[on], taken(at, on), step[on], promised[on]
            if not len(on):
                return out
        trial = np.clip(theta + step, low, high)
        there = problem.local(trial, rows, delta)
        gained = at.value - there.value
        better = gained > 0
        theta = np.where(better[:, None], trial, theta)
        at = there if better.all() else chosen(better, there, at)
        mu = _adapted(mu, better, gained / np.maximum(promised, 1e-300))
    return out


def least_gain(value: FloatArray, tolerance: float, delta: float, n_rows: int) -> FloatArray:
    """The decrease below which a descent is done: a share of the objective, or its rounding error.

    Rounding of ``log L`` counts where a law fits to many digits: no step can then be seen to gain.
    A residual r has the slope min(r, delta); of all rows together at most sqrt(2 value rows).
    """
    slope = np.minimum(delta * n_rows, np.sqrt(2.0 * np.abs(value) * n_rows))
    return 0.5 * tolerance * value + _ROUNDING * slope + _NOISE * n_rows


def values_at(
    problem: Descendable, theta: FloatArray, rows: NDArray[np.intp], delta: float
) -> FloatArray:
    """The objective at ``theta`` (B, p), in blocks that fit the cache, (B,)."""
    size = max(1, 2 * BLOCK_BYTES // (8 * max(problem.n_rows, 1)))
    parts = [
        problem.objective(theta[i : i + size], rows[i : i + size], delta)
        for i in range(0, len(theta), size)
    ]
    return np.concatenate(parts)


# a step to where nothing is finite is not taken
@np.errstate(invalid="ignore", over="ignore")
def damped_step(
    at: Local,
    theta: FloatArray,
    mu: FloatArray,
    held: NDArray[np.bool_],
    limits: tuple[FloatArray, FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """The step of each problem and the decrease it promises, (B, p) and (B,).

    A coordinate that would cross its bound goes to the bound, and the others are solved for again
    with that displacement given.
    """
    low, high, longest = limits
    stays = held | ((theta <= low) & (at.gradient > 0)) | ((theta >= high) & (at.gradient < 0))
    M = at.H_newton + mu[:, None, None] * at.H_irls
    step = solved(M, at.gradient, ~stays)
    reached = theta + step
    crosses = (reached < low) | (reached > high)
    if crosses.any():
        given = np.where(crosses, np.clip(reached, low, high) - theta, 0.0)
        pull = at.gradient + np.einsum("bij,bj->bi", M, given)
        step = np.where(crosses, given, solved(M, pull, ~(stays | crosses)))
    ratio = np.max(np.abs(step) / longest, axis=1)
    step /= np.maximum(ratio, 1.0)[:, None]
    bend = np.einsum("bi,bij,bj->b", step, M, step)
    return step, -(at.gradient * step).sum(axis=1) - 0.5 * bend


@np.errstate(invalid="ignore", over="ignore")
def solved(M: FloatArray, gradient: FloatArray, moves: NDArray[np.bool_]) -> FloatArray:
    """``-M^-1 g`` over the coordinates that move, 0 for the others."""
    M = M * (moves[:, :, None] & moves[:, None, :])
    diagonal = np.einsum("bii->bi", M)
    # unit diagonal: the ridge then means the same for every coordinate
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    M *= scale[:, :, None] * scale[:, None, :]
    np.einsum("bii->bi", M)[:] = 1.0 + _RIDGE
    wanted = np.where(moves, -gradient, 0.0) * scale
    step: FloatArray = np.linalg.solve(M, wanted[:, :, None])[:, :, 0] * scale
    return step


def _adapted(mu: FloatArray, better: NDArray[np.bool_], quality: FloatArray) -> FloatArray:
    """More trust after a step that kept its promise, less after one that did not."""
    factor = np.where(quality > 0.8, 0.4, np.where(quality < 0.3, 2.0, 0.7))
    return np.maximum(mu * np.where(better, factor, 5.0), MU_MIN)


def taken(at: Local, index: NDArray[np.intp]) -> Local:
    """Some of the problems."""
    return Local(*(array[index] for array in at))


def joined(parts: Sequence[Local | None]) -> Local | None:
    """Problems of all parts; None where one of them is."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return Local(*(np.concatenate(arrays) for arrays in zip(*known, strict=True)))


def chosen(first: NDArray[np.bool_], a: Local, b: Local) -> Local:
    """Problem by problem ``a`` where ``first``, else ``b``."""
    return Local(
        np.where(first, a.value, b.value),
        np.where(first[:, None], a.gradient, b.gradient),
        np.where(first[:, None, None], a.H_newton, b.H_newton),
        np.where(first[:, None, None], a.H_irls, b.H_irls),
    )
