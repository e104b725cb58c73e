"""What limits an allocation, in words: where it leaves what was fitted, or what was searched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.planning.allocation_solver import Plan, Solver
from atlas_scaling.planning.language_laws import LanguageLaw
from atlas_scaling.units import format_count

GOOD_EPOCHS: Final = 4.0
"""Muennighoff et al. 2023: up to four epochs are worth nearly as much as fresh text."""

MANY_EPOCHS: Final = 40.0
"""Muennighoff et al. 2023 find repeats beyond about this number worthless; the curve of ATLAS goes
on rising to 1 + 1/lam epochs' worth."""

AT_BOUND: Final = 1e-3
"""Log N this near to a bound of the search is at it."""

STEP: Final = 0.01
"""Of log N, to see which way the objective falls."""


def allocation_warnings(solver: Solver, alternatives: Mapping[str, Plan]) -> list[str]:
    """All of them; ``alternatives`` are the usual mixtures at their best sizes."""
    laws = solver.setup.laws
    return [
        *said_of_laws(laws),
        *_outside_the_laws(solver),
        *_bound_of_search(solver, alternatives),
        *_outside_the_limits(solver, alternatives),
        *_all_text(solver),
        *_end_of_sizes(solver),
        *_repetition(solver),
        *_no_transfer(solver),
        *_draws(solver),
    ]


def said_of_laws(laws: Sequence[LanguageLaw]) -> Iterator[str]:
    """What the laws warn of, each once; with the languages that it is of, unless it is of all."""
    of: dict[str, list[str]] = {}
    for law in laws:
        for warning in dict.fromkeys(law.warnings):
            of.setdefault(warning, []).append(law.language)
    for warning, languages in of.items():
        plain = len(languages) == len(laws) or languages[0] in warning
        yield warning if plain else f"{', '.join(languages)}: {warning}"


def _outside_the_laws(solver: Solver) -> Iterator[str]:
    n_params = solver.plan.n_params
    for law in solver.setup.laws:
        if law.n_params is not None and not law.n_params[0] <= n_params <= law.n_params[1]:
            yield (
                f"extrapolated: {format_count(n_params)} parameters, the law of {law.language} "
                f"rests on {format_count(law.n_params[0])}-{format_count(law.n_params[1])}"
            )


def _bound_of_search(solver: Solver, alternatives: Mapping[str, Plan]) -> Iterator[str]:
    """Where N is free, a plan at the smallest or largest that is looked at is no optimum."""
    setup, budget = solver.setup, solver.setup.budget
    if setup.fixed_v(budget.spent) is not None:
        return
    bounds = setup.v_bounds(budget.spent)
    end = _end(solver.plan.v, bounds, setup.smallest)
    if end:
        yield end
    names = [name for name, other in alternatives.items() if _end(other.v, bounds, setup.smallest)]
    if names and not end:
        yield f"beside the plan, the size of {', '.join(names)} is a bound of the search"
    found = zip(solver.other_plans, solver.others, strict=True)
    held = [
        f"{flops:.3g}"
        for (plan, _), flops in found
        if _end(plan.v, setup.v_bounds(flops), setup.smallest)
    ]
    if held and not end:
        yield f"a bound of the search holds at other budgets: {', '.join(held)} FLOPs"
    drawn = solver.drawn_plans
    if drawn is not None:
        n = int(np.sum(_near(drawn.v, math.log(setup.smallest)) | _near(drawn.v, bounds[1])))
        if n:
            yield (
                f"in {n} of {len(drawn.v)} draws the best size is a bound of the search: the range "
                "of sizes is cut there"
            )


def _outside_the_limits(solver: Solver, alternatives: Mapping[str, Plan]) -> Iterator[str]:
    keeps = solver.setup.keeps_limits
    outside = [n for n, other in alternatives.items() if not keeps(other.shares, other.tokens)]
    if outside:
        yield (
            f"outside the floors, caps or epochs given: {', '.join(outside)}; what those do better "
            "than the plan is what the limits cost"
        )


