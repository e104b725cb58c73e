"""``atlas study``: design it, run it, see how it stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli import study_design
from atlas_scaling.cli.output import JsonFlag, console, emit

if TYPE_CHECKING:
    from atlas_scaling.study.conduct import StudyOutcome

app = typer.Typer(help="Training studies: design, run, watch.", no_args_is_help=True)

Spec = Annotated[
    str,
    typer.Argument(help="A YAML file, or the name of a packaged study: demo, mini, small, paper."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The study's folder. Default: the study's name."),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time. Default: one a usable core.")
]


app.command(epilog=study_design.EXAMPLE)(study_design.design)


@app.command(epilog="Example: atlas study run demo --output demo-study")
def run(
    spec: Spec, output: Output = None, workers: Workers = None, as_json: JsonFlag = False
) -> None:
    """Carry out a study, or go on where an earlier call stopped."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import conduct_study
    from atlas_scaling.study.display import ConsoleDisplay
    from atlas_scaling.study.engines.local import LocalEngine
    from atlas_scaling.study.spec import named_study

    loaded = named_study(spec)
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


def _outcome_text(outcome: StudyOutcome) -> str:
    lines = [f"{outcome.n_done} of {outcome.n_runs} runs are done, in {outcome.path}/runs."]
    lines += [f"FAILED {name}: {reason}" for name, reason in outcome.failed.items()]
    if outcome.failed:
        lines.append("The same command tries the failed runs again.")
    lines.append(f"Next: atlas report {outcome.path}/runs -o {outcome.path}/report.html")
    return "\n".join(lines)
