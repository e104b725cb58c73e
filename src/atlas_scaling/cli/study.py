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
    from atlas_scaling.study.engines.base import Engine
    from atlas_scaling.study.engines.options import AnyOptions
    from atlas_scaling.study.spec import StudySpec

app = typer.Typer(help="Training studies: design, run, watch.", no_args_is_help=True)

Spec = Annotated[str, typer.Argument(help="A YAML file, or the name of a packaged study: demo.")]
Folder = Annotated[Path, typer.Argument(help="The study's folder.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The study's folder. Default: the study's name."),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        "-e",
        help="local, slurm, ray, or a YAML file with an engine: section. Default: that section of "
        "SPEC, else local.",
    ),
]
EngineOption = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", help="KEY=VALUE of the engine, such as partition=gpu; repeat."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes at a time on this machine. Default: one a GPU, or a core."),
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Stay until all runs have ended, or leave them.")
]

WATCH_SECONDS = 2.0


@app.command(epilog="Example: atlas study design demo")
def design(spec: Spec, as_json: JsonFlag = False) -> None:
    """Show the runs a study expands to, with their tokens and compute; run nothing."""
    from atlas_scaling.study.design import design_study

    emit(design_study(_load(spec)[0]), as_json=as_json, text=_design_text)


@app.command(
    epilog="Examples: atlas study run demo --output demo-study; "
    "atlas study run demo --engine slurm -O partition=cpu -O time=4h -O runs_per_job=4"
)
def run(
    spec: Spec,
    output: Output = None,
    engine: EngineName = None,
    option: EngineOption = None,
    workers: Workers = None,
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Carry out a study, or go on where an earlier call stopped."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import conduct_study
    from atlas_scaling.study.display import ConsoleDisplay

    loaded, section = _load(spec)
    outcome = conduct_study(
        loaded,
        output or Path(loaded.name),
        engine=_engine(engine, option, workers, section),
        cache=cache_directory(),
        display=ConsoleDisplay(console(stderr=True)),
        wait=wait,
    )
    _tell(outcome, as_json=as_json)


@app.command(epilog="Example: atlas study resume demo-study")
def resume(
    folder: Folder,
    engine: EngineName = None,
    option: EngineOption = None,
    workers: Workers = None,
    wait: Wait = True,
    as_json: JsonFlag = False,
) -> None:
    """Restart what is lost, failed or stopped, on the engine used last; leave the rest alone."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import resume_study
    from atlas_scaling.study.display import ConsoleDisplay
    from atlas_scaling.study.engines.options import noted_options

    outcome = resume_study(
        folder,
        engine=_engine(engine, option, workers, noted_options(folder)),
        cache=cache_directory(),
        display=ConsoleDisplay(console(stderr=True)),
        wait=wait,
    )
    _tell(outcome, as_json=as_json)


@app.command(epilog="Example: atlas study status demo-study --watch")
def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Stay, and show changes until nothing runs.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say where every run of a study stands: from its folder, and its engine's queue."""
    from atlas_scaling.study.status import status_text, study_status

    if watch and not as_json:
        _watch(folder)
    else:
        emit(study_status(folder), as_json=as_json, text=status_text)


@app.command(epilog="Example: atlas study cancel demo-study")
def cancel(folder: Folder, as_json: JsonFlag = False) -> None:
    """Stop what works on a study; runs write a checkpoint, and resume goes on from it."""
    from atlas_scaling.study.conduct import cancel_study

    answer = {"path": str(folder), "n_cancelled": cancel_study(folder)}
    emit(answer, as_json=as_json, text=_cancel_text)


def _load(spec: str) -> tuple[StudySpec, AnyOptions | None]:
    from atlas_scaling.study.engines.options import load_study_file
    from atlas_scaling.study.spec import packaged_studies

    if Path(spec).suffix in {".yaml", ".yml"} or Path(spec).exists():
        return load_study_file(Path(spec))
    if spec not in packaged_studies():
        raise InputError(
            "there is no such study",
            value=spec,
            where="SPEC",
            remedy=f"give a YAML file, or one of: {', '.join(packaged_studies())}",
        )
    return load_study_file(packaged_studies()[spec])


def _engine(
    chosen: str | None, given: list[str] | None, workers: int | None, section: AnyOptions | None
) -> Engine:
    from atlas_scaling.study.engines.make import make_engine
    from atlas_scaling.study.engines.options import choose_options

    pairs = [*(given or []), *([f"workers={workers}"] if workers is not None else [])]
    return make_engine(choose_options(chosen, pairs, section))


def _tell(outcome: StudyOutcome, *, as_json: bool) -> None:
    emit(outcome, as_json=as_json, text=_outcome_text)
    if outcome.failed:
        raise typer.Exit(1)


def _watch(folder: Path) -> None:
    """Show the status again and again, on one screen, until nothing is in hand."""
    import time

    from rich.live import Live

    from atlas_scaling.study.status import status_text, study_status

    with Live(console=console(), auto_refresh=False) as live:
        while True:
            now = study_status(folder)
            live.update(status_text(now), refresh=True)
            if not now.in_hand:
                return
            time.sleep(WATCH_SECONDS)


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
    if outcome.n_in_hand:
        lines.append(
            f"{outcome.n_in_hand} go on without this program: atlas study status {outcome.path} "
            f"shows them, atlas study cancel {outcome.path} stops them."
        )
    lines += [f"FAILED {name}: {reason}" for name, reason in outcome.failed.items()]
    if outcome.failed:
        lines.append(f"Try these again: atlas study resume {outcome.path}")
    if outcome.n_done:
        lines.append(f"Next: atlas report {outcome.path}/runs -o {outcome.path}/report.html")
    return "\n".join(lines)


def _cancel_text(answer: dict[str, object]) -> str:
    if not answer["n_cancelled"]:
        return "Nothing works on this study."
    return (
        f"Told {answer['n_cancelled']} to stop; runs in hand write a checkpoint first. "
        f"atlas study resume {answer['path']} goes on."
    )
