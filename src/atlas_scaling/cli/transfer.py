"""``atlas transfer``: which languages help which, from your runs or from the published matrix."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli import transfer_measure
from atlas_scaling.cli.output import JsonFlag, emit
from atlas_scaling.cli.transfer_options import (
    PUBLISHED,
    Level,
    MatrixFile,
    MatrixOutput,
    MeasuredOnly,
    Seed,
    Top,
    chosen_matrix,
    rows_of,
)

if TYPE_CHECKING:
    from atlas_scaling.report.figure import Figure
    from atlas_scaling.transfer.features import PairFeatures

app = typer.Typer(help="Transfer: which languages help which.", no_args_is_help=True)

app.command(epilog=transfer_measure.BTS_EXAMPLE)(transfer_measure.bts)
app.command(epilog=transfer_measure.MATRIX_EXAMPLE)(transfer_measure.matrix)
app.command(epilog=transfer_measure.FAS_EXAMPLE)(transfer_measure.fas)
app.command(epilog=transfer_measure.WEIGHTS_EXAMPLE)(transfer_measure.weights)
app.command(epilog=transfer_measure.MERGE_EXAMPLE)(transfer_measure.merge)
app.command(
    epilog=transfer_measure.CONVERT_EXAMPLE,
    context_settings={"ignore_unknown_options": True},  # a gain may be below zero: -0.02
)(transfer_measure.convert)


@app.command(epilog="Example: atlas transfer sources cat_Latn --top 5")
def sources(
    target: Annotated[str, typer.Argument(metavar="LANG", help="The language to be helped.")],
    top: Top = 5,
    matrix: MatrixFile = PUBLISHED,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The languages that help LANG most when trained together with it."""
    from atlas_scaling.cli.transfer_text import sources_text
    from atlas_scaling.transfer.ranking import best_sources

    answer = best_sources(chosen_matrix(matrix), target, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=sources_text)


