"""A budget into model size, tokens and mixture: the best for some languages, by their laws.

Each target's law (``planning.language_laws``) says its loss at N parameters and D_l tokens of each
language. Minimised is the weighted mean of the targets' losses, the worst of them, or the worst
regret: a target's loss over the least it could have had of this budget all to itself. Free are N
and the shares, and with them ``D = C / (6 N) - D_inf / 3``: the budget C pays training, ``6 N D``,
and if asked serving, ``2 N`` a token. Repeated text is priced by the law; there is no limit of
epochs unless one is set. The optimum is exact (``planning.interior_point``); every draw of the
parameters is solved too, and the usual mixtures stand beside the plan, each at its own best N.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from atlas_scaling.answers import DEFAULT_LEVEL, Estimate
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.fitting.identify import FLAT
from atlas_scaling.planning.allocation_answer import (
    Allocation,
    Alternative,
    BudgetPoint,
    ObjectiveKind,
    PlanRange,
    Transfer,
)
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.allocation_problem import FloatArray
from atlas_scaling.planning.allocation_setup import Setup, make_setup
from atlas_scaling.planning.allocation_solver import Plan, Solver
from atlas_scaling.planning.allocation_warnings import allocation_warnings
from atlas_scaling.planning.language_laws import LanguageLaw
from atlas_scaling.planning.sensitivity import sensitivities
from atlas_scaling.planning.unique_tokens import UniqueTokens
from atlas_scaling.planning.usual_mixtures import usual_mixtures
from atlas_scaling.units import format_count

FRONTIER_FACTORS: Final = (0.1, 0.3, 3.0, 10.0)
LAW: Final = "L = E + A/N^alpha + B/D_eff^beta, D_eff = sum_l tau_l S(D_l; U_l) (ATLAS, eqs. 1-3)"
TIE: Final = 1e-6
"""Objectives that differ by no more nats than this are the same plan's, found in two ways."""

SIZE_RESTS_ON: Final = ("A", "alpha", "B", "beta")
SAME_SIZE: Final = 1.01
"""Sizes within this factor are one."""
POSSIBLE_SHARE: Final = 0.01


