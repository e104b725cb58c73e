"""Runs that are not made yet and decisions that rest on them, as draws of a fit give them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

FEWEST_DRAWS: Final = 30
TOKENS_PER_PARAMETER: Final = (5.0, 20.0, 80.0, 320.0)
SIZES: Final = 6
SIZE_REACH: Final = 4.0
FEWEST_TOKENS: Final = 1e6
LOG_SIZE: Final = "log N of the lowest loss"
"""What names of decisions about a size begin with."""
_STEP: Final = 0.12
"""Of log N, where the best size is looked for."""


def in_words(decision: str) -> str:
    """The name of a decision as answers print it: a size is one, not its logarithm."""
    return decision.replace("log N", "size", 1) if decision.startswith(LOG_SIZE) else decision


@dataclass(frozen=True)
class CandidateRun(Answer):
    """A run that could be made.

    Attributes:
        n_params: embeddings counted.
        tokens: in all.
        mixture: share by language, our codes.
    """

    n_params: float
    tokens: float
    mixture: Mapping[str, float]

    @property
    def flops(self) -> float:
        """``6 N D``."""
        return training_flops(self.n_params, self.tokens)


@dataclass(frozen=True, eq=False)
class Decision:
    """A number to become surer of.

    Attributes:
        name: in words.
        value: at the fit's values.
        draws: in each draw, (R,).
        at: the same for other values of the parameters, (R, m) to (R,); None if it is not known.
        warnings: what limits it.
    """

    name: str
    value: float
    draws: FloatArray = field(repr=False)
    at: Callable[[FloatArray], FloatArray] | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


def loss_decision(
    fit: Fit, run: CandidateRun, unique: Mapping[str, float] | None = None
) -> Decision:
    """The loss of a run that is not made yet."""
    losses = np.exp(log_losses(fit, [run], unique))[:, 0]
    value = float(np.exp(log_losses(fit, [run], unique, draws=False))[0, 0])
    return Decision(
        f"loss of {format_count(run.n_params)} parameters on {format_count(run.tokens)} tokens",
        value,
        losses,
        lambda values: np.exp(log_losses(replace(fit, draws=values), [run], unique))[:, 0],
        tuple(_unseen_warnings(fit, run.mixture)),
    )


def _unseen_warnings(fit: Fit, mixture: Mapping[str, float]) -> list[str]:
    """Languages that no run of the fit had beside its target."""
    facts = fit.observations.facts
    unseen = [code for code in mixture if code not in (facts.target, *facts.co_sampled)]
    if not unseen:
        return []
    named = ", ".join(unseen)
    return [f"no run of this fit had {named} beside {facts.target}: what it adds is not told"]


def size_decision(
    fit: Fit,
    flops: float,
    mixture: Mapping[str, float],
    unique: Mapping[str, float] | None = None,
) -> Decision:
    """``log N`` of the lowest loss for a budget at a given mixture."""
    check_above_zero(flops=flops)
    low, high = fitted_range(fit, "n_params")
    largest = max(high * 1000, low * 1e4, flops / 6 / FEWEST_TOKENS)
    ends = math.log(low / 10), math.log(largest)
    v = np.linspace(*ends, math.ceil((ends[1] - ends[0]) / _STEP) + 1)
    runs = [CandidateRun(float(n), flops / 6 / float(n), mixture) for n in np.exp(v)]
    value = _lowest(v, log_losses(fit, runs, unique, draws=False))
    drawn = _lowest(v, log_losses(fit, runs, unique))
    return Decision(
        f"{LOG_SIZE} for {flops:.3g} FLOPs",
        float(value[0]),
        drawn,
        lambda values: _lowest(v, log_losses(replace(fit, draws=values), runs, unique)),
        (*_bound_warnings(v, float(value[0]), drawn), *_unseen_warnings(fit, mixture)),
    )


def _bound_warnings(v: FloatArray, value: float, drawn: FloatArray) -> list[str]:
    """Where the best size is an end of the sizes that were looked at."""
    step = v[1] - v[0]

    def at_end(x: FloatArray | float) -> NDArray[np.bool_]:
        return np.asarray((x < v[0] + step) | (x > v[-1] - step))

    looked = f"{format_count(math.exp(v[0]))} to {format_count(math.exp(v[-1]))} parameters"
    if at_end(value):
        return [f"the best size is an end of those looked at, {looked}: it may lie beyond"]
    n = int(at_end(drawn).sum())
    if not n:
        return []
    return [
        f"in {n} of {len(drawn)} draws the best size is an end of those looked at, {looked}: the "
        "interval is cut there"
    ]


def parameter_decision(fit: Fit, name: str) -> Decision:
    """A parameter of the law.

    Raises:
        InputError: the law has no such parameter.
    """
    if name not in fit.values:
        raise unknown("the fit has no such parameter", name, fit.values, where="decision")
    column = list(fit.values).index(name)
    return Decision(
        name, fit.values[name], draws_of(fit)[:, column], lambda values: values[:, column]
    )


def design_space(
    fit: Fit,
    flops: float,
    *,
    sizes: Sequence[float] | None = None,
) -> list[CandidateRun]:
    """Sizes x tokens x mixtures that an allowance pays for.

    Tokens are ``TOKENS_PER_PARAMETER`` of each size; mixtures the target alone, half and half with
    each language that runs of the fit had beside it, and all evenly.

    Args:
        fit: whose range of sizes and languages is taken where nothing is given.
        flops: allowance.
        sizes: model sizes; from the smallest fitted to ``SIZE_REACH`` times the largest.
    """
    if sizes is None:
        low, high = fitted_range(fit, "n_params")
        sizes = np.geomspace(low, high * SIZE_REACH, SIZES).tolist()
    runs = [
        CandidateRun(float(n), float(n) * ratio, mixture)
        for n in sizes
        for ratio in TOKENS_PER_PARAMETER
        for mixture in _mixtures(fit)
    ]
    return [run for run in runs if run.flops <= flops] or runs


def _lowest(v: FloatArray, losses: FloatArray) -> FloatArray:
    """Where each row is lowest, by a parabola through the grid's three lowest points, (R,)."""
    i = np.clip(np.argmin(losses, axis=1), 1, len(v) - 2)
    rows = np.arange(len(losses))
    before, at, after = (losses[rows, i + shift] for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    shift = np.where(bend > 0, 0.5 * (before - after) / np.where(bend > 0, bend, 1.0), 0.0)
    return np.asarray(v[i] + np.clip(shift, -1, 1) * (v[1] - v[0]))


def _mixtures(fit: Fit) -> list[dict[str, float]]:
    facts = fit.observations.facts
    if facts.target is None or not facts.languages:
        return [{}]
    others = sorted(facts.co_sampled)
    pairs = [{facts.target: 0.5, code: 0.5} for code in others]
    all_of_them = sorted([facts.target, *others])
    even = [dict.fromkeys(all_of_them, 1 / len(all_of_them))] if len(others) > 1 else []
    return [{facts.target: 1.0}, *pairs, *even]


def fitted_range(fit: Fit, name: str) -> tuple[float, float]:
    """Smallest and largest value of an input that was fitted.

    Raises:
        InputError: the law does not know that input.
    """
    values = fit.observations.x.get(name)
    if values is None:
        raise InputError(
            f"the law {fit.law.name} does not know {name}", value=fit.law.name, where="fit"
        )
    return float(np.min(values)), float(np.max(values))


def draws_of(fit: Fit) -> FloatArray:
    """Bootstrap draws of the parameters, (R, p).

    Raises:
        InputError: there are none, or fewer than ``FEWEST_DRAWS``.
    """
    if fit.draws is None or len(fit.draws) < FEWEST_DRAWS:
        raise InputError(
            "what a run would tell is read from the fit's bootstrap draws, and there are too few",
            value=0 if fit.draws is None else len(fit.draws),
            where="fit",
            remedy=f"fit again with {FEWEST_DRAWS} bootstrap refits or more (200 is good)",
        )
    return fit.draws


def log_losses(
    fit: Fit,
    runs: Sequence[CandidateRun],
    unique: Mapping[str, float] | None,
    *,
    draws: bool = True,
) -> FloatArray:
    """Log loss of runs in each draw, (R, n), or at the fit's values, (1, n)."""
    x = inputs_of(fit, runs, unique)
    losses = fit.predict_draws(**x) if draws else np.atleast_2d(fit.predict(**x))
    return np.log(losses)


def inputs_of(
    fit: Fit, runs: Sequence[CandidateRun], unique: Mapping[str, float] | None
) -> dict[str, FloatArray]:
    """The arrays that the fit's law reads, for runs that are not made yet."""
    import polars as pl

    from atlas_scaling.fitting.inputs import build_inputs
    from atlas_scaling.runs.store import by_language

    columns: dict[str, object] = {
        "run_id": [f"candidate{i}" for i in range(len(runs))],
        "n_params": [float(run.n_params) for run in runs],
        "tokens": [float(run.tokens) for run in runs],
        "flops": [run.flops for run in runs],
    }
    if any(run.mixture for run in runs):
        columns["mixture"] = [by_language(dict(run.mixture)) for run in runs]
    if unique:
        columns["unique_tokens"] = [by_language(dict(unique)) for _ in runs]
    return build_inputs(pl.DataFrame(columns), fit.law, fit.observations.facts)[0]
