"""What a fit minimises: ``sum_i w_i rho(log L_i - log L̂_i)``, for many problems at once.

A problem is a parameter vector with a row of weights; starts, bootstrap resamples and held-out
splits are all problems over the same data. ``rho`` is Huber's function, linear beyond ``delta``:

- ``huber``: ``delta`` as given (1e-3 by default, as Hoffmann et al. 2022);
- ``lad``: least absolute deviations, the limit ``delta -> 0`` (scaled to ``sum |r|``);
- ``lsq``: least squares of log residuals, ``delta = inf``.

It is a SUM: a mean makes optimisers stop early, because their tolerances are absolute.

Axes: B problems, p free parameters, n rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.fitting.duals import ONE, Dual
from atlas_scaling.laws.base import FloatArray, Law, Parameter, grouped

DEFAULT_DELTA: Final = 1e-3
LAD_DELTA: Final = 1e-7
_BEND_STEP: Final = 0.1
_MANY_ROWS: Final = 1000

EstimatorName = Literal["huber", "lad", "lsq"]


@dataclass(frozen=True, slots=True)
class Estimator:
    """The function of the log residual that is summed.

    Attributes:
        name: ``huber``, ``lad`` or ``lsq``.
        delta: where Huber's function turns from quadratic to linear, in log loss (about relative
            error); infinite for least squares, ``LAD_DELTA`` for least absolute deviations.
    """

    name: EstimatorName
    delta: float

    @classmethod
    def named(cls, name: str = "huber", delta: float | None = None) -> Estimator:
        """The estimator called ``name``; ``delta`` belongs to ``huber`` alone.

        Raises:
            InputError: there is no such estimator, or a ``delta`` that it cannot have.
        """
        if name == "huber":
            delta = DEFAULT_DELTA if delta is None else float(delta)
            if not (delta > 0 and math.isfinite(delta)):
                raise InputError(
                    "Huber's delta must be above zero and finite",
                    value=delta,
                    where="delta",
                    remedy="1e-3 is usual; least squares is estimator='lsq'",
                )
            return cls("huber", delta)
        if name not in ("lad", "lsq"):
            names = get_args(EstimatorName)
            raise unknown("there is no such estimator", name, names, where="estimator")
        if delta is not None:
            raise InputError(
                f"the estimator {name} takes no delta", value=delta, where="delta", remedy="huber"
            )
        return cls("lad", LAD_DELTA) if name == "lad" else cls("lsq", math.inf)

    def stages(self) -> list[float]:
        """Deltas to solve for in turn, wide to narrow: each is a good start for the next."""
        ladder = [0.3, 0.03, 0.01, 1e-3, 1e-4, 1e-5, 1e-6]
        if math.isinf(self.delta):
            return [self.delta]
        return [d for d in ladder if d > 1.5 * self.delta] + [self.delta]

    def total(self, residual: FloatArray, weights: FloatArray | None = None) -> float:
        """The objective as it is reported: ``sum |r|`` for ``lad``, the sum of ``rho`` else."""
        cost = np.abs(residual) if self.name == "lad" else huber(residual, self.delta)
        return float(cost.sum() if weights is None else cost @ weights)


def huber(residual: FloatArray, delta: float) -> FloatArray:
    """Huber's function: ``r^2 / 2`` within ``delta``, ``delta (|r| - delta / 2)`` beyond."""
    size = np.abs(residual)
    near = np.minimum(size, delta)
    return near * (size - 0.5 * near)


class Local(NamedTuple):
    """The objective around B points. ``H_newton`` counts rows within delta, ``H_irls`` all rows.

    ``H_irls`` weighs a row by ``psi(r) / r``, which majorises Huber's function: a step by it never
    overshoots where the law is near linear. Both are Gauss-Newton: second derivatives of the law
    are left out.
    """

    value: FloatArray  # B
    gradient: FloatArray  # B, p
    H_newton: FloatArray  # B, p, p
    H_irls: FloatArray  # B, p, p


