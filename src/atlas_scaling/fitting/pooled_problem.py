"""Problems of several targets as one problem with some coordinates in common.

With the common coordinates held the targets do not know of one another: each finds its own optimum
at the cost of a fit of its own. What is left is a problem in the common coordinates alone. Its
Newton step has the gradient and matrix of the sum over targets after their own coordinates are
eliminated (the Schur complement of their block), and says how these respond. The two alternate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import Local, Problem
from atlas_scaling.fitting.refine import polish
from atlas_scaling.fitting.solver import Solution, chosen, solved, taken
from atlas_scaling.fitting.tangent import Tangent
from atlas_scaling.laws.base import FloatArray

Block = Problem | Tangent

_ROUNDS: Final = 30
_LOOSE: Final = 1e-5
"""How well targets settle at first, as a share of their objective; then this much better."""

_FIRST_MU: Final = 0.01
_MU_MIN: Final = 1e-4
_MU_MAX: Final = 1e4


class PooledProblem:
    """Problems of several targets, with some coordinates in common.

    Axes: B problems (resamples), p coordinates of all targets, c of them common.

    Args:
        blocks: one problem a target, all on the same resamples.
        shared: names of the parameters in common.
    """

    def __init__(self, blocks: Sequence[Block], shared: Sequence[str]) -> None:
        self.blocks = list(blocks)
        self.maps: list[NDArray[np.intp]] = []
        ends: list[tuple[float, float, float, float]] = []
        position: dict[str, int] = {}
        for block in self.blocks:
            c = block.coordinates
            leads = {c.index[c.names.index(c.law.parameter(name).name)]: name for name in shared}
            indices = []
            for k in range(c.n_free):
                place = position.get(leads.get(k, ""), len(ends))
                if k in leads:
                    position[leads[k]] = place
                if place == len(ends):
                    ends.append((c.low[k], c.high[k], c.start_low[k], c.start_high[k]))
                indices.append(place)
            self.maps.append(np.array(indices, dtype=np.intp))
        self.low, self.high, start_low, start_high = np.array(ends).T
        self.longest = 0.5 * (start_high - start_low)
        self.common = np.array(sorted(position.values()), dtype=np.intp)

    @property
    def n_free(self) -> int:
        """Coordinates of all targets together."""
        return len(self.low)

    def settled(
        self, theta: FloatArray, rows: NDArray[np.intp], delta: float, tolerance: float
    ) -> tuple[FloatArray, FloatArray, list[Local]]:
        """``theta`` with every target at its own optimum for its common coordinates.

        Returns:
            It, its value (B,), and the objective of every target around it.
        """
        theta, total, at = theta.copy(), np.zeros(len(theta)), []
        for block, where in zip(self.blocks, self.maps, strict=True):
            held = np.isin(where, self.common)
            found = polish(
                block, theta[:, where], rows, delta=delta, held=held, tolerance=tolerance
            )
            theta[:, where] = found.theta
            total += found.value
            assert found.at is not None
            at.append(found.at)
        return theta, total, at

    def step(
        self, theta: FloatArray, at: Sequence[Local], mu: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The Newton step of the common coordinates with the response of all others.

        Args:
            theta: where, (B, p), every target at its own optimum.
            at: the objective of every target there.
            mu: damping of each problem, (B,).

        Returns:
            The step (B, p), and the decrease it promises (B,).
        """
        B, c = len(theta), len(self.common)
        gradient, matrix = np.zeros((B, c)), np.zeros((B, c, c))
        step = np.zeros_like(theta)
        responses = []
        for here, where in zip(at, self.maps, strict=True):
            M = here.H_newton + mu[:, None, None] * here.H_irls
            common = np.isin(where, self.common)
            place = np.searchsorted(self.common, where[common])
            moves = self._moves(theta, here.gradient, where)[:, ~common]
            M_oo, M_oc = M[:, ~common][:, :, ~common], M[:, ~common][:, :, common]
            alone = solved(M_oo, here.gradient[:, ~common], moves)
            along = np.stack(
                [solved(M_oo, M_oc[:, :, j], moves) for j in range(len(place))], axis=2
            )  # B, own, common: how own coordinates follow the common ones
            M_co = M_oc.transpose(0, 2, 1)
            gradient[:, place] += (
                here.gradient[:, common] + np.matmul(M_co, alone[:, :, None])[:, :, 0]
            )
            matrix[:, place[:, None], place] += M[:, common][:, :, common] + np.matmul(M_co, along)
            responses.append((where[~common], place, alone, along))
        moved = solved(matrix, gradient, self._moves(theta, gradient, self.common))
        step[:, self.common] = moved
        for own, place, alone, along in responses:
            step[:, own] = alone + np.matmul(along, moved[:, place, None])[:, :, 0]
        bend = np.einsum("bi,bij,bj->b", moved, matrix, moved)
        promised = -(gradient * moved).sum(axis=1) - 0.5 * bend
        # own coordinates settle again: one of them that runs away must not hold back the others
        return np.clip(step, -self.longest, self.longest), promised

    def _moves(
        self, theta: FloatArray, gradient: FloatArray, where: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Coordinates that no bound holds back, of the shape of ``gradient``."""
        at = theta[:, where]
        held = ((at <= self.low[where]) & (gradient > 0)) | (
            (at >= self.high[where]) & (gradient < 0)
        )
        free: NDArray[np.bool_] = ~held
        return free


def descend(
    pooled: PooledProblem,
    theta: FloatArray,
    rows: NDArray[np.intp],
    *,
    delta: float,
    tolerance: float,
) -> Solution:
    """Descend from every row of ``theta`` (B, p); those that are done are left alone.

    Args:
        pooled: the problems of all targets.
        theta: starting points.
        rows: the resample each problem belongs to, (B,).
        delta: Huber's delta.
        tolerance: stop when the decrease still to be gained is below this share of the objective.
    """
    B = len(theta)
    near = max(tolerance, _LOOSE)
    theta, value, at = pooled.settled(theta, rows, delta, near)
    out = Solution(theta, value, np.zeros(B, bool), np.full(B, _ROUNDS, dtype=np.intp))
    active, mu = np.arange(B), np.full(B, _FIRST_MU)
    for n_rounds in range(_ROUNDS):
        step, promised = pooled.step(theta, at, mu)
        left = np.abs(promised) * np.maximum(mu, 1.0)
        done = (left <= 0.5 * tolerance * value) & (near <= tolerance)
        stop = done | (mu > _MU_MAX)
        out.converged[active[stop]], out.iterations[active[stop]] = done[stop], n_rounds
        on = np.flatnonzero(~stop)
        active, theta, value, rows, mu = active[on], theta[on], value[on], rows[on], mu[on]
        if not len(active):
            break
        near = max(tolerance, _LOOSE * near)
        trial = np.clip(theta + step[on], pooled.low, pooled.high)
        trial, total, there = pooled.settled(trial, rows, delta, near)
        lower = total < value
        theta, value = np.where(lower[:, None], trial, theta), np.where(lower, total, value)
        at = [chosen(lower, new, taken(old, on)) for new, old in zip(there, at, strict=True)]
        mu = np.maximum(np.where(lower, 0.3 * mu, 10.0 * mu), _MU_MIN)
        out.theta[active], out.value[active] = theta, value
    return out
