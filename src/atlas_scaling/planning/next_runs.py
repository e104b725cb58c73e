"""Which runs to make next, so that one decision becomes surer for the compute they take.

A decision is a number that every draw of a fit gives: the loss of a run not made yet, the best
model size for a budget, a parameter. A run not made yet is a row of the law. Both are linearised in
whitened draws z of the parameters (mean 0, covariance 1)::

    g = g_0 + c'z + rest          log L_i = const + x_i'z + noise,   noise ~ N(0, sigma^2)

with c and x_i from regressions on the draws, which is the Jacobian averaged over what the fit
thinks possible. Runs S leave ``Var g = c' (1 + sum_S x x' / sigma^2)^-1 c + Var rest``: c-optimal
design. Runs are taken one by one, the one that removes most variance for its FLOPs next; that is
done again with less weight on FLOPs and with none, and the best of the lists is kept, because the
first fills the number of runs with small ones. For ``criterion="parameters"`` the determinant of
the matrix is raised instead (D-optimal).

``information="jacobian"`` takes c, x_i and the covariance from the law's derivatives at the fitted
values instead (``local_information``).

sigma is the fit's own scatter of log loss. What it says holds if the law does: a run far outside
what was fitted tests the law more than it tells of its parameters. And it is the error that shrinks
so; a bootstrap by run stays wider where few runs carry the answer, because resamples lose them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.decisions import (
    CandidateRun,
    Decision,
    design_space,
    draws_of,
    fitted_range,
    in_words,
    log_losses,
)
from atlas_scaling.planning.local_information import local_information, slope_of

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]
Criterion = Literal["decision", "parameters"]
Information = Literal["draws", "jacobian"]

MAX_RUNS: Final = 8
MAX_SEEDS: Final = 3
COST_WEIGHTS: Final = (1.0, 0.5, 0.0)
RANK_TOLERANCE: Final = 1e-7
NEGLIGIBLE: Final = 1e-4
"""A run that removes less than this share of the variance is not worth proposing."""

BENT: Final = 0.3


@dataclass(frozen=True)
class ChosenRun(Answer):
    """One run of the answer.

    Attributes:
        n_params, tokens, mixture: what to train.
        seed: 0 for the first run of its kind, then 1, …
        flops: it takes.
        interval_left: width of the decision's interval after it and those before it, over the width
            now.
    """

    n_params: float
    tokens: float
    mixture: Mapping[str, float]
    seed: int
    flops: float
    interval_left: float


@dataclass(frozen=True)
class NextRuns(Answer):
    """Runs to make next, in the order of their worth.

    Attributes:
        decision: what they are for.
        now: its value and interval.
        interval_left: expected width of its interval after all of them, over the width now.
        runs: what to train.
        flops: they take in all.
        allowance: they could have taken.
        criterion: ``decision`` or ``parameters``.
        information: ``draws`` or ``jacobian``.
        noise: standard deviation of one run's log loss that was assumed.
        n_candidates: runs that were looked at.
        level: of the interval.
        source, law: what it rests on.
        warnings: what limits it.
    """

    decision: str
    now: Estimate
    interval_left: float
    runs: tuple[ChosenRun, ...]
    flops: float
    allowance: float
    criterion: Criterion
    information: Information
    noise: float
    n_candidates: int
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = ()


def next_runs(
    fit: Fit,
    decision: Decision,
    *,
    flops: float,
    candidates: Sequence[CandidateRun] | None = None,
    criterion: Criterion = "decision",
    information: Information = "draws",
    unique: Mapping[str, float] | None = None,
    max_runs: int = MAX_RUNS,
    max_seeds: int = MAX_SEEDS,
) -> NextRuns:
    """The runs that narrow a decision most for an allowance of compute.

    Args:
        fit: with bootstrap draws.
        decision: see ``loss_decision``, ``size_decision``, ``parameter_decision``.
        flops: allowance.
        candidates: runs to choose from; ``design_space(fit, flops)`` if not given.
        criterion: ``decision`` (c-optimal), or ``parameters`` for all of them at once (D-optimal).
        information: from the fit's ``draws``, or from the law's ``jacobian`` at its values.
        unique: distinct tokens by language, where the law knows repetition.
        max_runs: most runs in all.
        max_seeds: most runs of one kind.

    Raises:
        InputError: a fit without draws, or whose runs leave the decision open; an allowance that
            pays for no candidate, or an unknown criterion.
    """
    check_above_zero(flops=flops, max_runs=max_runs, max_seeds=max_seeds)
    _check_known("criterion", criterion, get_args(Criterion))
    _check_known("information", information, get_args(Information))
    left_open = _left_open(fit, decision)
    if left_open and information == "draws":  # they do not move where nothing holds them
        information = "jacobian"
    space = design_space(fit, flops) if candidates is None else list(candidates)
    paid = [run for run in space if run.flops <= flops]
    if not paid:
        raise InputError(
            "the allowance pays for none of the candidate runs",
            value=flops,
            where="flops",
            remedy=f"the cheapest takes {min((r.flops for r in space), default=math.nan):.3g}",
        )
    sigma = _noise(fit)
    if information == "jacobian":
        X, c = local_information(fit, decision, paid, unique, sigma)
        rest = 0.0
    else:
        X, c, rest = _from_draws(fit, decision, paid, unique)
    X = X / sigma
    costs = np.array([run.flops for run in paid])
    limits = _Limits(costs, flops, max_runs, max_seeds)
    lists = [_greedy(X, c, limits, criterion, weight) for weight in COST_WEIGHTS]
    best = max(lists, key=lambda steps: _worth(steps, X, c, criterion))
    left = _intervals_left(best, X, c, rest)
    tail = 50 * (1 - fit.level)
    low, high = np.percentile(decision.draws, [tail, 100 - tail])
    return NextRuns(
        decision=decision.name,
        now=Estimate(decision.value, (float(low), float(high))),
        interval_left=left[-1] if left else 1.0,
        runs=_chosen([paid[i] for i in best], left),
        flops=float(costs[best].sum()) if best else 0.0,
        allowance=flops,
        criterion=criterion,
        information=information,
        noise=sigma,
        n_candidates=len(paid),
        level=fit.level,
        source=f"fit of the {fit.law.name} law to {fit.n_rows} rows of {fit.n_runs} runs",
        law=fit.law.formula,
        warnings=(*decision.warnings, *_warnings(fit, paid, best, rest, float(c @ c) + rest)),
    )


def _left_open(fit: Fit, decision: Decision) -> bool:
    """Whether the runs leave a direction of the parameters open.

    Raises:
        InputError: the decision moves with it, so that its draws tell nothing.
    """
    from atlas_scaling.fitting.untold import open_parameters, rests_on_open

    opened = open_parameters(fit)
    slope = slope_of(fit, decision) if opened else None
    if slope is not None and rests_on_open(fit, slope[:, None]).any():
        raise InputError(
            f"the runs of this fit do not tell: {in_words(decision.name)}",
            value="; ".join(f"{name} {verdict}" for name, verdict in opened.items()),
            where="fit",
            remedy="make the runs that these verdicts ask for first, and fit again",
        )
    return bool(opened)


def _check_known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise unknown(f"unknown {name}", value, known, where=name)


def _chosen(runs: Sequence[CandidateRun], left: Sequence[float]) -> tuple[ChosenRun, ...]:
    """Runs in order, the second of a kind with seed 1, and what each leaves of the interval."""
    return tuple(
        ChosenRun(run.n_params, run.tokens, run.mixture, runs[:n].count(run), run.flops, width)
        for n, (run, width) in enumerate(zip(runs, left, strict=True))
    )


def _intervals_left(
    chosen: Sequence[int], X: FloatArray, c: FloatArray, rest: float
) -> list[float]:
    """Width of the decision's interval after each run and those before it, over that now."""
    total = float(c @ c) + rest
    if not total:
        return [1.0] * len(chosen)
    after = (_remaining(chosen[: n + 1], X, c) for n in range(len(chosen)))
    return [math.sqrt((variance + rest) / total) for variance in after]


