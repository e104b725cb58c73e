"""``atlas transfer``: which languages help which, from your runs or from the published matrix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.transfer.analysis import Analysis
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer, MatrixCell, SizeMatrix
    from atlas_scaling.transfer.partners import PartnersAnswer
    from atlas_scaling.transfer.ranking import RankedLanguage, SourcesAnswer, TargetsAnswer
    from atlas_scaling.transfer.sides import Unit

app = typer.Typer(help="Transfer: which languages help which.", no_args_is_help=True)

MatrixFile = Annotated[
    Path | None,
    typer.Option("--matrix", help="A .parquet or .csv matrix; the published 38x38 if not given."),
]
Top = Annotated[int, typer.Option(min=1, help="How many to show.")]
MeasuredOnly = Annotated[bool, typer.Option("--measured-only", help="Leave estimates out.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TOKENS",
        help="d of the monolingual run, in --unit; a third of an even pair's if not given.",
    ),
]
UnitName = Annotated[
    str, typer.Option("--unit", help="Count text in tokens, bytes, or a unit of your own.")
]
PerToken = Annotated[
    list[str] | None,
    typer.Option(help="Units in a token of a language, as swe_Latn=4.1; once a language."),
]
AllowLrMismatch = Annotated[
    bool,
    typer.Option("--allow-lr-mismatch", help="Compare stable with decayed losses, and say so."),
]
Noise = Annotated[
    float | None,
    typer.Option(help="Standard deviation of one evaluation's loss; told by scatter if not given."),
]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Level of the intervals.")]


@app.command(epilog="Example: atlas transfer bts runs/mono-spa runs/pair-por-spa --target spa_Latn")
def bts(
    mono: Annotated[Path, typer.Argument(help="Run, or folder of runs, on the target alone.")],
    bi: Annotated[Path, typer.Argument(help="Run, or folder of runs, on target and source.")],
    target: Annotated[str, typer.Option(metavar="LANG", help="The language that is scored.")],
    at: At = None,
    unit: UnitName = "tokens",
    per_token: PerToken = None,
    allow_lr_mismatch: AllowLrMismatch = False,
    noise: Noise = None,
    level: Level = 0.9,
    seed: int = 0,
    as_json: JsonFlag = False,
) -> None:
    """The bilingual transfer score of two runs, over d."""
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.measure import compare_runs
    from atlas_scaling.units import parse_count

    comparison = compare_runs(
        read_runs(mono).frame,
        read_runs(bi).frame,
        target,
        unit=_unit(unit, per_token),
        allow_lr_mismatch=allow_lr_mismatch,
        noise=noise,
        seed=seed,
    )
    d = None if at is None else parse_count(at, name="--at")
    emit(comparison.score(d, level=level, seed=seed), as_json=as_json, text=_bts_text)


@app.command(epilog="Example: atlas transfer matrix atlas-demo/runs -o matrix.parquet")
def matrix(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write it as .parquet or .csv.")
    ] = None,
    params: Annotated[
        str | None, typer.Option(help="Model size to write and show; the largest if not given.")
    ] = None,
    at: At = None,
    unit: UnitName = "tokens",
    per_token: PerToken = None,
    allow_lr_mismatch: AllowLrMismatch = False,
    noise: Noise = None,
    level: Level = 0.9,
    seed: int = 0,
    as_json: JsonFlag = False,
) -> None:
    """The matrix of every even pair in a folder of runs whose languages were also run alone."""
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.matrix_files import save_matrix
    from atlas_scaling.transfer.pairs import matrices_from_runs
    from atlas_scaling.units import parse_count

    answer = matrices_from_runs(
        read_runs(runs).frame,
        at=None if at is None else parse_count(at, name="--at"),
        unit=_unit(unit, per_token),
        allow_lr_mismatch=allow_lr_mismatch,
        noise=noise,
        level=level,
        seed=seed,
        name=", ".join(map(str, runs)),
    )
    chosen = answer.of_size(None if params is None else parse_count(params, name="--params"))
    if output is not None:
        save_matrix(chosen.matrix(answer.source), output)
    emit(answer, as_json=as_json, text=lambda given: _matrix_text(given, chosen, output))


@app.command(epilog="Example: atlas transfer analyze --published")
def analyze(
    matrix: MatrixFile = None,
    published: Annotated[
        bool, typer.Option("--published", help="The published 38x38 matrix, the default.")
    ] = False,
    measured_only: MeasuredOnly = False,
    groups: Annotated[
        int | None, typer.Option(min=1, help="How many groups; the best number if not given.")
    ] = None,
    level: Level = 0.9,
    permutations: Annotated[int, typer.Option(min=99, help="Of each test.")] = 2000,
    seed: int = 0,
    as_json: JsonFlag = False,
) -> None:
    """What a matrix says of script and family, symmetry, groups, and who gives most."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.transfer.analysis import analyze as analyze_matrix

    if published and matrix is not None:
        raise InputError("give --published or --matrix, not both", value=str(matrix))
    answer = analyze_matrix(
        _matrix(matrix),
        measured_only=measured_only,
        n_groups=groups,
        level=level,
        n_permutations=permutations,
        seed=seed,
    )
    emit(answer, as_json=as_json, text=_analysis_text)


