"""``atlas serve``: the dashboard."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, print_json
from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from atlas_scaling.web.server import Served

SERVE_EXAMPLE = "Example: atlas serve atlas-demo"


def serve_command(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUNS|FIT|STUDY]...",
            help="Folders of runs or studies, saved fits, transfer matrices, run tables. "
            "None: the published study alone.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: a free one from 8765 on.")
    ] = None,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="Callers must show it. Made if left out, which is safer: others see options in ps."
        ),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option("--no-token", help="Let every user of this machine in without a token."),
    ] = False,
    allow_name: Annotated[
        list[str] | None,
        typer.Option(help="A further host name that this machine is called by; repeat it."),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where fits are saved. Default: fits, in the first folder given."
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open nothing.")
    ] = False,
    max_upload: Annotated[
        str | None, typer.Option(metavar="BYTES", help="Of one uploaded file. Default: 200M.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes for fits. Default: half the cores.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Plans, transfer, runs and fits in the browser; nothing leaves this machine.

    What callers may see: the given paths. What they may write: new files in the --save folder.
    """
    try:
        from atlas_scaling.web.server import serve
    except ModuleNotFoundError as error:
        raise InputError(
            "the dashboard needs packages that are not installed",
            value=error.name,
            remedy="pip install 'atlas-scaling[web]'",
        ) from None
    from atlas_scaling.units import parse_count

    serve(
        sources or [],
        host=host,
        port=port,
        token=token,
        asks_for_token=not no_token,
        names=allow_name or (),
        saves_to=save,
        browser=not no_browser,
        max_upload_bytes=None
        if max_upload is None
        else round(parse_count(max_upload, name="--max-upload")),
        workers=workers,
        say=partial(_say, as_json=as_json),
    )


def _say(served: Served, *, as_json: bool) -> None:
    """The address on a line of its own, however wide the terminal: it is there to be clicked."""
    if as_json:
        print_json(served)
    else:
        lines = [served.address, *(f"note: {note}" for note in served.notes)]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
