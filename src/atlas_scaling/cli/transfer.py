"""``atlas transfer``: which languages help which, from your runs or from the published matrix."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from atlas_scaling.transfer.features import PairFeatures
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.sides import Unit

app = typer.Typer(help="Transfer: which languages help which.", no_args_is_help=True)

MatrixFile = Annotated[
    Path | None,
    typer.Option("--matrix", help="A .parquet or .csv matrix; the published 38x38 if not given."),
]
MatrixOutput = Annotated[
    Path | None, typer.Option("-o", "--output", help="Write the matrix as .parquet or .csv.")
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
    from atlas_scaling.cli.transfer_text import bts_text
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
    emit(comparison.score(d, level=level, seed=seed), as_json=as_json, text=bts_text)


@app.command(epilog="Example: atlas transfer matrix atlas-demo/runs -o matrix.parquet")
def matrix(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    output: MatrixOutput = None,
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
    from atlas_scaling.cli.transfer_text import matrix_text
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
    emit(answer, as_json=as_json, text=lambda given: matrix_text(given, chosen, output))


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
    from atlas_scaling.cli.transfer_text import analysis_text
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
    emit(answer, as_json=as_json, text=analysis_text)


@app.command(epilog="Example: atlas transfer partners cat_Latn ron_Latn --count 3")
def partners(
    targets: Annotated[list[str], typer.Argument(metavar="LANG...", help="Whom to help.")],
    count: Annotated[int, typer.Option(min=1, help="How many partners at most.")] = 3,
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The few languages whose addition helps a set of targets most."""
    from atlas_scaling.cli.transfer_text import partners_text
    from atlas_scaling.transfer.partners import suggest_partners

    answer = suggest_partners(_matrix(matrix), targets, k=count, measured_only=measured_only)
    emit(answer, as_json=as_json, text=partners_text)


@app.command(epilog="Example: atlas transfer complete --compare -o completed.parquet")
def complete(
    matrix: MatrixFile = None,
    language: Annotated[
        list[str] | None, typer.Option(metavar="LANG", help="Estimate this one too; repeat it.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="A study's folder: its tokens tell how much subwords overlap."),
    ] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Cross-validate this and simpler models (a minute).")
    ] = False,
    fas_runs: Annotated[
        Path | None,
        typer.Option("--fas", help="Continued runs: try the paper's forest on them as well."),
    ] = None,
    output: MatrixOutput = None,
    level: Level = 0.9,
    seed: int = 0,
    as_json: JsonFlag = False,
) -> None:
    """Estimate the pairs that nobody measured, from those that somebody did."""
    from atlas_scaling.cli.transfer_text import completion_text
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.completion import MODELS, compare_on_fas
    from atlas_scaling.transfer.completion import complete as complete_matrix
    from atlas_scaling.transfer.fas import fas_from_runs
    from atlas_scaling.transfer.matrix_files import save_matrix

    given = _matrix(matrix)
    answer = complete_matrix(
        given,
        languages=language,
        features=None if study is None else _subwords(study),
        models=MODELS if compare else (),
        level=level,
        seed=seed,
    )
    if fas_runs is not None:
        table = fas_from_runs(read_runs(fas_runs).frame, name=str(fas_runs)).tables[0]
        tried = compare_on_fas(given, table, level=level, seed=seed)
        answer = replace(answer, scores=(*answer.scores, *tried))
    if output is not None:
        save_matrix(answer.matrix, output)
    emit(answer, as_json=as_json, text=lambda done: completion_text(done, output))


@app.command(epilog="Example: atlas transfer fas atlas-demo/runs")
def fas(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    tokens: Annotated[
        str | None, typer.Option(help="How far to go; the shortest continued run if not given.")
    ] = None,
    level: Level = 0.9,
    as_json: JsonFlag = False,
) -> None:
    """What continuing a multilingual run on one language does to the others."""
    from atlas_scaling.cli.transfer_text import fas_text
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.fas import fas_from_runs
    from atlas_scaling.units import parse_count

    answer = fas_from_runs(
        read_runs(runs).frame,
        d_max=None if tokens is None else parse_count(tokens, name="--tokens"),
        level=level,
        name=", ".join(map(str, runs)),
    )
    emit(answer, as_json=as_json, text=fas_text)


