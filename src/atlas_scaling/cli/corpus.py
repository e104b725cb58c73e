"""``atlas corpus``: real text for studies, built once into the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, emit
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.study.corpus_sources import SourceList
    from atlas_scaling.study.corpus_store import Corpus, LanguageRecord
    from atlas_scaling.study.tokenizer_report import FertilityReport

app = typer.Typer(help="Text for studies: build it, look at it.", no_args_is_help=True)

CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Cache directory; else $ATLAS_CACHE, else yours.")
]
CorpusArgument = Annotated[Path, typer.Argument(metavar="CORPUS", help="Directory of a corpus.")]


@app.command(
    epilog="Examples: atlas corpus build swe dan nob --eval-lines 400; "
    "atlas corpus build sv sw --dataset madlad-400 --max-bytes 50M; atlas corpus build all --udhr"
)
def build(
    languages: Annotated[
        list[str], typer.Argument(help="Codes such as swe_Latn, swe or sv; or all.")
    ],
    part: Annotated[
        list[str] | None, typer.Option(help="A source (atlas corpus sources); repeat for more.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Your own text instead: DIR/CODE.txt, DIR/eval/CODE.txt.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Of the Hugging Face hub instead: madlad-400, fineweb-2.")
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="A folder with the dataset's files, in place of the hub.")
    ] = None,
    max_bytes: Annotated[
        str | None, typer.Option(help="Text of the dataset to take of a language at most.")
    ] = None,
    udhr: Annotated[
        bool,
        typer.Option("--udhr", help="The Declaration of Human Rights: many languages, little."),
    ] = False,
    eval_lines: Annotated[int, typer.Option(min=1, help="Evaluation lines a language.")] = 800,
    seed: Annotated[int, typer.Option(help="Of the split and of the order of lines.")] = 0,
    cache: CacheOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Build a corpus, or find it built; say where it is and what is in it."""
    from atlas_scaling.languages import normalise
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.corpus import all_languages, build_corpus, corpus_spec

    if dataset is None and (root is not None or max_bytes is not None):
        raise InputError(
            "--root and --max-bytes belong to a dataset", remedy="name one with --dataset"
        )
    spec = corpus_spec(
        folder=folder,
        dataset=dataset,
        parts=part,
        udhr=udhr,
        eval_lines=eval_lines,
        seed=seed,
        root=root,
        max_bytes=max_bytes,
    )
    place = cache_directory(cache)
    codes = (
        all_languages(spec, place, _say)
        if languages == ["all"]
        else tuple(normalise(code) for code in languages)
    )
    corpus = build_corpus(spec, codes, cache=place, say=_say)
    emit(corpus, as_json=as_json, text=_corpus_text)


@app.command(
    epilog="Example: atlas corpus show ~/.cache/atlas-scaling/corpora/594fe7e2526506170b6f"
)
def show(corpus: CorpusArgument, as_json: JsonFlag = False) -> None:
    """Say what is in a corpus, where it comes from and what was left out."""
    from atlas_scaling.study.corpus import open_corpus

    emit(open_corpus(corpus), as_json=as_json, text=_corpus_text)


