"""What ``atlas plan allocate`` prints for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atlas_scaling.cli.plan_text import closing_text, probability
from atlas_scaling.units import format_count, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atlas_scaling.answers import Estimate
    from atlas_scaling.planning.allocation_answer import Allocation, Sensitivity

MOST_SENSITIVITIES: Final = 8
MOST_SHARES: Final = 3
WHAT: Final = {
    "mean": "the mean loss",
    "worst": "the worst loss",
    "regret": "the worst loss over each language's own best",
}


def allocation_text(answer: Allocation) -> RenderableType:
    """The plan, its losses, what stands beside it, what it costs to change, what it rests on."""
    size, tokens = format_count(answer.n_params), format_count(answer.tokens)
    head = (
        f"{size} parameters on {tokens} tokens, {answer.flops:.3g} FLOPs, give the lowest "
        f"{WHAT[answer.objective_kind.value].removeprefix('the ')}.\n"
    )
    parts: list[RenderableType] = [Text(head), _mixture(answer)]
    if answer.plan_range is not None:
        low, high = answer.plan_range.n_params
        if low < high * (1 - 1e-9):
            said = f"{format_count(low)} to {format_count(high)}"
            parts.append(
                Text(f"\nThe best size of {100 * answer.level:g}% of the draws lies in {said}.")
            )
    parts += [Text("\nLoss:\n"), _losses(answer)]
    parts += [Text("\nOther mixtures, each at its own best size:\n"), _alternatives(answer)]
    if answer.frontier:
        parts += [Text("\nOther budgets:\n"), _frontier(answer)]
    what = WHAT[answer.objective_kind.value]
    for kind, heading in (
        ("constraint", f"What {what} would gain or lose"),
        ("parameter", f"Numbers of the laws that move {what}"),
    ):
        felt = [one for one in answer.sensitivity if one.kind == kind]
        if felt:
            parts += [Text(f"\n{heading}:\n"), _moves(felt)]
    parts.append(closing_text(answer.source, answer.warnings))
    return Group(*parts)


def _mixture(answer: Allocation) -> Table:
    table = Table(
        "language", "share", "tokens", "epochs", "a repeat is worth", "worth to targets", box=None
    )
    worth: dict[str, list[str]] = {}
    for one in answer.transfer:
        worth.setdefault(one.source, []).append(f"{one.target} {one.tau:.2f}")
    for code, share in answer.mixture.items():
        epochs = answer.epochs.get(code)
        helped = worth.get(code, [])
        more = f" and {len(helped) - 3} more" if len(helped) > 3 else ""
        table.add_row(
            code,
            f"{share:.1%}",
            format_count(share * answer.tokens),
            "" if epochs is None else plain(epochs),
            f"{answer.repeat_worth[code]:.0%}" if code in answer.repeat_worth else "",
            ", ".join(helped[:3]) + more,
        )
    for code in answer.left_out:
        helped = [f"{one.target} {one.tau:.2f}" for one in answer.left_out[code]]
        table.add_row(code, "0%", "", "", "", ", ".join(helped[:3]))
    return table


def _losses(answer: Allocation) -> Table:
    own = bool(answer.own_best)
    table = Table("target", "loss", *(["own best"] if own else []), box=None)
    for code, loss in answer.loss.items():
        best = [f"{answer.own_best[code]:.4f}"] if own else []
        table.add_row(code, _loss(loss), *best)
    return table


def _loss(loss: Estimate) -> str:
    if loss.value is None:
        return "?"
    if loss.interval is None:
        return f"{loss.value:.4f}"
    return f"{loss.value:.4f} ({loss.interval[0]:.4f}-{loss.interval[1]:.4f})"


def _alternatives(answer: Allocation) -> Table:
    drawn = any(a.probability_plan_better is not None for a in answer.alternatives.values())
    table = Table(
        "mixture", "parameters", "tokens", "worse by", *(["plan better"] if drawn else []), box=None
    )
    for name, other in answer.alternatives.items():
        worse = (other.objective.value or 0.0) - (answer.objective.value or 0.0)
        chance = other.probability_plan_better
        table.add_row(
            name.replace("_", " ") + ("" if other.keeps_limits else ", outside the limits"),
            format_count(other.n_params),
            format_count(other.tokens),
            f"{worse:.4f}",
            *([] if not drawn else ["" if chance is None else probability(chance)]),
        )
    return table


def _frontier(answer: Allocation) -> Table:
    table = Table("FLOPs", "parameters", "tokens", "objective", "largest shares", box=None)
    for point in answer.frontier:
        table.add_row(
            f"{point.flops:.3g}",
            format_count(point.n_params),
            format_count(point.tokens),
            f"{point.objective:.4f}",
            _largest(point.mixture),
        )
    return table


def _largest(mixture: Mapping[str, float]) -> str:
    first = list(mixture.items())[:MOST_SHARES]
    rest = len(mixture) - len(first)
    return ", ".join(f"{code} {share:.0%}" for code, share in first) + (
        f" and {rest} more" if rest else ""
    )


def _moves(felt: Sequence[Sensitivity]) -> Table:
    table = Table("number", "change", "objective", box=None)
    for one in felt[:MOST_SENSITIVITIES]:
        table.add_row(one.name, one.change, f"{one.objective_change:+.4f}")
    return table
