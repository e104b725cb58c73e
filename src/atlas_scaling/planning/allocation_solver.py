"""Solves an allocation: the plan, each target's own best, other budgets, every draw."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.planning.allocation_answer import ObjectiveKind
from atlas_scaling.planning.allocation_problem import FloatArray, Problem
from atlas_scaling.planning.allocation_setup import Setup
from atlas_scaling.planning.interior_point import Solution, minimise
from atlas_scaling.planning.interior_system import Objective
from atlas_scaling.planning.usual_mixtures import MixtureAt

MAX_DRAWS: Final = 200
START_PLACES: Final = (0.3, 0.5, 0.7)
"""Where log N starts between its bounds."""

NEGLIGIBLE_SHARE: Final = 1e-5
"""Shares below this over their floor are the solver's zeros."""

WARM_MU: Final = 1e-3
WARM_BLEND: Final = 0.02
_GRID: Final = 160
_ZOOMS: Final = 3


@dataclass(frozen=True, eq=False)
class Plan:
    """A run: ``log N``, shares (n,), tokens in all."""

    v: float
    shares: FloatArray
    tokens: float

    @property
    def n_params(self) -> float:
        """N, a whole number."""
        return float(round(math.exp(self.v)))


@dataclass(frozen=True, eq=False)
class DrawnPlans:
    """The best plan of each draw that has one.

    Attributes:
        index: which draws, (r,).
        v, shares, tokens: log N (r,), shares (r, n), tokens (r,).
        objective: (r,).
    """

    index: NDArray[np.intp]
    v: FloatArray
    shares: FloatArray
    tokens: FloatArray
    objective: FloatArray


