"""``atlas report``: one self-contained HTML file, or one of its figures as SVG, PNG or CSV."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.answers import Answer
from atlas_scaling.cli.output import JsonFlag, console, emit
from atlas_scaling.errors import InputError, nearest

if TYPE_CHECKING:
    from atlas_scaling.report.blocks import Report

REPORT_EXAMPLE = "Example: atlas report atlas-demo/runs -o report.html"


@dataclass(frozen=True, slots=True)
class Written(Answer):
    """What ``atlas report`` wrote. ``missing`` says what the report has not, and how to add it."""

    path: str
    bytes: int
    figures: tuple[str, ...]
    tables: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]


def report_command(
    sources: Annotated[
        list[Path], typer.Argument(help="Folders of runs, and fits saved with atlas fit -o.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write. Default: report.html."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", help="Write only this figure: .svg, .png, .csv or .json."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Language to fit; again for more. Default: all, up to 12."),
    ] = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Compare all laws held-out, profile parameters (minutes)."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of fits.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Put runs, fits, transfer scores and plans into one HTML file that needs no network.

    Laws are fitted to every language unless saved fits are given, and transfer is measured on the
    pairs that were run. What cannot be shown is said, with the command that would add it.
    """
    from atlas_scaling.report.document import write
    from atlas_scaling.report.gather import report_from_paths

    progress = console(stderr=True)
    report = report_from_paths(
        sources,
        targets=target or (),
        seed=seed,
        full=full,
        command=shlex.join(["atlas", *sys.argv[1:]]),
        say=lambda text: progress.print(text, markup=False),
    )
    if figure is not None:
        path = _save_one(report, figure, output)
    else:
        path = write(report, output or Path("report.html"))
    emit(_written(report, path), as_json=as_json, text=_text)


def _save_one(report: Report, name: str, output: Path | None) -> Path:
    from atlas_scaling.report.figure import save_figure

    figures = report.figures()
    if name not in figures:
        raise InputError(
            "this report has no such figure",
            value=name,
            where="--figure",
            remedy=nearest(name, figures) or f"one of {', '.join(figures) or 'none'}",
        )
    return save_figure(figures[name], output or Path(f"{name}.svg"))


def _written(report: Report, path: Path) -> Written:
    return Written(
        path=str(path),
        bytes=path.stat().st_size,
        figures=tuple(report.figures()),
        tables=tuple(report.tables()),
        missing={one.what: one.commands for one in report.missing()},
    )


def _text(written: Written) -> str:
    lines = [f"{written.path} ({written.bytes / 1e6:.2f} MB)"]
    lines.append("figures: " + (", ".join(written.figures) or "none"))
    for what, commands in written.missing.items():
        lines.append(f"not in it: {what}")
        lines += [f"  {command}" for command in commands]
    return "\n".join(lines)
