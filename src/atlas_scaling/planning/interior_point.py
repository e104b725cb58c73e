"""Primal-dual interior-point solver for mixtures: many cases at once, each to its optimum.

Minimises over ``v = log N``, shares w that sum to 1, and for a minimax objective the level z::

    mean       sum_t omega_t L_t(v, w)
    minimax    z  with  z - L_t(v, w) + r_t >= 0  for all t

within bounds of w and v and limits on tokens of a language. With slacks c and multipliers y the
iterates follow ``y c = mu`` as mu goes to 0 (Nocedal & Wright 2006, ch. 19): Newton's step on these
equations, with slacks as variables of their own (Boyd & Vandenberghe 2004, 11.7). For a convex
problem the answer lies within ``m mu`` of the optimum, m constraints. Where several mixtures are
equally good it takes the one in the middle, so equal languages get equal shares. Nothing in it is
random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.planning.allocation_problem import FloatArray, Problem

GAP_END: Final = 1e-10
"""Mean of multiplier times slack at an optimum."""

MAX_STEPS: Final = 150
TO_BOUNDARY: Final = 0.995
CENTRING: Final = 0.1
STATIONARY: Final = 1e-6
"""Largest entry of the Lagrangian's gradient at an optimum, in nats a unit of share or of log N."""

ON_SLACK: Final = 1e-9
"""Largest difference between a slack and its variable at an optimum, in nats."""

GROWTH: Final = 3.0
"""A step may let the residual grow by this factor: full steps pass quickly where levels bend, and
to insist on a fall at each makes many short ones of them."""

_HALVINGS: Final = 30
_ROUNDING: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Constraints:
    """What a solution may be.

    Attributes:
        low, high: bounds of shares, (n,); ``low < high``.
        v: bounds of log N, (R, 2); None where N is fixed.
        max_tokens: most tokens of each language, (n,), infinite where there is no limit.
    """

    low: FloatArray
    high: FloatArray
    v: FloatArray | None
    max_tokens: FloatArray | None = None

    def rows(self, index: NDArray[np.intp]) -> Constraints:
        """The cases ``index``."""
        v = None if self.v is None else self.v[index]
        return Constraints(self.low, self.high, v, self.max_tokens)


@dataclass(frozen=True, eq=False)
class Objective:
    """What is minimised.

    Attributes:
        weights: omega, (R, T), for the weighted mean; None for minimax.
        offsets: r, (R, T), for minimax.
    """

    weights: FloatArray | None = None
    offsets: FloatArray | None = None

    def rows(self, index: NDArray[np.intp]) -> Objective:
        """The cases ``index``, repeated as it says."""
        return Objective(
            None if self.weights is None else self.weights[index],
            None if self.offsets is None else self.offsets[index],
        )

    def value(self, losses: FloatArray) -> FloatArray:
        """The objective at ``losses`` (..., T)."""
        if self.weights is not None:
            return np.asarray((self.weights * losses).sum(axis=-1))
        assert self.offsets is not None
        return np.asarray((losses - self.offsets).max(axis=-1))


@dataclass(frozen=True, eq=False)
class Solution:
    """Optima of R cases.

    Attributes:
        v, w: log N, (R,), and shares, (R, n).
        objective: (R,).
        weights: what a unit of each target's loss adds to the objective, (R, T); for a minimax the
            targets that bind have a weight, and they sum to 1.
        pressure: change of the objective for a unit of share forced on a language, (R, n).
        converged: (R,).
        steps: of the slowest case.
    """

    v: FloatArray
    w: FloatArray
    objective: FloatArray
    weights: FloatArray
    pressure: FloatArray
    converged: NDArray[np.bool_]
    steps: int

    def rows(self, index: NDArray[np.intp]) -> Solution:
        """The cases ``index``."""
        return Solution(
            v=self.v[index],
            w=self.w[index],
            objective=self.objective[index],
            weights=self.weights[index],
            pressure=self.pressure[index],
            converged=self.converged[index],
            steps=self.steps,
        )


