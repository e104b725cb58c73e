"""Many targets: one fit each, or one fit in which some parameters are shared.

A pooled fit minimises the sum of the objectives of all targets over shared parameters (usually the
exponents) and own ones (usually E, A, B and the transfer weights). Its matrix is block by block:
each target's Jacobian is of its own rows and few coordinates, so the cost is that of the separate
fits. Runs are drawn once for all targets, which keeps their correlation in the draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling import laws
from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import (
    DEFAULT_BOOTSTRAP,
    enough_rows,
    fit_prepared,
    one_thread,
    prepared,
    read,
    result_of,
)
from atlas_scaling.fitting.bootstrap import TOLERANCE, Draws
from atlas_scaling.fitting.compare import targets_of
from atlas_scaling.fitting.data import Selection, as_frame, loss_unit, observe
from atlas_scaling.fitting.objective import Coordinates, Estimator, Local, Problem, as_inputs
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.refine import polish, refine
from atlas_scaling.fitting.result import Fit, FittedParameter
from atlas_scaling.fitting.solver import Solution, minimise
from atlas_scaling.fitting.starts import Search, search
from atlas_scaling.fitting.workers import spread_over
from atlas_scaling.laws.base import FloatArray, Law
from atlas_scaling.units import LossUnit

SHARED: Final = ("alpha", "beta")


@dataclass(frozen=True, eq=False)
class PooledFit(Answer):
    """One law for many targets with shared parameters.

    Attributes:
        law: name of the law.
        shared: the shared parameters.
        fits: target -> its fit, shared values included; draws of all targets are of the same
            resampled runs, row by row.
        objective: sum over targets.
        separate_objective: the same with nothing shared; the difference is what sharing costs.
        converged: the solver reached its tolerance.
        n_rows: rows of all targets.
        n_runs: runs of all targets.
        seed: of starts and draws.
        source: what was fitted.
    """

    law: str
    shared: dict[str, FittedParameter]
    fits: dict[str, Fit]
    objective: float
    separate_objective: float
    converged: bool
    n_rows: int
    n_runs: int
    seed: int
    source: str


def fit_each(
    data: Any,
    law: Law | str = "atlas",
    *,
    targets: Sequence[str] | None = None,
    workers: int = 1,
    **options: Any,
) -> dict[str, Fit]:
    """One fit for each target language.

    Args:
        data: as for ``fit``.
        law: as for ``fit``.
        targets: the languages; None for all that have a loss and were trained on.
        workers: processes to share the work; more than one pays from some seconds of work on.
        **options: as for ``fit``.
    """
    frame = as_frame(read(data))
    named = targets or [t for t in targets_of(frame) if t is not None]
    calls = (prepared(frame, law, target=target, **options) for target in named)
    fits = spread_over(fit_prepared, ((call,) for call in calls), workers=workers)
    return dict(zip(named, fits, strict=True))


def fit_pooled(
    data: Any,
    law: Law | str = "atlas",
    *,
    targets: Sequence[str] | None = None,
    shared: Sequence[str] = SHARED,
    estimator: str = "huber",
    delta: float | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    unit: LossUnit | str = LossUnit.NATS_PER_TOKEN,
    lr_state: str | None = None,
    workers: int = 1,
) -> PooledFit:
    """Fit one law to many targets at once.

    Args:
        data: as for ``fit``.
        law: as for ``fit``.
        targets: the languages; None for all that have a loss and were trained on.
        shared: parameters that are one number for all targets; the others are each target's own.
        estimator: as for ``fit``.
        delta: as for ``fit``.
        bootstrap: refits on resampled runs.
        level: of the intervals.
        seed: of starts and draws.
        unit: as for ``fit``.
        lr_state: as for ``fit``.
        workers: processes to share the work.

    Raises:
        InputError: the data cannot be used, or a shared parameter is not one of the law's.
    """
    frame = as_frame(read(data))
    wanted = laws.get(law) if isinstance(law, str) else law
    named = list(targets or [t for t in targets_of(frame) if t is not None])
    if len(named) < 2:
        raise InputError("a pooled fit needs two targets at least", value=named, where="targets")
    measured = Estimator.named(estimator, delta)
    blocks, observed = [], []
    for target in named:
        selection = Selection(
            target=target, unit=loss_unit(unit), lr_state=lr_state, zero_shot=wanted.zero_shot
        )
        adapted, observations = observe(frame, wanted, selection)
        block = Problem(
            Coordinates(adapted),
            as_inputs(dict(observations.x)),
            np.log(observations.loss),
        )
        enough_rows(observations, block.coordinates)
        blocks.append(block)
        observed.append(observations)
    pooled = PooledProblem(blocks, shared)
    alone = spread_over(_searched, ((block, measured, seed) for block in blocks), workers=workers)
    with one_thread():
        found = _descend(pooled, alone, measured)
    draws = None
    if bootstrap:
        drawn = _resampled(pooled, observed, bootstrap, seed)
        parts = np.array_split(np.arange(bootstrap), workers)
        calls = ((drawn, found.theta[0], rows, measured) for rows in parts)
        draws = np.concatenate(spread_over(_refitted, calls, workers=workers))
    fits = {
        target: result_of(
            blocks[i],
            observed[i],
            measured,
            _as_search(found, alone[i], found.theta[0, pooled.maps[i]]),
            None if draws is None else Draws(draws[:, pooled.maps[i]], np.empty(0), 0, "run"),
            level=level,
            seed=seed,
        )
        for i, target in enumerate(named)
    }
    first = fits[named[0]]
    return PooledFit(
        law=wanted.name,
        shared={name: first.parameters[name] for name in shared},
        fits=fits,
        objective=sum(one.objective for one in fits.values()),
        separate_objective=sum(one.value for one in alone),
        converged=bool(found.converged[0]),
        n_rows=sum(o.n_rows for o in observed),
        n_runs=len({run for o in observed for run in o.run_ids}),
        seed=seed,
        source=f"{wanted.source}; {', '.join(shared)} shared by {len(named)} targets",
    )


class PooledProblem:
    """Problems of several targets as one, with some coordinates in common.

    Args:
        blocks: one problem a target, all on the same resamples.
        shared: names of the parameters in common.
    """

    def __init__(self, blocks: Sequence[Problem], shared: Sequence[str]) -> None:
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
        """The largest Jacobian of a block, or the matrix of all coordinates."""
        return max(8 * self.n_free**2, *(block.bytes_per_problem for block in self.blocks))

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


def _descend(pooled: PooledProblem, alone: Sequence[Search], estimator: Estimator) -> Solution:
    """From the separate optima: own values as they are, shared ones at their median."""
    votes: list[list[float]] = [[] for _ in range(pooled.n_free)]
    for one, where in zip(alone, pooled.maps, strict=True):
        for k, value in zip(where, one.best, strict=True):
            votes[k].append(float(value))
    theta = np.array([[np.median(v) for v in votes]])
    *wide, last = estimator.stages()
    for delta in wide:
        theta = minimise(pooled, theta, delta=delta, tolerance=1e-5).theta
    return polish(pooled, theta, delta=last)


def _searched(block: Problem, estimator: Estimator, seed: int) -> Search:
    with one_thread():
        return search(block, estimator, seed=seed)


def _resampled(
    pooled: PooledProblem, observed: Sequence[Observations], n: int, seed: int
) -> PooledProblem:
    """``n`` resamples of the runs of all targets, the same runs for every target."""
    run_ids = sorted({o.run_ids[r] for o in observed for r in np.unique(o.run)})
    number = {run_id: i for i, run_id in enumerate(run_ids)}
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = rng.multinomial(len(run_ids), np.full(len(run_ids), 1 / len(run_ids)), size=n)
    blocks = [
        Problem(
            block.coordinates,
            block.x,
            block.log_loss,
            counts=counts.astype(np.float64),
            unit=np.array([number[run_id] for run_id in o.run_ids], dtype=np.intp)[o.run],
        )
        for block, o in zip(pooled.blocks, observed, strict=True)
    ]
    return PooledProblem(blocks, pooled.shared)


def _refitted(
    drawn: PooledProblem, best: FloatArray, rows: NDArray[np.intp], estimator: Estimator
) -> FloatArray:
    """Coordinates of the refits of some resamples that converged, (R, p)."""
    with one_thread():
        theta = np.tile(best, (len(rows), 1))
        solution = refine(drawn, theta, rows, deltas=estimator.stages(), tolerance=TOLERANCE)
    return solution.theta[solution.converged]


def _as_search(found: Solution, alone: Search, best: FloatArray) -> Search:
    return Search(
        best=best,
        value=alone.value,
        converged=bool(found.converged[0]),
        iterations=int(found.iterations[0]),
        n_starts=alone.n_starts,
        n_descended=alone.n_descended,
        share_at_optimum=alone.share_at_optimum,
        others=alone.others,
    )
