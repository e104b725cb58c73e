"""``fit``: from runs and a law to parameters with intervals and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from atlas_scaling import laws
from atlas_scaling.answers import DEFAULT_LEVEL
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import identify
from atlas_scaling.fitting.bootstrap import Draws, bootstrap
from atlas_scaling.fitting.data import observe
from atlas_scaling.fitting.objective import Coordinates, Estimator, Prior, Problem, as_inputs
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.result import Fit, FitStatus, identified
from atlas_scaling.fitting.selection import Selection, loss_unit
from atlas_scaling.fitting.starts import Search, search
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.laws.base import FloatArray, Law
from atlas_scaling.units import LossUnit, counted

DEFAULT_BOOTSTRAP: Final = 200


def fit(
    data: Any,
    law: Law | str = "chinchilla",
    *,
    target: str | None = None,
    estimator: str = "huber",
    delta: float | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    resample: str = "run",
    level: float = DEFAULT_LEVEL,
    starts: int | None = None,
    seed: int = 0,
    unit: LossUnit | str = LossUnit.NATS_PER_TOKEN,
    lr_state: str | None = None,
    continued: bool = False,
    zero_shot: bool | None = None,
    weights: str | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
) -> Fit:
    """Fit a law to runs.

    Args:
        data: a ``RunTable``, a polars or pandas frame, a mapping of columns, or a path.
        law: a law, or the name of a built-in one.
        target: the language whose loss is fitted; needed where the data has several.
        estimator: ``huber``, ``lad`` or ``lsq``, all on the log residual and summed.
        delta: of ``huber``; 1e-3 unless given.
        bootstrap: refits for intervals; 0 for none.
        resample: ``run``, ``pairs`` or ``wild``.
        level: of the intervals.
        starts: descend from this many starting points; None for the default search.
        seed: of starting points and resamples; the same seed gives the same result.
        unit: unit of the loss; one fit has one.
        lr_state: learning-rate state of the rows that enter; ``all`` mixes them.
        continued: let runs in that continue another.
        zero_shot: let languages in that a run was not trained on; None asks the law.
        weights: column that weighs the rows.
        priors: parameter -> (value, standard deviation), in the parameter's unit: a penalty, named
            in the result, for what the data alone cannot tell.

    Raises:
        InputError: the data or an option cannot be used.
        FitError: no starting point gives a finite loss.
    """
    return fit_prepared(
        prepared(
            data,
            law,
            target=target,
            estimator=estimator,
            delta=delta,
            bootstrap=bootstrap,
            resample=resample,
            level=level,
            starts=starts,
            seed=seed,
            unit=unit,
            lr_state=lr_state,
            continued=continued,
            zero_shot=zero_shot,
            weights=weights,
            priors=priors,
        )
    )


@dataclass(frozen=True)
class Prepared:
    """Everything a fit needs, the data as arrays: small enough to send to another process."""

    observations: Observations
    law: Law
    options: dict[str, Any]


def prepared(
    data: Any,
    law: Law | str,
    *,
    target: str | None = None,
    unit: LossUnit | str = LossUnit.NATS_PER_TOKEN,
    lr_state: str | None = None,
    continued: bool = False,
    zero_shot: bool | None = None,
    weights: str | None = None,
    estimator: str = "huber",
    delta: float | None = None,
    bootstrap: int = DEFAULT_BOOTSTRAP,
    **options: Any,
) -> Prepared:
    """The rows of one fit chosen and turned into arrays; the arguments are those of ``fit``."""
    wanted = laws.get(law) if isinstance(law, str) else law
    selection = Selection(
        target=target,
        unit=loss_unit(unit),
        lr_state=lr_state,
        continued=continued,
        zero_shot=wanted.zero_shot if zero_shot is None else zero_shot,
        weights=weights,
    )
    adapted, observations = observe(data, wanted, selection)
    measured = Estimator.named(estimator, delta)
    return Prepared(observations, adapted, {**options, "estimator": measured, "n_draws": bootstrap})


def fit_prepared(one: Prepared) -> Fit:
    """Fit what ``prepared`` made."""
    return fit_observations(one.observations, one.law, **one.options)


def fit_observations(
    observations: Observations,
    law: Law,
    *,
    estimator: Estimator,
    n_draws: int = 0,
    resample: str = "run",
    level: float = DEFAULT_LEVEL,
    starts: int | None = None,
    seed: int = 0,
    priors: Mapping[str, tuple[float, float]] | None = None,
) -> Fit:
    """Fit a law to arrays that are ready; the arguments are those of ``fit``."""
    check_options(level, n_draws, starts)
    problem = problem_of(observations, law)
    with one_thread():
        found = search(problem, estimator, starts=starts, seed=seed)
        if priors:
            residual = problem.residuals(found.best)
            problem.prior = prior_of(problem.coordinates, residual, estimator, priors)
            found = search(problem, estimator, starts=starts, seed=seed)
        drawn = None
        if n_draws and len(np.unique(observations.run)) > 1:
            drawn = bootstrap(
                problem,
                found.best,
                observations.run,
                n=n_draws,
                resample=resample,
                estimator=estimator,
                seed=seed,
                rivals=found.others if found.share_at_optimum < 1 else None,
            )
        fitted = result_of(problem, observations, estimator, found, drawn, level=level, seed=seed)
    return replace(fitted, priors=dict(priors)) if priors else fitted


def check_options(level: float, n_draws: int, starts: int | None) -> None:
    """Refuse what no fit can do.

    Raises:
        InputError: a level outside 0 to 1, or counts that are none.
    """
    if not 0 < level < 1:
        raise InputError("a level is between 0 and 1", value=level, where="level", remedy="0.9")
    if n_draws < 0:
        raise InputError("a count cannot be negative", value=n_draws, where="bootstrap")
    if starts is not None and starts < 1:
        raise InputError("a descent needs a start", value=starts, where="starts", remedy="64")


def problem_of(observations: Observations, law: Law) -> Problem:
    """What is minimised.

    Raises:
        InputError: there are no more rows than free parameters.
    """
    coordinates = Coordinates(law)
    enough_rows(observations, coordinates)
    return Problem(
        coordinates,
        as_inputs(dict(observations.x)),
        np.log(observations.loss),
        weights=observations.weights,
    )


def prior_of(
    coordinates: Coordinates,
    residual: FloatArray,
    estimator: Estimator,
    priors: Mapping[str, tuple[float, float]],
) -> Prior:
    """Priors in the unit of the objective, which the residuals of the fit without them set.

    Raises:
        InputError: a prior lies outside the bounds of its parameter, or the parameter is fixed.
    """
    unit = identify.dispersion(residual, estimator.delta)
    centre, precision = np.zeros(coordinates.n_free), np.zeros(coordinates.n_free)
    for name, (value, deviation) in priors.items():
        parameter = coordinates.law.parameter(name)
        k = coordinates.index[coordinates.names.index(name)]
        low, high = parameter.bounds
        if k is None or not (low <= value <= high and deviation > 0):
            raise InputError(
                f"the prior of {name} cannot be used",
                value=(value, deviation),
                where=f"priors: {name}",
                remedy="a value within the bounds, a deviation above zero, a parameter not fixed",
            )
        centre[k] = parameter.inward(value)
        log_step = deviation / value if parameter.transform == "log" else deviation
        precision[k] = unit / log_step**2
    return Prior(centre, precision)


def result_of(
    problem: Problem,
    observations: Observations,
    estimator: Estimator,
    found: Search,
    drawn: Draws | None,
    *,
    level: float,
    seed: int,
    curved: identify.Curvature | None = None,
) -> Fit:
    """Everything a reader of the fit needs, from where the search and the refits ended.

    ``curved`` is that of a larger problem that this one is a part of; None for that of its own.
    """
    coordinates = problem.coordinates
    law = coordinates.law
    natural = coordinates.natural(found.best)
    p = law.namespace(natural)
    if curved is None:
        curved = identify.curvature(problem, found.best, observations.run, estimator.delta)
    error = curved.standard_error
    if drawn is not None and len(drawn.theta) > 1:
        # warm refits do not wander along a flat direction, so neither estimate alone is enough
        error = np.maximum(error, drawn.theta.std(axis=0, ddof=1))
    predicted = np.asarray(law.loss(p, problem.x), dtype=np.float64)
    residual = problem.log_loss - np.log(predicted)
    spread = identify.spreads(observations.x)
    said = identify.verdicts(
        problem,
        found.best,
        error,
        curved.blind,
        dict(law.evidence(problem.x)),
        spread,
        None if drawn is None else drawn.lost,
    )
    r2, mean_error, share = identify.goodness(
        observations.loss, predicted, law.reducible(p, problem.x), observations.weights
    )
    diagnostics = identify.Diagnostics(
        n_starts=found.n_starts,
        n_descended=found.n_descended,
        share_at_optimum=found.share_at_optimum,
        converged=found.converged,
        scaled_gradient=curved.scaled_gradient,
        condition_number=curved.condition_number,
        at_bound=tuple(identify.bounds_reached(problem, found.best)),
        spread=spread,
        guards={k: int(v.sum()) for k, v in law.guards(p, problem.x).items() if v.any()},
        residual_scale=identify.robust_scale(residual),
        r2=r2,
        mean_error=mean_error,
        mean_error_reducible_percent=share,
        bootstrap_failed=0 if drawn is None else drawn.failed,
        resample=None if drawn is None else drawn.resample,
    )
    return Fit(
        law=law,
        values=dict(zip(coordinates.names, map(float, natural), strict=True)),
        verdicts=said,
        estimator=estimator,
        objective=estimator.total(residual, observations.weights),
        status=_status(found, said),
        diagnostics=diagnostics,
        observations=observations,
        draws=None if drawn is None else coordinates.natural(drawn.theta),
        level=level,
        seed=seed,
    )


def _status(found: Search, verdicts: dict[str, str]) -> FitStatus:
    if not found.converged:
        return FitStatus.NOT_CONVERGED
    if not all(map(identified, verdicts.values())):
        return FitStatus.NOT_IDENTIFIED
    if any(v.startswith("weak") for v in verdicts.values()):
        return FitStatus.WEAK
    return FitStatus.OK


def enough_rows(observations: Observations, coordinates: Coordinates) -> None:
    """Refuse data that cannot determine the free parameters.

    Raises:
        InputError: there are no more rows than free parameters.
    """
    if observations.n_rows <= coordinates.n_free:
        raise InputError(
            f"{counted(observations.n_rows, 'row')} cannot determine the {coordinates.n_free} "
            f"parameters of {coordinates.law.name}",
            value=[p.name for p in coordinates.free],
            where="data",
            remedy="add evaluations, or fix parameters: --fix E=1.7, law.with_fixed(E=1.7)",
        )