class Coordinates:
    """The free coordinates of a law: what is left after ties and fixed values, transformed.

    ``theta`` (…, p) is what the solver moves; ``natural`` (…, m) are the values of all m
    parameters of the law in their own units.
    """

    def __init__(self, law: Law) -> None:
        self.law = law
        self.parameters: tuple[Parameter, ...] = law.limited_parameters()
        self.names = [parameter.name for parameter in self.parameters]
        fixed = dict(law.fixed)
        leader = {
            name: min(tie, key=self.names.index) for tie in _merged_ties(law.ties) for name in tie
        }
        free: list[Parameter] = []
        self.index: list[int | None] = []  # of each parameter its coordinate, None where fixed
        position: dict[str, int] = {}
        self.constants: list[float] = []
        for parameter in self.parameters:
            lead = leader.get(parameter.name, parameter.name)
            held = [fixed[n] for n in self.names if leader.get(n, n) == lead and n in fixed]
            self.constants.append(held[0] if held else math.nan)
            if held:
                self.index.append(None)
                continue
            if lead not in position:
                position[lead] = len(free)
                free.append(parameter)
            self.index.append(position[lead])
        if not free:
            raise InputError("every parameter is fixed: nothing is left to fit", where="fixed")
        self.free = tuple(free)
        self.log = np.array([parameter.transform == "log" for parameter in free])
        self.low, self.high = self._range("bounds")
        self.start_low, self.start_high = self._range("start")
        tied = {i for i in self.index if i is not None and self.index.count(i) > 1}
        self.linear = np.array(
            [parameter.linear and k not in tied for k, parameter in enumerate(free)]
        )

    @property
    def n_free(self) -> int:
        """Number of free coordinates p."""
        return len(self.free)

    def natural(self, theta: FloatArray) -> FloatArray:
        """Values of all parameters, shape (…, m)."""
        values = np.where(self.log, np.exp(np.where(self.log, theta, 0.0)), theta)
        columns = [
            np.full(theta.shape[:-1], constant) if k is None else values[..., k]
            for k, constant in zip(self.index, self.constants, strict=True)
        ]
        return np.stack(columns, axis=-1)

    def inward(self, natural: FloatArray) -> FloatArray:
        """``theta`` (…, p) of natural values (…, m), clipped into the bounds."""
        first = [self.index.index(k) for k in range(self.n_free)]
        values = np.asarray(natural, dtype=np.float64)[..., first]
        with np.errstate(divide="ignore", invalid="ignore"):
            theta = np.where(self.log, np.log(values), values)
        return np.clip(theta, self.low, self.high)

    def values(self, theta: FloatArray) -> SimpleNamespace:
        """``p`` of the formula at ``theta`` (B, p): columns (B, 1)."""
        columns = self.natural(theta)[..., None]
        return grouped(self.names, [columns[..., k, :] for k in range(len(self.names))])

    def duals(self, theta: FloatArray) -> SimpleNamespace:
        """``p`` of the formula at ``theta`` (B, p): columns (B, 1) that carry derivatives."""
        seeds = []
        for k in range(self.n_free):
            column = theta[:, k : k + 1]
            if self.log[k]:
                column = np.exp(column)
                seeds.append(Dual(column, {k: column}))
            else:
                seeds.append(Dual(column, {k: ONE}))
        return grouped(
            self.names,
            [
                constant if k is None else seeds[k]
                for k, constant in zip(self.index, self.constants, strict=True)
            ],
        )

    def slopes(self, theta: FloatArray, by_name: Mapping[str, Any]) -> list[tuple[int, Any]]:
        """Derivatives by coordinate from those by parameter; a tie has one of each of its own."""
        found = []
        for name, k in zip(self.names, self.index, strict=True):
            if k is not None:
                column = theta[:, k : k + 1]
                found.append((k, by_name[name] * (np.exp(column) if self.log[k] else 1.0)))
        return found

    def _range(self, what: Literal["bounds", "start"]) -> tuple[FloatArray, FloatArray]:
        pairs = [[p.inward(v) for v in getattr(p, what)] for p in self.free]
        low, high = np.array(pairs).T
        return low, high


def _merged_ties(ties: tuple[tuple[str, ...], ...]) -> list[set[str]]:
    """Ties that share a name are one tie."""
    merged: list[set[str]] = []
    for tie in ties:
        touching = [group for group in merged if group & set(tie)]
        merged = [group for group in merged if group not in touching]
        merged.append(set(tie).union(*touching))
    return merged


@dataclass(frozen=True, slots=True)
class Prior:
    """A quadratic penalty ``sum precision (theta - centre)^2 / 2`` beside the data, both (p,)."""

    centre: FloatArray
    precision: FloatArray

    def value(self, theta: FloatArray) -> FloatArray:
        """The penalty at ``theta`` (B, p), (B,)."""
        return np.asarray(0.5 * ((theta - self.centre) ** 2 @ self.precision))

    def added(self, at: Local, theta: FloatArray) -> Local:
        """``at`` with the penalty in it."""
        diagonal = np.diag(self.precision)
        return Local(
            at.value + self.value(theta),
            at.gradient + self.precision * (theta - self.centre),
            at.H_newton + diagonal,
            at.H_irls + diagonal,
        )


