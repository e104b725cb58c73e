"""A mixture over time: a first stage of many languages, then one with more of the target.

The ATLAS law knows how many tokens of each language were seen, not in which order. The worth of
order is a number of the two-stage law (``laws.TwoStage``), and only runs whose mixture changes tell
it. From a fit that identifies it, N, the length of the first stage and both mixtures are chosen for
the least loss of the target; what no run has tried is not proposed: the first stage is no longer,
and the target's share in the stages no more extreme, than in the runs of the fit. Without such a
fit the answer is the runs that are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.laws.repetition import saturated
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.two_stage_runs import Ranges, StagedRun, missing_runs, ranges_of

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

LAW_NAME: Final = "atlas_two_stage"
STARTS: Final = (0.2, 0.5, 0.8)
NEGLIGIBLE: Final = 1e-4
WORTH_A_STAGE: Final = 1e-5
"""Less than this many nats is no reason for a second stage."""

_LARGE: Final = 1e3


@dataclass(frozen=True)
class PlannedStage(Answer):
    """A part of a run, ``fraction`` of its tokens, with its mixture."""

    fraction: float
    mixture: Mapping[str, float]


@dataclass(frozen=True)
class Schedule(Answer):
    """A run: size, tokens, stages in order, and the target's loss."""

    n_params: float
    tokens: float
    stages: tuple[PlannedStage, ...]
    loss: Estimate


@dataclass(frozen=True)
class TwoStagePlan(Answer):
    """Two stages beside one.

    Attributes:
        target: whose loss it is.
        schedule: the best of two stages, or of one where no second pays; None where the runs do not
            tell.
        one_stage: the best with one mixture from start to end, by the same law; None likewise.
        gain: loss that the second stage saves.
        probability_better: share of draws in which two stages are better; None without draws, or
            where there is one stage.
        missing: runs that would tell, where there is no schedule.
        reason: why there is none, empty otherwise.
        flops: of the run planned, or of the missing runs.
        level: of intervals.
        source, law: what it rests on.
        warnings: what limits it.
    """

    target: str
    schedule: Schedule | None
    one_stage: Schedule | None
    gain: Estimate
    probability_better: float | None
    missing: tuple[StagedRun, ...]
    reason: str
    flops: float
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = ()


def two_stages(
    fit: Fit | None,
    *,
    flops: float,
    target: str | None = None,
    sources: Sequence[str] = (),
    n_params: float | None = None,
    unique: Mapping[str, float] | None = None,
) -> TwoStagePlan:
    """The best schedule of two stages for one target, or the runs that would tell.

    Args:
        fit: of the two-stage law to the target's losses; None if there is none.
        flops: training compute of the run.
        target: where there is no fit.
        sources: where there is no fit: other languages that may be trained on.
        n_params: model size, if it is fixed.
        unique: distinct tokens by language; one left out never repeats.

    Raises:
        InputError: neither fit nor target, a fit without a target, or numbers out of range.
    """
    check_above_zero(flops=flops, n_params=n_params)
    if fit is None:
        if target is None:
            raise InputError("for which language?", where="target", remedy="give --target or --fit")
        languages = tuple(dict.fromkeys(map(normalise, (target, *sources))))
        reason = "the published study has no run whose mixture changes: this takes runs of yours"
        return _untold(languages, None, reason, flops)
    if fit.target is None:
        raise InputError("this fit does not say which language's loss it is of", where="fit")
    if target is not None and normalise(target) != fit.target:
        raise InputError("this fit is of another language", value=fit.target, where="target")
    languages = (fit.target, *(c for c in fit.observations.facts.languages if c != fit.target))
    why = _why_untold(fit)
    if why:
        return _untold(languages, fit, why, flops)
    counts = {normalise(code): float(n) for code, n in (unique or {}).items()}
    return _Question.of(fit, languages, flops, n_params, counts).answer()


def _why_untold(fit: Fit) -> str:
    """Why a fit does not tell what order is worth; empty if it does."""
    if fit.law.name != LAW_NAME:
        return (
            f"the law {fit.law.name} has no order of tokens: fit {LAW_NAME} to runs whose mixture "
            "changes"
        )
    names = [name for name in ("early", "early_other") if name in fit.values]
    unsure = [
        f"{name} is {fit.verdicts[name]}"
        for name in names
        if fit.verdicts[name].startswith(("not identified", "not seen"))
    ]
    if not ranges_of(fit).longest:
        return "no run of this fit has a stage before its last"
    return "; ".join(unsure)