@app.command(epilog="Example: atlas transfer targets eng_Latn --top 5")
def targets(
    source: Annotated[str, typer.Argument(metavar="LANG", help="The language that helps.")],
    top: Top = 5,
    matrix: MatrixFile = PUBLISHED,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The languages that LANG helps most when trained together with them."""
    from atlas_scaling.cli.transfer_text import targets_text
    from atlas_scaling.transfer.ranking import best_targets

    answer = best_targets(chosen_matrix(matrix), source, top=top, measured_only=measured_only)
    emit(answer, as_json=as_json, text=targets_text)


@app.command(epilog="Example: atlas transfer partners cat_Latn ron_Latn --count 3")
def partners(
    targets: Annotated[list[str], typer.Argument(metavar="LANG...", help="Whom to help.")],
    count: Annotated[int, typer.Option(min=1, help="How many partners at most.")] = 3,
    matrix: MatrixFile = PUBLISHED,
    measured_only: MeasuredOnly = False,
    as_json: JsonFlag = False,
) -> None:
    """The few languages whose addition helps a set of targets most."""
    from atlas_scaling.cli.transfer_text import partners_text
    from atlas_scaling.transfer.partners import suggest_partners

    answer = suggest_partners(chosen_matrix(matrix), targets, k=count, measured_only=measured_only)
    emit(answer, as_json=as_json, text=partners_text)


@app.command(epilog="Example: atlas transfer analyze --published")
def analyze(
    matrix: MatrixFile = PUBLISHED,
    published: Annotated[
        bool, typer.Option("--published", help="The published 38x38 matrix, the default.")
    ] = False,
    measured_only: MeasuredOnly = False,
    groups: Annotated[
        int | None, typer.Option(min=1, help="How many groups; the best number if not given.")
    ] = None,
    level: Level = 0.9,
    permutations: Annotated[int, typer.Option(min=99, help="Of each test.")] = 2000,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """What a matrix says of script and family, symmetry, groups, and who gives most."""
    from atlas_scaling.cli.transfer_text import analysis_text
    from atlas_scaling.errors import InputError
    from atlas_scaling.transfer.analysis import analyze as analyze_matrix

    if published and matrix != PUBLISHED:
        raise InputError("give --published or --matrix, not both", value=matrix)
    answer = analyze_matrix(
        chosen_matrix(matrix),
        measured_only=measured_only,
        n_groups=groups,
        level=level,
        n_permutations=permutations,
        seed=seed,
    )
    emit(answer, as_json=as_json, text=analysis_text)


@app.command(epilog="Example: atlas transfer complete --language eus -o completed.parquet")
def complete(
    matrix: MatrixFile = PUBLISHED,
    language: Annotated[
        list[str] | None, typer.Option(metavar="LANG", help="Estimate this one too; repeat it.")
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(help="A study's folder: its text tells how words and subwords overlap."),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="A corpus: its text tells how words overlap.")
    ] = None,
    fas_runs: Annotated[
        Path | None,
        typer.Option("--fas", help="Continued runs: their scores become features too."),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Cross-validate this and other models (half a minute)."),
    ] = False,
    output: MatrixOutput = None,
    level: Level = 0.9,
    seed: Seed = 0,
    as_json: JsonFlag = False,
) -> None:
    """Estimate the pairs that nobody measured, from those that somebody did."""
    from atlas_scaling.cli.completion_text import completion_text
    from atlas_scaling.cli.output import share_done
    from atlas_scaling.transfer.completion import MODELS
    from atlas_scaling.transfer.completion import complete as complete_matrix
    from atlas_scaling.transfer.fas import fas_from_runs
    from atlas_scaling.transfer.matrix_files import check_matrix_file, save_matrix

    if output is not None:
        check_matrix_file(output)
    with share_done("cross-validating") as tell:
        answer = complete_matrix(
            chosen_matrix(matrix),
            languages=language,
            features=_text_features(study, corpus),
            fas=None
            if fas_runs is None
            else fas_from_runs(rows_of([fas_runs]), name=str(fas_runs)).tables[0],
            models=MODELS if compare else (),
            level=level,
            seed=seed,
            tell=tell,
        )
    if output is not None:
        save_matrix(answer.matrix, output)
    emit(answer, as_json=as_json, text=lambda done: completion_text(done, output))


class PlotKind(StrEnum):
    """What ``plot`` draws."""

    HEATMAP = "heatmap"
    SYMMETRY = "symmetry"
    RELATEDNESS = "relatedness"
    DENDROGRAM = "dendrogram"
    CURVES = "curves"
    SIZES = "sizes"


class HeatmapOrder(StrEnum):
    """In what order a heat map has its languages."""

    FAMILY = "family"
    CLUSTER = "cluster"


@app.command(epilog="Example: atlas transfer plot symmetry -o symmetry.svg")
def plot(
    kind: Annotated[
        PlotKind, typer.Argument(help="What to draw; curves (over d) and sizes take runs.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help=".svg, .png, .csv (data) or .json (Vega-Lite).")
    ],
    runs: Annotated[
        list[Path] | None, typer.Option("--runs", help="Measure on these runs; repeat it.")
    ] = None,
    matrix: MatrixFile = PUBLISHED,
    order: Annotated[
        HeatmapOrder, typer.Option(help="Order of a heat map's languages.")
    ] = HeatmapOrder.FAMILY,
    measured_only: MeasuredOnly = False,
) -> None:
    """Draw a matrix, or scores of runs over tokens and over model size."""
    from atlas_scaling.report.figure import save_figure

    figure = _figure(kind, runs, matrix, order, measured_only)
    output.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, output)
    typer.echo(f"written to {output}")


def _figure(
    kind: PlotKind,
    runs: list[Path] | None,
    matrix: str,
    order: HeatmapOrder,
    measured_only: bool,
) -> Figure:
    from atlas_scaling.errors import InputError
    from atlas_scaling.report.figures import structure
    from atlas_scaling.report.figures.transfer import bts_curves, transfer_heatmap

    if runs and matrix != PUBLISHED:
        raise InputError("give --runs or --matrix, not both", value=matrix)
    if runs:
        from atlas_scaling.transfer.pairs import matrices_from_runs

        answer = matrices_from_runs(rows_of(runs), name=", ".join(map(str, runs)))
        if kind is PlotKind.CURVES:
            return bts_curves(answer.of_size().answers)
        if kind is PlotKind.SIZES:
            return structure.sizes(answer)
        drawn = answer.of_size().matrix(answer.source)
    elif kind in (PlotKind.CURVES, PlotKind.SIZES):
        raise InputError(
            f"{kind} are drawn from runs", where="--runs", remedy="--runs atlas-demo/runs"
        )
    else:
        drawn = chosen_matrix(matrix)
    if measured_only:
        drawn = drawn.keep(drawn.is_measurement).without_empty()
    if kind is PlotKind.HEATMAP:
        return transfer_heatmap(drawn, by_cluster=order is HeatmapOrder.CLUSTER)
    draw = {
        PlotKind.SYMMETRY: structure.symmetry,
        PlotKind.RELATEDNESS: structure.relatedness,
        PlotKind.DENDROGRAM: structure.dendrogram,
    }[kind]
    figure = draw(drawn)
    if figure is None:
        raise InputError(
            f"this matrix has too few scores for a {kind} plot",
            value=repr(drawn),
            remedy="measure more pairs, or draw the heatmap",
        )
    return figure


def _text_features(study: Path | None, corpus: Path | None) -> list[PairFeatures]:
    """What the text of a study or a corpus tells of its languages; empty without both."""
    from atlas_scaling.errors import InputError

    if study is None:
        return [] if corpus is None else [_words(corpus)]
    if corpus is not None:
        raise InputError("give --study or --corpus, not both", value=str(corpus))
    from atlas_scaling.study.folder import StudyFolder

    inputs = StudyFolder.open(study).read_inputs()
    if inputs is None:
        raise InputError("this study has not cut its text yet", value=str(study))
    return [_words(Path(inputs.corpus_dir)), _subwords(Path(inputs.tokens_dir))]


def _words(corpus: Path) -> PairFeatures:
    from atlas_scaling.study.corpus import open_corpus
    from atlas_scaling.transfer.features import word_features
    from atlas_scaling.transfer.lexical import word_counts, word_overlap

    text = open_corpus(corpus)
    counts = {code: word_counts(code, text.train_lines(code)) for code in text.languages}
    return word_features(text.languages, word_overlap(counts))


def _subwords(tokens: Path) -> PairFeatures:
    import numpy as np

    from atlas_scaling.study.tokens import TokenStore
    from atlas_scaling.transfer.features import subword_features

    store = TokenStore.open(tokens)
    texts = {code: store.train(code) for code in store.languages}
    size = store.tokenizer.vocab_size
    return subword_features(
        {code: np.bincount(text.tokens, minlength=size) for code, text in texts.items()},
        {code: text.n_bytes / text.n_tokens for code, text in texts.items()},
    )