class Problem:
    """A law, its data and the weights of all problems to be solved on them.

    Args:
        coordinates: the free coordinates of the law.
        x: input arrays by name, each (n,) or (k, n).
        log_loss: ``log L``, (n,), or (R, n) where every problem row has its own (wild bootstrap).
        weights: weight of each row, (n,); None for all one.
        counts: how often resample r drew unit u, (R, U); None for no resampling.
        unit: the unit (run) each row belongs to, (n,); None where every row is one.
        prior: a penalty on the coordinates, in the unit of the objective.
    """

    def __init__(
        self,
        coordinates: Coordinates,
        x: SimpleNamespace,
        log_loss: FloatArray,
        *,
        weights: FloatArray | None = None,
        counts: FloatArray | None = None,
        unit: NDArray[np.intp] | None = None,
        prior: Prior | None = None,
    ) -> None:
        self.coordinates = coordinates
        self.x = x
        self.log_loss = log_loss
        self.weights = weights
        self.counts = counts
        self.unit = unit
        self.prior = prior
        self.n_rows = log_loss.shape[-1]

    def of_rows(self, rows: NDArray[np.intp]) -> Problem:
        """The same law on some of the rows, without resamples."""
        return Problem(
            self.coordinates,
            SimpleNamespace(**{k: v[..., rows] for k, v in vars(self.x).items()}),
            self.log_loss[rows],
            weights=None if self.weights is None else self.weights[rows],
            prior=self.prior,
        )

    @property
    def bytes_per_problem(self) -> int:
        """Size of the Jacobian of one problem."""
        return int(8 * self.coordinates.n_free * max(self.n_rows, 1))

    def weights_of(self, rows: NDArray[np.intp]) -> FloatArray | None:
        """Weights (B, n) or (n,) of problems that belong to resamples ``rows`` (B,)."""
        if self.counts is None:
            return self.weights
        drawn = self.counts[rows] if self.unit is None else self.counts[rows][:, self.unit]
        return drawn if self.weights is None else drawn * self.weights

    def targets_of(self, rows: NDArray[np.intp]) -> FloatArray:
        """``log L`` of the problems, (n,) or (B, n)."""
        return self.log_loss if self.log_loss.ndim == 1 else self.log_loss[rows]

    def log_prediction(self, theta: FloatArray) -> FloatArray:
        """``log L̂`` at ``theta`` (B, p), (B, n); NaN where the law gives no positive loss."""
        with np.errstate(all="ignore"):
            loss = self.coordinates.law.loss(self.coordinates.values(theta), self.x)
            predicted: FloatArray = np.log(loss)
        return np.broadcast_to(predicted, (len(theta), self.n_rows))

    def residuals(self, theta: FloatArray) -> FloatArray:
        """``log L - log L̂`` of the full data at one ``theta`` (p,), (n,)."""
        return np.asarray(self.log_loss - self.log_prediction(theta[None])[0])

    def log_jacobian(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``log L̂`` (B, n) and its derivatives by ``theta``, (B, p, n)."""
        with np.errstate(all="ignore"):
            loss, slopes = self._loss_and_slopes(theta)
            J = np.empty((*theta.shape, self.n_rows))
            inverse = 1.0 / loss
            given = set()
            for k, slope in slopes:
                if k in given:
                    J[:, k] += slope * inverse
                else:
                    np.multiply(slope, inverse, out=J[:, k])
                given.add(k)
            J[:, [k for k in range(theta.shape[1]) if k not in given]] = 0.0
            predicted: FloatArray = np.log(loss)
        return np.broadcast_to(predicted, (len(theta), self.n_rows)), J

    def _loss_and_slopes(self, theta: FloatArray) -> tuple[Any, list[tuple[int, Any]]]:
        """``L̂`` and its derivatives by coordinate: the law's own, else by duals."""
        law, coordinates = self.coordinates.law, self.coordinates
        own = law.derivatives(coordinates.values(theta), self.x)
        if own is not None:
            loss, by_name = own
            return loss, coordinates.slopes(theta, by_name)
        loss = law.loss(coordinates.duals(theta), self.x)
        if not isinstance(loss, Dual):
            raise InputError(f"the law {law.name} does not depend on its parameters", where="loss")
        return loss.value, list(loss.parts.items())

    def objective(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> FloatArray:
        """The objective at ``theta`` (B, p), (B,); infinite where the law has no value."""
        residual = self.targets_of(rows) - self.log_prediction(theta)
        value = sum_rows(huber(residual, delta), self.weights_of(rows))
        return value if self.prior is None else value + self.prior.value(theta)

    def local(self, theta: FloatArray, rows: NDArray[np.intp], delta: float) -> Local:
        """Value, gradient and both Gauss-Newton matrices at ``theta`` (B, p)."""
        predicted, J = self.log_jacobian(theta)
        # a point where the law has no value gives an infinite objective, and is never moved to
        with np.errstate(invalid="ignore", over="ignore"):
            residual = self.targets_of(rows) - predicted
            at = self._local(J, residual, self.weights_of(rows), delta)
        return at if self.prior is None else self.prior.added(at, theta)

    def bend(
        self,
        theta: FloatArray,
        step: FloatArray,
        rows: NDArray[np.intp],
        delta: float,
        mu: FloatArray,
    ) -> FloatArray:
        """The second derivative of ``log L̂`` along ``step``, weighed and pulled back, (B, p).

        Its weights are those of ``H_newton + mu H_irls``, so that a solve with that matrix gives
        the geodesic acceleration.
        """
        predicted, J = self.log_jacobian(theta)
        h = _BEND_STEP
        ahead = self.log_prediction(theta + h * step)
        behind = self.log_prediction(theta - h * step)
        with np.errstate(invalid="ignore", over="ignore"):
            second = np.nan_to_num((ahead - 2.0 * predicted + behind) / (h * h))
            size = np.abs(self.targets_of(rows) - predicted)
            weight = (size <= delta) + mu[:, None] * np.divide(delta, np.maximum(size, delta))
            weights = self.weights_of(rows)
            pull = second * weight if weights is None else second * weight * weights
            return np.asarray(np.matmul(J, pull[:, :, None])[:, :, 0])

    @staticmethod
    def _local(
        J: FloatArray, residual: FloatArray, weights: FloatArray | None, delta: float
    ) -> Local:
        value = sum_rows(huber(residual, delta), weights)
        within, irls = huber_weights(residual, delta)
        pull = residual * irls
        if weights is not None:
            within, irls, pull = within * weights, irls * weights, pull * weights
        J_T = J.transpose(0, 2, 1)
        gradient = -np.matmul(J, pull[:, :, None])[:, :, 0]
        H_irls = np.matmul(J * irls[:, None], J_T)
        H_newton = H_irls if math.isinf(delta) else products_within(J, within)
        return Local(value, gradient, H_newton, H_irls)


def products_within(J: FloatArray, weights: FloatArray) -> FloatArray:
    """``J diag(w) J'`` (B, p, p) for weights (B, n) most of which may be zero."""
    n = J.shape[2]
    if n < _MANY_ROWS or np.count_nonzero(weights) > 0.4 * weights.size:
        return np.asarray(np.matmul(J * weights[:, None], J.transpose(0, 2, 1)))
    H = np.empty((len(J), J.shape[1], J.shape[1]))
    for b, w in enumerate(weights):
        rows = np.flatnonzero(w)
        part = J[b].take(rows, axis=1)
        np.matmul(part * w[rows], part.T, out=H[b])
    return H


def huber_weights(residual: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """``psi'(r)``, 1 within ``delta`` and 0 beyond, and ``psi(r) / r``, of the shape of ``r``."""
    size = np.abs(residual)
    within = (size <= delta).astype(np.float64)
    irls = np.divide(delta, np.maximum(size, delta)) if math.isfinite(delta) else within
    return within, irls


def sum_rows(values: FloatArray, weights: FloatArray | None) -> FloatArray:
    """The weighed sum of ``values`` (B, n) over rows, (B,); infinite where one is no number."""
    if weights is None:
        total = values.sum(axis=-1)
    elif weights.ndim == 1:
        total = values @ weights
    else:
        total = np.einsum("bn,bn->b", values, weights)
    return np.where(np.isnan(total), np.inf, total)


def as_inputs(arrays: dict[str, Any]) -> SimpleNamespace:
    """``x`` of the formula from arrays by name."""
    return SimpleNamespace(**{k: np.asarray(v, dtype=np.float64) for k, v in arrays.items()})