@dataclass(frozen=True, eq=False)
class Solver:
    """One question, solved when asked for; every part is computed once.

    Attributes:
        setup: the question.
        kind: what is minimised.
        others: other budgets to solve with it, FLOPs; see ``other_plans``.
    """

    setup: Setup
    kind: ObjectiveKind
    others: tuple[float, ...] = ()

    @property
    def plan(self) -> Plan:
        """The best plan."""
        return self._solved[0][0]

    @property
    def solution(self) -> Solution:
        """What the solver says at the plan, one case."""
        return self._solved[0][2]

    @property
    def other_plans(self) -> list[tuple[Plan, float]]:
        """Best plans of the other budgets, with their objectives."""
        return [(plan, value) for plan, value, _ in self._solved[1:]]

    @property
    def own_plans(self) -> tuple[Plan, ...]:
        """For each target, the best plan for it alone, without floors; none unless needed."""
        return self._own_plans[0]

    @cached_property
    def own_best(self) -> FloatArray:
        """Least loss of each target, (T,); 0 where the objective does not need it."""
        return np.asarray(self._own_losses(self.setup.problem, self.own_plans)[0])

    @cached_property
    def draw_problem(self) -> Problem | None:
        """The problem in each draw of the parameters, or None without draws."""
        n = min(self.setup.n_draws, MAX_DRAWS)
        return self.setup.draw_problem(n) if n else None

    def value(self, plan: Plan) -> float:
        """The objective of a plan at the fitted values."""
        offsets = None if self.kind is ObjectiveKind.MEAN else self.own_best[None]
        return float(self._values(self.setup.problem, plan, offsets)[0])

    def draw_values(self, plan: Plan) -> FloatArray | None:
        """The objective of a plan in each draw, (R,)."""
        if self.draw_problem is None:
            return None
        return self._values(self.draw_problem, plan, self._draw_offsets)

    def losses(self, problem: Problem, plan: Plan) -> FloatArray:
        """Losses of a plan, (R, T)."""
        R = len(problem.flops)
        return problem.losses(np.full(R, plan.v), np.tile(plan.shares, (R, 1)))

    def best_plan_with(self, mixture: MixtureAt) -> Plan:
        """The best model size for a mixture that is given at every number of tokens."""
        choices = self.setup.fixed_v(self.setup.budget.spent)
        if choices is not None:
            return self._best_of(choices, mixture)[1]
        low, high = self.setup.v_bounds(self.setup.budget.spent)
        grid = np.linspace(low, high, _GRID)
        for _ in range(_ZOOMS):
            place, plan = self._best_of(grid, mixture)
            grid = np.linspace(grid[max(place - 1, 0)], grid[min(place + 1, _GRID - 1)], _GRID)
        return plan

    @cached_property
    def drawn_plans(self) -> DrawnPlans | None:
        """The best plan of every draw, from the plan's neighbourhood."""
        problem = self.draw_problem
        if problem is None:
            return None
        R = len(problem.flops)
        v = np.full(R, self.plan.v)
        inner, usable = self.setup.usable_shares(problem, v)
        w = (1 - WARM_BLEND) * self.plan.shares + WARM_BLEND * inner
        near = np.isfinite(problem.losses(v, w)).all(axis=1)
        w[~near] = inner[~near]
        kept = np.flatnonzero(usable)
        bounds = None
        if self.setup.fixed_v(self.setup.budget.spent) is None:
            bounds = np.tile(self.setup.v_bounds(self.setup.budget.spent), (len(kept), 1))
        found = minimise(
            problem.rows(kept),
            self._objective(kept, self._draw_offsets),
            self.setup.constraints(bounds),
            v=v[kept],
            w=w[kept],
            mu=WARM_MU,
        )
        good = np.flatnonzero(found.converged)
        tokens = problem.rows(kept).tokens_at(found.v)[0]
        return DrawnPlans(
            kept[good], found.v[good], found.w[good], tokens[good], found.objective[good]
        )

    @property
    def _budgets(self) -> list[float]:
        return [self.setup.budget.spent, *self.others]

    @cached_property
    def _solved(self) -> list[tuple[Plan, float, Solution]]:
        """Plan, objective and solution of each budget, all solved at once."""
        offsets = None
        if self.kind is not ObjectiveKind.MEAN:
            offsets = np.concatenate(
                [
                    self._own_losses(self.problem_at(flops), plans)
                    for flops, plans in zip(self._budgets, self._own_plans, strict=True)
                ]
            )
        return self._solve(self.setup, self._budgets, lambda owner: self._objective(owner, offsets))

    @cached_property
    def _own_plans(self) -> list[tuple[Plan, ...]]:
        """For each budget, the best plan of each target alone."""
        if self.kind is not ObjectiveKind.REGRET:
            return [()] * len(self._budgets)
        alone = self.setup.without_floors()
        T = alone.n_targets
        found = self._solve(
            alone,
            np.repeat(self._budgets, T).tolist(),
            lambda owner: Objective(weights=np.ones((len(owner), 1))),
            targets=np.tile(np.arange(T), len(self._budgets)),
            places=(0.5,),
        )
        plans = [plan for plan, _, _ in found]
        return [tuple(plans[i * T : (i + 1) * T]) for i in range(len(self._budgets))]

    def _own_losses(self, problem: Problem, plans: Sequence[Plan]) -> FloatArray:
        """Loss of each target at its own plan, (R, T); 0 without own plans."""
        R = len(problem.flops)
        if not plans:
            return np.zeros((R, self.setup.n_targets))
        columns = [
            self.losses(problem.alone(np.full(R, t)), plan)[:, 0] for t, plan in enumerate(plans)
        ]
        return np.stack(columns, axis=1)

    @cached_property
    def _draw_offsets(self) -> FloatArray | None:
        return None if self.draw_problem is None else self._offsets(self.draw_problem)

    def _offsets(self, problem: Problem) -> FloatArray | None:
        """What losses are compared with, (R, T); None for a mean."""
        if self.kind is ObjectiveKind.MEAN:
            return None
        return self._own_losses(problem, self.own_plans)

    def _objective(self, owner: NDArray[np.intp], offsets: FloatArray | None) -> Objective:
        """For cases that take their offsets from the rows ``owner``."""
        if offsets is not None:
            return Objective(offsets=offsets[owner])
        return Objective(weights=np.tile(self.setup.weights, (len(owner), 1)))

    def _values(self, problem: Problem, plan: Plan, offsets: FloatArray | None) -> FloatArray:
        losses = self.losses(problem, plan)
        return self._objective(np.arange(len(losses)), offsets).value(losses)

    def problem_at(self, flops: float) -> Problem:
        """The point problem at another budget."""
        return replace(self.setup.problem, flops=np.array([flops]))

    def _solve(
        self,
        setup: Setup,
        budgets: Sequence[float],
        objective_of: Callable[[NDArray[np.intp]], Objective],
        *,
        targets: NDArray[np.intp] | None = None,
        places: Sequence[float] = START_PLACES,
    ) -> list[tuple[Plan, float, Solution]]:
        """The best of several starts, or of the sizes allowed, for each budget.

        Args:
            setup: the question.
            budgets: FLOPs of each.
            objective_of: takes which budget each case is of.
            targets: the one target that each budget is for; all of them if not given.
            places: where log N starts between its bounds, if it is free.
        """
        owner, v, bounds = _starts(setup, budgets, places)
        problem = replace(
            setup.problem.rows(np.zeros(len(v), dtype=np.intp)), flops=np.array(budgets)[owner]
        )
        if targets is not None:
            problem = problem.alone(targets[owner])
        found = minimise(
            problem,
            objective_of(owner),
            setup.constraints(bounds),
            v=v,
            w=setup.start_shares(problem, v),
        )
        best = []
        for i in range(len(budgets)):
            own = np.flatnonzero(owner == i)
            chosen = own[[np.argmin(np.where(found.converged[own], found.objective[own], np.inf))]]
            one = found.rows(chosen)
            best.append((_plan(setup, problem.rows(chosen), one), float(one.objective[0]), one))
        return best

    def _best_of(self, v: FloatArray, mixture: MixtureAt) -> tuple[int, Plan]:
        """The best of some sizes for a mixture, and its place among them."""
        problem = self.setup.problem.rows(np.zeros(len(v), dtype=np.intp))
        tokens = problem.tokens_at(v)[0]
        shares = mixture(tokens)
        offsets = None if self.kind is ObjectiveKind.MEAN else self.own_best[None]
        objective = self._objective(np.zeros(len(v), dtype=np.intp), offsets)
        values = objective.value(problem.losses(v, shares))
        place = int(np.argmin(values))
        return place, Plan(float(v[place]), np.array(shares[place]), float(tokens[place]))