def allocate(
    laws: Sequence[LanguageLaw],
    budget: Budget,
    *,
    sources: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    unique: Mapping[str, UniqueTokens] | None = None,
    objective: ObjectiveKind | str = ObjectiveKind.MEAN,
    floors: Mapping[str, float] | None = None,
    caps: Mapping[str, float] | None = None,
    max_epochs: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> Allocation:
    """The best plan for some targets.

    Args:
        laws: one a target, all in one loss unit.
        budget: compute, sizes, tokens, serving.
        sources: further languages that may be trained on.
        weights: of the targets in the mean; equal if not given.
        unique: distinct tokens by language, our codes; one left out never repeats.
        objective: ``mean``, ``worst`` or ``regret``.
        floors: least share by language.
        caps: largest share by language.
        max_epochs: most passes over a language's distinct tokens.
        level: of intervals.

    Raises:
        InputError: a question that contradicts itself, or that no model and mixture meets.
    """
    counts = dict(unique or {})
    setup = make_setup(
        laws,
        budget=budget,
        sources=sources,
        weights=weights,
        unique={code: count.tokens for code, count in counts.items()},
        floors=floors,
        caps=caps,
        max_epochs=max_epochs,
    )
    _check_identified(setup)
    solver = Solver(setup, _kind(objective), _other_budgets(setup))
    plan = solver.plan
    is_target = np.arange(len(setup.languages)) < setup.n_targets
    mixtures, said = usual_mixtures(setup.unique, is_target)
    if weights and solver.kind is not ObjectiveKind.MEAN:
        said = (*said, f"weights are of the mean: the objective {solver.kind} has none")
    alternatives = {name: solver.best_plan_with(mixture) for name, mixture in mixtures.items()}
    return Allocation(
        n_params=plan.n_params,
        tokens=plan.tokens,
        flops=budget.spent,
        mixture=setup.named(plan.shares),
        epochs=setup.epochs(plan.shares, plan.tokens),
        repeat_worth=_repeat_worth(setup, plan),
        left_out=_left_out(setup, plan),
        loss=_losses(solver, plan, level),
        objective_kind=solver.kind,
        objective=_estimate(solver.value(plan), solver.draw_values(plan), level),
        own_best=_own_best(solver),
        plan_range=_plan_range(solver, level),
        alternatives={
            name: _alternative(solver, other, level) for name, other in alternatives.items()
        },
        frontier=_frontier(solver),
        sensitivity=sensitivities(setup, plan, solver.solution, solver.own_plans),
        transfer=_transfer(setup, plan),
        unique_tokens={code: counts[code] for code in setup.languages if code in counts},
        laws={law.language: law.basis for law in laws},
        loss_unit=laws[0].unit,
        level=level,
        source="; ".join(dict.fromkeys(law.basis for law in laws)),
        law=LAW,
        warnings=tuple(dict.fromkeys([*allocation_warnings(solver, alternatives), *said])),
    )


def _check_identified(setup: Setup) -> None:
    """Refuse to choose a size by terms that the runs of a fit do not identify.

    At a given size they only move all losses alike, or are in the draws; but for those that can
    take one another's place, which neither values nor draws tell beyond the sizes fitted.
    """
    choices = setup.fixed_v(setup.budget.spent)
    if choices is not None and len(choices) == 1:
        _check_level(setup, math.exp(float(choices[0])))
        return
    for law in setup.laws:
        unsure = {name: v for name, v in law.unsure.items() if name in SIZE_RESTS_ON}
        if unsure:
            raise InputError(
                f"the runs of the fit of {law.language} do not identify {', '.join(unsure)}, on "
                "which the best size rests",
                value="; ".join(f"{name} {verdict}" for name, verdict in unsure.items()),
                where="fit",
                remedy="give the size (--params) and only the mixture is chosen; or fit runs of "
                "wider ranges of N and D",
            )


def _check_level(setup: Setup, n_params: float) -> None:
    """Refuse a loss at a size, or at tokens, that the runs of a fit leave open."""
    for law in setup.laws:
        low, high = law.n_params or (0.0, math.inf)
        of_size = () if low / SAME_SIZE <= n_params <= high * SAME_SIZE else ("A", "alpha")
        opened = {
            name: law.unsure[name]
            for name in (*of_size, "B", "beta")
            if law.unsure.get(name, "").startswith(FLAT)
        }
        if opened:
            raise InputError(
                f"the runs of the fit of {law.language} do not tell the loss of "
                f"{format_count(n_params)} parameters",
                value="; ".join(f"{name} {verdict}" for name, verdict in opened.items()),
                where="fit",
                remedy="give a size that was fitted: for the mean loss the best mixture of given "
                "--tokens is the same at any size; or fit runs of wider ranges of N and D",
            )


def _kind(objective: ObjectiveKind | str) -> ObjectiveKind:
    try:
        return ObjectiveKind(objective)
    except ValueError:
        raise unknown("unknown objective", objective, ObjectiveKind, where="objective") from None


def _estimate(value: float, draws: FloatArray | None, level: float) -> Estimate:
    return Estimate(value, None if draws is None else _interval(draws, level))


def _interval(draws: FloatArray, level: float) -> tuple[float, float]:
    """Percentiles; an end is infinite where that many draws leave a target without any data."""
    tail = 50 * (1 - level)
    finite = bool(np.isfinite(draws).all())
    low, high = np.percentile(draws, [tail, 100 - tail], method="linear" if finite else "nearest")
    return float(low), float(high)


def _losses(solver: Solver, plan: Plan, level: float) -> dict[str, Estimate]:
    values = solver.losses(solver.setup.problem, plan)[0]
    drawn = None if solver.draw_problem is None else solver.losses(solver.draw_problem, plan)
    return {
        law.language: _estimate(
            float(values[t]), None if drawn is None or not law.n_draws else drawn[:, t], level
        )
        for t, law in enumerate(solver.setup.laws)
    }


def _own_best(solver: Solver) -> dict[str, float]:
    if solver.kind is not ObjectiveKind.REGRET:
        return {}
    values = solver.own_best.tolist()
    return {law.language: value for law, value in zip(solver.setup.laws, values, strict=True)}


def _alternative(solver: Solver, plan: Plan, level: float) -> Alternative:
    setup = solver.setup
    drawn, ours = solver.draw_values(plan), solver.draw_values(solver.plan)
    return Alternative(
        n_params=plan.n_params,
        tokens=plan.tokens,
        mixture=setup.named(plan.shares),
        epochs=setup.epochs(plan.shares, plan.tokens),
        loss=_losses(solver, plan, level),
        objective=_estimate(solver.value(plan), drawn, level),
        probability_plan_better=None if drawn is None or ours is None else _chance(ours, drawn),
        keeps_limits=setup.keeps_limits(plan.shares, plan.tokens),
    )


def _chance(ours: FloatArray, others: FloatArray) -> float:
    """Share of draws in which ours is lower; those where nothing is between them count half."""
    better, worse = ours < others - TIE, ours > others + TIE
    return float(np.mean(better) + np.mean(~better & ~worse) / 2)


def _plan_range(solver: Solver, level: float) -> PlanRange | None:
    drawn, ours = solver.drawn_plans, solver.draw_values(solver.plan)
    if drawn is None or ours is None or len(drawn.v) < 2:
        return None
    shares = {
        code: _interval(drawn.shares[:, i], level)
        for i, code in enumerate(solver.setup.languages)
        if solver.plan.shares[i] > 0 or np.percentile(drawn.shares[:, i], 95) > POSSIBLE_SHARE
    }
    regret = float(np.mean(ours[drawn.index] - drawn.objective))
    return PlanRange(
        n_params=_interval(np.exp(drawn.v), level),
        tokens=_interval(drawn.tokens, level),
        mixture=shares,
        expected_regret=regret if math.isfinite(regret) else None,
        n_draws=len(drawn.v),
    )


def _other_budgets(setup: Setup) -> tuple[float, ...]:
    """Smaller and larger budgets that train a model; none where N and D are fixed anyway."""
    budget = setup.budget
    if budget.flops is None or budget.tokens is not None:
        return ()
    return tuple(f for f in (budget.flops * x for x in FRONTIER_FACTORS) if setup.can_pay(f))


def _frontier(solver: Solver) -> tuple[BudgetPoint, ...]:
    """The plan and those of the other budgets, the smallest first."""
    if not solver.others:
        return ()
    found = zip(solver.other_plans, solver.others, strict=True)
    points = [_budget_point(solver, plan, value, flops) for (plan, value), flops in found]
    spent = solver.setup.budget.spent
    own = _budget_point(solver, solver.plan, solver.value(solver.plan), spent)
    return tuple(sorted([*points, own], key=lambda point: point.flops))


def _budget_point(solver: Solver, plan: Plan, value: float, flops: float) -> BudgetPoint:
    losses = solver.losses(solver.problem_at(flops), plan)[0].tolist()
    targets = [law.language for law in solver.setup.laws]
    return BudgetPoint(
        flops=flops,
        n_params=plan.n_params,
        tokens=plan.tokens,
        mixture=solver.setup.named(plan.shares),
        loss=dict(zip(targets, losses, strict=True)),
        objective=value,
    )


def _repeat_worth(setup: Setup, plan: Plan) -> dict[str, float]:
    """``S'(D) = exp(-lam (D/U - 1))`` of the languages that are repeated (ATLAS, eq. 3)."""
    found = {}
    for code, epochs in setup.epochs(plan.shares, plan.tokens).items():
        if epochs > 1:
            lam = min(law.repetition_of(code) for law in setup.laws)
            found[code] = math.exp(-lam * (epochs - 1))
    return found


def _left_out(setup: Setup, plan: Plan) -> dict[str, tuple[Transfer, ...]]:
    """Languages without a share; their worth to each target, the largest first."""
    unused = [code for i, code in enumerate(setup.languages) if not plan.shares[i] > 0]
    return {
        code: tuple(
            sorted(
                (Transfer(law.language, code, law.worth_of(code)) for law in setup.laws),
                key=lambda one: -one.tau,
            )
        )
        for code in unused
    }


def _transfer(setup: Setup, plan: Plan) -> tuple[Transfer, ...]:
    """Weights of the languages that have a share, the largest first."""
    used = [code for i, code in enumerate(setup.languages) if plan.shares[i] > 0]
    found = [
        Transfer(law.language, code, law.worth_of(code))
        for law in setup.laws
        for code in used
        if code != law.language and law.worth_of(code) != 0
    ]
    return tuple(sorted(found, key=lambda one: -abs(one.tau)))
