"""The program ``atlas``, called in this process."""

import json

from typer.testing import CliRunner

from atlas_scaling.cli.main import app


def called(*arguments):
    """How a command ended: ``exit_code``, ``exception``, ``stdout``, ``stderr``."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def printed(*arguments):
    """What a command prints; raises what it raised."""
    result = called(*arguments)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def as_json(*arguments):
    """What a command prints with ``--json``."""
    return json.loads(printed(*arguments, "--json"))
