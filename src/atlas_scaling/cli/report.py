"""``atlas report``: one self-contained HTML file, or its figures as SVG, PNG or CSV."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.answers import Answer
from atlas_scaling.cli.output import JsonFlag, emit, steps_done
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.report.blocks import Report
    from atlas_scaling.report.catalogue import Entry

REPORT_EXAMPLE = "Example: atlas report atlas-demo/runs -o report.html"


@dataclass(frozen=True, slots=True)
class Written(Answer):
    """What ``atlas report`` wrote. ``missing`` says what the report has not, and how to add it."""

    path: str
    bytes: int
    figures: tuple[str, ...]
    tables: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Catalogue(Answer):
    """What ``atlas report --list`` prints."""

    figures: tuple[Entry, ...]


def report_command(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of runs, run tables, and fits saved with atlas fit -o."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write. Default: report.html."),
    ] = None,
    figure: Annotated[
        str | None,
        typer.Option("--figure", help="Write only this figure: .svg, .png, .csv or .json."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="A folder for every figure as SVG, PNG and CSV, too."),
    ] = None,
    list_figures: Annotated[
        bool, typer.Option("--list", help="Say which figures there are and what they need.")
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Language to fit; again for more. Default: all, up to 12."),
    ] = None,
    flops: Annotated[
        str | None, typer.Option("--flops", help="A budget to plan for, from these fits: 1e15.")
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
    if list_figures:
        from atlas_scaling.report.catalogue import ENTRIES

        emit(Catalogue(ENTRIES), as_json=as_json, text=_catalogue_text)
        return
    from atlas_scaling.report.blocks import Report, Section
    from atlas_scaling.report.document import check_page_file, write
    from atlas_scaling.report.figure import check_figure_file, save_figures
    from atlas_scaling.report.files import check_writable
    from atlas_scaling.report.gather import report_from_paths
    from atlas_scaling.units import parse_count

    path = output or Path("report.html" if figure is None else f"{figure}.svg")
    check_writable(path)
    if figure is not None:
        check_figure_file(path)
    else:
        check_page_file(path)
    budget = None if flops is None else parse_count(flops, name="--flops")
    with steps_done() as say:
        report = report_from_paths(
            sources or [],
            targets=target or (),
            flops=budget,
            seed=seed,
            full=full,
            figure=figure,
            command=shlex.join(["atlas", *sys.argv[1:]]),
            say=say,
        )
        if figure is not None:
            _save_one(report, figure, path)
            report = Report("", "", (Section("", "", (report.figures()[figure],)),))
        else:
            write(report, path)
        if figures is not None:
            save_figures(report.figures().values(), figures)
    emit(_written(report, path), as_json=as_json, text=_text)


def _save_one(report: Report, name: str, path: Path) -> Path:
    from atlas_scaling.report.catalogue import entry_of
    from atlas_scaling.report.figure import save_figure

    figures = report.figures()
    if name not in figures:
        raise InputError(
            "these runs do not give this figure",
            value=name,
            where="--figure",
            remedy=f"it needs {entry_of(name).needs}; there are: {', '.join(figures) or 'none'}",
        )
    return save_figure(figures[name], path)


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


def _catalogue_text(catalogue: Catalogue) -> RenderableType:
    from rich.table import Table

    table = Table("figure", "shows", "needs", box=None)
    for entry in catalogue.figures:
        table.add_row(entry.name, entry.shows, entry.needs)
    return table
