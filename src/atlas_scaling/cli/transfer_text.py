"""How ``atlas transfer`` says its answers on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from atlas_scaling.languages import language
from atlas_scaling.transfer.scores import tau_from_bts
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.transfer.analysis import Analysis, Balance
    from atlas_scaling.transfer.completion import CompletionAnswer, EstimatedPair
    from atlas_scaling.transfer.crossval import ModelScore
    from atlas_scaling.transfer.fas import FasAnswer
    from atlas_scaling.transfer.matrix import MergedAnswer
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer, MatrixCell, SizeMatrix
    from atlas_scaling.transfer.partners import PartnersAnswer
    from atlas_scaling.transfer.ranking import RankedLanguage, SourcesAnswer, TargetsAnswer
    from atlas_scaling.transfer.scores import Converted
    from atlas_scaling.transfer.weights import WeightsAnswer

_SHOWN: Final = 8
_MOST: Final = 20
_TOP: Final = 5
_GIVES: Final = "what each gives to the average target (those that cost least first) and gets\n"


def bts_text(answer: BtsAnswer) -> RenderableType:
    """The value in a sentence, the curve in a table."""
    table = Table("d", "BTS", f"{answer.level:.0%} interval", "tau", "", box=None)
    for point in answer.curve:
        marks = ["bound"] if point.censored else []
        marks += ["early"] if point.early else []
        table.add_row(
            format_count(point.tokens),
            "" if point.bts is None else f"{point.bts:+.2f}",
            _interval((point.lower, point.upper)),
            "" if point.tau is None else f"{point.tau:+.2f}",
            " ".join(marks),
            style="bold" if point == answer.at else None,
        )
    sources = ", ".join(map(_named, answer.sources))
    value = "" if answer.at.bts is None else f"BTS {answer.at.bts:+.2f}, "
    title = (
        f"{sources} to {_named(answer.target)}: {value}"
        f"{_interval((answer.at.lower, answer.at.upper)) or 'no interval'} "
        f"at d = {format_count(answer.at.tokens)} {answer.unit} ({answer.share:.0%} target)\n"
    )
    return Group(title, table, _notes(answer.source, answer.warnings))


def matrix_text(answer: MatrixAnswer, chosen: SizeMatrix, output: Path | None) -> RenderableType:
    """The matrix of one model size, targets down and sources across."""
    cells = {(c.target, c.source): c for c in chosen.cells}
    table = Table("target \\ source", *(code[:3] for code in chosen.sources), box=None)
    for target in chosen.targets:
        row = (_cell_text(cells.get((target, source))) for source in chosen.sources)
        table.add_row(_named(target), *row)
    size = "" if chosen.n_params is None else f", {format_count(chosen.n_params)} parameters"
    others = [m.n_params for m in answer.matrices if m.n_params != chosen.n_params and m.n_params]
    title = f"BTS at d = {format_count(chosen.d)} {chosen.unit}{size}\n"
    lines = [f"not measured: {problem}" for problem in answer.problems]
    if others:
        lines.append(f"other sizes (--params): {', '.join(map(format_count, others))}")
    if output is not None:
        lines.append(f"written to {output}")
    legend = "< and >: bounds; ~: early, may yet turn"
    return Group(title, table, _lines("", legend, *lines), _notes(answer.source, answer.warnings))


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
        shown = [*_analysis_parts(answer), _lines("", _GIVES), _balance_table(answer.balance)]
    else:
        n_rest = len(answer.balance) - len(measured.balance)
        shown = [
            f"The {_n_scores(measured)} measured scores\n",
            *_analysis_parts(measured),
            _lines("", _GIVES),
            _balance_table(measured.balance),
            f"\nAll {_n_scores(answer)} scores, most of them a model's estimates\n",
            *_analysis_parts(answer),
            _lines(
                f"most often in a target's best five: {_often_in_top(answer)}",
                f"what {n_rest} languages without a measured score give and get is in --json only: "
                "their order is the model's",
            ),
        ]
    return Group(*shown, _notes(answer.source, answer.warnings))


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
    return [*effects, _lines(*lines)]


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
            _interval(e.difference.interval),
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
            _signed(one.gives),
            *([_interval(one.gives_interval)] if with_intervals else []),
            _signed(one.gets),
            _signed(one.altruism),
            f"{one.n_helped} of {one.n_targets}",
            _range(one.in_top),
        )
    return table


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def partners_text(answer: PartnersAnswer) -> RenderableType:
    """Partners in the order of choice."""
    table = Table("partner", "adds", "best for", box=None)
    for one in answer.partners:
        helps = ", ".join(f"{h.target} {h.bts:+.2f}" for h in one.helps)
        table.add_row(_named(one.language), f"{one.gain:+.3f}", helps)
    none = "" if answer.partners else ": none that surely helps"
    title = f"partners for {', '.join(map(_named, answer.targets))}{none}\n"
    own = [f"{h.target} {h.bts:+.2f}" for h in answer.helped_by_targets]
    lines = [f"already helped by each other: {', '.join(own)}"] if own else []
    if answer.unsure:
        unsure = [f"{u.source} for {u.target} {u.bts:+.2f} ({u.provenance})" for u in answer.unsure]
        lines.append(f"may help or not, so worth measuring: {', '.join(unsure)}")
    found = [table] if answer.partners else []
    return Group(title, *found, _lines("", *lines), _notes(answer.source, answer.warnings))


def sources_text(answer: SourcesAnswer) -> RenderableType:
    """Sources of one target, best first."""
    title = f"what helps {_named(answer.target)}: best {len(answer.sources)} of {answer.n_known}"
    return _ranking_text(title, answer.sources, answer.source, answer.warnings)


def targets_text(answer: TargetsAnswer) -> RenderableType:
    """Targets of one source, those it helps most first."""
    title = f"whom {_named(answer.language)} helps: best {len(answer.targets)} of {answer.n_known}"
    return _ranking_text(title, answer.targets, answer.source, answer.warnings)


def _ranking_text(
    title: str, ranked: tuple[RankedLanguage, ...], source: str, warnings: tuple[str, ...]
) -> RenderableType:
    table = Table("rank", "language", "BTS", "interval", "tau", "known how", box=None)
    for one in ranked:
        digits = 1 if one.rounding is not None else 2
        table.add_row(
            str(one.rank),
            _named(one.language),
            "" if one.bts is None else f"{one.bts:+.{digits}f}",
            _interval(one.interval),
            "" if one.tau is None else f"{one.tau:+.2f}",
            one.provenance.value + (", early" if one.early else ""),
        )
    return Group(f"{title}\n", table, _notes(source, warnings))


def _interval(interval: tuple[float | None, float | None] | None) -> str:
    """``-0.12 to 0.31``, ``below -0.50``, or nothing."""
    low, high = (None, None) if interval is None else interval
    if low is None:
        return "" if high is None else f"below {high:+.2f}"
    return f"above {low:+.2f}" if high is None else f"{low:+.2f} to {high:+.2f}"


def _lines(*lines: str) -> Text:
    """Plain lines: a bracket in a path or a message is no mark-up."""
    return Text("\n".join(lines))


def _notes(source: str, warnings: tuple[str, ...]) -> Text:
    return _lines("", f"from {source}", *(f"note: {warning}" for warning in warnings))


def _named(code: str) -> str:
    return str(language(code))


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
            f"{a.inside:.0%} inside our {answer.level:.0%} intervals"
        )
    lines.append("all estimates: -o FILE or --json" if output is None else f"written to {output}")
    shown.append(_lines(*lines))
    if answer.scores:
        shown += ["", _scores_table(answer.scores), _lines("", *_verdicts(answer))]
    return Group(*shown, _notes(answer.source, answer.warnings))


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
            (f"what may help {_named(code)}", sources, "source"),
            (f"whom {_named(code)} may help", targets, "target"),
        ):
            best = sorted(found, key=lambda e: -e.bts)[:_TOP]
            if best:
                yield f"{title}: best {len(best)} of {len(found)} estimates\n"
                yield _estimates_table(best, (name,), answer.level)
                yield ""
    if not answer.asked and answer.estimates:
        surest = sorted(answer.estimates, key=lambda e: -e.lower)[:_SHOWN]
        yield f"the surest help of {len(answer.estimates)} estimates, by the lower end\n"
        yield _estimates_table(surest, ("source", "target"), answer.level)
        yield ""


def _estimates_table(
    estimates: Sequence[EstimatedPair], sides: Sequence[str], level: float
) -> Table:
    table = Table(*sides, "BTS", f"{level:.0%} interval", "tau", box=None)
    for one in estimates:
        table.add_row(
            *(_named(getattr(one, side)) for side in sides),
            f"{one.bts:+.2f}",
            _interval((one.lower, one.upper)),
            _signed(tau_from_bts(one.bts)),
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


def weights_text(answer: WeightsAnswer, output: Path | None) -> RenderableType:
    """Fitted and implied weights side by side."""
    columns = ["source", "fitted", "interval", "by score", "interval", "agree"]
    if answer.prior:
        columns += ["with prior", "interval"]
    table = Table(*columns, box=None)
    for w in answer.weights:
        with_prior = [_signed(w.with_prior), _interval(w.with_prior_interval)]
        table.add_row(
            language(w.source).name,
            "not told" if w.fitted is None else f"{w.fitted:+.2f}",
            _interval(w.fitted_interval),
            _signed(w.implied),
            _interval(w.implied_interval),
            {None: "", True: "yes", False: "no"}[w.agree],
            *(with_prior if answer.prior else []),
        )
    title = f"transfer weights (tau) on {_named(answer.target)}; the fit is {answer.fit_status}\n"
    lines = [] if output is None else ["", f"the fit is in {output}"]
    return Group(_lines(title), table, _lines(*lines), _notes(answer.source, answer.warnings))


def merge_text(answer: MergedAnswer, output: Path) -> RenderableType:
    """What the merged matrix holds."""
    counts = ", ".join(f"{n} {kind}" for kind, n in answer.counts.items())
    size = f"{len(answer.targets)} targets x {len(answer.sources)} sources: {counts}"
    return Group(_lines(size, f"written to {output}"), _notes(answer.source, answer.warnings))


def converted_text(answer: Converted) -> RenderableType:
    """Every form of one score."""
    bts = "minus infinity" if answer.bts is None else f"{answer.bts:+.4g}"
    return _lines(
        f"BTS {bts}, tau {answer.tau:+.4g}, ratio d/sigma {answer.ratio:.4g} of an even pair"
    )


def fas_text(answer: FasAnswer) -> RenderableType:
    """Two tables for each model size and base; rows are what was continued on."""
    shown: list[RenderableType] = []
    for fas in answer.tables:
        size = "" if fas.n_params is None else f"{format_count(fas.n_params)} parameters, "
        unit, d_max = fas.unit.replace("_", " "), format_count(fas.d_max)
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
    return Group(*shown, _lines(*problems), _notes(answer.source, answer.warnings))


def _continued_table(found: Mapping[tuple[str, str], float]) -> Table:
    """Numbers of (continued on, target)."""
    targets = sorted({target for _, target in found})
    table = Table("continued on \\ target", *(code[:3] for code in targets), box=None)
    for source in sorted({source for source, _ in found}):
        row = (found.get((source, target)) for target in targets)
        table.add_row(_named(source), *("." if x is None else f"{x:+.3f}" for x in row))
    return table