@app.command(epilog="Example: atlas transfer partners cat_Latn ron_Latn --count 3")
def partners(
    targets: Annotated[list[str], typer.Argument(metavar="LANG...", help="Whom to help.")],
    count: Annotated[int, typer.Option(min=1, help="How many partners at most.")] = 3,
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The few languages whose addition helps a set of targets most."""
    from atlas_scaling.transfer.partners import suggest_partners

    answer = suggest_partners(_matrix(matrix), targets, k=count, measured_only=measured_only)
    emit(answer, as_json=as_json, text=_partners_text)


def _unit(name: str, per_token: list[str] | None) -> Unit:
    from atlas_scaling.errors import InputError
    from atlas_scaling.languages import normalise
    from atlas_scaling.transfer.sides import Unit

    if not per_token:
        return Unit(name)
    known = {}
    for item in per_token:
        code, _, number = item.partition("=")
        try:
            known[normalise(code)] = float(number)
        except ValueError:
            raise InputError(
                "units in a token are a language and a number",
                value=item,
                where="--per-token",
                remedy="write it like swe_Latn=4.1",
            ) from None
    return Unit(name, known)


@app.command(epilog="Example: atlas transfer sources cat_Latn --top 5")
def sources(
    target: Annotated[str, typer.Argument(metavar="LANG", help="The language to be helped.")],
    top: Top = 5,
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The languages that help LANG most when trained together with it."""
    from atlas_scaling.transfer.ranking import best_sources

    answer = best_sources(_matrix(matrix), target, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=_sources_text)


@app.command(epilog="Example: atlas transfer targets eng_Latn --top 5")
def targets(
    source: Annotated[str, typer.Argument(metavar="LANG", help="The language that helps.")],
    top: Top = 5,
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The languages that LANG helps most when trained together with them."""
    from atlas_scaling.transfer.ranking import best_targets

    answer = best_targets(_matrix(matrix), source, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=_targets_text)


def _matrix(path: Path | None) -> TransferMatrix:
    if path is None:
        from atlas_scaling.transfer.reference import published_matrix

        return published_matrix()
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(path)


def _bts_text(answer: BtsAnswer) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    from atlas_scaling.units import format_count

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


def _matrix_text(answer: MatrixAnswer, chosen: SizeMatrix, output: Path | None) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    from atlas_scaling.units import format_count

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
    legend = "< and >: bounds; ~: early, too near the start to say much"
    return Group(title, table, "", legend, *lines, _notes(answer.source, answer.warnings))


def _cell_text(cell: MatrixCell | None) -> str:
    if cell is None:
        return "."
    early = "~" if cell.early else ""
    if cell.bts is not None:
        return f"{early}{cell.bts:+.2f}"
    return f"{early}<{cell.upper:+.2f}" if cell.lower is None else f"{early}>{cell.lower:+.2f}"


def _analysis_text(answer: Analysis) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    effects = Table("sharing", "among", "same", "different", "difference", "p", box=None)
    for e in answer.effects:
        bounds = "" if e.difference.interval is None else f" ({_interval(e.difference.interval)})"
        effects.add_row(
            e.relation,
            e.among or "all pairs",
            f"{e.mean_same:+.3f} ({e.n_same})",
            f"{e.mean_different:+.3f} ({e.n_different})",
            f"{e.difference.value:+.3f}{bounds}",
            f"{e.p_value:.2g}",
        )
    givers = Table("language", "gives", "gets", "helps", box=None)
    for one in answer.balance[:_SHOWN]:
        givers.add_row(
            _named(one.language),
            "" if one.gives is None else f"{one.gives:+.3f}",
            "" if one.gets is None else f"{one.gets:+.3f}",
            f"{one.n_helped} of {one.n_targets}",
        )
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
    return Group(effects, *lines, "", givers, _notes(answer.source, answer.warnings))


_SHOWN: Final = 8


def _partners_text(answer: PartnersAnswer) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    table = Table("partner", "adds", "best for", box=None)
    for one in answer.partners:
        helps = ", ".join(f"{h.target} {h.bts:+.2f}" for h in one.helps)
        table.add_row(_named(one.language), f"{one.gain:+.3f}", helps)
    title = f"partners for {', '.join(map(_named, answer.targets))}\n"
    own = [f"{h.target} {h.bts:+.2f}" for h in answer.helped_by_targets]
    lines = [f"already helped by each other: {', '.join(own)}"] if own else []
    return Group(title, table, *lines, _notes(answer.source, answer.warnings))


def _sources_text(answer: SourcesAnswer) -> RenderableType:
    title = f"what helps {_named(answer.target)}: best {len(answer.sources)} of {answer.n_known}"
    return _ranking_text(title, answer.sources, answer.source, answer.warnings)


def _targets_text(answer: TargetsAnswer) -> RenderableType:
    title = f"whom {_named(answer.language)} helps: best {len(answer.targets)} of {answer.n_known}"
    return _ranking_text(title, answer.targets, answer.source, answer.warnings)


def _ranking_text(
    title: str, ranked: tuple[RankedLanguage, ...], source: str, warnings: tuple[str, ...]
) -> RenderableType:
    from rich.console import Group
    from rich.table import Table

    table = Table("rank", "language", "BTS", "interval", "tau", "known how", box=None)
    for one in ranked:
        digits = 1 if one.rounding is not None else 2
        table.add_row(
            str(one.rank),
            _named(one.language),
            "" if one.bts is None else f"{one.bts:+.{digits}f}",
            _interval(one.interval),
            "" if one.tau is None else f"{one.tau:+.2f}",
            one.provenance.value,
        )
    return Group(f"{title}\n", table, _notes(source, warnings))


def _interval(interval: tuple[float | None, float | None] | None) -> str:
    """``-0.12 to 0.31``, ``below -0.50``, or nothing."""
    low, high = (None, None) if interval is None else interval
    if low is None:
        return "" if high is None else f"below {high:+.2f}"
    return f"above {low:+.2f}" if high is None else f"{low:+.2f} to {high:+.2f}"


def _notes(source: str, warnings: tuple[str, ...]) -> RenderableType:
    from rich.text import Text

    return Text("\n".join(["", f"from {source}", *(f"note: {warning}" for warning in warnings)]))


def _named(code: str) -> str:
    from atlas_scaling.languages import language

    return str(language(code))
