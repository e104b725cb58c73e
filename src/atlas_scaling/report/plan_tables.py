"""Tables of the planner's answers: more languages, scratch or continue, an allocation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from atlas_scaling.report.blocks import Cell, Column, Table
from atlas_scaling.report.words import (
    MISSING,
    count,
    interval,
    language_name,
    language_title,
    number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atlas_scaling.answers import Estimate
    from atlas_scaling.planning.allocation_answer import Allocation
    from atlas_scaling.planning.expand import Expansion
    from atlas_scaling.planning.start import StartAdvice


def expansion_table(answer: Expansion) -> Table:
    """Factors on parameters, tokens and compute, and what they come to where that is known."""
    rows: list[tuple[Cell, ...]] = [
        (name, _factor(ratio), interval(ratio.interval), _amount(amount))
        for name, ratio, amount in (
            ("Parameters", answer.n_params_ratio, answer.n_params),
            ("Tokens, all", answer.tokens_ratio, answer.tokens),
            ("Tokens, each language", answer.tokens_per_language_ratio, None),
            ("Compute", answer.flops_ratio, answer.flops),
        )
    ]
    columns = [
        Column("Quantity"),
        Column("Factor", "right"),
        Column(f"{100 * answer.level:g}% interval", "right"),
        Column("comes to", "right"),
    ]
    if answer.n_params is None and answer.tokens is None:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    before, after = f"{answer.from_languages:.4g}", f"{answer.to_languages:.4g}"
    return Table(
        name=f"expand-{before}-{after}",
        caption=f"From {before} to {after} languages at the same loss of each, least compute.",
        columns=tuple(columns),
        rows=tuple(rows),
    )


def start_table(answers: Sequence[StartAdvice]) -> Table:
    """One row an answer: what to do, where the crossover is, and what says so."""
    rows: list[tuple[Cell, ...]] = []
    for one in answers:
        probability = one.probability_scratch_better
        rows.append(
            (
                language_title(one.language),
                count(one.n_params),
                count(one.tokens),
                one.recommendation.value,
                count(one.crossover_tokens.value),
                _count_range(one.likely_range),
                MISSING if probability is None else f"{probability:.0%}",
                one.evidence.value,
                one.basis.description,
            )
        )
    return Table(
        name="start",
        caption="From scratch, or from a multilingual checkpoint? Tokens are those of the "
        "language; from the crossover on scratch is ahead.",
        columns=(
            Column("Language"),
            Column("Parameters", "right"),
            Column("Your tokens", "right"),
            Column("Do"),
            Column("Crossover", "right"),
            Column("Range", "right"),
            Column("Scratch better", "right"),
            Column("Evidence"),
            Column("Checkpoint"),
        ),
        rows=tuple(rows),
    )


def allocation_table(answer: Allocation) -> Table:
    """The plan and the usual mixtures: size, tokens, objective, and how sure the plan is better."""
    rows: list[tuple[Cell, ...]] = [
        (
            "This plan",
            count(answer.n_params),
            count(answer.tokens),
            number(answer.objective.value),
            interval(answer.objective.interval),
            "",
        )
    ]
    for name, one in answer.alternatives.items():
        rows.append(
            (
                _mixture_name(name),
                count(one.n_params),
                count(one.tokens),
                number(one.objective.value),
                interval(one.objective.interval),
                MISSING
                if one.probability_plan_better is None
                else f"{one.probability_plan_better:.0%}",
            )
        )
    unit = answer.loss_unit.replace("_", " ")
    return Table(
        name="allocation",
        caption=f"{number(answer.flops, 3)} FLOPs: least {answer.objective_kind.value} over the "
        f"targets, in {unit}, beside the usual mixtures at their own best sizes.",
        columns=(
            Column("Mixture"),
            Column("Parameters", "right"),
            Column("Tokens", "right"),
            Column("Objective", "right"),
            Column(f"{100 * answer.level:g}% interval", "right"),
            Column("Plan better", "right"),
        ),
        rows=tuple(rows),
    )


def shares_table(answer: Allocation) -> Table:
    """Share and epochs of each language, in the plan and in the usual mixtures."""
    mixtures: dict[str, Mapping[str, float]] = {
        "this plan": answer.mixture,
        **{name: one.mixture for name, one in answer.alternatives.items()},
    }
    codes = sorted(
        {code for mixture in mixtures.values() for code in mixture},
        key=lambda code: (-answer.mixture.get(code, 0.0), code),
    )
    rows: list[tuple[Cell, ...]] = [
        (
            language_name(code),
            number(answer.epochs.get(code), 2),
            *(_share(mixture.get(code)) for mixture in mixtures.values()),
        )
        for code in codes
    ]
    return Table(
        name="shares",
        caption="Share of each language in the tokens, and passes over its distinct text in the "
        "plan.",
        columns=(
            Column("Language"),
            Column("Epochs", "right"),
            *(Column(_mixture_name(name), "right") for name in mixtures),
        ),
        rows=tuple(rows),
        folded=len(codes) > 12,
    )


def _mixture_name(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _count_range(bounds: tuple[float, float] | None) -> str:
    """``181B … 232B``; an open end as a bound."""
    if bounds is None:
        return MISSING
    low, high = bounds
    if not math.isfinite(high):
        return f"above {count(low)}"
    return f"below {count(high)}" if low <= 0 else f"{count(low)} … {count(high)}"


def _share(share: float | None) -> str:
    return MISSING if share is None else f"{share:.1%}"


def _factor(ratio: Estimate) -> str:
    return MISSING if ratio.value is None else f"{ratio.value:.2f}×"


def _amount(amount: Estimate | None) -> str:
    if amount is None or amount.value is None:
        return ""
    return f"{amount.value:.3g}" if amount.value > 1e18 else count(amount.value)
