"""Leave one group out: how much a fit rests on one run, one model size, one kind of mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.fitting.objective import Coordinates, Problem, as_inputs
from atlas_scaling.fitting.refine import refine
from atlas_scaling.fitting.result import Fit
from atlas_scaling.fitting.workers import one_thread


@dataclass(frozen=True, slots=True)
class LeftOut(Answer):
    """The fit without one group.

    Attributes:
        group: what was left out.
        n_rows: its rows.
        values: parameters without it.
        shift: largest change of any fitted parameter, in halves of its interval; None without one.
        prediction_change: mean absolute change of the log prediction over all rows.
    """

    group: str
    n_rows: int
    values: dict[str, float]
    shift: float | None
    prediction_change: float


def leave_one_out(fit: Fit, by: str = "run") -> list[LeftOut]:
    """Refit without each group, all at once, the most influential first.

    Args:
        fit: the fit; its data is used again.
        by: ``run``, or a facet of the data such as ``n_params`` or ``mixture_kind``.

    Raises:
        InputError: there is no such grouping, or only one group.
    """
    o = fit.observations
    if by == "run":
        labels, member = np.unique(o.run, return_inverse=True)
        names = [o.run_ids[i] for i in labels]
    elif by in o.facets:
        labels, member = np.unique(o.facets[by], return_inverse=True)
        names = [f"{by} {label:g}" for label in labels]
    else:
        raise unknown("the data has no such grouping", by, ["run", *o.facets], where="by")
    if len(names) < 2:
        raise InputError("one group only: nothing is left without it", value=names, where=by)
    coordinates = Coordinates(fit.law)
    problem = Problem(
        coordinates,
        as_inputs(dict(o.x)),
        np.log(o.loss),
        weights=o.weights,
        counts=1.0 - np.eye(len(names)),
        unit=member.reshape(-1),
    )
    best = coordinates.inward(np.array(list(fit.values.values())))
    with one_thread():
        solution = refine(
            problem,
            np.tile(best, (len(names), 1)),
            np.arange(len(names)),
            deltas=fit.estimator.stages(),
        )
        change = np.abs(problem.log_prediction(solution.theta) - problem.log_prediction(best[None]))
    natural = coordinates.natural(solution.theta)
    counts = np.bincount(member.reshape(-1), minlength=len(names))
    found = [
        LeftOut(
            group=name,
            n_rows=int(counts[i]),
            values=dict(zip(coordinates.names, map(float, natural[i]), strict=True)),
            shift=_shift(fit, dict(zip(coordinates.names, natural[i], strict=True))),
            prediction_change=float(change[i].mean()),
        )
        for i, name in enumerate(names)
    ]
    return sorted(found, key=lambda one: -one.prediction_change)


def _shift(fit: Fit, values: dict[str, float]) -> float | None:
    shifts = []
    for name, value in values.items():
        interval = fit.interval(name)
        if interval is not None and interval[1] > interval[0]:
            shifts.append(2.0 * abs(value - fit.values[name]) / (interval[1] - interval[0]))
    return float(max(shifts)) if shifts else None
