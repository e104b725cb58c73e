"""The best schedule of one or two stages by a fit of the two-stage law, within limits.

Chosen are ``v = log N`` and the shares of all tokens that each language has in the first stage
and in the last, e and l, which sum to 1. Of target and sources, the target first, there count::

    q = sum_i tau_i S(s_i; U_i) (l_i + omega_i e_i) / (l_i + e_i),   s_i = (l_i + e_i) C / (6 N)
    L = E + A / N^alpha + B / q^beta

Limits are linear in (e, l) at a given N: floors, caps and epochs of ``e + l``, and what the runs of
the fit have tried of both stages. The loss is not convex, so SLSQP descends from starts all over
the limits: mixtures of their corners (linear programmes in random directions), at several N. Tests
hold the result against fine grids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.laws.repetition import saturated
from atlas_scaling.planning.allocation_problem import worth_derivatives
from atlas_scaling.planning.two_stage_runs import Ranges

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

PLACES: Final = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Where log N starts between its bounds."""

DIRECTIONS: Final = 6
CORNER: Final = 0.7
"""How far a start lies from the middle of the corners to one of them."""

NEGLIGIBLE: Final = 1e-7
"""Shares below this are the solver's zeros."""

WITHIN: Final = 1e-6
"""How far a schedule may lie outside a limit, in shares of all tokens."""

SMALLER: Final = 10.0
"""The smallest size that is looked at, as a part of the smallest fitted."""

_LARGE: Final = 1e3


@dataclass(frozen=True, eq=False)
class Shares:
    """A schedule: log N, and parts of all tokens seen of each language in each stage, (n,)."""

    v: float
    early: FloatArray
    late: FloatArray


