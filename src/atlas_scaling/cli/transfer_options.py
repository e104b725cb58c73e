"""Options that several ``atlas transfer`` commands share, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.sides import Unit

PUBLISHED: Final = "published"
PUBLISHED_30: Final = "published-30"
CONTENT: Final = "content"

Runs = Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")]
MatrixFile = Annotated[
    str,
    typer.Option(
        "--matrix",
        metavar="FILE",
        help="A .parquet or .csv matrix, published (38x38, Fig. C.2) or published-30 (Fig. 2).",
    ),
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
    str,
    typer.Option(
        "--unit", help="Count text in tokens, bytes, content (with --study), or a unit of your own."
    ),
]
PerToken = Annotated[
    list[str] | None,
    typer.Option(help="Units in a token of a language, as swe_Latn=4.1; once a language."),
]
StudyFolder = Annotated[
    Path | None,
    typer.Option("--study", help="The runs' study: its parallel text tells content per token."),
]
AllowLrMismatch = Annotated[
    bool,
    typer.Option("--allow-lr-mismatch", help="Compare stable with decayed losses, and say so."),
]
Noise = Annotated[
    float | None,
    typer.Option(help="Standard deviation of one evaluation's loss; told by scatter if not given."),
]
SeedSd = Annotated[
    float | None,
    typer.Option(
        "--seed-sd",
        help="What a seed changes, as a share of the loss (0.005); told by runs with several seeds "
        "if not given.",
    ),
]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Level of the intervals.")]


def chosen_matrix(name: str) -> TransferMatrix:
    """The published matrix of that name, or the one in the file."""
    if name in (PUBLISHED, PUBLISHED_30):
        from atlas_scaling.transfer.reference import published_matrix

        return published_matrix(30 if name == PUBLISHED_30 else 38)
    from atlas_scaling.transfer.matrix_files import load_matrix

    return load_matrix(Path(name))


def text_unit(name: str, per_token: list[str] | None, study: Path | None) -> Unit:
    """What text is counted in.

    ``content`` is a line of the study's parallel evaluation text, whatever tokens a language takes
    for it.
    """
    from atlas_scaling.errors import InputError
    from atlas_scaling.languages import normalise
    from atlas_scaling.transfer.sides import Unit

    if name == CONTENT and not per_token:
        if study is None:
            raise InputError(
                "how much content a token has is told by parallel text",
                value=name,
                where="--unit",
                remedy="give the runs' study (--study DIR), or --per-token for each language",
            )
        return Unit(name, _content_per_token(study))
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


def _content_per_token(study: Path) -> dict[str, float]:
    """Lines of parallel text in a token of each language."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.study.corpus import open_corpus
    from atlas_scaling.study.folder import StudyFolder
    from atlas_scaling.study.tokens import TokenStore

    inputs = StudyFolder.open(study).read_inputs()
    if inputs is None:
        raise InputError("this study has not cut its text yet", value=str(study))
    corpus = open_corpus(Path(inputs.corpus_dir))
    if not corpus.manifest.aligned:
        raise InputError(
            "the evaluation text of this study does not say the same in every language",
            value=str(corpus.path),
            where="--unit content",
            remedy="count text in bytes, or give --per-token for each language",
        )
    store = TokenStore.open(Path(inputs.tokens_dir))
    return {
        code: corpus.record(code).evaluation.lines / store.evaluation(code).n_tokens
        for code in store.languages
    }