def minimise(
    problem: Problem,
    objective: Objective,
    constraints: Constraints,
    *,
    v: FloatArray,
    w: FloatArray,
    mu: float = 1e-2,
) -> Solution:
    """Solve every case of ``problem`` from a strictly feasible start.

    Args:
        problem: R cases.
        objective: of all cases.
        constraints: of all cases.
        v: where log N starts, (R,).
        w: where shares start, (R, n).
        mu: where the path starts; smaller for a start near the optimum.
    """
    system = _System(problem, objective, constraints)
    x = system.start(v, w)
    c = system.slacks(x, problem.losses(v, w))
    y = mu / c
    converged = np.zeros(len(v), dtype=bool)
    running = np.arange(len(v))
    here = _Point.of(system, x, y, c)
    steps = 0
    while len(running) and steps < MAX_STEPS:
        steps += 1
        here, stuck = _step(here)
        x[running], y[running] = here.x, here.y
        ended = here.at_optimum()
        converged[running[ended]] = True
        left = np.flatnonzero(~ended & ~stuck)
        if len(left) < len(running):
            running, here = running[left], here.rows(left)
    v, w = x[:, 0].copy(), x[:, 1:-1].copy()
    return Solution(
        v=v,
        w=w,
        objective=objective.value(problem.losses(v, w)),
        weights=system.weights(y),
        pressure=_pressure(system, x, y),
        converged=converged,
        steps=steps,
    )


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Bounds of different entries of x: ``c = sign (x - at)``."""

    entries: NDArray[np.intp]
    sign: float
    at: FloatArray


@dataclass(frozen=True, eq=False)
class _System:
    """One problem's equations. ``x = (v, w, z)`` is (R, n + 2), slacks c and multipliers y (R, m).

    Slacks come in three blocks: ``bounds``, each of one entry of x; ``limits``, of a language's
    tokens; ``levels``, z above each loss. z is held at its start for a mean, and v where N is
    fixed: their rows of the matrix are those of the identity.
    """

    problem: Problem
    objective: Objective
    constraints: Constraints

    @cached_property
    def bounds(self) -> tuple[_Bounds, ...]:
        """Shares above ``low`` and below ``high``, v above and below its bounds."""
        limits = self.constraints
        shares = np.arange(1, self.problem.n_languages + 1)
        capped = limits.high < 1
        groups = [_Bounds(shares, 1.0, limits.low)]
        if capped.any():
            groups.append(_Bounds(shares[capped], -1.0, limits.high[capped]))
        if limits.v is not None:
            log_n = np.zeros(1, dtype=np.intp)
            groups.append(_Bounds(log_n, 1.0, limits.v[:, :1]))
            groups.append(_Bounds(log_n, -1.0, limits.v[:, 1:]))
        return tuple(groups)

    @cached_property
    def n_bounds(self) -> int:
        """How many bounds there are."""
        return sum(len(group.entries) for group in self.bounds)

    @cached_property
    def limited(self) -> NDArray[np.intp]:
        """Languages with a limit of tokens."""
        limits = self.constraints.max_tokens
        return np.flatnonzero(np.isfinite(limits)) if limits is not None else np.arange(0)

    @property
    def n_before_levels(self) -> int:
        """Bounds and limits come first."""
        return self.n_bounds + len(self.limited)

    def rows(self, index: NDArray[np.intp]) -> _System:
        """The cases ``index``."""
        if len(index) == len(self.problem.flops):
            return self
        return _System(
            self.problem.rows(index), self.objective.rows(index), self.constraints.rows(index)
        )

    def start(self, v: FloatArray, w: FloatArray) -> FloatArray:
        """``(v, w, z)`` with z above every level."""
        z = np.zeros_like(v)
        if self.objective.offsets is not None:
            gap = self.problem.losses(v, w) - self.objective.offsets
            z = gap.max(axis=1) + np.maximum(0.1 * np.ptp(gap, axis=1), 1e-3)
        return np.column_stack([v, w, z])

    def slacks(self, x: FloatArray, losses: FloatArray) -> FloatArray:
        """c, (R, m)."""
        blocks = [group.sign * (x[:, group.entries] - group.at) for group in self.bounds]
        if len(self.limited):
            assert self.constraints.max_tokens is not None
            D = self.problem.tokens_at(x[:, 0])[0][:, None]
            blocks.append(
                1 - x[:, self.limited + 1] * D / self.constraints.max_tokens[self.limited]
            )
        if self.objective.offsets is not None:
            blocks.append(x[:, -1:] - losses + self.objective.offsets)
        return np.concatenate(blocks, axis=1)

    def weights(self, y: FloatArray) -> FloatArray:
        """What a unit of each loss adds to the objective, (R, T)."""
        if self.objective.weights is not None:
            return self.objective.weights
        return y[:, self.n_before_levels :]

    def linearise(self, x: FloatArray, y: FloatArray) -> _Linear:
        """Slacks, objective and Lagrangian to second order at ``(x, y)``."""
        R, dim = x.shape
        losses = self.problem.expand(x[:, 0], x[:, 1:-1])
        slopes = losses.gradients()
        weights = self.weights(y)
        slope, curvature = np.zeros((R, dim)), np.zeros((R, dim, dim))
        curvature[:, :-1, :-1] = losses.hessian(weights)
        if self.objective.offsets is None:
            slope[:, :-1] = np.matmul(weights[:, None, :], slopes)[:, 0]
            curvature[:, -1, -1] = 1.0
        else:
            slope[:, -1] = 1.0
        by_v, by_w = self._limit_slopes(x, y, curvature)
        return _Linear(
            system=self,
            slacks=self.slacks(x, losses.loss),
            slope=slope,
            curvature=curvature,
            levels=slopes if self.objective.offsets is not None else slopes[:, :0],
            by_v=by_v,
            by_w=by_w,
        )

    def _limit_slopes(
        self, x: FloatArray, y: FloatArray, curvature: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Slopes of ``w_l D / M_l`` in v and w_l; its curvature goes into the Lagrangian's."""
        chosen = self.limited
        if not len(chosen):
            return np.zeros((len(x), 0)), np.zeros((len(x), 0))
        assert self.constraints.max_tokens is not None
        M, w = self.constraints.max_tokens[chosen], x[:, chosen + 1]
        D, D1, D2 = (part[:, None] / M for part in self.problem.tokens_at(x[:, 0]))
        own = y[:, self.n_bounds : self.n_before_levels]
        curvature[:, 0, 0] += (own * w * D2).sum(axis=1)
        curvature[:, 0, chosen + 1] += own * D1
        curvature[:, chosen + 1, 0] += own * D1
        return w * D1, np.array(np.broadcast_to(D, w.shape))


