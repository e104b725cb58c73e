"""What ``atlas transfer complete`` prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table

from atlas_scaling.cli.transfer_text import (
    interval_text,
    lines_text,
    name_of,
    notes_text,
    signed,
)
from atlas_scaling.transfer.scores import tau_from_bts

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.transfer.completion import CompletionAnswer, EstimatedPair
    from atlas_scaling.transfer.crossval import ModelScore

SHOWN: Final = 8
TOP: Final = 5


def completion_text(answer: CompletionAnswer, output: Path | None) -> RenderableType:
    """Estimates first, then what they rest on and how well held-out scores were predicted."""
    shown = [*_estimates_tables(answer)]
    bounds = f", {answer.n_censored} of them bounds" if answer.n_censored else ""
    lines = [
        f"{answer.n_estimated} estimated from {answer.n_measured} measured{bounds}, by "
        f"{', '.join(answer.features)}"
    ]
    differing = {name: v for name, v in answer.variances.items() if name != "mean"}
    total = sum(differing.values())
    parts = sorted(differing.items(), key=lambda item: -item[1])
    lines.append("scores differ by " + ", ".join(f"{n} {v / total:.0%}" for n, v in parts[:6]))
    if answer.agreement is not None:
        a = answer.agreement
        lines.append(
            f"against the {a.n} estimates it came with: r {a.pearson:+.2f}, "
            f"{a.inside:.0%} inside our {100 * answer.level:g}% intervals"
        )
    lines.append("all estimates: -o FILE or --json" if output is None else f"written to {output}")
    shown.append(lines_text(*lines))
    if answer.scores:
        shown += ["", _scores_table(answer.scores), lines_text("", *_verdicts(answer))]
    return Group(*shown, notes_text(answer.source, answer.warnings))


def _verdicts(answer: CompletionAnswer) -> Iterator[str]:
    """For each scheme, which models the process beats, which it is not told from, which beat it."""
    for scheme in dict.fromkeys(c.scheme for c in answer.contests):
        said = []
        for verdict, words in (
            ("better", "better than"),
            ("not told apart", "not told apart from"),
            ("worse", "worse than"),
        ):
            others = [
                f"{c.other} ({c.probability:.0%})"
                for c in answer.contests
                if c.scheme == scheme and c.verdict == verdict
            ]
            if others:
                said.append(f"{words} {', '.join(others)}")
        yield f"{scheme} held out: {answer.model} is {'; '.join(said)} of resamples"


def _estimates_tables(answer: CompletionAnswer) -> Iterator[RenderableType]:
    """For each language that was asked for its best sources and targets, else the surest pairs."""
    for code in answer.asked:
        sources = [e for e in answer.estimates if e.target == code]
        targets = [e for e in answer.estimates if e.source == code]
        for title, found, name in (
            (f"what may help {name_of(code)}", sources, "source"),
            (f"whom {name_of(code)} may help", targets, "target"),
        ):
            best = sorted(found, key=lambda e: -e.bts)[:TOP]
            if best:
                yield f"{title}: best {len(best)} of {len(found)} estimates\n"
                yield _estimates_table(best, (name,), answer.level)
                yield ""
    if not answer.asked and answer.estimates:
        surest = sorted(answer.estimates, key=lambda e: -e.lower)[:SHOWN]
        yield f"the surest help of {len(answer.estimates)} estimates, by the lower end\n"
        yield _estimates_table(surest, ("source", "target"), answer.level)
        yield ""


def _estimates_table(
    estimates: Sequence[EstimatedPair], sides: Sequence[str], level: float
) -> Table:
    table = Table(*sides, "BTS", f"{100 * level:g}% interval", "tau", box=None)
    for one in estimates:
        table.add_row(
            *(name_of(getattr(one, side)) for side in sides),
            f"{one.bts:+.2f}",
            interval_text((one.lower, one.upper)),
            signed(tau_from_bts(one.bts)),
        )
    return table


def _scores_table(scores: Sequence[ModelScore]) -> Table:
    names = ("held out", "model", "n", "R2", "Spearman", "RMSE", "coverage", "width")
    table = Table(*names, box=None)
    for s in scores:
        table.add_row(
            s.scheme,
            s.model,
            str(s.n),
            f"{s.r2:.2f}",
            f"{s.spearman:.2f}",
            f"{s.rmse:.2f}",
            f"{s.coverage:.0%}",
            f"{s.width:.2f}",
        )
    return table