def _starts(
    setup: Setup, budgets: Sequence[float], places: Sequence[float]
) -> tuple[NDArray[np.intp], FloatArray, FloatArray | None]:
    """Which budget each start is of, its log N, and bounds (R, 2), None where N is fixed."""
    owner: list[int] = []
    v: list[float] = []
    bounds: list[tuple[float, float]] = []
    for i, flops in enumerate(budgets):
        fixed = setup.fixed_v(flops)
        if fixed is not None:
            starts = [float(value) for value in fixed]
        else:
            low, high = setup.v_bounds(flops)
            starts = [low + place * (high - low) for place in places]
            bounds += [(low, high)] * len(starts)
        v += starts
        owner += [i] * len(starts)
    return np.array(owner), np.array(v), np.array(bounds) if bounds else None


def _plan(setup: Setup, problem: Problem, one: Solution) -> Plan:
    """The plan in one case's solution, the solver's zeros made zeros.

    Raises:
        InputError: the solver did not reach an optimum.
    """
    if not one.converged[0]:
        raise InputError(
            "no plan was found: the solver did not reach an optimum",
            value={"steps": one.steps},
            remedy="check the laws' parameters, above all large negative transfer weights",
        )
    low = setup.low
    kept = one.w[0] - low > NEGLIGIBLE_SHARE
    free = np.where(kept, one.w[0] - low, 0.0)
    shares = low + free * (1 - low.sum()) / free.sum()
    return Plan(float(one.v[0]), shares, float(problem.tokens_at(one.v)[0][0]))
