"""What an allocation answers with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.planning.unique_tokens import UniqueTokens


class ObjectiveKind(StrEnum):
    """What is minimised over the targets."""

    MEAN = "mean"
    WORST = "worst"
    REGRET = "regret"


@dataclass(frozen=True)
class Alternative(Answer):
    """Another mixture under the same budget, at its own best model size.

    Attributes:
        n_params, tokens: of the run.
        mixture: share by language.
        epochs: passes over the distinct tokens, by language that has a share and a known count.
        loss: by target.
        objective: its value.
        probability_plan_better: share of draws in which the plan's objective is lower, draws that
            make no difference counted half; None without draws.
        keeps_limits: whether it keeps the floors, caps and limits of epochs that bind the plan; one
            that does not may be better than the plan.
    """

    n_params: float
    tokens: float
    mixture: Mapping[str, float]
    epochs: Mapping[str, float]
    loss: Mapping[str, Estimate]
    objective: Estimate
    probability_plan_better: float | None
    keeps_limits: bool = True


@dataclass(frozen=True)
class BudgetPoint(Answer):
    """The best plan of another budget."""

    flops: float
    n_params: float
    tokens: float
    mixture: Mapping[str, float]
    loss: Mapping[str, float]
    objective: float


@dataclass(frozen=True)
class PlanRange(Answer):
    """How the best plan itself moves with the draws: interval of each of its numbers.

    Attributes:
        n_params, tokens, mixture: intervals of the draws' own best plans.
        expected_regret: what the plan gives away on average against the best plan of each draw, in
            units of the objective: the most that knowing the parameters exactly would be worth.
            None where in some draw the plan has no finite loss.
        n_draws: draws solved.
    """

    n_params: tuple[float, float]
    tokens: tuple[float, float]
    mixture: Mapping[str, tuple[float, float]]
    expected_regret: float | None
    n_draws: int


@dataclass(frozen=True)
class Transfer(Answer):
    """What a token of one language is worth to a target that it is used for."""

    target: str
    source: str
    tau: float


@dataclass(frozen=True)
class Sensitivity(Answer):
    """What one number costs at the plan: the objective's change for a change of it, to first order.

    Attributes:
        name: ``flops``, ``unique[cat_Latn]``, ``floor[…]``, ``tau[cat_Latn <- spa_Latn]``, …
        kind: ``constraint`` for what may be changed, ``parameter`` for numbers of the laws.
        change: of that number.
        objective_change: in units of the objective; below 0 is better.
    """

    name: str
    kind: str
    change: str
    objective_change: float


@dataclass(frozen=True)
class Allocation(Answer):
    """A plan: how large a model, how many tokens, of which languages.

    Attributes:
        n_params: parameters, embeddings counted.
        tokens: training tokens in all.
        flops: of training, ``6 N D``; with serving, of both.
        mixture: share by language; languages without a share are left out.
        epochs: passes over the distinct tokens, by language that has a share and a known count.
        repeat_worth: what one more token of a language is worth to a target over a fresh one, by
            language that is repeated: of the targets, the one it is worth most to.
        left_out: languages that got no share, each with what it is worth to targets.
        loss: by target.
        objective_kind: what was minimised.
        objective: its value; for a regret in nats over each target's own best.
        own_best: least loss that each target could have of this budget to itself; only where the
            objective needs it.
        plan_range: how the plan moves with the draws; None without draws.
        alternatives: the usual mixtures by name.
        frontier: best plans of other budgets, smallest first.
        sensitivity: what constraints and parameters cost, the largest first.
        transfer: weights of the sources that the plan uses.
        unique_tokens: counts used, and where they are from.
        laws: where each target's law is from.
        loss_unit: of losses and objective.
        level: of intervals.
        source, law: what it rests on.
        warnings: what limits it.
    """

    n_params: float
    tokens: float
    flops: float
    mixture: Mapping[str, float]
    epochs: Mapping[str, float]
    repeat_worth: Mapping[str, float]
    left_out: Mapping[str, tuple[Transfer, ...]]
    loss: Mapping[str, Estimate]
    objective_kind: ObjectiveKind
    objective: Estimate
    own_best: Mapping[str, float]
    plan_range: PlanRange | None
    alternatives: Mapping[str, Alternative]
    frontier: tuple[BudgetPoint, ...]
    sensitivity: tuple[Sensitivity, ...]
    transfer: tuple[Transfer, ...]
    unique_tokens: Mapping[str, UniqueTokens]
    laws: Mapping[str, str]
    loss_unit: str
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = field(default=())
