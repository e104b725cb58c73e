"""The equations of the interior-point solver: constraints, their slacks, and all of it linearised.

``x = (v, w, z)`` is log N, the shares, and the level of a minimax objective. Slacks c come in three
blocks: ``bounds``, each of one entry of x; ``limits``, of a language's tokens; ``levels``, z above
each loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.planning.allocation_problem import FloatArray, Problem


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
class Bounds:
    """Bounds of different entries of x: ``c = sign (x - at)``."""

    entries: NDArray[np.intp]
    sign: float
    at: FloatArray


@dataclass(frozen=True, eq=False)
class System:
    """One problem's equations. ``x = (v, w, z)`` is (R, n + 2), slacks c and multipliers y (R, m).

    Slacks come in three blocks: ``bounds``, each of one entry of x; ``limits``, of a language's
    tokens; ``levels``, z above each loss. z is held at its start for a mean, and v where N is
    fixed: their rows of the matrix are those of the identity.
    """

    problem: Problem
    objective: Objective
    constraints: Constraints

    @cached_property
    def bounds(self) -> tuple[Bounds, ...]:
        """Shares above ``low`` and below ``high``, v above and below its bounds."""
        limits = self.constraints
        shares = np.arange(1, self.problem.n_languages + 1)
        capped = limits.high < 1
        groups = [Bounds(shares, 1.0, limits.low)]
        if capped.any():
            groups.append(Bounds(shares[capped], -1.0, limits.high[capped]))
        if limits.v is not None:
            log_n = np.zeros(1, dtype=np.intp)
            groups.append(Bounds(log_n, 1.0, limits.v[:, :1]))
            groups.append(Bounds(log_n, -1.0, limits.v[:, 1:]))
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

    def rows(self, index: NDArray[np.intp]) -> System:
        """The cases ``index``."""
        if len(index) == len(self.problem.flops):
            return self
        return System(
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

    def pressure(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Slope of the objective in each share over that of the shares that are free, (R, n)."""
        losses = self.problem.expand(x[:, 0], x[:, 1:-1])
        slope = np.matmul(self.weights(y)[:, None, :], losses.gradients())[:, 0, 1:]
        limits = self.constraints
        room = np.minimum(x[:, 1:-1] - limits.low, limits.high - x[:, 1:-1])
        if limits.max_tokens is not None:
            most = limits.max_tokens / self.problem.tokens_at(x[:, 0])[0][:, None]
            room = np.clip(np.minimum(room, most - x[:, 1:-1]), 0.0, None)
        return np.asarray(slope - ((room * slope).sum(axis=1) / room.sum(axis=1))[:, None])

    def linearise(self, x: FloatArray, y: FloatArray) -> Linear:
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
        return Linear(
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
class Linear:
    """``System`` about one point."""

    system: System
    slacks: FloatArray
    slope: FloatArray
    curvature: FloatArray
    levels: FloatArray
    by_v: FloatArray
    by_w: FloatArray

    def rows(self, index: NDArray[np.intp]) -> Linear:
        """The cases ``index``."""
        arrays = {name: getattr(self, name)[index] for name in _ARRAYS}
        return Linear(self.system.rows(index), **arrays)

    def put(self, index: NDArray[np.intp], other: Linear) -> None:
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

    def _by_group(self, u: FloatArray) -> Iterator[tuple[Bounds, FloatArray]]:
        start = 0
        for group in self.system.bounds:
            yield group, u[:, start : start + len(group.entries)]
            start += len(group.entries)