def _from_draws(
    fit: Fit,
    decision: Decision,
    runs: Sequence[CandidateRun],
    unique: Mapping[str, float] | None,
) -> tuple[FloatArray, FloatArray, float]:
    """``x_i`` (k, n), c (k,) and the variance of the decision that is not linear in the draws."""
    z = _whitened(fit)
    X = z.T @ log_losses(fit, runs, unique) / len(z)
    g = decision.draws - decision.draws.mean()
    c = z.T @ g / len(z)
    return X, c, max(float(g @ g) / len(g) - float(c @ c), 0.0)


def _whitened(fit: Fit) -> FloatArray:
    """Draws of the parameters as uncorrelated columns of variance 1, (R, k)."""
    draws = draws_of(fit)
    positive = (draws > 0).all(axis=0)
    moved = np.where(positive, np.log(np.where(positive, draws, 1.0)), draws)
    centred = moved - moved.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 0
    U, S, _ = np.linalg.svd(centred[:, varies] / spread[varies], full_matrices=False)
    kept = S / S[0] > RANK_TOLERANCE
    return np.asarray(U[:, kept] * math.sqrt(len(draws)))


def _noise(fit: Fit) -> float:
    """Standard deviation of one run's log loss about the law."""
    residuals = np.log(fit.observations.loss) - np.log(fit.predicted)
    free = max(len(residuals) - len(fit.values), 1)
    return max(math.sqrt(float(residuals @ residuals) / free), 1e-9)