@app.command(epilog="Example: atlas transfer weights atlas-demo/runs --target swe_Latn")
def weights(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    target: Annotated[str, typer.Option(metavar="LANG", help="The language that is fitted.")],
    at: At = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Refits for intervals.")] = 200,
    level: Level = 0.9,
    seed: int = 0,
    as_json: JsonFlag = False,
) -> None:
    """Transfer weights of an ATLAS fit beside those that scores of the same runs imply."""
    from atlas_scaling.cli.transfer_text import weights_text
    from atlas_scaling.runs.store import read_runs
    from atlas_scaling.transfer.weights import weights_from_runs
    from atlas_scaling.units import parse_count

    answer = weights_from_runs(
        read_runs(runs).frame,
        target,
        at=None if at is None else parse_count(at, name="--at"),
        bootstrap=bootstrap,
        level=level,
        seed=seed,
        name=", ".join(map(str, runs)),
    )
    emit(answer, as_json=as_json, text=weights_text)


class PlotKind(StrEnum):
    """What ``plot`` draws."""

    HEATMAP = "heatmap"
    SYMMETRY = "symmetry"
    RELATEDNESS = "relatedness"


@app.command(epilog="Example: atlas transfer plot symmetry -o symmetry.svg")
def plot(
    kind: Annotated[PlotKind, typer.Argument(help="What to draw.")],
    output: Annotated[Path, typer.Option("-o", "--output", help=".svg, .png or .json (Vega).")],
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
) -> None:
    """Draw a matrix: as a heat map, each pair both ways, or by what languages share."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.report.figure import save_figure
    from atlas_scaling.report.figures.transfer import transfer_heatmap
    from atlas_scaling.transfer.plots import relatedness_chart, symmetry_chart

    drawn = _matrix(matrix)
    if measured_only:
        drawn = drawn.keep(drawn.is_measurement)
    if kind is PlotKind.HEATMAP:
        save_figure(transfer_heatmap(drawn), output)
    elif output.suffix not in (".svg", ".png", ".json"):
        raise InputError("a plot is a .svg, .png or .json file", value=str(output))
    else:
        chart = relatedness_chart if kind is PlotKind.RELATEDNESS else symmetry_chart
        output.parent.mkdir(parents=True, exist_ok=True)
        chart(drawn).save(output)
    typer.echo(f"written to {output}")


def _subwords(folder: Path) -> PairFeatures:
    """Subword overlap of the text that a study trains on."""
    import numpy as np

    from atlas_scaling.errors import InputError
    from atlas_scaling.study.folder import StudyFolder
    from atlas_scaling.study.tokens import TokenStore
    from atlas_scaling.transfer.features import subword_features

    inputs = StudyFolder.open(folder).read_inputs()
    if inputs is None:
        raise InputError("this study has not cut its text yet", value=str(folder))
    store = TokenStore.open(Path(inputs.tokens_dir))
    texts = {code: store.train(code) for code in store.languages}
    size = store.tokenizer.vocab_size
    return subword_features(
        {code: np.bincount(text.tokens, minlength=size) for code, text in texts.items()},
        {code: text.n_bytes / text.n_tokens for code, text in texts.items()},
    )


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
    from atlas_scaling.cli.transfer_text import sources_text
    from atlas_scaling.transfer.ranking import best_sources

    answer = best_sources(_matrix(matrix), target, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=sources_text)


@app.command(epilog="Example: atlas transfer targets eng_Latn --top 5")
def targets(
    source: Annotated[str, typer.Argument(metavar="LANG", help="The language that helps.")],
    top: Top = 5,
    matrix: MatrixFile = None,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The languages that LANG helps most when trained together with them."""
    from atlas_scaling.cli.transfer_text import targets_text
    from atlas_scaling.transfer.ranking import best_targets

    answer = best_targets(_matrix(matrix), source, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=targets_text)


def _matrix(path: Path | None) -> TransferMatrix:
    if path is None:
        from atlas_scaling.transfer.reference import published_matrix

        return published_matrix()
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(path)
