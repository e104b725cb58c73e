"""Many targets: one fit each, or one fit in which some parameters are shared.

A pooled fit minimises the sum of the objectives of all targets over shared parameters (usually the
exponents) and own ones (usually E, A, B and the transfer weights). Runs are drawn once for all
targets, which keeps their correlation in the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import (
    DEFAULT_BOOTSTRAP,
    check_options,
    fit_prepared,
    prepared,
    prior_of,
    problem_of,
    result_of,
)
from atlas_scaling.fitting.bootstrap import NEAR, TOLERANCE, Draws, draw, redrawn
from atlas_scaling.fitting.data import targets_of
from atlas_scaling.fitting.identify import pooled_curvature
from atlas_scaling.fitting.objective import Estimator, Prior, Problem
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.pooled_problem import PooledProblem, descend
from atlas_scaling.fitting.refine import FULL
from atlas_scaling.fitting.result import Fit, FittedParameter
from atlas_scaling.fitting.solver import Solution
from atlas_scaling.fitting.starts import Search, search
from atlas_scaling.fitting.tables import read, with_our_codes
from atlas_scaling.fitting.tangent import Tangent
from atlas_scaling.fitting.workers import one_thread, spread_over
from atlas_scaling.laws.base import FloatArray, Law

SHARED: Final = ("alpha", "beta")

_PART: Final = 16
"""Resamples that are refitted in one call."""

_SEARCHES: Final = 0.3
"""Share of the work before the resamples, where there are some."""


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
    frame = with_our_codes(read(data))
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
    resample: str = "run",
    level: float = DEFAULT_LEVEL,
    starts: int | None = None,
    seed: int = 0,
    priors: Mapping[str, tuple[float, float]] | None = None,
    workers: int = 1,
    done: Callable[[float], None] | None = None,
    **selection: Any,
) -> PooledFit:
    """Fit one law to many targets at once.

    Args:
        data: as for ``fit``.
        law: as for ``fit``.
        targets: the languages; None for all that have a loss and were trained on.
        shared: parameters that are one number for all targets; the others are each target's own.
        estimator: as for ``fit``.
        delta: as for ``fit``.
        bootstrap: refits on resampled data.
        resample: ``run`` and ``wild`` do the same to a run for all targets; ``pairs`` draws the
            rows of each target by themselves.
        level: of the intervals.
        starts: of each target alone, as for ``fit``: the pooled descent goes from their optima.
        seed: of starts and draws.
        priors: as for ``fit``; of a parameter that is not shared, for every target.
        workers: processes to share the work.
        done: is told the share of the work that is done, now and then.
        **selection: ``unit``, ``lr_state``, ``continued``, ``zero_shot``, ``weights`` of ``fit``.

    Raises:
        InputError: the data cannot be used, or a shared parameter is not one of the law's.
    """
    check_options(level, bootstrap, starts)
    frame = with_our_codes(read(data))
    named = list(targets or [t for t in targets_of(frame) if t is not None])
    if len(named) < 2:
        raise InputError("a pooled fit needs two targets at least", value=named, where="targets")
    ready = [prepared(frame, law, target=target, **selection) for target in named]
    pool = _Pool(
        blocks=[problem_of(one.observations, one.law) for one in ready],
        observed=[one.observations for one in ready],
        shared=tuple(shared),
        estimator=Estimator.named(estimator, delta),
        resample=resample,
        seed=seed,
    )
    n_runs = len(pool.run_ids)
    draws_wanted = bootstrap if n_runs > 1 else 0
    searching, refitting = _parts(done, _SEARCHES if draws_wanted else 1.0)
    alone = pool.searched(starts, workers, searching)
    if priors:
        pool.add_priors(alone, priors)
        alone = pool.searched(starts, workers, searching)
    with one_thread():
        found = _descend(pool, alone)
    drawn = pool.refits(found.theta[0], draws_wanted, workers, refitting) if draws_wanted else None
    fits = _fits(pool, alone, found, drawn, level)
    if priors:
        fits = [replace(one, priors=dict(priors)) for one in fits]
    return PooledFit(
        law=ready[0].law.name,
        shared={name: fits[0].parameters[name] for name in shared},
        fits=dict(zip(named, fits, strict=True)),
        objective=sum(one.objective for one in fits),
        separate_objective=pool.separate_objective(alone),
        converged=bool(found.converged[0]),
        n_rows=sum(o.n_rows for o in pool.observed),
        n_runs=n_runs,
        seed=seed,
        source=f"{ready[0].law.source}; {', '.join(shared)} shared by {len(named)} targets",
    )


def _parts(
    done: Callable[[float], None] | None, first: float
) -> tuple[Callable[[float], None] | None, Callable[[float], None] | None]:
    """``done`` for work of two parts, of which the first is this share."""
    if done is None:
        return None, None
    return lambda share: done(first * share), lambda share: done(first + (1 - first) * share)


@dataclass(frozen=True, eq=False)
class _Pool:
    """The problems of all targets, and how they are solved.

    Attributes:
        blocks: one a target.
        observed: their rows.
        shared: names of the parameters in common.
        estimator: what is minimised.
        resample: what a bootstrap draws.
        seed: of starts and draws.
    """

    blocks: list[Problem]
    observed: list[Observations]
    shared: tuple[str, ...]
    estimator: Estimator
    resample: str
    seed: int

    @property
    def problem(self) -> PooledProblem:
        """Of all targets."""
        return PooledProblem(self.blocks, self.shared)

    @property
    def run_ids(self) -> list[str]:
        """Runs of any target."""
        return sorted({o.run_ids[r] for o in self.observed for r in np.unique(o.run)})

    @property
    def units(self) -> list[NDArray[np.intp]]:
        """Number in ``run_ids`` of the run of each row of each target."""
        number = {run_id: i for i, run_id in enumerate(self.run_ids)}
        return [
            np.array([number.get(run_id, -1) for run_id in o.run_ids], dtype=np.intp)[o.run]
            for o in self.observed
        ]

    def searched(
        self, starts: int | None, workers: int, done: Callable[[float], None] | None
    ) -> list[Search]:
        """The optimum of each target alone."""
        calls = ((block, self.estimator, starts, self.seed) for block in self.blocks)
        return spread_over(_searched, calls, workers=workers, done=done, n=len(self.blocks))

    def separate_objective(self, alone: Sequence[Search]) -> float:
        """What all targets alone come to, without priors."""
        return sum(
            self.estimator.total(block.residuals(one.best), block.weights)
            for block, one in zip(self.blocks, alone, strict=True)
        )

    def add_priors(
        self, alone: Sequence[Search], priors: Mapping[str, tuple[float, float]]
    ) -> None:
        """Penalties on the targets' own parameters, and once, in the first, on the common ones."""
        own = {name: prior for name, prior in priors.items() if name not in self.shared}
        common = {name: prior for name, prior in priors.items() if name in self.shared}
        left = [b.residuals(one.best) for b, one in zip(self.blocks, alone, strict=True)]
        for block, residual in zip(self.blocks, left, strict=True):
            block.prior = prior_of(block.coordinates, residual, self.estimator, own)
        first = self.blocks[0]
        once = prior_of(first.coordinates, np.concatenate(left), self.estimator, common)
        assert first.prior is not None
        first.prior = Prior(
            first.prior.centre + once.centre, first.prior.precision + once.precision
        )

    def refits(
        self, best: FloatArray, n: int, workers: int, done: Callable[[float], None] | None
    ) -> FloatArray:
        """Coordinates (n, p) of refits on resamples of all runs, NaN where one did not converge."""
        if self.resample == "pairs":
            drawn = [
                draw(block.n_rows, n, "pairs", (self.seed, i))
                for i, block in enumerate(self.blocks)
            ]
            units: list[NDArray[np.intp] | None] = [None] * len(drawn)
        else:
            drawn = [draw(len(self.run_ids), n, self.resample, self.seed)] * len(self.blocks)
            units = [*self.units]
        parts = [slice(i, i + _PART) for i in range(0, n, _PART)]
        return np.concatenate(
            spread_over(
                _refitted,
                ((_rows_of(drawn, part),) for part in parts),
                workers=workers,
                common=(self.blocks, self.shared, units, best, self.estimator, self.resample),
                done=done,
                n=len(parts),
            )
        )