@app.command(epilog="Example: atlas corpus sources")
def sources(cache: CacheOption = None, as_json: JsonFlag = False) -> None:
    """List the sources of the embedded corpus with size and licence, and which are here."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.corpus_sources import list_sources

    emit(list_sources(cache_directory(cache)), as_json=as_json, text=_sources_text)


@app.command(epilog="Example: atlas corpus fertility CORPUS --vocab-size 4096")
def fertility(
    corpus: CorpusArgument,
    vocab_size: Annotated[int, typer.Option(min=300, help="Pieces of the vocabulary.")] = 4096,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="A SentencePiece .model or a tokenizer.json of yours, not trained here."),
    ] = None,
    end_of_text: Annotated[
        str | None, typer.Option(help="Its piece that ends a text, where it does not say which.")
    ] = None,
    cache: CacheOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Train a vocabulary on a corpus, or take yours, and say what it makes of each language."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.corpus import open_corpus
    from atlas_scaling.study.tokenizer import TokenizerSpec, train_tokenizer
    from atlas_scaling.study.tokenizer_report import fertility_report

    text = open_corpus(corpus)
    spec = (
        TokenizerSpec(vocab_size=vocab_size)
        if tokenizer is None
        else TokenizerSpec(file=tokenizer, end_of_text=end_of_text)
    )
    cut = train_tokenizer(text, spec, cache=cache_directory(cache), say=_say)
    emit(fertility_report(text, cut), as_json=as_json, text=_fertility_text)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def _corpus_text(corpus: Corpus) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from atlas_scaling.study.contamination import PASSAGE_LETTERS
    from atlas_scaling.study.corpus_store import EvaluationText

    manifest = corpus.manifest
    kinds = corpus.evaluation_text
    differ = len(set(kinds.values())) > 1  # else the line below the table says it
    table = Table("language", "train MB", "lines", "eval lines", box=None)
    for column in ["which are", "shared"] if differ else ["shared"]:
        table.add_column(column)
    table.add_column("sources")
    table.add_column("dropped")
    for code, record in sorted(manifest.languages.items()):
        shares = ", ".join(
            f"{name} {share.train_bytes / max(record.train.bytes, 1):.0%}"
            for name, share in record.sources.items()
        )
        table.add_row(
            code,
            f"{record.train.bytes / 1e6:.2f}",
            f"{record.train.lines:,}",
            f"{record.evaluation.lines:,}",
            *([kinds[code].value] if differ else []),
            _shared(record),
            shares,
            f"{sum(record.dropped.values()):,}",
        )
    lines = [""]
    for source in manifest.sources:
        pin = f" ({source.pin})" if source.pin else ""
        missing = f"; not used: {source.problem}" if source.problem else ""
        lines.append(f"{source.name}{pin}: {source.licence}{missing}")
    aligned = sorted(code for code, kind in kinds.items() if kind is EvaluationText.ALIGNED)
    if manifest.aligned:
        lines.append("Evaluation text says the same in every language.")
    elif aligned:
        lines.append(
            f"Evaluation text says the same in {len(aligned)} languages; losses of the other "
            f"{len(manifest.languages) - len(aligned)} do not compare with those of any other."
        )
    else:
        lines.append("Evaluation text is not aligned.")
    if any(record.contamination for record in manifest.languages.values()):
        lines.append(
            f"Shared: evaluation lines with {PASSAGE_LETTERS} letters in a row that the training "
            "text has too."
        )
    lines += [f"Note: {note}." for note in manifest.notes]
    lines += [f"sha256 {corpus.sha256}", f"{corpus.path}"]
    return Group(table, Text("\n".join(lines)))


def _shared(record: LanguageRecord) -> str:
    found = record.contamination
    if found is None:
        return ""
    return f"{found.eval_lines_found:,}" + (" (dropped)" if found.dropped else "")


def _sources_text(listed: SourceList) -> RenderableType:
    from rich.table import Table

    table = Table("part", "MB", "pin", "licence", "in the cache", box=None)
    for source in listed.sources:
        table.add_row(
            source.name,
            "" if source.n_bytes is None else f"{source.n_bytes / 1e6:.0f}",
            source.pin,
            source.licence,
            "yes" if source.cached else "no",
        )
    return table


def _fertility_text(report: FertilityReport) -> RenderableType:
    from rich.table import Table

    def shown(value: float | None) -> str:
        return "" if value is None else f"{value:.2f}"

    table = Table(
        "language", "tokens/byte", "tokens/word", "byte premium", "token premium", box=None
    )
    for row in report.languages:
        table.add_row(
            row.language,
            f"{row.tokens_per_byte:.3f}",
            shown(row.tokens_per_word),
            shown(row.byte_premium),
            shown(row.token_premium),
        )
    without = report.not_aligned
    if len(without) == len(report.languages):
        return table
    table.caption = f"Premiums are over {report.reference}, for the same content."
    if without:
        table.caption += f" None for {', '.join(without)}: their evaluation text is their own."
    return table