def _end(v: float, bounds: tuple[float, float], smallest: float) -> str:
    """Which bound of the search holds, in words; empty if none does."""
    if _near(v, bounds[1]):
        return (
            f"no run on less than {format_count(smallest)} tokens is looked at: a bound of the "
            "search holds, a larger model on fewer may be better"
        )
    if _near(v, math.log(smallest)):
        return (
            f"no model below {format_count(smallest)} parameters is looked at: a bound of the "
            "search holds, a smaller model on more text may be better"
        )
    return ""


def _all_text(solver: Solver) -> Iterator[str]:
    """Where the limit of epochs decides N."""
    setup = solver.setup
    free = setup.fixed_v(setup.budget.spent) is None
    if free and solver.plan.tokens > (1 - AT_BOUND) * setup.most_tokens:
        yield (
            "all text is read as often as is allowed, and the size is what spends the rest: more "
            "epochs or more text would buy more"
        )


def _near(v: float | NDArray[np.float64], bound: float) -> NDArray[np.bool_]:
    return np.abs(np.subtract(v, bound)) < AT_BOUND


def _end_of_sizes(solver: Solver) -> Iterator[str]:
    """Of listed sizes: one that the budget cannot train, or an end beyond which it gets better."""
    budget = solver.setup.budget
    sizes = budget.sizes or ()
    choices = solver.setup.fixed_v(budget.spent)
    if len(sizes) < 2 or choices is None:
        return
    left = len(sizes) - len(choices)
    if left:
        yield f"{left} of the {len(sizes)} sizes given do not fit this budget and its text"
    for taken, better, end, by in (
        ("largest", "larger", choices.max(), STEP),
        ("smallest", "smaller", choices.min(), -STEP),
    ):
        if _near(solver.plan.v, end) and _slope(solver, by) < 0:
            yield f"the {taken} of the sizes given is taken: a {better} one would be better"


def _slope(solver: Solver, by: float) -> float:
    """What the objective gains or loses if log N moves, at the plan's shares, to first order."""
    plan = solver.plan
    values = [
        solver.losses(solver.setup.problem, Plan(v, plan.shares, plan.tokens))[0]
        for v in (plan.v + by, plan.v)
    ]
    return float(solver.solution.weights[0] @ (values[0] - values[1]))


def _repetition(solver: Solver) -> Iterator[str]:
    plan = solver.plan
    passes = solver.setup.epochs(plan.shares, plan.tokens)
    if max(passes.values(), default=0.0) > GOOD_EPOCHS:
        yield (
            "text is repeated, and the law has no term for parameters that repeated text cannot "
            "fill (R*_N of Muennighoff et al. 2023): a smaller model may do as well"
        )
    for code, epochs in passes.items():
        if epochs > MANY_EPOCHS:
            yield f"{code} is repeated {epochs:.0f} times: more text of it is worth more"


def _no_transfer(solver: Solver) -> Iterator[str]:
    setup = solver.setup
    if len(setup.languages) > 1 and not any(law.knows_transfer for law in setup.laws):
        yield (
            "no law here knows transfer: every language but the targets is worth nothing, and a "
            "target's share serves itself alone"
        )


def _draws(solver: Solver) -> Iterator[str]:
    drawn, ours = solver.drawn_plans, solver.draw_values(solver.plan)
    if drawn is None or ours is None:
        return
    without = int(np.sum(~np.isfinite(ours)))
    if without:
        yield (
            f"in {without} of {len(ours)} draws the plan leaves a target with effective data below "
            "zero: it leans on transfer that the data cannot vouch for; give the targets floors"
        )
    if len(drawn.v) < len(ours):
        yield (
            f"{len(ours) - len(drawn.v)} draws have no best plan of their own and are left out of "
            "its range"
        )
