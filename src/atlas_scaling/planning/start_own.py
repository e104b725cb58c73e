"""Scratch or continue, from the team's own evidence.

``start_from_curves`` takes two loss curves; ``fit_crossovers`` takes crossovers at several model
sizes, fits ``C = a N^b`` by least squares in logarithms, and ``start_from_sizes`` reads it at
another size, with the prediction interval of the regression (Student's t, n - 2 degrees of
freedom).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from atlas_scaling.answers import DEFAULT_LEVEL, Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.planning.crossing import REACH, Crossing, crossing
from atlas_scaling.planning.start import (
    BaseCheckpoint,
    Evidence,
    Recommendation,
    StartAdvice,
    check_question,
)
from atlas_scaling.transfer.curves import LossPoints
from atlas_scaling.units import format_count

ROUNDING = 1e-9
"""Of log C: crossovers that miss a line by no more were computed, not measured."""

OWN_BASE = BaseCheckpoint("the checkpoint that your continued runs start from")


def start_from_curves(
    target: str,
    *,
    scratch: LossPoints,
    continued: LossPoints,
    n_params: float,
    tokens: float,
    base: BaseCheckpoint = OWN_BASE,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
) -> StartAdvice:
    """Scratch or continue, by two loss curves on the target.

    Args:
        target: the language.
        scratch: its losses over its tokens, of one or more runs from scratch.
        continued: its losses over its tokens after the checkpoint, without those at 0.
        n_params: model size of both, embeddings counted.
        tokens: of the target, that the run in question will see.
        base: what was continued from.
        level: of the interval, and the certainty that a recommendation takes.
        seed: of the draws.

    Raises:
        InputError: as ``crossing`` does, or a number out of range.
    """
    code = normalise(target)
    check_question(n_params=n_params, tokens=tokens, share=1.0, level=level)
    found = crossing(scratch, continued, seed=seed)
    probability = found.probability_scratch_better(tokens)
    evidence, value = _evidence(found)
    interval = found.interval(level) or _bounds(found)
    return StartAdvice(
        language=code,
        n_params=n_params,
        tokens=tokens,
        recommendation=_recommendation(found, value, tokens, probability, level),
        crossover_tokens=Estimate(value, interval),
        crossover_flops=_flops(n_params, value, interval),
        likely_range=interval,
        range_basis=f"{100 * level:g}% of the draws of both curves"
        if found.draws is not None
        else "bounds only: too few evaluations to tell their noise",
        probability_scratch_better=probability,
        evidence=evidence,
        readings=_curve_readings(found),
        basis=base,
        level=level,
        source=f"your curves: {scratch.name}; {continued.name}",
        law="smoothed curves; beyond them L = E + B (D + D_0)^-b",
        warnings=tuple(_warnings(found, evidence, tokens)),
    )


@dataclass(frozen=True)
class CrossoverFit(Answer):
    """``C = a N^b`` through crossovers of several model sizes.

    Attributes:
        coefficient, exponent: ``a`` and ``b``; intervals need three sizes.
        n_params: range of the sizes.
        residual: standard deviation of ``log C`` about the line; None where it cannot be told,
            with two sizes or with points that lie on a line to the digit.
        level: of the intervals.
        points: model size -> tokens at the crossover, as given.
    """

    coefficient: Estimate
    exponent: Estimate
    n_params: tuple[float, float]
    residual: float | None
    level: float
    points: Mapping[float, float]

    def tokens_at(self, n_params: float) -> Estimate:
        """Tokens of the crossover at ``n_params``, with the prediction interval."""
        centre, spread = self._at(n_params)
        if spread is None:
            return Estimate(math.exp(centre))
        reach = spread * _t_quantile(len(self.points) - 2, self.level)
        return Estimate(math.exp(centre), (math.exp(centre - reach), math.exp(centre + reach)))

    def probability_below(self, n_params: float, tokens: float) -> float | None:
        """Chance that the crossover at ``n_params`` is below ``tokens``."""
        from scipy.special import stdtr

        centre, spread = self._at(n_params)
        if not spread:
            return None
        return float(stdtr(len(self.points) - 2, (math.log(tokens) - centre) / spread))

    def _at(self, n_params: float) -> tuple[float, float | None]:
        """``log D`` at ``n_params`` and the standard error of one more crossover there."""
        a, b = self.coefficient.value, self.exponent.value
        assert a is not None
        assert b is not None
        centre = math.log(a) + b * math.log(n_params) - math.log(training_flops(n_params, 1.0))
        if self.residual is None:
            return centre, None
        x = np.log(list(self.points))
        away = (math.log(n_params) - x.mean()) ** 2 / np.square(x - x.mean()).sum()
        return centre, self.residual * math.sqrt(1 + 1 / len(x) + float(away))


def fit_crossovers(
    tokens_by_size: Mapping[float, float], *, level: float = DEFAULT_LEVEL
) -> CrossoverFit:
    """Fit ``C = a N^b`` to crossovers.

    Args:
        tokens_by_size: model size -> tokens of the target at the crossover.
        level: of the intervals.

    >>> law = fit_crossovers({1e8: 30e9, 1e9: 134e9})
    >>> round(law.exponent.value, 2)
    1.65

    Raises:
        InputError: fewer than two sizes, or a number that is not above zero.
    """
    if len(tokens_by_size) < 2:
        raise InputError(
            "a power law needs crossovers at two model sizes at least",
            value=len(tokens_by_size),
            where="crossovers",
            remedy="measure one more size, or use the published law: leave the crossovers out",
        )
    for size, tokens in tokens_by_size.items():
        check_question(n_params=size, tokens=tokens, share=1.0, level=level)
    x = np.log(list(tokens_by_size))
    y = np.log([training_flops(size, tokens) for size, tokens in tokens_by_size.items()])
    n, dx = len(x), x - x.mean()
    b = float(dx @ y / (dx @ dx))
    log_a = float(y.mean() - b * x.mean())
    sizes = (min(tokens_by_size), max(tokens_by_size))
    residual = math.sqrt(float(np.square(y - log_a - b * x).sum()) / max(n - 2, 1))
    if n == 2 or residual < ROUNDING:
        return CrossoverFit(
            Estimate(math.exp(log_a)), Estimate(b), sizes, None, level, dict(tokens_by_size)
        )
    t = _t_quantile(n - 2, level)
    reach_b = t * residual / math.sqrt(float(dx @ dx))
    reach_a = t * residual * math.sqrt(1 / n + float(x.mean() ** 2 / (dx @ dx)))
    return CrossoverFit(
        coefficient=Estimate(
            math.exp(log_a), (math.exp(log_a - reach_a), math.exp(log_a + reach_a))
        ),
        exponent=Estimate(b, (b - reach_b, b + reach_b)),
        n_params=sizes,
        residual=residual,
        level=level,
        points=dict(tokens_by_size),
    )


def start_from_sizes(
    target: str,
    law: CrossoverFit,
    *,
    n_params: float,
    tokens: float,
) -> StartAdvice:
    """Scratch or continue at a size that was not measured, by one's own ``C = a N^b``."""
    code = normalise(target)
    check_question(n_params=n_params, tokens=tokens, share=1.0, level=law.level)
    at = law.tokens_at(n_params)
    assert at.value is not None
    probability = law.probability_below(n_params, tokens)
    low, high = law.n_params
    said = []
    if not low <= n_params <= high:
        said.append(
            f"extrapolated: {format_count(n_params)} parameters, your crossovers are of "
            f"{format_count(low)}-{format_count(high)}"
        )
    if law.residual is None:
        said.append(
            "two sizes give a line without an interval; measure a third"
            if len(law.points) == 2
            else "your crossovers lie on a line to the digit, which tells no error: no interval"
        )
    return StartAdvice(
        language=code,
        n_params=n_params,
        tokens=tokens,
        recommendation=_by_probability(probability, tokens, at.value, law.level),
        crossover_tokens=at,
        crossover_flops=_flops(n_params, at.value, at.interval),
        likely_range=at.interval,
        range_basis="the line alone"
        if at.interval is None
        else f"{100 * law.level:g}% prediction interval of the regression",
        probability_scratch_better=probability,
        evidence=Evidence.FITTED,
        readings={format_count(size): d for size, d in law.points.items()},
        basis=OWN_BASE,
        level=law.level,
        source=f"your crossovers at {len(law.points)} model sizes",
        law="crossover: C = a N^b, D = C / (6 N)",
        warnings=tuple(said),
    )