def _untold(languages: tuple[str, ...], fit: Fit | None, reason: str, flops: float) -> TwoStagePlan:
    runs = missing_runs(languages, fit, flops)
    return TwoStagePlan(
        target=languages[0],
        schedule=None,
        one_stage=None,
        gain=Estimate(None),
        probability_better=None,
        missing=runs,
        reason=reason,
        flops=math.fsum(run.flops for run in runs),
        level=0.9 if fit is None else fit.level,
        source="no fit"
        if fit is None
        else f"fit of the {fit.law.name} law to {fit.n_rows} rows of {fit.n_runs} runs",
        law=LAW_NAME,
    )


@dataclass(frozen=True, eq=False)
class _Question:
    """One target, n languages of which it is the first; values and draws of its law."""

    fit: Fit
    languages: tuple[str, ...]
    flops: float
    n_params: float | None
    unique: FloatArray
    ranges: Ranges

    @classmethod
    def of(
        cls,
        fit: Fit,
        languages: tuple[str, ...],
        flops: float,
        n_params: float | None,
        unique: Mapping[str, float],
    ) -> _Question:
        counts = np.array([unique.get(code, math.inf) for code in languages])
        return cls(fit, languages, flops, n_params, counts, ranges_of(fit))

    def losses(
        self, values: FloatArray, v: float, early: FloatArray, late: FloatArray
    ) -> FloatArray:
        """Loss at shares of all tokens seen early and late (n,), for parameter rows (R, p)."""
        p = {name: values[:, i] for i, name in enumerate(self.fit.values)}
        tokens = self.flops / 6 * math.exp(-v)
        seen = early + late
        worth = saturated(tokens * seen[None], self.unique[None], p["lam"][:, None])
        before = np.divide(early, seen, out=np.zeros_like(seen), where=seen > 0)
        omega = [p["early"], *[p.get("early_other", p["early"])] * (len(self.languages) - 1)]
        tau = [np.ones(len(values)), *(self._tau(p, code) for code in self.languages[1:])]
        each = np.stack(tau, axis=1) * worth * (1 - (1 - np.stack(omega, axis=1)) * before)
        q = each.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            data = np.where(q > 0, p["B"] * np.maximum(q, 1e-300) ** -p["beta"], np.inf)
        return np.asarray(p["E"] + p["A"] * math.exp(v) ** -p["alpha"] + data)

    @staticmethod
    def _tau(p: Mapping[str, FloatArray], code: str) -> FloatArray:
        own = p.get(f"tau[{code}]")
        return own if own is not None else p.get("tau_other", np.zeros_like(p["E"]))

    def answer(self) -> TwoStagePlan:
        """Both schedules, each at its own best size, and how they compare in every draw."""
        two, one = self._best(stages=2), self._best(stages=1)
        point = np.array([list(self.fit.values.values())])
        saved = float(self.losses(point, *one)[0] - self.losses(point, *two)[0])
        pays = saved > WORTH_A_STAGE
        two, saved = (two, saved) if pays else (one, 0.0)
        drawn = None
        if self.fit.draws is not None and pays:
            with np.errstate(invalid="ignore"):
                drawn = self.losses(self.fit.draws, *one) - self.losses(self.fit.draws, *two)
        tail = 50 * (1 - self.fit.level)
        interval = None
        if drawn is not None and np.isfinite(drawn).all():
            low, high = np.percentile(drawn, [tail, 100 - tail])
            interval = (float(low), float(high))
        return TwoStagePlan(
            target=self.languages[0],
            schedule=self._schedule(point, two),
            one_stage=self._schedule(point, one),
            gain=Estimate(saved, interval),
            probability_better=None if drawn is None else float(np.mean(drawn > 0)),
            missing=(),
            reason="",
            flops=self.flops,
            level=self.fit.level,
            source=f"fit of the {self.fit.law.name} law to {self.fit.n_rows} rows of "
            f"{self.fit.n_runs} runs",
            law=self.fit.law.formula,
            warnings=tuple(self._warnings(two)),
        )

    def _best(self, *, stages: int) -> tuple[float, FloatArray, FloatArray]:
        """``log N``, early and late shares of all tokens, of the best of several starts."""
        from scipy.optimize import minimize

        n = len(self.languages)
        point = np.array([list(self.fit.values.values())])
        low, high = self._v_bounds()

        def split(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
            w = np.maximum(x[1:], 0.0)
            return float(x[0]), w[:n] * (stages == 2), w[n:]

        def value(x: FloatArray) -> float:
            return min(float(self.losses(point, *split(x))[0]), _LARGE)

        limits: list[Any] = [
            {"type": "eq", "fun": lambda x: x[1:].sum() - 1},
            *self._limits(n, stages),
        ]
        bounds = [(low, high), *[(0, 1 if stages == 2 else 0)] * n, *[(0, 1)] * n]
        found = []
        for place in STARTS:
            first = min(self.ranges.longest, place) if stages == 2 else 0.0
            w = np.full(n, 1 / n)
            late = np.array([0.5 + 0.5 / n, *np.full(n - 1, 0.5 / n)])
            late /= late.sum()
            x = np.concatenate([[low + place * (high - low)], first * w, (1 - first) * late])
            end = minimize(
                value,
                x,
                method="SLSQP",
                bounds=bounds,
                constraints=limits,
                options={"maxiter": 500, "ftol": 1e-12},
            )
            x = np.asarray(end.x)
            x[1:] = np.where(x[1:] > NEGLIGIBLE, x[1:], 0.0)
            x[1:] /= x[1:].sum()
            found.append((value(x), x))
        best = min(found, key=lambda pair: pair[0])
        if best[0] >= _LARGE:
            raise InputError(
                "the transfer weights of this fit cancel the target in every mixture",
                value={k: v for k, v in self.fit.values.items() if k.startswith("tau")},
                where="fit",
                remedy="more runs on the target's own text",
            )
        return split(best[1])

    def _limits(self, n: int, stages: int) -> list[Any]:
        """What the runs have tried, as SLSQP takes it: each is at or above 0."""
        if stages == 1:
            return []
        r = self.ranges
        lowest, highest = np.array([[r.early[0], r.late[0]], [r.early[1], r.late[1]]])

        def sums(x: FloatArray) -> FloatArray:
            return np.array([x[1 : n + 1].sum(), x[n + 1 :].sum()])

        return [
            {"type": "ineq", "fun": lambda x: r.longest - sums(x)[0]},
            {"type": "ineq", "fun": lambda x: x[[1, n + 1]] - lowest * sums(x)},
            {"type": "ineq", "fun": lambda x: highest * sums(x) - x[[1, n + 1]]},
        ]

    def _v_bounds(self) -> tuple[float, float]:
        if self.n_params is not None:
            v = math.log(self.n_params)
            return v, v
        sizes = self.fit.observations.x["n_params"]
        low = math.log(float(np.min(sizes)) / 10)
        return low, max(low + 1e-6, math.log(self.flops / 6 / 1e6))

    def _schedule(self, point: FloatArray, found: tuple[float, FloatArray, FloatArray]) -> Schedule:
        v, early, late = found
        parts = [part for part in (early, late) if part.sum() > 0]
        value = float(self.losses(point, *found)[0])
        interval = None
        if self.fit.draws is not None:
            tail = 50 * (1 - self.fit.level)
            drawn = self.losses(self.fit.draws, *found)
            if np.isfinite(drawn).all():
                low, high = np.percentile(drawn, [tail, 100 - tail])
                interval = (float(low), float(high))
        N = float(round(math.exp(v)))
        return Schedule(
            n_params=N,
            tokens=self.flops / training_flops(N, 1.0),
            stages=tuple(
                PlannedStage(float(part.sum()), self._named(part / part.sum())) for part in parts
            ),
            loss=Estimate(value, interval),
        )

    def _named(self, shares: FloatArray) -> dict[str, float]:
        pairs = zip(self.languages, shares.tolist(), strict=True)
        return {code: w for code, w in sorted(pairs, key=lambda pair: -pair[1]) if w > 0}

    def _warnings(self, two: tuple[float, FloatArray, FloatArray]) -> list[str]:
        said = list(self.fit.warnings)
        v, early, late = two
        r = self.ranges
        if not early.sum():
            return [
                *said,
                "no second stage that the runs have tried is better than one mixture throughout",
            ]
        if early.sum() > 0.99 * r.longest:
            said.append(
                f"the first stage is as long as the longest that was run, {r.longest:.0%} of the "
                "tokens: a longer one may be better"
            )
        if late.sum() > 0 and late[0] / late.sum() > 0.99 * r.late[1] and r.late[1] < 0.999:
            said.append(
                "the target's share in the second stage is the highest that was run, "
                f"{r.late[1]:.0%}"
            )
        sizes = self.fit.observations.x["n_params"]
        if not np.min(sizes) <= math.exp(v) <= np.max(sizes):
            said.append("extrapolated: a model size outside those of the fit")
        said.append("the loss is of the target alone: the second stage costs the other languages")
        return said
