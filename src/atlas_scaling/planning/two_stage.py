"""A mixture over time: a first stage of many languages, then one with more of the target.

The ATLAS law knows how many tokens of each language were seen, not in which order. The worth of
order is a number of the two-stage law (``laws.TwoStage``), and only runs whose mixture changes tell
it. From a fit that identifies it, N, the length of the first stage and both mixtures are chosen for
the least loss of the target, within floors, caps and epochs; what no run has tried is not proposed:
the first stage is no longer, and the target's share in the stages no more extreme, than in the runs
of the fit. Without such a fit the answer is the runs that are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.result import identified
from atlas_scaling.languages import normalise
from atlas_scaling.planning.allocation_setup import share_bounds
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.two_stage_runs import StagedRun, missing_runs, ranges_of
from atlas_scaling.planning.two_stage_search import SMALLER, FloatArray, Search, Shares
from atlas_scaling.planning.unique_tokens import UniqueTokens, unique_tokens

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

LAW_NAME: Final = "atlas_two_stage"
WORTH_A_STAGE: Final = 1e-5
"""Less than this many nats is no reason for a second stage."""

AT_BOUND: Final = 0.01
"""Log N this near to a bound of the search, or a share this near to one of the runs, is at it."""


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
        unique_tokens: counts used, and where they are from; empty where there is no schedule.
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
    unique_tokens: Mapping[str, UniqueTokens]
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
    floors: Mapping[str, float] | None = None,
    caps: Mapping[str, float] | None = None,
    max_epochs: float | None = None,
) -> TwoStagePlan:
    """The best schedule of two stages for one target, or the runs that would tell.

    Args:
        fit: of the two-stage law to the target's losses; None if there is none.
        flops: training compute of the run.
        target: where there is no fit.
        sources: where there is no fit: other languages that may be trained on.
        n_params: model size, if it is fixed.
        unique: distinct tokens by language; see ``unique_tokens`` for what else is known.
        floors: least share of all tokens of the run, both stages together, by language.
        caps: largest share, likewise.
        max_epochs: most passes over a language's distinct tokens, both stages together.

    Raises:
        InputError: neither fit nor target, a fit without a target, one language only, numbers out
            of range, or limits that no schedule meets.
    """
    check_above_zero(flops=flops, n_params=n_params, max_epochs=max_epochs)
    languages = _languages(fit, target, sources)
    if len(languages) < 2:
        raise InputError(
            "stages differ in their mixture, and there is one language only",
            value=languages[0],
            where="sources" if fit is None else "fit",
            remedy="name what else may be trained on: --source es"
            if fit is None
            else "fit runs that mix the target with other languages",
        )
    low, high = share_bounds(floors, caps, languages)
    counts, said = unique_tokens(languages, unique)
    if fit is None:
        reason = "the published study has no run whose mixture changes: this takes runs of yours"
        return _untold(languages, None, reason, flops)
    why = _why_untold(fit)
    if why:
        return _untold(languages, fit, why, flops)
    U = np.array([counts[code].tokens for code in languages])
    search = Search(
        fit=fit,
        languages=languages,
        flops=flops,
        n_params=n_params,
        unique=U,
        low=low,
        high=high,
        max_tokens=U * (math.inf if max_epochs is None else max_epochs),
        ranges=ranges_of(fit),
    )
    return _answer(search, counts, said)


def _languages(fit: Fit | None, target: str | None, sources: Sequence[str]) -> tuple[str, ...]:
    """The target first: of the fit, or as named."""
    if fit is None:
        if target is None:
            raise InputError("for which language?", where="target", remedy="give --target or --fit")
        return tuple(dict.fromkeys(map(normalise, (target, *sources))))
    if fit.target is None:
        raise InputError(
            "this fit does not say which language's loss it is of",
            where="fit",
            remedy="fit with --target, if need be with a column language in the table",
        )
    if target is not None and normalise(target) != fit.target:
        raise InputError("this fit is of another language", value=fit.target, where="target")
    if sources:
        raise InputError(
            "a fit says itself which languages it knows",
            value=list(sources),
            where="sources",
            remedy="leave them out, or bound a language's share: --cap es=0",
        )
    return (fit.target, *(c for c in fit.observations.facts.languages if c != fit.target))


def _why_untold(fit: Fit) -> str:
    """Why a fit does not tell what order is worth; empty if it does."""
    if fit.law.name != LAW_NAME:
        return (
            f"the law {fit.law.name} has no order of tokens: fit {LAW_NAME} to runs whose mixture "
            "changes"
        )
    names = [name for name in ("early", "early_other") if name in fit.values]
    unsure = [
        f"{name} is {fit.verdicts[name]}" for name in names if not identified(fit.verdicts[name])
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
        unique_tokens={},
        level=0.9 if fit is None else fit.level,
        source="no fit"
        if fit is None
        else f"fit of the {fit.law.name} law to {fit.n_rows} rows of {fit.n_runs} runs",
        law=LAW_NAME,
    )


def _answer(
    search: Search, counts: Mapping[str, UniqueTokens], said: Sequence[str]
) -> TwoStagePlan:
    """Both schedules, each at its own best size, and how they compare in every draw."""
    fit = search.fit
    point = np.array([list(fit.values.values())])
    one = search.best(stages=1)
    two = search.best(stages=2)
    saved = float(search.losses(point, one)[0] - search.losses(point, two)[0])
    pays = saved > WORTH_A_STAGE
    two, saved = (two, saved) if pays else (one, 0.0)
    drawn = None
    if fit.draws is not None and pays:
        with np.errstate(invalid="ignore"):
            drawn = search.losses(fit.draws, one) - search.losses(fit.draws, two)
    return TwoStagePlan(
        target=search.languages[0],
        schedule=_schedule(search, point, two),
        one_stage=_schedule(search, point, one),
        gain=Estimate(saved, _interval(drawn, fit.level)),
        probability_better=None if drawn is None else float(np.mean(drawn > 0)),
        missing=(),
        reason="",
        flops=search.flops,
        unique_tokens=counts,
        level=fit.level,
        source=f"fit of the {fit.law.name} law to {fit.n_rows} rows of {fit.n_runs} runs",
        law=fit.law.formula,
        warnings=(*fit.warnings, *_warnings(search, two), *said),
    )


def _schedule(search: Search, point: FloatArray, at: Shares) -> Schedule:
    draws = search.fit.draws
    drawn = None if draws is None else search.losses(draws, at)
    N = float(round(math.exp(at.v)))
    return Schedule(
        n_params=N,
        tokens=search.flops / training_flops(N, 1.0),
        stages=tuple(
            PlannedStage(float(part.sum()), _named(search.languages, part / part.sum()))
            for part in (at.early, at.late)
            if part.sum() > 0
        ),
        loss=Estimate(float(search.losses(point, at)[0]), _interval(drawn, search.fit.level)),
    )


def _interval(drawn: FloatArray | None, level: float) -> tuple[float, float] | None:
    """Percentiles; None without draws, or where some draws have no finite loss."""
    if drawn is None or not np.isfinite(drawn).all():
        return None
    tail = 50 * (1 - level)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def _named(languages: Sequence[str], shares: FloatArray) -> dict[str, float]:
    pairs = zip(languages, shares.tolist(), strict=True)
    return {code: w for code, w in sorted(pairs, key=lambda pair: -pair[1]) if w > 0}


def _warnings(search: Search, at: Shares) -> list[str]:
    said = _bound_warnings(search, at)
    sizes = search.fit.observations.x["n_params"]
    if not np.min(sizes) <= math.exp(at.v) <= np.max(sizes):
        said.append("extrapolated: a model size outside those of the fit")
    draws = search.fit.draws
    if draws is not None:
        without = int(np.sum(~np.isfinite(search.losses(draws, at))))
        if without:
            said.append(
                f"in {without} of {len(draws)} draws the target's effective data is below zero: no "
                "interval can be given; the plan leans on transfer that the data cannot vouch for"
            )
    if at.early.sum():
        said.append("the loss is of the target alone: the second stage costs the other languages")
    else:
        said.append(
            "no second stage that the runs have tried is better than one mixture throughout"
        )
    return said


def _bound_warnings(search: Search, at: Shares) -> list[str]:
    """Where the schedule stands at the end of what was searched or tried."""
    said = []
    low, high = search.v_bounds
    if low < high:
        if at.v - low < AT_BOUND:
            said.append(
                f"the model is as small as was looked at, {SMALLER:.0f} times below the smallest "
                "fitted: a smaller one may be better"
            )
        if high - at.v < AT_BOUND:
            said.append("the run is as short as was looked at: a larger model may be better")
        read = search.tokens_at(at.v) * (at.early + at.late)
        if (read > (1 - AT_BOUND) * search.max_tokens)[read > 0].all():
            said.append(
                "all text is read as often as is allowed, and the size is what spends the rest: "
                "more epochs or more text would buy more"
            )
    if not at.early.sum():
        return said
    r = search.ranges
    if at.early.sum() > (1 - AT_BOUND) * r.longest:
        said.append(
            f"the first stage is as long as the longest that was run, {r.longest:.0%} of the "
            "tokens: a longer one may be better"
        )
    for stage, shares, (least, largest) in (
        ("first", at.early, r.early),
        ("second", at.late, r.late),
    ):
        own = float(shares[0] / shares.sum())
        if own > largest - AT_BOUND and largest < 1 - AT_BOUND:
            said.append(
                f"the target's share in the {stage} stage is the highest that was run, "
                f"{largest:.0%}: more may be better"
            )
        elif own < least + AT_BOUND and least > AT_BOUND:
            said.append(
                f"the target's share in the {stage} stage is the lowest that was run, "
                f"{least:.0%}: less may be better"
            )
    return said
