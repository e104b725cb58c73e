"""What the numbers behind a plan cost: how its objective moves with each, to first order.

At an optimum the envelope theorem holds: the best plan's objective moves with a number as that of
the plan itself does, its own small changes come to nothing. For a minimax objective losses count
with the weights of the targets that bind; of a regret, what the same number does to each target's
own best is taken off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from atlas_scaling.planning.allocation_answer import Sensitivity
from atlas_scaling.planning.allocation_problem import FloatArray, worth_derivatives
from atlas_scaling.planning.allocation_setup import Setup
from atlas_scaling.planning.allocation_solver import NEGLIGIBLE_SHARE, Plan
from atlas_scaling.planning.interior_point import Solution

CONSTRAINTS: Final = frozenset(
    {
        "flops",
        "n_params",
        "tokens",
        "served_tokens",
        "unique",
        "max_epochs",
        "floor",
        "cap",
        "share",
    }
)
TENTH: Final = math.log(1.1)
POINT: Final = 0.01
TAU_STEP: Final = 0.1
EXPONENT_STEP: Final = 0.01
AT_LIMIT: Final = 1 - 1e-5
_NOTHING: Final = 1e-9

Moves = dict[str, tuple[str, float]]
"""Name of a number to its change and what that does."""


def sensitivities(
    setup: Setup, plan: Plan, solution: Solution, own_plans: Sequence[Plan] = ()
) -> tuple[Sensitivity, ...]:
    """All that move it, constraints first and the largest of each kind first.

    Args:
        setup: the question.
        plan: its answer.
        solution: of the solver at the plan, one case: which targets bind, which shares are free.
        own_plans: of each target alone, where the objective is a regret.
    """
    weights = solution.weights[0]
    moves = _moves(setup, plan, weights)
    for t, own in enumerate(own_plans):
        alone = np.where(np.arange(len(weights)) == t, weights, 0.0)
        for name, (change, value) in _moves(setup, own, alone).items():
            moves[name] = (change, moves[name][1] - value)
    moves |= _bounds(setup, plan, solution, own_plans)
    felt = [
        Sensitivity(name, _kind(name), change, value)
        for name, (change, value) in moves.items()
        if abs(value) > _NOTHING
    ]
    return tuple(sorted(felt, key=lambda one: (one.kind, -abs(one.objective_change))))


def _kind(name: str) -> str:
    return "constraint" if name.partition("[")[0] in CONSTRAINTS else "parameter"


def _moves(setup: Setup, plan: Plan, weights: FloatArray) -> Moves:
    """What ``sum_t weights_t L_t`` of a plan does."""
    problem = setup.problem
    U, lam, seen = setup.unique, problem.lam[0], plan.tokens * plan.shares
    worth, marginal, _ = worth_derivatives(seen, U, lam)  # each (T or 1, n)
    # a target that does not count may have no data in this plan
    q = np.where(weights > 0, (problem.tau[0] * worth).sum(axis=1), 1.0)
    slope = -weights * problem.beta[0] * problem.B[0] * q ** (-problem.beta[0] - 1)
    moves: Moves = {}
    moves |= _spending(
        setup, plan, weights, float(slope @ (problem.tau[0] * marginal) @ plan.shares)
    )
    repeats = np.maximum(seen / U - 1, 0.0)
    # dS/dU at fixed D > U: 1 + (1 - e^-x)/lam - (D/U) e^-x with x = lam (D/U - 1)
    by_unique = np.where(repeats > 0, 1 + (1 - marginal) / lam - (1 + repeats) * marginal, 0.0)
    finite = np.where(np.isfinite(U), U, 0.0)
    more_text = finite * TENTH * (slope @ (problem.tau[0] * by_unique))
    for i, code in enumerate(setup.languages):
        moves[f"unique[{code}]"] = ("+10 %", float(more_text[i]))
    moves |= _parameters(setup, plan, weights, q, slope[:, None] * worth * TAU_STEP)
    # lam dS/dlam at fixed D > U: U (r e^-x - (1 - e^-x)/lam), r = D/U - 1, x = lam r
    by_lam = finite * (repeats * marginal - (1 - marginal) / lam) * TENTH
    return moves | _repetition(setup, slope[:, None] * problem.tau[0] * by_lam)


def _repetition(setup: Setup, by_lam: FloatArray) -> Moves:
    """Each law's repetition constants; ``by_lam`` is what 10 % more of each does, (T, n)."""
    moves: Moves = {}
    for t, law in enumerate(setup.laws):
        shared = 0.0
        for i, code in enumerate(setup.languages):
            if code in law.lam_by_source:
                moves[f"lam[{law.language} <- {code}]"] = ("+10 %", float(by_lam[t, i]))
            else:
                shared += float(by_lam[t, i])
        moves[f"lam[{law.language}]"] = ("+10 %", shared)
    return moves


