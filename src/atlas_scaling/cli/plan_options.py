"""Options that several ``atlas plan`` commands share, how they are read, how answers are shown."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlas_scaling.cli.output import emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.report.plan_page import PlanAnswer

FitOption = Annotated[
    Path | None, typer.Option("--fit", help="A saved fit; else the published constants.")
]

Unique = Annotated[
    list[str] | None, typer.Option(help="Distinct tokens there are: ca=10B; repeat it.")
]
Floor = Annotated[list[str] | None, typer.Option(help="Least share of all tokens: ca=0.3.")]
Cap = Annotated[list[str] | None, typer.Option(help="Largest share of all tokens: en=0.5.")]
MaxEpochs = Annotated[
    float | None, typer.Option(help="Most passes over a text; no limit if left out.")
]

PlotOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="Also draw it: .html (a page), .svg, .png, .csv (its numbers)."
    ),
]


def show(
    answer: PlanAnswer,
    as_json: bool,
    text: Callable[[Any], RenderableType],
    output: Path | None,
) -> None:
    """Print an answer, and draw it where that is asked for."""
    if output is not None:
        from atlas_scaling.report.plan_page import save_plan

        save_plan(answer, output, command=shlex.join(["atlas", *sys.argv[1:]]))
    emit(answer, as_json=as_json, text=text)


def count(text: str | None, option: str) -> float | None:
    """A number as users write it, if it is given."""
    from atlas_scaling.units import parse_count

    return None if text is None else parse_count(text, name=option)


def numbers(texts: list[str] | None, option: str) -> dict[str, float] | None:
    """``ca=10B``, ``ca=0.3`` or ``ca=30%`` as numbers by code; 0 is a number too."""
    given = pairs(texts, option)
    if given is None:
        return None
    return {code: _number(value, f"{option} {code}") for code, value in given.items()}


def _number(text: str, name: str) -> float:
    from atlas_scaling.units import parse_count

    bare = text.removesuffix("%")
    if bare.strip("0") in ("", "."):
        return 0.0
    return parse_count(bare, name=name) / (100 if text.endswith("%") else 1)


def pairs(texts: list[str] | None, option: str) -> dict[str, str] | None:
    """``ca=es`` as pairs of code and what is said of it.

    Raises:
        InputError: no such pair, an unknown language, or one that is given twice.
    """
    from atlas_scaling.errors import InputError
    from atlas_scaling.languages import normalise

    found: dict[str, str] = {}
    for text in texts or ():
        code, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            raise InputError(
                "this names no language and what is said of it",
                value=text,
                where=option,
                remedy="write it like ca=...",
            )
        if normalise(code) in map(normalise, found):
            raise InputError("a language is given twice", value=code, where=option)
        found[code] = value
    return found or None


def mixture_of(text: str | None, option: str) -> dict[str, float] | None:
    """``en=0.5,de=0.5`` as shares by code."""
    return None if text is None else numbers(text.split(","), option)


def sizes_of(given: list[str] | None, published: bool) -> tuple[float, ...] | None:
    """Model sizes that may be chosen: those given, and with ``published`` those of Table B.3."""
    from atlas_scaling.units import parse_count

    sizes = [parse_count(text, name="--size") for text in given or ()]
    if published:
        from atlas_scaling.published.model_shapes import model_shapes

        sizes += [float(shape.n_params) for shape in model_shapes()]
    return tuple(sizes) or None


def load_fits(paths: list[Path] | None) -> list[Fit]:
    """Saved fits; none without paths."""
    if not paths:
        return []
    from atlas_scaling.fitting.result import Fit

    return [Fit.load(path) for path in paths]
