"""What the numbers behind a plan cost: how its objective moves with each, to first order.

At an optimum the envelope theorem holds: the best plan's objective moves with a number as that of
the plan itself does, its own small changes come to nothing. For a minimax objective losses count
with the weights of the targets that bind.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from atlas_scaling.planning.allocation_answer import Sensitivity
from atlas_scaling.planning.allocation_problem import FloatArray, worth_derivatives
from atlas_scaling.planning.allocation_setup import Setup
from atlas_scaling.planning.allocation_solver import NEGLIGIBLE_SHARE, Plan
from atlas_scaling.planning.interior_point import Solution

MOST: Final = 24
TENTH: Final = math.log(1.1)
POINT: Final = 0.01
TAU_STEP: Final = 0.1
EXPONENT_STEP: Final = 0.01
_NOTHING: Final = 1e-9


def sensitivities(setup: Setup, plan: Plan, solution: Solution) -> tuple[Sensitivity, ...]:
    """The largest ones first, at most ``MOST``.

    Args:
        setup: the question.
        plan: its answer.
        solution: of the solver at the plan, one case: which targets bind, which shares are free.
    """
    found = [
        *_budget(setup, plan, solution),
        *_text(setup, plan, solution),
        *_bounds(setup, solution),
        *_parameters(setup, plan, solution),
    ]
    felt = [one for one in found if abs(one.objective_change) > _NOTHING]
    return tuple(sorted(felt, key=lambda one: -abs(one.objective_change))[:MOST])


def _slopes(setup: Setup, plan: Plan, solution: Solution) -> tuple[FloatArray, FloatArray]:
    """Effective tokens of each target, (T,), and how the objective moves with them, (T,)."""
    problem = setup.problem
    q = (problem.tau[0] * _worth(setup, plan)[0]).sum(axis=1)
    slope = -problem.beta[0] * problem.B[0] * q ** (-problem.beta[0] - 1)
    return q, solution.weights[0] * slope


def _worth(setup: Setup, plan: Plan) -> tuple[FloatArray, FloatArray]:
    """``S`` of each language and what one more token adds to it, each (T or 1, n)."""
    worth, marginal, _ = worth_derivatives(
        plan.tokens * plan.shares, setup.unique, setup.problem.lam[0]
    )
    return worth, marginal


def _budget(setup: Setup, plan: Plan, solution: Solution) -> list[Sensitivity]:
    """More compute buys tokens at the same N (at the best N, to first order, the same)."""
    if setup.budget.tokens is not None:
        return []
    _, slope = _slopes(setup, plan, solution)
    bought = plan.tokens + setup.budget.inference_tokens / 3  # dD / dlog C
    per_token = (setup.problem.tau[0] * _worth(setup, plan)[1]) @ plan.shares
    change = float(slope @ per_token) * bought * TENTH
    return [Sensitivity("flops", "+10 %", change)]


def _text(setup: Setup, plan: Plan, solution: Solution) -> list[Sensitivity]:
    """More distinct text of the languages that repeat."""
    _, slope = _slopes(setup, plan, solution)
    seen, U, lam = plan.tokens * plan.shares, setup.unique, setup.problem.lam[0]
    repeats = np.maximum(seen / U - 1, 0.0)
    left = np.exp(-lam * repeats)
    # dS/dU at fixed D > U: 1 + (1 - e^-x)/lam - (D/U) e^-x with x = lam (D/U - 1)
    by_unique = np.where(repeats > 0, 1 + (1 - left) / lam - (1 + repeats) * left, 0.0)
    worth = np.where(np.isfinite(U), U, 0.0) * TENTH
    change = slope @ (setup.problem.tau[0] * by_unique) * worth
    return [
        Sensitivity(f"unique[{code}]", "+10 %", float(c))
        for code, c in zip(setup.languages, change, strict=True)
    ]


def _bounds(setup: Setup, solution: Solution) -> list[Sensitivity]:
    """A floor or a cap one point higher where they bind, a first point of what is not used."""
    found = []
    for i, code in enumerate(setup.languages):
        share, pressure = float(solution.w[0, i]), float(solution.pressure[0, i])
        if setup.low[i] > 0 and share - setup.low[i] < 1e-4:
            found.append(Sensitivity(f"floor[{code}]", "+1 point", pressure * POINT))
        if setup.high[i] < 1 and setup.high[i] - share < 1e-4:
            found.append(Sensitivity(f"cap[{code}]", "+1 point", pressure * POINT))
        if setup.low[i] == 0 and share < NEGLIGIBLE_SHARE:
            found.append(Sensitivity(f"share[{code}]", "+1 point", pressure * POINT))
    return found


def _parameters(setup: Setup, plan: Plan, solution: Solution) -> list[Sensitivity]:
    """Each law's own parameters."""
    problem, omega = setup.problem, solution.weights[0]
    q, slope = _slopes(setup, plan, solution)
    capacity = omega * problem.A[0] * np.exp(-problem.alpha[0] * plan.v)
    data = omega * problem.B[0] * q ** -problem.beta[0]
    by_tau = slope[:, None] * _worth(setup, plan)[0] * TAU_STEP
    found = []
    for t, law in enumerate(setup.laws):
        name = law.language
        found += [
            Sensitivity(f"A[{name}]", "+10 %", float(capacity[t]) * TENTH),
            Sensitivity(f"B[{name}]", "+10 %", float(data[t]) * TENTH),
            Sensitivity(
                f"alpha[{name}]",
                f"+{EXPONENT_STEP}",
                -float(capacity[t]) * plan.v * EXPONENT_STEP,
            ),
            Sensitivity(
                f"beta[{name}]", f"+{EXPONENT_STEP}", -float(data[t] * np.log(q[t])) * EXPONENT_STEP
            ),
        ]
        found += [
            Sensitivity(f"tau[{name} <- {code}]", f"+{TAU_STEP}", float(by_tau[t, i]))
            for i, code in enumerate(setup.languages)
            if code != name
        ]
    return found
