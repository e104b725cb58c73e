"""Problems of several targets as one problem with some coordinates in common.

Its matrix is block by block: each target's Jacobian is of its own rows and few coordinates, so the
cost is that of the separate problems.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import Local, Problem
from atlas_scaling.fitting.tangent import Tangent
from atlas_scaling.laws.base import FloatArray

Block = Problem | Tangent


class PooledProblem:
    """Problems of several targets as one, with some coordinates in common.

    Args:
        blocks: one problem a target, all on the same resamples.
        shared: names of the parameters in common.
    """

    def __init__(self, blocks: Sequence[Block], shared: Sequence[str]) -> None:
        self.blocks = list(blocks)
        self.shared = tuple(shared)
        self.maps: list[NDArray[np.intp]] = []
        ends: list[tuple[float, float, float, float]] = []
        position: dict[str, int] = {}
        for block in self.blocks:
            c = block.coordinates
            for name in shared:
                c.law.parameter(name)
            indices = []
            for k, parameter in enumerate(c.free):
                if parameter.name in position:
                    indices.append(position[parameter.name])
                    continue
                indices.append(len(ends))
                if parameter.name in shared:
                    position[parameter.name] = len(ends)
                ends.append((c.low[k], c.high[k], c.start_low[k], c.start_high[k]))
            self.maps.append(np.array(indices, dtype=np.intp))
        self.low, self.high, self.start_low, self.start_high = np.array(ends).T
        self.n_rows = sum(block.n_rows for block in self.blocks)

    @property
    def coordinates(self) -> PooledProblem:
        """Bounds and start ranges: this object has them itself."""
        return self

    @property
    def n_free(self) -> int:
        """Coordinates of all targets together."""
        return len(self.low)

    @property
    def bytes_per_problem(self) -> int:
        """The largest that a block needs.

        The matrix of all coordinates may be larger, but is passed over far less often.
        """
        return max(block.bytes_per_problem for block in self.blocks)

    def objective(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> FloatArray:
        """Sum over targets, (B,)."""
        blocks = zip(self.blocks, self.maps, strict=True)
        parts = [block.objective(theta[:, where], rows, delta) for block, where in blocks]
        return np.asarray(np.sum(parts, axis=0))

    def bend(
        self,
        theta: FloatArray,
        step: FloatArray,
        rows: NDArray[np.intp],
        delta: float,
        mu: FloatArray,
    ) -> FloatArray:
        """Sum over targets, each in its own coordinates, (B, p)."""
        pull = np.zeros_like(theta)
        for block, where in zip(self.blocks, self.maps, strict=True):
            pull[:, where] += block.bend(theta[:, where], step[:, where], rows, delta, mu)
        return pull

    def local(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> Local:
        """Sum over targets, each in its own coordinates."""
        B, p = len(theta), self.n_free
        value, gradient = np.zeros(B), np.zeros((B, p))
        H_newton, H_irls = np.zeros((B, p, p)), np.zeros((B, p, p))
        for block, where in zip(self.blocks, self.maps, strict=True):
            at = block.local(theta[:, where], rows, delta)
            value += at.value
            gradient[:, where] += at.gradient
            H_newton[:, where[:, None], where] += at.H_newton
            H_irls[:, where[:, None], where] += at.H_irls
        return Local(value, gradient, H_newton, H_irls)
