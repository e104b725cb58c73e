"""``atlas study design``: what a study expands to, before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.study.planned_runs import Design, GroupTotal, PlannedRun

EXAMPLE: Final = "Examples: atlas study design demo; atlas study design paper --accelerator h100"

LISTED_RUNS: Final = 60
"""A study of more runs is summed up by group, unless all are asked for."""
CPU_FLOPS: Final = 1e16
"""A study of less compute is priced on CPU cores, if no accelerator was chosen."""


def design(
    spec: Annotated[
        str,
        typer.Argument(
            help="A YAML file, a packaged study (demo, mini, small, paper, many), or the folder of "
            "one that has begun: then with epochs."
        ),
    ],
    every: Annotated[bool, typer.Option("--all", help="List every run, however many.")] = False,
    accelerator: Annotated[
        str | None, typer.Option(help="Whose hours to count: cpu-core, a100, h100, …")
    ] = None,
    mfu: Annotated[float | None, typer.Option(help="Share of its peak that is reached.")] = None,
    price: Annotated[float | None, typer.Option(help="Of one accelerator for an hour.")] = None,
    yaml: Annotated[
        bool, typer.Option("--yaml", help="Print the study's file instead, to change it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the runs a study expands to, with tokens, compute and cost; run nothing."""
    from atlas_scaling.accelerators import accelerator as named_accelerator
    from atlas_scaling.runs.store import SPEC_NAME
    from atlas_scaling.study.design import design_study, refuse_short_runs
    from atlas_scaling.study.engines.options import load_study_file
    from atlas_scaling.study.folder import StudyFolder
    from atlas_scaling.study.paper import NAME, beside_published
    from atlas_scaling.study.spec import packaged_studies, study_path

    begun = spec not in packaged_studies() and (Path(spec) / SPEC_NAME).is_file()
    if yaml and not as_json:
        path = Path(spec) / SPEC_NAME if begun else study_path(spec)
        typer.echo(path.read_text(encoding="utf-8"), nl=False)
        return
    if begun:
        planned = StudyFolder.open(Path(spec)).design_on_text()
    else:
        loaded = load_study_file(study_path(spec))[0]
        planned = design_study(loaded)
        refuse_short_runs(loaded, planned)
    if spec == NAME:
        planned = beside_published(planned)
    device = named_accelerator(accelerator or ("cpu-core" if planned.flops < CPU_FLOPS else "h100"))
    planned = planned.on_accelerator(device, mfu=mfu, price_per_hour=price)
    listed = every or planned.n_runs <= LISTED_RUNS
    emit(planned, as_json=as_json, text=lambda one: _text(one, listed=listed))


def _text(planned: Design, *, listed: bool) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if listed:
        parts += [_runs(planned.runs), Text("")]
    parts += [_groups(planned), Text(_sum(planned))]
    parts += [Text(f"Note: {note}") for note in planned.notes]
    if not listed:
        parts.append(Text("Every run: --all, or --json."))
    return Group(*parts)


def _runs(runs: tuple[PlannedRun, ...]) -> RenderableType:
    from rich.table import Column, Table

    from atlas_scaling.units import format_count

    run, after = (Column(name, overflow="fold") for name in ("run", "after"))  # cut ids are alike
    table = Table(run, "size", "params", "tokens", "FLOPs", "hours", after, box=None)
    if on_text := any(one.epochs for one in runs):
        table.add_column("epochs")
    for one in runs:
        table.add_row(
            one.run_id,
            one.size,
            format_count(one.n_params),
            format_count(one.tokens),
            f"{one.flops:.2e}",
            _hours(one.accelerator_hours),
            one.base_run or "",
            *([_epochs(one)] if on_text else []),
        )
    return table


def _epochs(run: PlannedRun) -> str:
    """The fewest and the most of any of its languages."""
    from atlas_scaling.units import plain

    fewest, most = (plain(f((run.epochs or {}).values())) for f in (min, max))
    return most if fewest == most else f"{fewest} to {most}"


def _groups(planned: Design) -> RenderableType:
    from rich.table import Table

    from atlas_scaling.units import format_count

    shared = any(group.n_shared for group in planned.groups)
    published = planned.n_published is not None
    table = Table("group", box=None)
    for column in ("runs", "made before", "in Table B.1", "tokens", "FLOPs", "hours"):
        if (column != "made before" or shared) and (column != "in Table B.1" or published):
            table.add_column(column, justify="right")

    def cells(group: GroupTotal) -> list[str]:
        return [
            group.label,
            f"{group.n_runs}",
            *([f"{group.n_shared}" if group.n_shared else ""] if shared else []),
            *([f"{group.n_published}"] if published else []),
            format_count(group.tokens),
            f"{group.flops:.2e}",
            _hours(group.accelerator_hours),
        ]

    for group in planned.groups:
        table.add_row(*cells(group))
    return table


def _sum(planned: Design) -> str:
    from atlas_scaling.units import format_count

    published = "" if planned.n_published is None else f" (Table B.1: {planned.n_published})"
    money = "" if planned.money is None else f", {format_count(planned.money)} in money"
    return (
        f"\n{planned.n_runs} runs{published}, {format_count(planned.tokens)} tokens, "
        f"{planned.flops:.2e} FLOPs (6 N D), {_hours(planned.accelerator_hours)} hours of "
        f"{planned.accelerator} at {planned.mfu or 0:.0%} of its peak{money}."
    )


def _hours(hours: float | None) -> str:
    from atlas_scaling.units import format_count

    if hours is None:
        return ""
    return "<0.01" if hours < 0.01 else format_count(hours, digits=2 if hours < 1 else 3)