def _t_quantile(degrees: int, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 0.5 + level / 2))


def _evidence(found: Crossing) -> tuple[Evidence, float | None]:
    if found.measured is not None:
        return Evidence.MEASURED, found.measured
    if found.extrapolated is not None:
        return Evidence.EXTRAPOLATED, found.extrapolated
    return Evidence.CENSORED, None


def _bounds(found: Crossing) -> tuple[float, float] | None:
    """What a censored crossing leaves when there are no draws."""
    if found.after is not None:
        return found.after, math.inf
    return None if found.before is None else (0.0, found.before)


def _recommendation(
    found: Crossing, value: float | None, tokens: float, probability: float | None, level: float
) -> Recommendation:
    if value is None and probability is None:
        if found.before is not None and tokens >= found.before:
            return Recommendation.SCRATCH
        if found.after is not None and tokens <= found.after:
            return Recommendation.CONTINUE
        return Recommendation.UNDECIDED
    if probability is None and found.measured is None:
        return Recommendation.UNDECIDED if tokens > found.last else Recommendation.CONTINUE
    return _by_probability(probability, tokens, value or 0.0, level)


def _by_probability(
    probability: float | None, tokens: float, value: float, level: float
) -> Recommendation:
    if probability is None:
        return Recommendation.SCRATCH if tokens > value else Recommendation.CONTINUE
    if probability >= level:
        return Recommendation.SCRATCH
    return Recommendation.CONTINUE if probability <= 1 - level else Recommendation.UNDECIDED


