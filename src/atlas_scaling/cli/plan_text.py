"""What ``atlas plan`` prints for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atlas_scaling.units import format_count, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas_scaling.answers import Estimate
    from atlas_scaling.planning.cost import CostAnswer
    from atlas_scaling.planning.expand import Expansion, Expansions
    from atlas_scaling.planning.next_runs import NextRuns
    from atlas_scaling.planning.start import StartAdvice
    from atlas_scaling.planning.two_stage import TwoStagePlan

REBALANCING_WORTH_SAYING = 0.97
OTHER_WAYS = 5
OTHER_WAYS_REACH = 1.3


def expansion_text(answer: Expansion) -> RenderableType:
    """The factors, what they come to, other ways to the same loss, what it rests on."""
    title = (
        f"From {answer.from_languages:.4g} to {answer.to_languages:.4g} languages "
        "at the same loss of each:\n"
    )
    parts: list[RenderableType] = [Text(title), _factors(answer)]
    saving = answer.rebalancing.value
    if saving is not None and saving < REBALANCING_WORTH_SAYING:
        parts.append(
            Text(
                f"\nOf this, {saving:.2f}× comes from rebalancing parameters against tokens, which "
                "would pay without any new language too. With the balance you have: "
                f"{answer.unbalanced.n_params_ratio:.2f}× parameters, "
                f"{answer.unbalanced.tokens_ratio:.2f}× tokens, "
                f"{answer.unbalanced.flops_ratio:.2f}× compute."
            )
        )
    for code, loss in answer.added_loss.items():
        parts.append(Text(f"\nLoss of {code}, newly added: {_estimate(loss)}"))
    parts += [Text("\nOther ways to the same loss:\n"), _other_ways(answer)]
    parts.append(closing_text(answer.source, answer.warnings))
    return Group(*parts)


def expansions_text(answer: Expansions) -> RenderableType:
    """Several numbers of languages, a line each."""
    first = answer.expansions[0]
    amounts = ["parameters", "tokens"] if first.n_params and first.tokens else []
    table = Table(
        f"from {first.from_languages:.4g} to",
        "parameters",
        "tokens, all",
        "tokens, each",
        "compute",
        *(f"comes to {what}" for what in amounts),
        box=None,
    )
    for one in answer.expansions:
        ratios = (
            one.n_params_ratio,
            one.tokens_ratio,
            one.tokens_per_language_ratio,
            one.flops_ratio,
        )
        comes_to = [with_interval(n) for n in (one.n_params, one.tokens) if n is not None]
        table.add_row(
            f"{one.to_languages:.4g}", *map(factor, ratios), *(comes_to if amounts else [])
        )
    return Group(table, closing_text(answer.source, answer.warnings))


def _factors(answer: Expansion) -> Table:
    known = answer.n_params is not None or answer.tokens is not None
    table = Table("", "factor", *(["comes to"] if known else []), box=None)
    rows = (
        ("parameters", answer.n_params_ratio, answer.n_params, ""),
        ("tokens, all", answer.tokens_ratio, answer.tokens, ""),
        ("tokens, each language", answer.tokens_per_language_ratio, None, ""),
        ("compute", answer.flops_ratio, answer.flops, " FLOPs"),
    )
    for name, ratio, absolute, unit in rows:
        amount = "" if absolute is None else with_interval(absolute, flops=bool(unit)) + unit
        table.add_row(name, factor(ratio), *([amount] if known else []))
    return table


def _other_ways(answer: Expansion) -> Table:
    least = answer.flops_ratio.value or 1.0
    near = [p for p in answer.frontier if p.flops_ratio <= OTHER_WAYS_REACH * least]
    step = max(1, (len(near) - 1) // (OTHER_WAYS - 1))
    table = Table("parameters", "tokens, all", "compute", box=None)
    for point in near[::step]:
        table.add_row(
            f"{point.n_params_ratio:.2f}×",
            f"{point.tokens_ratio:.2f}×",
            f"{point.flops_ratio:.2f}×",
        )
    return table


def start_text(answer: StartAdvice) -> RenderableType:
    """What to do, where the crossover lies and how sure that is, what it rests on."""
    tokens, size = format_count(answer.tokens), format_count(answer.n_params)
    advice = {
        "scratch": f"Train from scratch: {tokens} tokens of {answer.language} are beyond the "
        "crossover.",
        "continue": f"Continue from a checkpoint: {tokens} tokens of {answer.language} are before "
        "the crossover.",
        "undecided": f"Undecided: {tokens} tokens of {answer.language} are within the range of the "
        "crossover.",
    }[answer.recommendation.value]
    table = Table(show_header=False, box=None)
    at = answer.crossover_tokens
    value = "not known" if at.value is None else f"{format_count(at.value)} tokens"
    table.add_row(f"crossover at {size} parameters", f"{value} ({answer.evidence.value})")
    if answer.crossover_flops.value is not None:
        table.add_row("as compute", f"{answer.crossover_flops.value:.3g} FLOPs")
    if answer.likely_range is not None:
        table.add_row("range", f"{_range(answer.likely_range)}: {answer.range_basis}")
    if answer.probability_scratch_better is not None:
        table.add_row(
            "chance that scratch is better", probability(answer.probability_scratch_better)
        )
    for name, tokens_read in answer.readings.items():
        table.add_row(f"  {name}", format_count(tokens_read))
    base = answer.basis.description
    if answer.basis.language_tokens is not None:
        base += f"; {format_count(answer.basis.language_tokens)} tokens of {answer.language}"
    table.add_row("checkpoint", base)
    return Group(Text(advice + "\n"), table, closing_text(answer.source, answer.warnings))


def _range(ends: tuple[float, float]) -> str:
    low, high = ends
    if low <= 0:
        return f"up to {format_count(high)}"
    return (
        f"over {format_count(low)}"
        if high == float("inf")
        else (f"{format_count(low)} to {format_count(high)}")
    )


def cost_text(answer: CostAnswer) -> RenderableType:
    """The cost, one line a kind of accelerator."""
    run = f"{answer.flops:.3g} FLOPs"
    if answer.n_params is not None and answer.tokens is not None:
        size, tokens = format_count(answer.n_params), format_count(answer.tokens)
        run = f"{size} parameters on {tokens} tokens, {run}"
    money = ["money"] if answer.currency is not None else []
    table = Table("accelerator", "hours", "wall-clock", "energy", *money, "MFU", box=None)
    for option in answer.options:
        mfu = "?" if option.mfu is None else f"{option.mfu:.0%}"
        paid = [] if option.money is None else [f"{_money(option.money)} {answer.currency}"]
        table.add_row(
            f"{option.devices} {option.accelerator}",
            plain(option.accelerator_hours, 4),
            _duration(option.wall_clock_hours),
            f"{plain(option.energy_kwh, 3)} kWh",
            *paid,
            mfu,
        )
    return Group(Text(run + ":\n"), table, closing_text(answer.source, answer.warnings))


def next_text(answer: NextRuns) -> RenderableType:
    """The runs in the order of their worth, and what each leaves of the interval."""
    from atlas_scaling.planning.decisions import LOG_SIZE, in_words

    now = answer.now
    assert now.value is not None
    assert now.interval is not None
    numbers = [f"{x:.5g}" for x in (now.value, *now.interval)]
    if answer.decision.startswith(LOG_SIZE):
        numbers = [format_count(math.exp(x)) for x in (now.value, *now.interval)]
    value, low, high = numbers
    head = (
        f"{in_words(answer.decision)}: {value} ({low} to {high}). "
        f"{len(answer.runs)} runs of {answer.flops:.3g} FLOPs should leave "
        f"{answer.interval_left:.0%} of that interval.\n"
    )
    table = Table("parameters", "tokens", "mixture", "seed", "FLOPs", "interval left", box=None)
    for run in answer.runs:
        table.add_row(
            format_count(run.n_params),
            format_count(run.tokens),
            ", ".join(f"{code} {share:.0%}" for code, share in run.mixture.items()),
            str(run.seed),
            f"{run.flops:.3g}",
            f"{run.interval_left:.0%}",
        )
    return Group(Text(head), table, closing_text(answer.source, answer.warnings))


def schedule_text(answer: TwoStagePlan) -> RenderableType:
    """The stages and what the second saves; or the runs that would tell."""
    if answer.schedule is None or answer.one_stage is None:
        head = f"Not told by the runs there are: {answer.reason}.\n\nThese would tell:\n"
        table = Table("parameters", "tokens", "stages", "FLOPs", box=None)
        for run in answer.missing:
            stages = "; then ".join(f"{part:.0%} of it on {_shares(m)}" for part, m in run.stages)
            size, tokens = format_count(run.n_params), format_count(run.tokens)
            table.add_row(size, tokens, stages, f"{run.flops:.3g}")
        total = Text(
            f"\n{answer.flops:.3g} FLOPs in all. --study SPEC -o stages.yaml writes a study. "
            "Together with runs of other sizes and mixtures they are fitted by: atlas fit RUNS "
            f"--law atlas_two_stage --target {answer.target} -o two-stage.json"
        )
        return Group(Text(head), table, total, closing_text(answer.source, answer.warnings))
    plan, one = answer.schedule, answer.one_stage
    head = (
        f"{format_count(plan.n_params)} parameters on {format_count(plan.tokens)} tokens, "
        f"{answer.flops:.3g} FLOPs:\n"
    )
    table = Table("stage", "tokens", "mixture", box=None)
    for number, stage in enumerate(plan.stages, start=1):
        tokens = format_count(stage.fraction * plan.tokens)
        table.add_row(str(number), f"{tokens} ({stage.fraction:.0%})", _shares(stage.mixture))
    lines = [
        f"\nLoss of {answer.target}: {_estimate(plan.loss)}",
        f"With one mixture throughout: {_estimate(one.loss)}, {format_count(one.n_params)} "
        f"parameters on {_shares(one.stages[0].mixture)}",
    ]
    if answer.probability_better is not None:
        lines.append(
            f"The second stage saves {_estimate(answer.gain)}; chance that it helps: "
            f"{probability(answer.probability_better)}"
        )
    return Group(
        Text(head), table, Text("\n".join(lines)), closing_text(answer.source, answer.warnings)
    )


def probability(share: float) -> str:
    """``37 %`` in whole per cent; what is merely small or near one is not printed as none or all.

    >>> probability(0.004), probability(0.37), probability(0.9999)
    ('<1%', '37%', '>99%')
    """
    if share < 0.01:
        return "<1%"
    return ">99%" if share > 0.99 else f"{share:.0%}"


def _shares(mixture: Mapping[str, float]) -> str:
    return ", ".join(f"{code} {share:.0%}" for code, share in mixture.items())


def _estimate(loss: Estimate) -> str:
    if loss.value is None or loss.interval is None:
        return "?" if loss.value is None else f"{loss.value:.4f}"
    return f"{loss.value:.4f} ({loss.interval[0]:.4f} to {loss.interval[1]:.4f})"


def _money(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else plain(amount, 2)


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{plain(hours / 24, 3)} days"
    if hours * 3600 < 1:
        return "under 1 s"
    return f"{hours:.3g} h" if hours >= 1 else f"{hours * 60:.3g} min"


def factor(ratio: Estimate) -> str:
    """``1.18×`` or ``1.18× (1.10-1.27)``."""
    if ratio.value is None:
        return "?"
    if ratio.interval is None:
        return f"{ratio.value:.2f}×"
    low, high = ratio.interval
    return f"{ratio.value:.2f}× ({low:.2f}-{high:.2f})"


def with_interval(amount: Estimate, *, flops: bool = False) -> str:
    """``2.37B`` or ``2.37B (2.2B-2.5B)``; ``9.41e+21`` for FLOPs."""

    def shown(value: float) -> str:
        return f"{value:.3g}" if flops else format_count(value)

    if amount.value is None:
        return "?"
    if amount.interval is None:
        return shown(amount.value)
    return f"{shown(amount.value)} ({shown(amount.interval[0])}-{shown(amount.interval[1])})"


def closing_text(source: str, warnings: Sequence[str]) -> Text:
    """What an answer rests on, and what limits it."""
    lines = [f"\nRests on: {source}."]
    lines += [f"! {warning}" for warning in warnings]
    return Text("\n".join(lines))
