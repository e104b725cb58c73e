"""``atlas serve``: the dashboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from atlas_scaling.errors import InputError

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
    host: Annotated[
        str, typer.Option(help="Interface to listen on; beyond this machine a token is asked for.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            help="Callers must show it. Made if left out and --host is not the loopback; give one "
            "on a machine that you share."
        ),
    ] = None,
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
        names=allow_name or (),
        saves_to=save,
        browser=not no_browser,
        max_upload_bytes=None
        if max_upload is None
        else round(parse_count(max_upload, name="--max-upload")),
        workers=workers,
        say=_say,
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
