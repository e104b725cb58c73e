"""What the data can tell: standard errors, spreads and a verdict in words for each parameter.

A parameter is not identified when its standard error exceeds the tolerance its law states, or when
the fit ended at one of its bounds. The standard error is that of the bootstrap draws where there
are any, else the sandwich ``H^-1 (sum_runs g g') H^-1``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.fitting.objective import Problem
from atlas_scaling.laws.base import FloatArray, Parameter
from atlas_scaling.units import format_count, plain

FLAT: Final = "not identified: other parameters can take its place"
LOST: Final = "weak: most resamples lack the runs that tell it, so its error is not known"
ENOUGH_SPREAD: Final = 30.0
_WEAK: Final = 0.5
_SMALL: Final = 0.5
"""Below it an error of a logarithm and a share of the value read the same."""
_MOST: Final = 100.0
"""Times the value, or factor, beyond which an error says no more than that nothing is known."""
_LETTER: Final = {"n_params": "N", "tokens": "D", "target_tokens": "D_t", "n_languages": "K"}
_MAD_TO_SD: Final = 1.4826
_MOST_LOST: Final = 0.5
_FLAT: Final = 1e-11
_BLIND: Final = 1e-300
_LOADING: Final = 0.05


@dataclass(frozen=True)
class Diagnostics:
    """How trustworthy an optimum is.

    Attributes:
        n_starts: starting points looked at.
        n_descended: of those, followed to the end.
        share_at_optimum: share of the followed that ended there.
        converged: the solver reached its tolerance.
        scaled_gradient: largest gradient component over the objective, in standard errors.
        condition_number: of the Gauss-Newton matrix scaled to a unit diagonal.
        at_bound: parameters that ended at a bound.
        spread: largest over smallest value of each input.
        guards: safeguards of the law that decided some rows, and on how many.
        residual_scale: robust standard deviation of the log residuals.
        r2: share of the variance of the loss explained, in the loss.
        mean_error: mean absolute error, in the loss unit.
        mean_error_reducible_percent: the same in per cent of the reducible loss.
        bootstrap_failed: refits that did not converge.
        resample: what the bootstrap drew, or None.
    """

    n_starts: int
    n_descended: int
    share_at_optimum: float
    converged: bool
    scaled_gradient: float
    condition_number: float
    at_bound: tuple[str, ...]
    spread: dict[str, float]
    guards: dict[str, int]
    residual_scale: float
    r2: float | None
    mean_error: float
    mean_error_reducible_percent: float | None
    bootstrap_failed: int = 0
    resample: str | None = None


@dataclass(frozen=True, slots=True)
class Curvature:
    """The objective around its optimum.

    Attributes:
        covariance: of the coordinates, (p, p), flat directions left out.
        standard_error: of each coordinate, (p,); infinite along flat directions.
        independent_error: the same if every row were independent of the others, (p,).
        blind: coordinates that no row depends on, (p,).
        condition_number: of the matrix scaled to a unit diagonal.
        scaled_gradient: what is left of the gradient.
    """

    covariance: FloatArray
    standard_error: FloatArray
    independent_error: FloatArray
    blind: NDArray[np.bool_]
    condition_number: float
    scaled_gradient: float


def curvature(
    problem: Problem, theta: FloatArray, unit: NDArray[np.intp], delta: float
) -> Curvature:
    """Sandwich covariance at ``theta`` (p,), summed by run, and the condition number.

    The share of rows within ``delta`` is smoothed: a handful of rows within 1e-3 says little about
    the density of the residuals there.
    """
    return _curvature(_moments(problem, theta, unit, delta, int(unit.max()) + 1))


def pooled_curvature(
    problems: Sequence[Problem],
    maps: Sequence[NDArray[np.intp]],
    theta: FloatArray,
    units: Sequence[NDArray[np.intp]],
    delta: float,
) -> list[Curvature]:
    """The same of problems with coordinates in common, for each the part of its own coordinates.

    Args:
        problems: one a target.
        maps: which coordinates of ``theta`` are those of each problem.
        theta: coordinates of all, (P,).
        units: the run of each row of each problem, numbered alike.
        delta: Huber's delta.
    """
    n_units = 1 + max(int(unit.max()) for unit in units)
    P = len(theta)
    whole = _Moments(
        np.zeros((P, P)), np.zeros((P, n_units)), np.zeros((P, P)), np.zeros(P), 0.0, 0
    )
    for problem, where, unit in zip(problems, maps, units, strict=True):
        part = _moments(problem, theta[where], unit, delta, n_units)
        whole.H[np.ix_(where, where)] += part.H
        whole.by_run[where] += part.by_run
        whole.by_row[np.ix_(where, where)] += part.by_row
        whole.gradient[where] += part.gradient
        whole = whole._replace(size=whole.size + part.size, n_rows=whole.n_rows + part.n_rows)
    curved = _curvature(whole)
    return [
        replace(
            curved,
            covariance=curved.covariance[np.ix_(where, where)],
            standard_error=curved.standard_error[where],
            independent_error=curved.independent_error[where],
            blind=curved.blind[where],
        )
        for where in maps
    ]


class _Moments(NamedTuple):
    """Sums over rows at an optimum; those of problems with other rows add up."""

    H: FloatArray  # p, p
    by_run: FloatArray  # p, runs: gradient of each
    by_row: FloatArray  # p, p: products of the gradients of rows
    gradient: FloatArray  # p
    size: float  # sum of the absolute residuals
    n_rows: int


def _moments(
    problem: Problem, theta: FloatArray, unit: NDArray[np.intp], delta: float, n_units: int
) -> _Moments:
    predicted, J = problem.log_jacobian(theta[None])
    J, residual = J[0], problem.targets_of(np.zeros(1, np.intp)).reshape(-1) - predicted[0]
    weights = np.ones(problem.n_rows) if problem.weights is None else problem.weights
    pull = J * (weights * np.clip(residual, -delta, delta))
    return _Moments(
        H=(J * (weights * share_within(residual, delta))) @ J.T,
        by_run=np.array([np.bincount(unit, weights=row, minlength=n_units) for row in pull]),
        by_row=pull @ pull.T,
        gradient=pull.sum(axis=1),
        size=float((weights * np.abs(residual)).sum()),
        n_rows=problem.n_rows,
    )


class Axes(NamedTuple):
    """Principal axes of a Gauss-Newton matrix scaled to a unit diagonal."""

    diagonal: FloatArray  # p: square roots; 1 where no row depends on the coordinate
    eigenvalues: FloatArray  # p, ascending
    directions: FloatArray  # p, p: columns
    flat: NDArray[np.bool_]  # p: axes along which the rows set no limit


def principal_axes(H: FloatArray) -> Axes:
    """Axes of ``H`` (p, p), and which of them the rows leave open."""
    diagonal = np.sqrt(np.where(np.diag(H) <= _BLIND, 1.0, np.diag(H)))
    eigenvalues, directions = np.linalg.eigh(H / np.outer(diagonal, diagonal))
    return Axes(diagonal, eigenvalues, directions, eigenvalues <= _FLAT * eigenvalues[-1])


def open_coordinates(H: FloatArray) -> NDArray[np.bool_]:
    """Coordinates that move along the open axes of each of several ``H`` (R, p, p), (R, p)."""
    found = np.zeros(H.shape[:2], dtype=bool)
    for r, one in enumerate(H):
        axes = principal_axes(one)
        found[r] = np.abs(axes.directions[:, axes.flat]).max(axis=1, initial=0.0) > _LOADING
    return found


def _curvature(sums: _Moments) -> Curvature:
    diagonal, eigenvalues, directions, flat = principal_axes(sums.H)
    inverse = (directions[:, ~flat] / eigenvalues[~flat]) @ directions[:, ~flat].T
    inverse /= np.outer(diagonal, diagonal)
    covariance = inverse @ (sums.by_run @ sums.by_run.T) @ inverse
    # along a flat direction the data sets no limit at all: infinite, not zero, variance
    loose = np.abs(directions[:, flat]).max(axis=1, initial=0.0) > _LOADING
    error = np.where(loose, np.inf, np.sqrt(np.maximum(np.diag(covariance), 0.0)))
    each = inverse @ sums.by_row @ inverse
    value = sums.size + 1e-300
    return Curvature(
        covariance=covariance,
        standard_error=error,
        independent_error=np.sqrt(np.maximum(np.diag(each), 0.0)),
        condition_number=float(eigenvalues[-1] / max(eigenvalues[0], 1e-300)),
        blind=np.diag(sums.H) <= _BLIND,
        scaled_gradient=float(
            np.max(np.abs(sums.gradient / diagonal)) / (value / np.sqrt(sums.n_rows))
        ),
    )


def share_within(residual: FloatArray, delta: float) -> float:
    """Share of rows within ``delta``, smoothed over the residual scale; never below one row."""
    if math.isinf(delta):
        return 1.0
    width = max(delta, 0.5 * robust_scale(residual))
    share = delta / width * float((np.abs(residual) <= width).mean())
    return max(share, 1.0 / len(residual))


def dispersion(residual: FloatArray, delta: float) -> float:
    """What one unit of log likelihood is worth in the objective: ``E psi^2 / E psi'``.

    The variance for least squares; ``delta b`` for residuals of a Laplace distribution of scale b.
    """
    pull = np.clip(residual, -delta, delta)
    return float((pull**2).mean()) / share_within(residual, delta)


def robust_scale(residual: FloatArray) -> float:
    """Standard deviation of normal residuals with this median absolute value."""
    return _MAD_TO_SD * float(np.median(np.abs(residual)))


def spreads(x: dict[str, FloatArray]) -> dict[str, float]:
    """Largest over smallest positive finite value of each input of one row."""
    out: dict[str, float] = {}
    for name, values in x.items():
        usable = values[np.isfinite(values) & (values > 0)]
        if values.ndim == 1 and len(usable):
            out[name] = float(usable.max() / usable.min())
    return out


def bounds_reached(problem: Problem, theta: FloatArray) -> dict[str, str]:
    """Parameters at a bound, with the words for it."""
    coordinates = problem.coordinates
    width = coordinates.high - coordinates.low
    reached: dict[str, str] = {}
    for k, parameter in enumerate(coordinates.free):
        for which, bound in zip(
            ("lower", "upper"), (coordinates.low, coordinates.high), strict=True
        ):
            if abs(theta[k] - bound[k]) <= 1e-6 * width[k]:
                value = parameter.bounds[0 if which == "lower" else 1]
                reached[parameter.name] = f"at its {which} bound {value:g}"
    return reached


def verdicts(
    problem: Problem,
    theta: FloatArray,
    standard_error: FloatArray,
    blind: NDArray[np.bool_],
    evidence: dict[str, str],
    spread: dict[str, float],
    lost: FloatArray | None = None,
) -> dict[str, str]:
    """``identified``, or ``weak: …``, ``not identified: …``, ``not seen: …``, by parameter.

    ``lost``, (p,), is the share of resamples that leave a coordinate open.
    """
    coordinates = problem.coordinates
    bound = bounds_reached(problem, theta)
    said: dict[str, str] = {}
    for parameter, k in zip(coordinates.parameters, coordinates.index, strict=True):
        if k is None:
            said[parameter.name] = "given"
            continue
        lead = coordinates.free[k]
        reason = _reason(lead, evidence, spread)
        because = f"; {reason}" if reason else ""
        if blind[k]:
            said[parameter.name] = "not seen: no row depends on it" + because
        elif lead.name in bound:
            said[parameter.name] = f"not identified: {bound[lead.name]}" + because
        else:
            verdict = _verdict(lead, float(theta[k]), float(standard_error[k]))
            if lost is not None and lost[k] > _MOST_LOST and not verdict.startswith("not "):
                verdict = LOST
            said[parameter.name] = verdict + ("" if verdict == "identified" else because)
    return said


def _verdict(parameter: Parameter, value: float, error: float) -> str:
    if math.isinf(error):
        return FLAT
    relative = parameter.transform == "identity" and parameter.bounds[0] >= 0
    size = error / max(abs(value), 1e-300) if relative else error
    if size <= _WEAK * parameter.tolerance:
        return "identified"
    words = "weak" if size <= parameter.tolerance else "not identified"
    if parameter.transform == "log":
        return f"{words}: standard error {_of_logarithm(size)}"
    return f"{words}: standard error {_of_value(size) if relative else plain(size)}"


def _of_value(share: float) -> str:
    """A standard error as a share of the value."""
    if share < 1:
        return f"{plain(100 * share)} %"
    return f"{_up_to_most(share)} times the value"


def _of_logarithm(error: float) -> str:
    """A standard error of the logarithm of a value: of its share while small, else a factor."""
    if error < _SMALL:
        return f"{plain(100 * error)} %"
    return f"a factor of {_up_to_most(math.exp(min(error, 700.0)))}"


def _up_to_most(times: float) -> str:
    return plain(times) if times <= _MOST else f"over {_MOST:g}"


def _reason(parameter: Parameter, evidence: dict[str, str], spread: dict[str, float]) -> str:
    if parameter.name in evidence:
        return evidence[parameter.name]
    narrow = [
        f"the {_LETTER.get(name, name)} range is {_times(spread[name])}, aim for {ENOUGH_SPREAD:g}x"
        for name in parameter.learns_from
        if name in spread and spread[name] < ENOUGH_SPREAD
    ]
    return " and ".join(narrow)


def _times(ratio: float) -> str:
    return f"{ratio:.3g}x" if ratio < 1000 else f"{format_count(ratio)}x"


def goodness(
    observed: FloatArray, predicted: FloatArray, reducible: Any, weights: FloatArray | None = None
) -> tuple[float | None, float, float | None]:
    """R², mean absolute error, and the same in per cent of the mean reducible loss.

    R² is null for fewer than two rows or equal losses; so is the share where nothing is reducible.
    """
    w = np.ones_like(observed) if weights is None else weights
    error = observed - predicted
    total = float(w.sum())
    spread = float((w * (observed - (w * observed).sum() / total) ** 2).sum())
    r2 = None if len(observed) < 2 or spread <= 0 else 1.0 - float((w * error**2).sum()) / spread
    mean_error = float((w * np.abs(error)).sum()) / total
    part = float((w * np.broadcast_to(reducible, observed.shape)).sum()) / total
    return r2, mean_error, 100.0 * mean_error / part if part > 0 else None