@dataclass(frozen=True, eq=False)
class _Limits:
    """What candidates cost, (n,), and how much and how many there may be."""

    costs: FloatArray
    allowance: float
    max_runs: int
    max_seeds: int


def _greedy(
    X: FloatArray, c: FloatArray, limits: _Limits, criterion: Criterion, weight: float
) -> list[int]:
    """Candidates in the order of choice, by gain over cost to the power ``weight``.

    X is in units of the noise, (k, n).
    """
    M = np.eye(len(c))  # covariance of z
    left = limits.allowance
    chosen: list[int] = []
    counts = np.zeros(X.shape[1], dtype=int)
    least = NEGLIGIBLE if criterion == "parameters" else NEGLIGIBLE * float(c @ c)
    while len(chosen) < limits.max_runs:
        MX = M @ X
        spread = 1 + (X * MX).sum(axis=0)  # (n,)
        gain = np.log(spread) if criterion == "parameters" else (c @ MX) ** 2 / spread
        open_ = (limits.costs <= left) & (counts < limits.max_seeds) & (gain > least)
        if not open_.any():
            break
        i = int(np.argmax(np.where(open_, gain / limits.costs**weight, -np.inf)))
        chosen.append(i)
        counts[i] += 1
        left -= limits.costs[i]
        M -= np.outer(MX[:, i], MX[:, i]) / spread[i]
    return chosen


def _information(chosen: Sequence[int], X: FloatArray) -> FloatArray:
    picked = X[:, list(chosen)]
    return np.asarray(np.eye(len(X)) + picked @ picked.T)


def _remaining(chosen: Sequence[int], X: FloatArray, c: FloatArray) -> float:
    """``c' (1 + sum x x')^-1 c``."""
    return float(c @ np.linalg.solve(_information(chosen, X), c))


def _worth(chosen: Sequence[int], X: FloatArray, c: FloatArray, criterion: Criterion) -> float:
    if criterion == "parameters":
        return float(np.linalg.slogdet(_information(chosen, X))[1])
    return -_remaining(chosen, X, c)


def _warnings(
    fit: Fit, runs: Sequence[CandidateRun], chosen: Sequence[int], rest: float, total: float
) -> list[str]:
    said = list(fit.warnings)
    if not chosen:
        said.append("no candidate tells anything of this decision: widen the design space")
    if total > 0 and rest > BENT * total:
        said.append(
            f"{rest / total:.0%} of the decision's variance bends with the parameters and is taken "
            "to stay: the interval may shrink more than is said"
        )
    largest = max((runs[i].n_params for i in chosen), default=0.0)
    if "n_params" in fit.observations.x and largest > 1.01 * fitted_range(fit, "n_params")[1]:
        said.append("some runs are larger than any fitted: they test the law itself too")
    return said