def _rows_of(drawn: Sequence[FloatArray], part: slice) -> list[FloatArray]:
    """Some of the resamples; what targets have in common stays one array."""
    taken = {id(one): one[part] for one in drawn}
    return [taken[id(one)] for one in drawn]


def _descend(pool: _Pool, alone: Sequence[Search]) -> Solution:
    """From the separate optima: own values as they are, shared ones at their median."""
    pooled = pool.problem
    votes: list[list[float]] = [[] for _ in range(pooled.n_free)]
    for search_of_one, where in zip(alone, pooled.maps, strict=True):
        for k, value in zip(where, search_of_one.best, strict=True):
            votes[k].append(float(value))
    theta, only = np.array([[np.median(v) for v in votes]]), np.zeros(1, dtype=np.intp)
    *wide, last = pool.estimator.stages()
    for delta in wide:
        theta = descend(pooled, theta, only, delta=delta, tolerance=1e-5).theta
    return descend(pooled, theta, only, delta=last, tolerance=FULL)


def _searched(block: Problem, estimator: Estimator, starts: int | None, seed: int) -> Search:
    with one_thread():
        return search(block, estimator, starts=starts, seed=seed)


def _refitted(
    problems: Sequence[Problem],
    shared: Sequence[str],
    units: Sequence[NDArray[np.intp] | None],
    best: FloatArray,
    estimator: Estimator,
    resample: str,
    drawn: Sequence[FloatArray],
) -> FloatArray:
    """Coordinates of the refits of some resamples, (R, p); NaN where one did not converge."""
    n = len(drawn[0])
    here, rows = np.tile(best, (n, 1)), np.arange(n)
    maps = PooledProblem(problems, shared).maps
    with one_thread():
        blocks = [
            redrawn(block, best[where], one, unit, resample)
            for block, where, one, unit in zip(problems, maps, drawn, units, strict=True)
        ]
        tangents = [Tangent(block, best[where]) for block, where in zip(blocks, maps, strict=True)]
        start = descend(
            PooledProblem(tangents, shared), here, rows, delta=estimator.delta, tolerance=NEAR
        ).theta
        solution = descend(
            PooledProblem(blocks, shared), start, rows, delta=estimator.delta, tolerance=TOLERANCE
        )
    return np.where(solution.converged[:, None], solution.theta, np.nan)


def _fits(
    pool: _Pool,
    alone: Sequence[Search],
    found: Solution,
    drawn: FloatArray | None,
    level: float,
) -> list[Fit]:
    """The fit of each target, with the common parameters in it."""
    maps, theta = pool.problem.maps, found.theta[0]
    curved = pooled_curvature(pool.blocks, maps, theta, pool.units, pool.estimator.delta)
    fits = []
    for i, where in enumerate(maps):
        draws = None
        if drawn is not None:
            good = drawn[np.isfinite(drawn).all(axis=1)]
            draws = Draws(good[:, where], np.empty(0), len(drawn) - len(good), pool.resample)
        fits.append(
            result_of(
                pool.blocks[i],
                pool.observed[i],
                pool.estimator,
                replace(
                    alone[i],
                    best=theta[where],
                    converged=bool(found.converged[0]),
                    iterations=int(found.iterations[0]),
                ),
                draws,
                level=level,
                seed=pool.seed,
                curved=curved[i],
            )
        )
    return fits
