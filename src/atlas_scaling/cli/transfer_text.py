"""How ``atlas transfer`` says its answers on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from atlas_scaling.languages import language
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.transfer.analysis import Analysis, Balance
    from atlas_scaling.transfer.fas import FasAnswer
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.merging import MergedAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer, MatrixCell, SizeMatrix
    from atlas_scaling.transfer.partners import PartnersAnswer
    from atlas_scaling.transfer.ranking import RankedLanguage, SourcesAnswer, TargetsAnswer
    from atlas_scaling.transfer.scores import Converted
    from atlas_scaling.transfer.weights import WeightsAnswer

_SHOWN: Final = 8
_MOST: Final = 20
_GIVES: Final = "what each gives to the average target (those that cost least first) and gets\n"


def bts_text(answer: BtsAnswer) -> RenderableType:
    """The value in a sentence, the curve in a table."""
    table = Table("d", "BTS", f"{100 * answer.level:g}% interval", "tau", "", box=None)
    for point in answer.curve:
        marks = ["bound"] if point.censored else []
        marks += ["early"] if point.early else []
        table.add_row(
            format_count(point.tokens),
            "" if point.bts is None else f"{point.bts:+.2f}",
            interval_text((point.lower, point.upper)),
            "" if point.tau is None else f"{point.tau:+.2f}",
            " ".join(marks),
            style="bold" if point == answer.at else None,
        )
    sources = ", ".join(map(name_of, answer.sources))
    value = "" if answer.at.bts is None else f"BTS {answer.at.bts:+.2f}, "
    title = (
        f"{sources} to {name_of(answer.target)}: {value}"
        f"{interval_text((answer.at.lower, answer.at.upper)) or 'no interval'} "
        f"at d = {format_count(answer.at.tokens)} {answer.unit} ({answer.share:.0%} target)\n"
    )
    return Group(title, table, notes_text(answer.source, answer.warnings))


def matrix_text(answer: MatrixAnswer, chosen: SizeMatrix, output: Path | None) -> RenderableType:
    """The matrix of one model size, targets down and sources across."""
    cells = {(c.target, c.source): c for c in chosen.cells}
    table = Table("target \\ source", *(code[:3] for code in chosen.sources), box=None)
    for target in chosen.targets:
        row = (_cell_text(cells.get((target, source))) for source in chosen.sources)
        table.add_row(name_of(target), *row)
    size = "" if chosen.n_params is None else f", {format_count(chosen.n_params)} parameters"
    others = [m.n_params for m in answer.matrices if m.n_params != chosen.n_params and m.n_params]
    title = f"BTS at d = {format_count(chosen.d)} {chosen.unit}{size}\n"
    lines = [f"not measured: {problem}" for problem in answer.problems]
    if others:
        lines.append(f"other sizes (--params): {', '.join(map(format_count, others))}")
    if output is not None:
        lines.append(f"written to {output}")
    legend = "< and >: bounds; ~: early, may yet turn"
    return Group(
        title, table, lines_text("", legend, *lines), notes_text(answer.source, answer.warnings)
    )


def _cell_text(cell: MatrixCell | None) -> str:
    if cell is None:
        return "."
    early = "~" if cell.early else ""
    if cell.bts is not None:
        return f"{early}{cell.bts:+.2f}"
    return f"{early}<{cell.upper:+.2f}" if cell.lower is None else f"{early}>{cell.lower:+.2f}"


def analysis_text(answer: Analysis) -> RenderableType:
    """What the measured scores say, then what the whole matrix says if that has estimates."""
    measured = answer.measured
    if measured is None:
        shown = [*_analysis_parts(answer), lines_text("", _GIVES), _balance_table(answer.balance)]
    else:
        n_rest = len(answer.balance) - len(measured.balance)
        shown = [
            f"The {_n_scores(measured)} measured scores\n",
            *_analysis_parts(measured),
            lines_text("", _GIVES),
            _balance_table(measured.balance),
            f"\nAll {_n_scores(answer)} scores, most of them a model's estimates\n",
            *_analysis_parts(answer),
            lines_text(
                f"most often in a target's best five: {_often_in_top(answer)}",
                f"what {n_rest} languages without a measured score give and get is in --json only: "
                "their order is the model's",
            ),
        ]
    return Group(*shown, notes_text(answer.source, answer.warnings))


def _n_scores(answer: Analysis) -> int:
    return sum(n for kind, n in answer.counts.items() if kind != "missing")


def _analysis_parts(answer: Analysis) -> list[RenderableType]:
    """Effects in a table, then a line each on symmetry, groups, and who helps whom."""
    lines = [""]
    if answer.symmetry is not None:
        s = answer.symmetry
        lines.append(
            f"symmetry: r {s.pearson:+.3f} (p {s.p_value:.2g}) over {s.n_pairs} pairs; "
            f"{s.pearson_adjusted:+.3f} (p {s.p_value_adjusted:.2g}) once each target's and "
            "source's own mean is taken off"
        )
    if answer.clusters is not None:
        together = [" ".join(group) for group in answer.clusters.groups if len(group) > 1]
        lines.append(f"groups: {'; '.join(together) or 'none'}")
    mutual = [f"{m.a} and {m.b} ({m.b_to_a:+.1f}, {m.a_to_b:+.1f})" for m in answer.mutual]
    lines.append(f"help each other: {_first(mutual, '; ') or 'none'}")
    lines.append(f"helped by none: {', '.join(answer.unhelped) or 'none'}")
    effects = [_effects_table(answer)] if answer.effects else []
    return [*effects, lines_text(*lines)]


def _often_in_top(answer: Analysis) -> str:
    ranked = sorted(answer.balance, key=lambda b: (-b.in_top[0], -b.in_top[1]))[:3]
    return ", ".join(
        f"{b.language} of {_range(b.in_top)} of its {b.n_targets} targets" for b in ranked
    )


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _first(said: list[str], separator: str) -> str:
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return separator.join(said[:_SHOWN]) + more


def _effects_table(answer: Analysis) -> Table:
    names = ("sharing", "among", "same", "other", "differ", "interval", "p", "d")
    table = Table(*names, box=None)
    for e in answer.effects:
        table.add_row(
            e.relation.replace(" and ", "+"),
            (e.among or "all").replace("different", "other"),
            f"{e.mean_same:+.3f} ({e.n_same})",
            f"{e.mean_different:+.3f} ({e.n_different})",
            f"{e.difference.value:+.3f}",
            interval_text(e.difference.interval),
            f"{e.p_value:.2g}",
            f"{e.cohens_d:+.2f}",
        )
    return table


def _balance_table(balance: Sequence[Balance]) -> Table:
    with_intervals = any(one.gives_interval is not None for one in balance)
    columns = ["language", "gives", *(["interval"] if with_intervals else []), "gets"]
    table = Table(*columns, "gives - gets", "helps", "in its top 5", box=None)
    for one in balance[:_MOST]:
        table.add_row(
            language(one.language).name,
            signed(one.gives),
            *([interval_text(one.gives_interval)] if with_intervals else []),
            signed(one.gets),
            signed(one.altruism),
            f"{one.n_helped} of {one.n_targets}",
            _range(one.in_top),
        )
    return table


def signed(value: float | None) -> str:
    """A number with its sign, or nothing."""
    return "" if value is None else f"{value:+.2f}"


def partners_text(answer: PartnersAnswer) -> RenderableType:
    """Partners in the order of choice."""
    table = Table("partner", "adds", "best for", box=None)
    for one in answer.partners:
        helps = ", ".join(f"{h.target} {h.bts:+.2f}" for h in one.helps)
        table.add_row(name_of(one.language), f"{one.gain:+.3f}", helps)
    none = "" if answer.partners else ": none that surely helps"
    title = f"partners for {', '.join(map(name_of, answer.targets))}{none}\n"
    own = [f"{h.target} {h.bts:+.2f}" for h in answer.helped_by_targets]
    lines = [f"already helped by each other: {', '.join(own)}"] if own else []
    if answer.unsure:
        unsure = [f"{u.source} for {u.target} {u.bts:+.2f} ({u.provenance})" for u in answer.unsure]
        lines.append(f"may help or not, so worth measuring: {', '.join(unsure)}")
    found = [table] if answer.partners else []
    return Group(title, *found, lines_text("", *lines), notes_text(answer.source, answer.warnings))


def sources_text(answer: SourcesAnswer) -> RenderableType:
    """Sources of one target, best first."""
    title = f"what helps {name_of(answer.target)}: best {len(answer.sources)} of {answer.n_known}"
    return _ranking_text(title, answer.sources, answer.source, answer.warnings)


def targets_text(answer: TargetsAnswer) -> RenderableType:
    """Targets of one source, those it helps most first."""
    title = f"whom {name_of(answer.language)} helps: best {len(answer.targets)} of {answer.n_known}"
    return _ranking_text(title, answer.targets, answer.source, answer.warnings)


def _ranking_text(
    title: str, ranked: tuple[RankedLanguage, ...], source: str, warnings: tuple[str, ...]
) -> RenderableType:
    table = Table("rank", "language", "BTS", "interval", "tau", "known how", box=None)
    for one in ranked:
        digits = 1 if one.rounding is not None else 2
        table.add_row(
            str(one.rank),
            name_of(one.language),
            "" if one.bts is None else f"{one.bts:+.{digits}f}",
            interval_text(one.interval),
            "" if one.tau is None else f"{one.tau:+.2f}",
            one.provenance.value + (", early" if one.early else ""),
        )
    return Group(f"{title}\n", table, notes_text(source, warnings))


def interval_text(interval: tuple[float | None, float | None] | None) -> str:
    """``-0.12 to 0.31``, ``below -0.50``, or nothing."""
    low, high = (None, None) if interval is None else interval
    if low is None:
        return "" if high is None else f"below {high:+.2f}"
    return f"above {low:+.2f}" if high is None else f"{low:+.2f} to {high:+.2f}"


def lines_text(*lines: str) -> Text:
    """Plain lines: a bracket in a path or a message is no mark-up."""
    return Text("\n".join(lines))


def notes_text(source: str, warnings: tuple[str, ...]) -> Text:
    """What an answer rests on, and what limits it."""
    return lines_text("", f"from {source}", *(f"note: {warning}" for warning in warnings))


def name_of(code: str) -> str:
    """Code and name."""
    return str(language(code))


def weights_text(answer: WeightsAnswer, output: Path | None) -> RenderableType:
    """Fitted and implied weights side by side."""
    columns = ["source", "fitted", "interval", "by score", "interval", "agree"]
    if answer.prior:
        columns += ["with prior", "interval"]
    table = Table(*columns, box=None)
    for w in answer.weights:
        with_prior = [signed(w.with_prior), interval_text(w.with_prior_interval)]
        table.add_row(
            language(w.source).name,
            "not told" if w.fitted is None else f"{w.fitted:+.2f}",
            interval_text(w.fitted_interval),
            signed(w.implied),
            interval_text(w.implied_interval),
            {None: "", True: "yes", False: "no"}[w.agree],
            *(with_prior if answer.prior else []),
        )
    title = f"transfer weights (tau) on {name_of(answer.target)}; the fit is {answer.fit_status}\n"
    lines = [] if output is None else ["", f"the fit is in {output}"]
    return Group(
        lines_text(title), table, lines_text(*lines), notes_text(answer.source, answer.warnings)
    )


def merge_text(answer: MergedAnswer, output: Path) -> RenderableType:
    """What the merged matrix holds."""
    counts = ", ".join(f"{n} {kind}" for kind, n in answer.counts.items())
    size = f"{len(answer.targets)} targets x {len(answer.sources)} sources: {counts}"
    return Group(
        lines_text(size, f"written to {output}"), notes_text(answer.source, answer.warnings)
    )


def converted_text(answer: Converted) -> RenderableType:
    """Every form of one score."""
    bts = "minus infinity" if answer.bts is None else f"{answer.bts:+.4g}"
    return lines_text(
        f"BTS {bts}, tau {answer.tau:+.4g}, ratio d/sigma {answer.ratio:.4g} of an even pair"
    )


def fas_text(answer: FasAnswer) -> RenderableType:
    """Two tables for each model size and base; rows are what was continued on."""
    shown: list[RenderableType] = []
    for fas in answer.tables:
        size = "" if fas.n_params is None else f"{format_count(fas.n_params)} parameters, "
        unit = "nats per token" if fas.unit == "loss" else fas.unit.replace("_", " ")
        d_max = format_count(fas.d_max)
        scores = {(score.source, score.target): score.fas for score in fas.scores}
        ends = {(score.source, score.target): score.deviation for score in fas.scores}
        shown += [
            f"FAS, {size}{unit}: mean gain over {d_max} tokens; on itself: adaptation gain\n",
            _continued_table(scores),
            f"\nbaseline deviation: gain at {d_max} tokens\n",
            _continued_table(ends),
            "",
        ]
    problems = (f"not used: {problem}" for problem in answer.problems)
    return Group(*shown, lines_text(*problems), notes_text(answer.source, answer.warnings))


def _continued_table(found: Mapping[tuple[str, str], float]) -> Table:
    """Numbers of (continued on, target)."""
    targets = sorted({target for _, target in found})
    table = Table("continued on \\ target", *(code[:3] for code in targets), box=None)
    for source in sorted({source for source, _ in found}):
        row = (found.get((source, target)) for target in targets)
        table.add_row(name_of(source), *("." if x is None else f"{x:+.3f}" for x in row))
    return table
