"""The ``atlas`` program: nouns, then verbs. Exit codes: 0 done, 1 failed, 2 wrong input."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer
from typer.exceptions import Abort, TyperException

from atlas_scaling._version import __version__
from atlas_scaling.cli import (
    compare,
    corpus,
    demo,
    doctor,
    fit,
    languages,
    plan,
    report,
    runs,
    serve,
    study,
    transfer,
)
from atlas_scaling.cli.output import print_error
from atlas_scaling.errors import AtlasError, InputError, RunError

INTERRUPTED: Final = 130

app = typer.Typer(
    name="atlas",
    help="Scaling laws for multilingual language models: what to train, and how sure that is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"atlas-scaling {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say it.")
    ] = False,
) -> None:
    """Scaling laws for multilingual language models."""


app.command(epilog="Example: atlas demo --output atlas-demo")(demo.demo)
app.add_typer(plan.app, name="plan")
app.add_typer(transfer.app, name="transfer")
app.command("fit", epilog=fit.FIT_EXAMPLE)(fit.fit_command)
app.command("compare", epilog=compare.COMPARE_EXAMPLE)(compare.compare_command)
app.command("report", epilog=report.REPORT_EXAMPLE)(report.report_command)
app.command("serve", epilog=serve.SERVE_EXAMPLE)(serve.serve_command)
app.add_typer(study.app, name="study")
app.add_typer(runs.app, name="runs")
app.add_typer(corpus.app, name="corpus")
app.add_typer(languages.app)
app.command(epilog="Example: atlas doctor --json")(doctor.doctor)


def main(arguments: list[str] | None = None) -> None:
    """Run the program and turn every expected failure into a message and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(arguments, standalone_mode=False)
    except AtlasError as error:
        print_error(error, as_json="--json" in arguments)
        code = error.exit_code
    except TyperException as error:
        print_error(_as_input_error(error), as_json="--json" in arguments)
        code = InputError.exit_code
    except OSError as error:
        print_error(_as_run_error(error), as_json="--json" in arguments)
        code = RunError.exit_code
    except (KeyboardInterrupt, Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        sys.stderr.write("stopped; give the same command again to go on\n")
    sys.exit(code or 0)


def _as_input_error(error: TyperException) -> InputError:
    """A mistyped command line in the same words as any other wrong input."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "atlas"
    return InputError(error.format_message(), where=command, remedy=f"{command} --help")


def _as_run_error(error: OSError) -> RunError:
    """What a disk or the system refused, where nobody foresaw it."""
    return RunError(
        f"the system refuses: {error.strerror or error}",
        where=None if error.filename is None else str(error.filename),
        remedy="see that it is there and whose it is, and that its disk has room",
    )
