"""``atlas study``: design it, run it, see how it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, console, emit
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.study.conduct import StudyOutcome
    from atlas_scaling.study.design import Design
    from atlas_scaling.study.spec import StudySpec

app = typer.Typer(help="Training studies: design, run, watch.", no_args_is_help=True)

Spec = Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged study: demo.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The study's folder. Default: the study's name."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time. Default: one a usable core.")
]


@app.command(epilog="Example: atlas study design demo")
def design(spec: Spec, as_json: JsonFlag = False) -> None:
    """Show the runs a study expands to, with their tokens and compute; run nothing."""
    from atlas_scaling.study.design import design_study

    emit(design_study(_load(spec)), as_json=as_json, text=_design_text)


@app.command(epilog="Example: atlas study run demo --output demo-study")
def run(
    spec: Spec, output: Output = None, workers: Workers = None, as_json: JsonFlag = False
) -> None:
    """Carry out a study, or go on where an earlier call stopped."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import conduct_study
    from atlas_scaling.study.display import ConsoleDisplay
    from atlas_scaling.study.engines.local import LocalEngine

    loaded = _load(spec)
    outcome = conduct_study(
        loaded,
        output or Path(loaded.name),
        engine=LocalEngine(workers),
        cache=cache_directory(),
        display=ConsoleDisplay(console(stderr=True)),
    )
    emit(outcome, as_json=as_json, text=_outcome_text)
    if outcome.failed:
        raise typer.Exit(1)


@app.command(epilog="Example: atlas study status demo-study")
def status(
    folder: Annotated[Path, typer.Argument(help="The study's folder.")], as_json: JsonFlag = False
) -> None:
    """Say where every run of a study stands, from its folder alone."""
    from atlas_scaling.study.status import status_text, study_status

    emit(study_status(folder), as_json=as_json, text=status_text)


def _load(spec: str) -> StudySpec:
    from atlas_scaling.study.spec import load_study, packaged_studies

    if Path(spec).suffix in {".yaml", ".yml"} or Path(spec).exists():
        return load_study(Path(spec))
    if spec not in packaged_studies():
        raise InputError(
            "there is no such study",
            value=spec,
            where="SPEC",
            remedy=f"give a YAML file, or one of: {', '.join(packaged_studies())}",
        )
    return load_study(packaged_studies()[spec])


def _design_text(design: Design) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from atlas_scaling.units import format_count

    table = Table("run", "size", "params", "tokens", "FLOPs", "after", box=None)
    for one in design.runs:
        table.add_row(
            one.run_id,
            one.size,
            format_count(one.n_params),
            format_count(one.tokens),
            f"{one.flops:.2e}",
            one.base_run or "",
        )
    total = (
        f"\n{design.n_runs} runs, {format_count(design.tokens)} tokens, "
        f"{design.flops:.2e} FLOPs (6 N D) in all."
    )
    return Group(table, Text(total))


def _outcome_text(outcome: StudyOutcome) -> str:
    lines = [f"{outcome.n_done} of {outcome.n_runs} runs are done, in {outcome.path}/runs."]
    lines += [f"FAILED {name}: {reason}" for name, reason in outcome.failed.items()]
    if outcome.failed:
        lines.append("The same command tries the failed runs again.")
    lines.append(f"Next: atlas report {outcome.path}/runs -o {outcome.path}/report.html")
    return "\n".join(lines)
