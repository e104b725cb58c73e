"""``atlas demo``: a small study on real text, its fits, answers and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, console, emit

if TYPE_CHECKING:
    from atlas_scaling.demo import DemoOutcome


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for everything it makes.")
    ] = Path("atlas-demo"),
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at a time. Default: one a usable core.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a small multilingual study on real text, then fit, score, plan and write a report.

    On two CPU cores the training takes at most ten minutes. The same command goes on where it was
    stopped, and repeats nothing.
    """
    from atlas_scaling.demo import run_demo
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.display import ConsoleDisplay
    from atlas_scaling.study.engines.local import LocalEngine
    from atlas_scaling.study.process import sigterm_as_ctrl_c
    from atlas_scaling.study.spec import load_study, packaged_studies

    with sigterm_as_ctrl_c():
        outcome = run_demo(
            load_study(packaged_studies()["demo"]),
            output,
            engine=LocalEngine(workers),
            cache=cache_directory(),
            display=ConsoleDisplay(console(stderr=True)),
        )
    emit(outcome, as_json=as_json, text=_text)
    if outcome.study.failed:
        raise typer.Exit(1)


def _text(outcome: DemoOutcome) -> str:
    study = outcome.study
    lines = [
        f"\n{study.n_done} of {study.n_runs} runs done, {study.n_done_before} of them before; "
        f"{study.tokens / 1e6:.1f}M tokens trained in {study.seconds / 60:.1f} minutes.",
        *(f"FAILED {name}: {reason}" for name, reason in study.failed.items()),
        "\nWhat was learnt",
        *(f"- {line}" for line in outcome.learnt),
        "\nWhat to try next",
        *(f"  {command}" for command in outcome.next),
        f"\nThe report: {Path(outcome.report).resolve()}",
    ]
    return "\n".join(lines)
