"""Options that several ``atlas transfer`` commands share, and what they stand for."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import typer

if TYPE_CHECKING:
    import polars as pl

    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.sides import Unit

PUBLISHED: Final = "published"
PUBLISHED_30: Final = "published-30"
CONTENT: Final = "content"

Runs = Annotated[
    list[Path],
    typer.Argument(help="Run directories, folders of them, or tables (atlas runs import)."),
]
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
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]
Level = Annotated[float, typer.Option(min=0.5, max=0.999, help="Level of the intervals.")]


@dataclass(frozen=True)
class Measuring:
    """How scores are measured on runs: options of every command that does."""

    at: At = None
    unit: UnitName = "tokens"
    per_token: PerToken = None
    study: StudyFolder = None
    allow_lr_mismatch: AllowLrMismatch = False
    noise: Noise = None
    seed_sd: SeedSd = None
    level: Level = 0.9
    seed: Seed = 0

    @property
    def d(self) -> float | None:
        """``--at`` as a number."""
        from atlas_scaling.units import parse_count

        return None if self.at is None else parse_count(self.at, name="--at")

    @property
    def counted_in(self) -> Unit:
        """What text is counted in."""
        return text_unit(self.unit, self.per_token, self.study)


def measuring(command: Callable[..., None]) -> Callable[..., None]:
    """``command(..., how: Measuring, as_json)`` with an option for each field of ``Measuring``."""
    hints = get_type_hints(Measuring, include_extras=True)
    options = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(Measuring)
    ]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        how = Measuring(**{one.name: given.pop(one.name) for one in fields(Measuring)})
        command(**given, how=how)

    own = inspect.signature(command, eval_str=True)
    *first, last = (one for one in own.parameters.values() if one.name != "how")
    with_options.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[*first, *options, last]
    )
    return with_options


def rows_of(paths: Sequence[Path]) -> pl.DataFrame:
    """Rows of the runs in folders and in run tables; ``runs/mono-*`` is all that is so named.

    Raises:
        InputError: no run there, a file that is no run table, or a run that is in two places.
    """
    import polars as pl

    from atlas_scaling.errors import InputError
    from atlas_scaling.runs.export import read_table
    from atlas_scaling.runs.store import read_runs

    paths = [found for path in paths for found in _matching(path)]
    folders = [path for path in paths if not path.is_file()]
    parts = [read_table(path) for path in paths if path.is_file()]
    if folders:
        parts.append(read_runs(folders).frame)
    names = [name for part in parts for name in part["run_id"].unique().to_list()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError("a run is in two of the places given", value=twice[:5], where="RUNS")
    return pl.concat(parts, how="diagonal")


def _matching(path: Path) -> list[Path]:
    """What is so named where the shell was told to leave a pattern alone; else the path."""
    if path.exists() or not any(sign in path.name for sign in "*?["):
        return [path]
    return sorted(path.parent.glob(path.name)) or [path]


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
    from atlas_scaling.transfer.sides import TOKENS, Unit

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
    if name == TOKENS:
        raise InputError(
            "a token is one token: units per token are of another unit",
            value=per_token,
            where="--per-token",
            remedy="name the unit: --unit bytes, or one of your own",
        )
    known = {}
    for item in per_token:
        code, _, number = item.partition("=")
        try:
            units = float(number)
        except ValueError:
            raise InputError(
                "units in a token are a language and a number",
                value=item,
                where="--per-token",
                remedy="write it like swe_Latn=4.1",
            ) from None
        if not 0 < units < math.inf:
            raise InputError(
                "units in a token are above zero and finite", value=item, where="--per-token"
            )
        if normalise(code) in known:
            raise InputError("a language is given twice", value=code, where="--per-token")
        known[normalise(code)] = units
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