_ARRAYS: Final = ("slacks", "slope", "curvature", "levels", "by_v", "by_w")


@dataclass(frozen=True, eq=False)
class _Linear:
    """``_System`` about one point."""

    system: _System
    slacks: FloatArray
    slope: FloatArray
    curvature: FloatArray
    levels: FloatArray
    by_v: FloatArray
    by_w: FloatArray

    def rows(self, index: NDArray[np.intp]) -> _Linear:
        """The cases ``index``."""
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return _Linear(self.system.rows(index), **arrays)

    def put(self, index: NDArray[np.intp], other: _Linear) -> None:
        """Take over the cases of ``other`` as the cases ``index``."""
        for name in _ARRAYS:
            getattr(self, name)[index] = getattr(other, name)

    def times(self, dx: FloatArray) -> FloatArray:
        """How c moves with dx, (R, m)."""
        blocks = [group.sign * dx[:, group.entries] for group in self.system.bounds]
        if self.by_w.shape[1]:
            blocks.append(-self.by_v * dx[:, :1] - self.by_w * dx[:, self.system.limited + 1])
        if self.levels.shape[1]:
            blocks.append(dx[:, -1:] - np.matmul(self.levels, dx[:, :-1, None])[..., 0])
        return np.concatenate(blocks, axis=1)

    def transposed(self, u: FloatArray) -> FloatArray:
        """``sum_i u_i grad c_i``, (R, n + 2)."""
        on_bounds, on_limits, on_levels = self._blocks(u)
        total = np.zeros_like(self.slope)
        for group, own in self._by_group(on_bounds):
            total[:, group.entries] += group.sign * own
        if on_limits.shape[1]:
            total[:, 0] -= (on_limits * self.by_v).sum(axis=1)
            total[:, self.system.limited + 1] -= on_limits * self.by_w
        if on_levels.shape[1]:
            total[:, -1] += on_levels.sum(axis=1)
            total[:, :-1] -= np.matmul(on_levels[:, None, :], self.levels)[:, 0]
        return total

    def matrix(self, u: FloatArray) -> FloatArray:
        """Curvature of the Lagrangian plus ``sum_i u_i grad c_i grad c_i'``, (R, n + 2, n + 2)."""
        on_bounds, on_limits, on_levels = self._blocks(u)
        H = self.curvature.copy()
        for group, own in self._by_group(on_bounds):
            H[:, group.entries, group.entries] += own
        if on_limits.shape[1]:
            at = self.system.limited + 1
            H[:, 0, 0] += (on_limits * self.by_v**2).sum(axis=1)
            H[:, at, at] += on_limits * self.by_w**2
            border = on_limits * self.by_v * self.by_w
            H[:, 0, at] += border
            H[:, at, 0] += border
        if on_levels.shape[1]:
            scaled = self.levels * np.sqrt(on_levels)[..., None]
            H[:, :-1, :-1] += np.matmul(scaled.transpose(0, 2, 1), scaled)
            border = -np.matmul(on_levels[:, None, :], self.levels)[:, 0]
            H[:, -1, :-1] += border
            H[:, :-1, -1] += border
            H[:, -1, -1] += on_levels.sum(axis=1)
        if self.system.constraints.v is None:
            H[:, 0, :], H[:, :, 0] = 0.0, 0.0
            H[:, 0, 0] = 1.0
        return H

    def gradient(self, u: FloatArray) -> FloatArray:
        """Of the objective less ``sum_i u_i c_i``; that of v is 0 where N is fixed."""
        gradient = self.slope - self.transposed(u)
        if self.system.constraints.v is None:
            gradient[:, 0] = 0.0
        return gradient

    def _blocks(self, u: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        first, second = self.system.n_bounds, self.system.n_before_levels
        return u[:, :first], u[:, first:second], u[:, second:]

    def _by_group(self, u: FloatArray) -> Iterator[tuple[_Bounds, FloatArray]]:
        start = 0
        for group in self.system.bounds:
            yield group, u[:, start : start + len(group.entries)]
            start += len(group.entries)


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the iteration stands in R cases: x, multipliers y, slacks c, the system about there."""

    x: FloatArray
    y: FloatArray
    c: FloatArray
    at: _Linear

    @classmethod
    def of(cls, system: _System, x: FloatArray, y: FloatArray, c: FloatArray) -> _Point:
        """The point at ``(x, y, c)``."""
        return cls(x, y, c, system.linearise(x, y))

    @property
    def off(self) -> FloatArray:
        """What the slacks carried along lack of those at x, (R, m)."""
        return np.asarray(self.at.slacks - self.c)

    @property
    def gap(self) -> FloatArray:
        """Mean of ``y c``, (R,)."""
        return np.asarray((self.y * self.c).mean(axis=1))

    def residual(self, mu: FloatArray) -> FloatArray:
        """Norm of the equations that hold on the path at ``mu``, (R,); infinite off the domain."""
        with np.errstate(invalid="ignore", over="ignore"):
            uneven = np.square(self.y * self.c - mu[:, None]).sum(axis=1)
            sloped = np.square(_tangential(self.at.gradient(self.y))).sum(axis=1)
            norm = np.sqrt(uneven + sloped + np.square(self.off).sum(axis=1))
        return np.where(np.isfinite(norm), norm, np.inf)

    def at_optimum(self) -> NDArray[np.bool_]:
        """Which cases have ended."""
        far = np.abs(_tangential(self.at.gradient(self.y))).max(axis=1)
        off = np.abs(self.off).max(axis=1)
        return np.asarray((self.gap <= GAP_END) & (far <= STATIONARY) & (off <= ON_SLACK))

    def rows(self, index: NDArray[np.intp]) -> _Point:
        """The cases ``index``."""
        return _Point(self.x[index], self.y[index], self.c[index], self.at.rows(index))

    def put(self, index: NDArray[np.intp], other: _Point) -> None:
        """Take over the cases of ``other`` as the cases ``index``."""
        self.x[index], self.y[index], self.c[index] = other.x, other.y, other.c
        self.at.put(index, other.at)


def _step(here: _Point) -> tuple[_Point, NDArray[np.bool_]]:
    """One step of each case, and which cases cannot get on.

    Aims at a tenth of the gap (Boyd & Vandenberghe 2004, 11.7); the step is shortened where the
    residual of that aim would grow much.
    """
    at, y, c = here.at, here.y, here.c
    # a gap that runs ahead of the slacks' own equations would pin the step to the boundary
    lacking = np.abs(y * here.off).mean(axis=1)
    mu = np.maximum(CENTRING * (here.gap + lacking), 0.1 * GAP_END)
    target = mu[:, None] / c
    dx = _direction(at.gradient(target - y / c * here.off), at.matrix(y / c))
    dc = at.times(dx) + here.off
    dy = target - y - y / c * dc
    length = np.minimum(1.0, TO_BOUNDARY * np.minimum(_room(c, dc), _room(y, dy)))[:, None]
    most = GROWTH * np.maximum(here.residual(mu), _ROUNDING)
    there = _Point.of(at.system, here.x + length * dx, y + length * dy, c + length * dc)
    refused = np.flatnonzero(~(there.residual(mu) <= most))
    for _ in range(_HALVINGS):
        if not len(refused):
            break
        length[refused] /= 2
        by = length[refused]
        again = _Point.of(
            at.system.rows(refused),
            here.x[refused] + by * dx[refused],
            y[refused] + by * dy[refused],
            c[refused] + by * dc[refused],
        )
        there.put(refused, again)
        refused = refused[~(again.residual(mu[refused]) <= most[refused])]
    stuck = np.zeros(len(mu), dtype=bool)
    stuck[refused] = True
    return there, stuck


def _direction(gradient: FloatArray, matrix: FloatArray) -> FloatArray:
    """Newton direction along ``sum dw = 0``, the matrix lifted where it would lead uphill."""
    along = np.zeros(gradient.shape[1])
    along[1:-1] = 1.0
    scale = np.abs(np.einsum("rii->ri", matrix))
    diagonal = np.arange(gradient.shape[1])
    lift = np.zeros(len(gradient))
    step = np.zeros_like(gradient)
    todo = np.arange(len(gradient))
    while len(todo):
        H = matrix[todo]
        H[:, diagonal, diagonal] += lift[todo, None] * scale[todo]
        sides = np.stack([gradient[todo], np.broadcast_to(along, gradient[todo].shape)], axis=-1)
        solved = np.linalg.solve(H, sides)
        free, fixed = solved[..., 0], solved[..., 1]
        step[todo] = ((free @ along) / (fixed @ along))[:, None] * fixed - free
        uphill = ~((gradient[todo] * step[todo]).sum(axis=1) <= 0)
        todo = todo[uphill]
        lift[todo] = np.maximum(1e-3, 10 * lift[todo])
    return step


def _room(c: FloatArray, dc: FloatArray) -> FloatArray:
    """The longest step that keeps ``c + step dc`` at or above 0, (R,)."""
    return np.asarray(1 / np.maximum(np.max(-dc / c, axis=1), 1e-300))


def _tangential(gradient: FloatArray) -> FloatArray:
    """The gradient along shares that keep their sum."""
    gradient = gradient.copy()
    gradient[:, 1:-1] -= gradient[:, 1:-1].mean(axis=1, keepdims=True)
    return gradient


def _pressure(system: _System, x: FloatArray, y: FloatArray) -> FloatArray:
    """Slope of the objective in each share over that of the shares that are free, (R, n)."""
    losses = system.problem.expand(x[:, 0], x[:, 1:-1])
    slope = np.matmul(system.weights(y)[:, None, :], losses.gradients())[:, 0, 1:]
    limits = system.constraints
    room = np.minimum(x[:, 1:-1] - limits.low, limits.high - x[:, 1:-1])
    return np.asarray(slope - ((room * slope).sum(axis=1) / room.sum(axis=1))[:, None])
