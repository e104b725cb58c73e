"""Many targets: one fit each, or one fit in which some parameters are shared.

A pooled fit minimises the sum of the objectives of all targets over shared parameters (usually the
exponents) and own ones (usually E, A, B and the transfer weights). Runs are drawn once for all
targets, which keeps their correlation in the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    prepared,
    result_of,
)
from atlas_scaling.fitting.bootstrap import NEAR, TOLERANCE, Draws
from atlas_scaling.fitting.data import Selection, as_frame, loss_unit, observe, targets_of
from atlas_scaling.fitting.objective import Coordinates, Estimator, Problem, as_inputs
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.pooled_problem import PooledProblem, descend
from atlas_scaling.fitting.refine import FULL
from atlas_scaling.fitting.result import Fit, FittedParameter
from atlas_scaling.fitting.solver import Solution
from atlas_scaling.fitting.starts import Search, search
from atlas_scaling.fitting.tables import read
from atlas_scaling.fitting.tangent import Tangent
from atlas_scaling.fitting.workers import one_thread, spread_over
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
    done: Callable[[float], None] | None = None,
    **options: Any,
) -> dict[str, Fit]:
    """One fit for each target language.

    Args:
        data: as for ``fit``.
        law: as for ``fit``.
        targets: the languages; None for all that have a loss and were trained on.
        workers: processes to share the work; more than one pays from some seconds of work on.
        done: is told the share of the work that is done, now and then.
        **options: as for ``fit``.
    """
    frame = as_frame(read(data))
    named = targets or [t for t in targets_of(frame) if t is not None]
    calls = (prepared(frame, law, target=target, **options) for target in named)
    fits = spread_over(
        fit_prepared, ((call,) for call in calls), workers=workers, done=done, n=len(named)
    )
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
    continued: bool = False,
    zero_shot: bool | None = None,
    weights: str | None = None,
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
        continued: as for ``fit``.
        zero_shot: as for ``fit``.
        weights: as for ``fit``.
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
            target=target,
            unit=loss_unit(unit),
            lr_state=lr_state,
            continued=continued,
            zero_shot=wanted.zero_shot if zero_shot is None else zero_shot,
            weights=weights,
        )
        adapted, observations = observe(frame, wanted, selection)
        block = Problem(
            Coordinates(adapted),
            as_inputs(dict(observations.x)),
            np.log(observations.loss),
            weights=observations.weights,
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
        drawn = _resampled(blocks, observed, bootstrap, seed)
        parts = np.array_split(np.arange(bootstrap), workers)
        calls = ((drawn, shared, found.theta[0], rows, measured) for rows in parts)
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


def _descend(pooled: PooledProblem, alone: Sequence[Search], estimator: Estimator) -> Solution:
    """From the separate optima: own values as they are, shared ones at their median."""
    votes: list[list[float]] = [[] for _ in range(pooled.n_free)]
    for search_of_one, where in zip(alone, pooled.maps, strict=True):
        for k, value in zip(where, search_of_one.best, strict=True):
            votes[k].append(float(value))
    theta, only = np.array([[np.median(v) for v in votes]]), np.zeros(1, dtype=np.intp)
    *wide, last = estimator.stages()
    for delta in wide:
        theta = descend(pooled, theta, only, delta=delta, tolerance=1e-5).theta
    return descend(pooled, theta, only, delta=last, tolerance=FULL)


def _searched(block: Problem, estimator: Estimator, seed: int) -> Search:
    with one_thread():
        return search(block, estimator, seed=seed)


def _resampled(
    blocks: Sequence[Problem], observed: Sequence[Observations], n: int, seed: int
) -> list[Problem]:
    """``blocks`` with ``n`` resamples of all runs, the same runs for every target."""
    run_ids = sorted({o.run_ids[r] for o in observed for r in np.unique(o.run)})
    number = {run_id: i for i, run_id in enumerate(run_ids)}
    rng = np.random.Generator(np.random.PCG64(seed))
    counts = rng.multinomial(len(run_ids), np.full(len(run_ids), 1 / len(run_ids)), size=n)
    return [
        Problem(
            block.coordinates,
            block.x,
            block.log_loss,
            weights=block.weights,
            counts=counts.astype(np.float64),
            unit=np.array([number[run_id] for run_id in o.run_ids], dtype=np.intp)[o.run],
        )
        for block, o in zip(blocks, observed, strict=True)
    ]


def _refitted(
    blocks: Sequence[Problem],
    shared: Sequence[str],
    best: FloatArray,
    rows: NDArray[np.intp],
    estimator: Estimator,
) -> FloatArray:
    """Coordinates of the refits of some resamples that converged, (R, p)."""
    pooled = PooledProblem(blocks, shared)
    here = np.tile(best, (len(rows), 1))
    with one_thread():
        tangents = [
            Tangent(block, best[where]) for block, where in zip(blocks, pooled.maps, strict=True)
        ]
        start = descend(
            PooledProblem(tangents, shared), here, rows, delta=estimator.delta, tolerance=NEAR
        ).theta
        solution = descend(pooled, start, rows, delta=estimator.delta, tolerance=TOLERANCE)
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
