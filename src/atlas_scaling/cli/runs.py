"""``atlas runs``: what is there, what is wrong, in from other formats and out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli import runs_import
from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.runs.check import CheckReport

app = typer.Typer(help="Run records: check, import, export.", no_args_is_help=True)
app.command("import", epilog=runs_import.IMPORT_EXAMPLE)(runs_import.import_command)
app.command("export", epilog=runs_import.EXPORT_EXAMPLE)(runs_import.export_command)


@app.command(epilog="Example: atlas runs check atlas-demo/runs")
def check(
    folders: Annotated[list[Path], typer.Argument(help="Run directories, or folders of them.")],
    as_json: JsonFlag = False,
) -> None:
    """Say what is in a folder of runs and what is wrong with it; change nothing."""
    from atlas_scaling.runs.check import check_runs

    emit(check_runs(folders), as_json=as_json, text=_check_text)


def _check_text(report: CheckReport) -> RenderableType:
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    from atlas_scaling.units import format_count

    name = Column("run", overflow="fold")
    table = Table(name, "languages", "params", "tokens", "evals", "loss", "state", box=None)
    for run in report.runs:
        table.add_row(
            run.run_id,
            " ".join(run.languages),
            "?" if run.n_params is None else format_count(run.n_params),
            format_count(run.tokens),
            str(run.n_evaluations),
            "" if run.final_loss is None else f"{run.final_loss:.4f}",
            run.state,
        )
    states = ", ".join(f"{n} {state}" for state, n in report.states.items())
    lines = [f"\n{report.n_runs} runs: {states}."]
    lines += [f"{run.run_id}: {problem}" for run in report.runs for problem in run.problems]
    lines += report.problems
    if len(lines) == 1:
        lines.append("No problem found.")
    return Group(table, Text("\n".join(lines)))
