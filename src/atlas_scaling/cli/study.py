"""``atlas study``: design it, run it, see how it stands."""

from __future__ import annotations

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli import study_design
from atlas_scaling.cli.output import JsonFlag, console, emit

if TYPE_CHECKING:
    from atlas_scaling.study.conduct import StudyOutcome
    from atlas_scaling.study.engines.base import Engine
    from atlas_scaling.study.engines.options import AnyOptions
    from atlas_scaling.study.export import Exported

app = typer.Typer(help="Training studies: design, run, watch.", no_args_is_help=True)

Spec = Annotated[
    str,
    typer.Argument(
        help="A YAML file, or the name of a packaged study: demo, mini, small, paper, many."
    ),
]
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


app.command(epilog=study_design.EXAMPLE)(study_design.design)


@app.command(
    epilog="Example: atlas study run demo --output demo-study, or "
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
    from atlas_scaling.study.engines.options import load_study_file
    from atlas_scaling.study.process import sigterm_as_ctrl_c
    from atlas_scaling.study.spec import study_path

    loaded, section = load_study_file(study_path(spec))
    with sigterm_as_ctrl_c():
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
    from atlas_scaling.study.process import sigterm_as_ctrl_c

    with sigterm_as_ctrl_c():
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


@app.command(epilog="Example: atlas study export demo-study/runs/mono-swe_Latn-s-seed0 -o swedish")
def export(
    run: Annotated[Path, typer.Argument(help="A run's directory, such as STUDY/runs/RUN_ID.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A new or empty folder for the model.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Write a run's model and tokenizer in Hugging Face's format."""
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import require_training_packages

    require_training_packages()
    from atlas_scaling.study.export import export_run

    exported = export_run(run, output, cache=cache_directory())
    emit(exported, as_json=as_json, text=_export_text)


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

    # Ctrl-C is how one leaves, and must not sound as if the study was stopped.
    with suppress(KeyboardInterrupt), Live(console=console(), auto_refresh=False) as live:
        while True:
            now = study_status(folder)
            live.update(status_text(now), refresh=True)
            if not now.in_hand:
                return
            time.sleep(WATCH_SECONDS)


def _outcome_text(outcome: StudyOutcome) -> str:
    folder = shlex.quote(outcome.path)
    lines = [f"{outcome.n_done} of {outcome.n_runs} runs are done, in {outcome.path}/runs."]
    if outcome.n_in_hand:
        lines.append(
            f"{outcome.n_in_hand} go on without this program: atlas study status {folder} "
            f"shows them, atlas study cancel {folder} stops them."
        )
    lines += [f"FAILED {name}: {reason}" for name, reason in outcome.failed.items()]
    if outcome.failed:
        lines.append(f"Try these again: atlas study resume {folder}")
    if outcome.n_done:
        lines.append(f"Next: atlas report {folder}/runs -o {folder}/report.html")
    return "\n".join(lines)


def _cancel_text(answer: dict[str, object]) -> str:
    if not answer["n_cancelled"]:
        return "Nothing works on this study."
    return (
        f"Told {answer['n_cancelled']} to stop; runs in hand write a checkpoint first. "
        f"atlas study resume {shlex.quote(str(answer['path']))} goes on."
    )


def _export_text(exported: Exported) -> str:
    added = f", {exported.heads_added} heads of zeros added" if exported.heads_added else ""
    return (
        f"{exported.run_id} is in {exported.path}, a {exported.architecture}{added}.\n"
        f"In Python: AutoModelForCausalLM.from_pretrained({exported.path!r}), and AutoTokenizer "
        "likewise."
    )
