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

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.planning.allocation_problem import FloatArray, Problem
from atlas_scaling.planning.interior_system import Constraints, Linear, Objective, System

GAP_END: Final = 1e-10
"""Mean of multiplier times slack at an optimum."""

MAX_STEPS: Final = 150
TO_BOUNDARY: Final = 0.995
CENTRING: Final = 0.1
TILT: Final = 0.3
"""Share of what moving the shares would still gain that the gap is held at."""

STATIONARY: Final = 1e-6
"""Largest entry of the Lagrangian's gradient at an optimum, in nats a unit of share or of log N."""

ON_SLACK: Final = 1e-9
"""Largest difference between a slack and its variable at an optimum, in nats."""

NEAR: Final = 100.0
"""What cannot get on, or has taken all steps, is an optimum within this multiple of the above: the
objective is then known to a millionth of a nat."""

ATTEMPTS: Final = ((TILT, 3.0), (0.0, 3.0), (0.0, 10.0), (TILT, 1.5))
"""What is tried in turn on the cases that do not converge: tilt, and by which factor a step may let
the residual grow. Full steps pass quickly where levels bend, to insist on a fall at each makes many
short ones of them; but along a limit on text, which bends too, long steps may lead in circles."""

MOST_LIFT: Final = 1e12
"""Of the matrix, over its diagonal: the step is then down the gradient, and too short to matter."""