def _flops(n_params: float, value: float | None, interval: tuple[float, float] | None) -> Estimate:
    flops = None if value is None else training_flops(n_params, value)
    if interval is None:
        return Estimate(flops)
    return Estimate(
        flops, (training_flops(n_params, interval[0]), training_flops(n_params, interval[1]))
    )


def _curve_readings(found: Crossing) -> dict[str, float]:
    readings = {
        "measured": found.measured,
        "extrapolated": found.extrapolated,
        "at least": found.after,
        "at most": found.before,
    }
    return {name: value for name, value in readings.items() if value is not None}


def _warnings(found: Crossing, evidence: Evidence, tokens: float) -> list[str]:
    said = []
    last = format_count(found.last)
    if evidence is Evidence.EXTRAPOLATED:
        said.append(
            f"the curves do not cross within their {last} tokens: the crossover is a fitted law "
            "carried on, and a longer run of both would tell"
        )
    elif found.after is not None:
        said.append(
            f"the curves do not cross within their {last} tokens, nor do the fitted laws up to "
            f"{REACH:.0f} times as many"
        )
    elif found.before is not None:
        said.append("scratch is ahead from the first evaluation: the crossover is at most there")
    if tokens > found.last and evidence is Evidence.MEASURED:
        said.append(f"the curves end at {last} tokens; scratch is taken to stay ahead after them")
    if found.draws is None:
        said.append("too few evaluations to tell their noise: no interval, no probability")
    elif max(found.scratch.points.n_runs, found.continued.points.n_runs) == 1:
        said.append("one run on each side: what another seed would change is not in the interval")
    for curve in (found.scratch, found.continued):
        if curve.rises_from is not None:
            said.append(
                f"{curve.points.name}: the loss rises after {format_count(curve.rises_from)} "
                "tokens; that end is left out"
            )
    return said