@dataclass(frozen=True, eq=False)
class Search:
    """One question.

    Attributes:
        fit: of the two-stage law.
        languages: its target first.
        flops: training compute.
        n_params: where it is fixed, else None.
        unique: distinct tokens, (n,); infinite where not known.
        low, high: bounds of each language's share of all tokens, (n,).
        max_tokens: most tokens of each, (n,), infinite where nothing limits them.
        ranges: what the runs have tried.
    """

    fit: Fit
    languages: tuple[str, ...]
    flops: float
    n_params: float | None
    unique: FloatArray
    low: FloatArray
    high: FloatArray
    max_tokens: FloatArray
    ranges: Ranges

    @property
    def n(self) -> int:
        """Languages."""
        return len(self.languages)

    @property
    def v_bounds(self) -> tuple[float, float]:
        """Of log N.

        Raises:
            InputError: the budget trains no model near the sizes of the fit.
        """
        if self.n_params is not None:
            return math.log(self.n_params), math.log(self.n_params)
        smallest = float(np.min(self.fit.observations.x["n_params"])) / SMALLER
        low = math.log(smallest)
        high = math.log(self.flops / 6 / smallest)  # a token a parameter of the smallest
        if high <= low:
            raise InputError(
                "this budget trains no model near the sizes of the fit",
                value=self.flops,
                where="flops",
                remedy=f"{6 * smallest**2:.3g} FLOPs or more",
            )
        return low, high

    def tokens_at(self, v: float) -> float:
        """``C / (6 N)``."""
        return self.flops / 6 * math.exp(-v)

    def losses(self, values: FloatArray, at: Shares) -> FloatArray:
        """Loss for rows of parameters (R, p); infinite where q is not above zero."""
        p = {name: values[:, i] for i, name in enumerate(self.fit.values)}
        tau, omega = self._weights(p)
        seen = at.early + at.late
        worth = saturated(self.tokens_at(at.v) * seen[None], self.unique[None], p["lam"][:, None])
        before = np.divide(at.early, seen, out=np.zeros_like(seen), where=seen > 0)
        q = (tau * worth * (1 - (1 - omega) * before)).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            data = np.where(q > 0, p["B"] * np.maximum(q, 1e-300) ** -p["beta"], np.inf)
        return np.asarray(p["E"] + p["A"] * math.exp(at.v) ** -p["alpha"] + data)

    def best(self, *, stages: int) -> Shares:
        """The best of all starts.

        Raises:
            InputError: no mixture meets the limits, or the transfer weights cancel the target.
        """
        from scipy.optimize import minimize

        bounds = [self.v_bounds, *self._share_bounds(stages)]
        limits: list[Any] = [
            {"type": "eq", "fun": lambda x: x[1:].sum() - 1, "jac": lambda x: _total(len(x))},
            {"type": "ineq", "fun": lambda x: self._room(x, stages)},
        ]
        found = []
        for start in self._starts(stages):
            end = minimize(
                self._value_and_slope,
                start,
                jac=True,
                method="SLSQP",
                bounds=bounds,
                constraints=limits,
                options={"maxiter": 300, "ftol": 1e-12},
            )
            x = self._cleaned(np.asarray(end.x), stages)
            if x is not None:
                found.append((self._value_and_slope(x)[0], x))
        if not found:
            self._refuse(stages)
        value, x = min(found, key=lambda pair: pair[0])
        if value >= _LARGE:
            raise InputError(
                "the transfer weights of this fit cancel the target in every mixture",
                value={k: v for k, v in self.fit.values.items() if k.startswith("tau")},
                where="fit",
                remedy="more runs on the target's own text",
            )
        return self._shares(x)

    def _share_bounds(self, stages: int) -> list[tuple[float, float]]:
        """Of (e, l): nothing is early where there is one stage."""
        return [(0.0, float(stages == 2))] * self.n + [(0.0, 1.0)] * self.n

    def _shares(self, x: FloatArray) -> Shares:
        return Shares(float(x[0]), x[1 : self.n + 1], x[self.n + 1 :])

    def _weights(self, p: Mapping[str, FloatArray]) -> tuple[FloatArray, FloatArray]:
        """``tau`` and ``omega`` of each language, (R, n)."""
        other = p.get("tau_other", np.zeros_like(p["E"]))
        tau = [np.ones_like(p["E"]), *(p.get(f"tau[{c}]", other) for c in self.languages[1:])]
        omega = [p["early"], *[p.get("early_other", p["early"])] * (self.n - 1)]
        return np.stack(tau, axis=1), np.stack(omega, axis=1)

    def _value_and_slope(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Loss at the fitted values and its gradient in ``(v, e, l)``."""
        p = {name: np.array([value]) for name, value in self.fit.values.items()}
        (tau,), (omega,) = self._weights(p)
        E, A, alpha, B, beta = (self.fit.values[n] for n in ("E", "A", "alpha", "B", "beta"))
        D = self.tokens_at(x[0])
        early, late = np.maximum(x[1 : self.n + 1], 0.0) * D, np.maximum(x[self.n + 1 :], 0.0) * D
        seen = early + late
        S, marginal, _ = worth_derivatives(seen, self.unique, p["lam"])
        mean = np.divide(S, seen, out=np.ones_like(seen), where=seen > 0)
        bent = np.divide(marginal - mean, seen, out=np.zeros_like(seen), where=seen > 0)
        counted = late + omega * early
        q = float((tau * mean * counted).sum())
        by_early = tau * (omega * mean + bent * counted)
        by_late = tau * (mean + bent * counted)
        slope = np.concatenate([[-early @ by_early - late @ by_late], by_early * D, by_late * D])
        if q <= 0:  # outside the law's domain: point back to it
            return _LARGE * (1 - q / D), -_LARGE / D * slope
        slope = -beta * B * q ** (-beta - 1) * slope
        capacity = A * math.exp(-alpha * x[0])
        slope[0] -= alpha * capacity
        return min(E + capacity + B * q**-beta, _LARGE), slope

    def _rows(self, D: float, stages: int) -> tuple[FloatArray, FloatArray]:
        """Limits at D tokens as ``M (e, l) <= b``."""
        n, r = self.n, self.ranges
        both = np.hstack([np.eye(n), np.eye(n)])
        most = np.minimum(self.high, self.max_tokens / D)
        rows, ends = [-both, both], [-self.low, most]
        if stages == 1:
            return np.vstack(rows), np.concatenate(ends)
        first = np.repeat([1.0, 0.0], n)
        rows.append(first[None])
        ends.append(np.array([r.longest]))
        for stage, (least, largest) in ((first, r.early), (1 - first, r.late)):
            own = np.zeros(2 * n)
            own[int(np.argmax(stage > 0))] = 1.0
            rows.append(np.stack([least * stage - own, own - largest * stage]))
            ends.append(np.zeros(2))
        return np.vstack(rows), np.concatenate(ends)

    def _room(self, x: FloatArray, stages: int) -> FloatArray:
        M, b = self._rows(self.tokens_at(x[0]), stages)
        kept = np.isfinite(b)
        return np.asarray(b[kept] - M[kept] @ x[1:])

    def _starts(self, stages: int) -> Iterator[FloatArray]:
        low, high = self.v_bounds
        rng = np.random.Generator(np.random.PCG64(0))
        for place in PLACES if high > low else PLACES[:1]:
            v = low + place * (high - low)
            corners = self._corners(v, stages, rng)
            if len(corners):
                middle = corners.mean(axis=0)
                for corner in corners:
                    yield np.append(v, CORNER * corner + (1 - CORNER) * middle)

    def _corners(self, v: float, stages: int, rng: np.random.Generator) -> FloatArray:
        """Corners of the limits at one N in random directions; none where nothing meets them."""
        from scipy.optimize import linprog

        M, b = self._rows(self.tokens_at(v), stages)
        kept = np.isfinite(b)
        width = 2 * self.n
        found = []
        for c in rng.standard_normal((DIRECTIONS, width)):
            end = linprog(
                c,
                A_ub=M[kept],
                b_ub=b[kept],
                A_eq=np.ones((1, width)),
                b_eq=[1.0],
                bounds=self._share_bounds(stages),
            )
            if end.success:
                found.append(end.x)
        return np.array(found)

    def _cleaned(self, x: FloatArray, stages: int) -> FloatArray | None:
        """``x`` without the solver's zeros; None where it does not meet the limits."""
        x = x.copy()
        x[1:] = np.where(x[1:] > NEGLIGIBLE, x[1:], 0.0)
        x[1:] /= x[1:].sum()
        return x if (self._room(x, stages) >= -WITHIN).all() else None

    def _refuse(self, stages: int) -> NoReturn:
        raise InputError(
            "no schedule meets the floors, caps and epochs"
            + (" within what the runs have tried" if stages == 2 else ""),
            value={
                code: (float(a), float(min(b, 1.0)))
                for code, a, b in zip(self.languages, self.low, self.high, strict=True)
            },
            where="floors, caps, max_epochs",
            remedy="looser ones, or more epochs",
        )


def _total(n: int) -> FloatArray:
    return np.append(0.0, np.ones(n - 1))