_HALVINGS: Final = 30
_ROUNDING: Final = 1e-12


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

    def put(self, index: NDArray[np.intp], other: Solution) -> None:
        """Take over the cases of ``other`` as the cases ``index``."""
        for name in ("v", "w", "objective", "weights", "pressure", "converged"):
            getattr(self, name)[index] = getattr(other, name)


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

    The few cases that crawl, or go in circles, are solved again by other steps (``ATTEMPTS``).

    Args:
        problem: R cases.
        objective: of all cases.
        constraints: of all cases.
        v: where log N starts, (R,).
        w: where shares start, (R, n).
        mu: where the path starts; smaller for a start near the optimum.
    """
    first, *others = ATTEMPTS
    found = _descend(problem, objective, constraints, v, w, mu, *first)
    for attempt in others:
        again = np.flatnonzero(~found.converged)
        if not len(again):
            break
        limits, aim = constraints.rows(again), objective.rows(again)
        found.put(
            again, _descend(problem.rows(again), aim, limits, v[again], w[again], mu, *attempt)
        )
    return found


def _descend(
    problem: Problem,
    objective: Objective,
    constraints: Constraints,
    v: FloatArray,
    w: FloatArray,
    mu: float,
    tilt: float,
    growth: float,
) -> Solution:
    system = System(problem, objective, constraints)
    x = system.start(v, w)
    c = system.slacks(x, problem.losses(v, w))
    assert (c > 0).all(), "the start lies strictly within the constraints"
    y = mu / c
    converged = np.zeros(len(v), dtype=bool)
    running = np.arange(len(v))
    here = _Point.of(system, x, y, c)
    steps = 0
    while len(running) and steps < MAX_STEPS:
        steps += 1
        here, stuck = _step(here, tilt, growth)
        x[running], y[running] = here.x, here.y
        ended = here.at_optimum()
        converged[running[ended]] = True
        converged[running[stuck]] |= here.at_optimum(NEAR)[stuck]
        left = np.flatnonzero(~ended & ~stuck)
        if len(left) < len(running):
            running, here = running[left], here.rows(left)
    if len(running):
        converged[running] |= here.at_optimum(NEAR)
    v, w = x[:, 0].copy(), x[:, 1:-1].copy()
    return Solution(
        v=v,
        w=w,
        objective=objective.value(problem.losses(v, w)),
        weights=system.weights(y),
        pressure=system.pressure(x, y),
        converged=converged,
        steps=steps,
    )


@dataclass(frozen=True, eq=False)
class _Point:
    """Where the iteration stands in R cases: x, multipliers y, slacks c, the system about there."""

    x: FloatArray
    y: FloatArray
    c: FloatArray
    at: Linear

    @classmethod
    def of(cls, system: System, x: FloatArray, y: FloatArray, c: FloatArray) -> _Point:
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

    def at_optimum(self, times: float = 1.0) -> NDArray[np.bool_]:
        """Which cases have ended; ``times`` is how much further off will do."""
        # the gradient's terms cancel: what is left of them cannot be known better than the largest
        scale = times * (1 + self.y.max(axis=1))
        far = np.abs(_tangential(self.at.gradient(self.y))).max(axis=1)
        off = np.abs(self.off).max(axis=1)
        ended = (self.gap <= times * GAP_END) & (far <= scale * STATIONARY)
        return np.asarray(ended & (off <= times * ON_SLACK))

    def rows(self, index: NDArray[np.intp]) -> _Point:
        """The cases ``index``."""
        return _Point(self.x[index], self.y[index], self.c[index], self.at.rows(index))

    def put(self, index: NDArray[np.intp], other: _Point) -> None:
        """Take over the cases of ``other`` as the cases ``index``."""
        self.x[index], self.y[index], self.c[index] = other.x, other.y, other.c
        self.at.put(index, other.at)


def _step(here: _Point, tilt: float, growth: float) -> tuple[_Point, NDArray[np.bool_]]:
    """One step of each case, and which cases cannot get on.

    Aims at a tenth of the gap (Boyd & Vandenberghe 2004, 11.7); the step is shortened where the
    residual of that aim would grow much.
    """
    at, y, c = here.at, here.y, here.c
    # a gap that runs ahead of the other equations would pin the steps to the boundary: it waits for
    # the slacks' own, and for the shares' slope
    lacking = np.abs(y * here.off).mean(axis=1)
    to_gain = np.abs(_tangential(at.gradient(y)) * here.x)[:, 1:-1].mean(axis=1)
    mu = np.maximum(CENTRING * (here.gap + lacking), 0.1 * GAP_END)
    mu = np.maximum(mu, np.minimum(tilt * to_gain, here.gap))
    target = mu[:, None] / c
    dx = _direction(at.gradient(target - y / c * here.off), at.matrix(y / c), at.curvature)
    dc = at.times(dx) + here.off
    dy = target - y - y / c * dc
    length = np.minimum(1.0, TO_BOUNDARY * np.minimum(_room(c, dc), _room(y, dy)))[:, None]
    most = growth * np.maximum(here.residual(mu), _ROUNDING)
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


def _direction(gradient: FloatArray, matrix: FloatArray, curvature: FloatArray) -> FloatArray:
    """Newton direction along ``sum dw = 0``, the matrix lifted where it would lead uphill.

    Lifted by a share of the Lagrangian's own ``curvature``: what constraints add to the matrix is
    vast near them, and would leave no step along them. Rows that no lift mends, because a number in
    them is none, are NaN: no step is taken there.
    """
    along = np.zeros(gradient.shape[1])
    along[1:-1] = 1.0
    scale = np.abs(np.einsum("rii->ri", curvature))
    diagonal = np.arange(gradient.shape[1])
    lift = np.zeros(len(gradient))
    step = np.zeros_like(gradient)
    todo = np.arange(len(gradient))
    while len(todo):
        H = matrix[todo]
        H[:, diagonal, diagonal] += lift[todo, None] * scale[todo]
        sides = np.stack([gradient[todo], np.broadcast_to(along, gradient[todo].shape)], axis=-1)
        try:
            solved = np.linalg.solve(H, sides)
        except np.linalg.LinAlgError:  # of one row, which it does not name: all are lifted
            solved = np.full_like(sides, np.nan)
        free, fixed = solved[..., 0], solved[..., 1]
        step[todo] = ((free @ along) / (fixed @ along))[:, None] * fixed - free
        uphill = ~((gradient[todo] * step[todo]).sum(axis=1) <= 0)
        todo = todo[uphill & (lift[todo] < MOST_LIFT)]
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