def _spending(setup: Setup, plan: Plan, weights: FloatArray, per_token: float) -> Moves:
    """Compute, and N, D and serving where they are fixed; ``per_token`` is the slope in D.

    ``6 N D + 2 N D_inf = C``: with one of N and D held, the other takes what C leaves.
    """
    problem, budget = setup.problem, setup.budget
    by_size = -float(
        weights @ (problem.alpha[0] * problem.A[0] * np.exp(-problem.alpha[0] * plan.v))
    )
    by_tokens = per_token * plan.tokens  # of log D
    served = budget.inference_tokens / 3
    moves: Moves = {}
    if budget.tokens is None:
        # more compute buys tokens at the same N; at the best N that is all, to first order
        moves["flops"] = ("+10 %", per_token * (plan.tokens + served) * TENTH)
        if served:
            moves["served_tokens"] = ("+10 %", -per_token * served * TENTH)
        if budget.n_params is not None:
            moved = by_size - per_token * (plan.tokens + served)
            moves["n_params"] = ("+10 %", moved * TENTH)
    elif budget.flops is None:
        moves["n_params"] = ("+10 %", by_size * TENTH)
        moves["tokens"] = ("+10 %", by_tokens * TENTH)
    else:
        moves["flops"] = ("+10 %", by_size * TENTH)
        lost = by_size * plan.tokens / (plan.tokens + served)  # of log N for log D
        moves["tokens"] = ("+10 %", (by_tokens - lost) * TENTH)
        if served:
            moves["served_tokens"] = ("+10 %", -by_size * served / (plan.tokens + served) * TENTH)
    return moves


def _parameters(
    setup: Setup, plan: Plan, weights: FloatArray, q: FloatArray, by_tau: FloatArray
) -> Moves:
    """Each law's own numbers; ``by_tau`` is what a step of each transfer weight does, (T, n)."""
    problem = setup.problem
    capacity = weights * problem.A[0] * np.exp(-problem.alpha[0] * plan.v)
    data = weights * problem.B[0] * q ** -problem.beta[0]
    step = f"+{EXPONENT_STEP}"
    moves: Moves = {}
    for t, law in enumerate(setup.laws):
        name = law.language
        moves[f"A[{name}]"] = ("+10 %", float(capacity[t]) * TENTH)
        moves[f"B[{name}]"] = ("+10 %", float(data[t]) * TENTH)
        moves[f"alpha[{name}]"] = (step, -float(capacity[t]) * plan.v * EXPONENT_STEP)
        moves[f"E[{name}]"] = ("+10 %", float(weights[t] * problem.E[0, t]) * 0.1)
        moves[f"beta[{name}]"] = (step, -float(data[t] * np.log(q[t])) * EXPONENT_STEP)
        for i, code in enumerate(setup.languages):
            if code != name:
                moves[f"tau[{name} <- {code}]"] = (f"+{TAU_STEP}", float(by_tau[t, i]))
    return moves


def _bounds(setup: Setup, plan: Plan, solution: Solution, own_plans: Sequence[Plan]) -> Moves:
    """A floor or a cap one point higher where they bind, a first point of what is not used.

    Caps and epochs bind a target's own best too, which a regret is counted from: where they do, the
    plan's side alone would mislead, and nothing is said.
    """
    moves: Moves = {}
    epochs = 0.0
    for i, code in enumerate(setup.languages):
        share, slope = float(solution.w[0, i]), float(solution.pressure[0, i])
        point = slope * POINT
        if setup.low[i] > 0 and share - setup.low[i] < NEGLIGIBLE_SHARE:
            moves[f"floor[{code}]"] = ("+1 point", point)
        own_cap = any(setup.high[i] - own.shares[i] < NEGLIGIBLE_SHARE for own in own_plans)
        if setup.high[i] < 1 and setup.high[i] - share < NEGLIGIBLE_SHARE and not own_cap:
            moves[f"cap[{code}]"] = ("+1 point", point)
        if setup.low[i] == 0 and share < NEGLIGIBLE_SHARE:
            moves[f"share[{code}]"] = ("+1 point", point)
        if setup.max_tokens is not None and share * plan.tokens > AT_LIMIT * setup.max_tokens[i]:
            epochs += slope * share
    if epochs and not own_plans:
        moves["max_epochs"] = ("+10 %", epochs * TENTH)
    return moves
