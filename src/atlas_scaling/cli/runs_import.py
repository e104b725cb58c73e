"""``atlas runs import`` and ``atlas runs export``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.answers import Answer
from atlas_scaling.cli.output import JsonFlag, emit, share_done
from atlas_scaling.errors import InputError
from atlas_scaling.units import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.runs.importers.column_map import ColumnMap
    from atlas_scaling.runs.importers.summary import ImportSummary

IMPORT_EXAMPLE = (
    'Example: atlas runs import wandb/ --column "loss=eval/{language}_loss" '
    "--set n_params=2B -o runs.parquet"
)
EXPORT_EXAMPLE = "Example: atlas runs export atlas-demo/runs -o runs.csv"


@dataclass(frozen=True, slots=True)
class _ImportAnswer(Answer):
    """What ``atlas runs import`` says."""

    output: str
    map: str | None
    summary: ImportSummary


@dataclass(frozen=True, slots=True)
class _ExportAnswer(Answer):
    """What ``atlas runs export`` says."""

    output: str
    rows: int
    runs: int
    notes: tuple[str, ...]


def import_command(
    source: Annotated[Path, typer.Argument(help="A log or table, or a folder of one kind.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: .parquet or .csv.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            help="csv, tsv, jsonl, parquet, wandb, tensorboard, trainer_state, mlflow, atlas; "
            "auto goes by names."
        ),
    ] = "auto",
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="A column map (YAML). Default: SOURCE's .map.yaml, if any."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="A column, as in tokens=train/tokens_seen."),
    ] = None,
    facts: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="What no column says: n_params=2B."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make one run table of other people's logs, and say what became of every row.

    The map that was used, with everything written out, is saved beside the output. A map of yours
    is never written over; one that an earlier import wrote, and nobody changed, is.
    """
    from atlas_scaling.runs.export import check_suffix, write_table
    from atlas_scaling.runs.importers.column_map import ColumnMap, map_beside, save_map
    from atlas_scaling.runs.importers.importing import import_runs

    check_suffix(output)
    if output.resolve() == source.resolve():
        raise InputError(
            "the runs would be written over their source",
            value=str(output),
            where="--output",
            remedy="give the output another name",
        )
    beside = map_beside(output)
    columns, is_own = _columns(source, beside, map_file, column or (), facts or ())
    with share_done("importing") as told:
        imported = import_runs(source, kind=kind, columns=columns, told=told)
    write_table(imported.frame, output)
    has_map = imported.columns != ColumnMap()
    if has_map and not is_own:
        save_map(imported.columns, beside)
    answer = _ImportAnswer(
        output=str(output), map=str(beside) if has_map else None, summary=imported.summary
    )
    emit(answer, as_json=as_json, text=_import_text)


def _columns(
    source: Path,
    beside: Path,
    map_file: Path | None,
    column: Sequence[str],
    facts: Sequence[str],
) -> tuple[ColumnMap, bool]:
    """The map to import by, and whether that ``beside`` the output is the user's own.

    Raises:
        InputError: it is, and another one would be written over it.
    """
    from atlas_scaling.runs.importers.column_map import (
        ColumnMap,
        is_unchanged,
        load_map,
        map_beside,
        with_options,
    )

    near = map_beside(source)
    if map_file is None and near.is_file() and not is_unchanged(near):
        map_file = near
    given = ColumnMap() if map_file is None else load_map(map_file)
    columns = with_options(given, column=column, facts=facts)
    is_used = map_file is not None and beside.resolve() == map_file.resolve()
    is_own = beside.is_file() and (is_used or not is_unchanged(beside))
    if is_own and not (is_used and columns == given):
        raise InputError(
            "the map of this import would be written over your own",
            value=str(beside),
            where="--output",
            remedy="give the output another name, or put the options into the map",
        )
    return columns, is_own


def export_command(
    runs: Annotated[
        list[Path], typer.Argument(help="Run directories, folders of them, or one run table.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write: .parquet or .csv.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Write runs as one table, Parquet or CSV, for other tools."""
    from atlas_scaling.runs.export import check_suffix, read_table, write_table
    from atlas_scaling.runs.store import read_runs

    check_suffix(output)
    if output.exists() and not force:
        raise InputError(
            "there is a file of this name",
            value=str(output),
            where="--output",
            remedy="another name, or --force to write over it",
        )
    notes: tuple[str, ...] = ()
    if len(runs) == 1 and runs[0].is_file():
        frame = read_table(runs[0])
    else:
        table = read_runs(runs)
        frame = table.frame
        notes = tuple(f"{note.where}: {note.problem}" for note in table.notes)
    write_table(frame, output)
    answer = _ExportAnswer(str(output), frame.height, frame["run_id"].n_unique(), notes)
    emit(answer, as_json=as_json, text=_export_text)


def _import_text(answer: _ImportAnswer) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    summary = answer.summary
    table = Table(box=None)
    table.add_column("rows", justify="right")
    table.add_column("")
    table.add_column("first at", overflow="fold")
    table.add_row(str(summary.found), "found", "")
    for dropped in summary.dropped:
        table.add_row(str(dropped.rows), f"dropped: {dropped.reason}", dropped.first[0])
    languages = counted(len(summary.languages), "evaluation language")
    kept = f"kept: {counted(summary.n_runs, 'run')}, {languages}"
    table.add_row(str(summary.kept), kept, "")
    read = f"{counted(summary.files, 'file')} read as {summary.kind}."
    lines = [f"  {ours}: {theirs}" for ours, theirs in summary.columns.items()]
    lines += [f"Note: {note}." for note in summary.notes]
    lines.append(f"\nWritten to {answer.output}.")
    if answer.map is not None:
        lines.append(f"The column map is in {answer.map}.")
    target = f" --target {summary.languages[0]}" if len(summary.languages) > 1 else ""
    lines.append(f"Next: atlas fit {answer.output} --law chinchilla{target}")
    return Group(Text(read), table, Text("\n".join(lines)))


def _export_text(answer: _ExportAnswer) -> str:
    lines = [f"{answer.rows} rows of {answer.runs} runs written to {answer.output}."]
    lines += [f"Note: {note}." for note in answer.notes]
    return "\n".join(lines)
