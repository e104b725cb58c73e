"""Starts the dashboard: a free port on the loopback interface, and a browser that opens it."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.web.app import create_app
from atlas_scaling.web.security import Access, is_loopback
from atlas_scaling.web.session import Session
from atlas_scaling.web.workspace import FITS_FOLDER, Workspace

FIRST_PORT: Final = 8765
TRIED_PORTS: Final = 20
OPEN: Final = """no token is asked for: every user of this machine can see these files, save into
{saves_to} and compute under your name"""
BEYOND: Final = """anybody who reaches {host} port {port} and has the token can see these files,
save into {saves_to} and use this machine's processor. The connection is not encrypted: on a network
that you do not trust, listen on the loopback interface and use
ssh -L {port}:localhost:{port} HOST"""


@dataclass(frozen=True, slots=True)
class Served(Answer):
    """Where the dashboard is.

    Attributes:
        address: to open; it has the token in it.
        host, port: where it listens.
        token: what callers show, or None where none is asked for.
        saves_to: the folder that fits and matrices are saved in.
        notes: what was found amiss, and who else may come.
    """

    address: str
    host: str
    port: int
    token: str | None
    saves_to: str
    notes: tuple[str, ...]


def serve(
    sources: Sequence[Path],
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    asks_for_token: bool = True,
    names: Sequence[str] = (),
    saves_to: Path | None = None,
    browser: bool = True,
    max_upload_bytes: int | None = None,
    workers: int | None = None,
    say: Callable[[Served], None] = print,
) -> None:
    """Serve until interrupted.

    Args:
        sources: folders of runs, studies, saved fits, matrices, tables.
        host: interface to listen on.
        port: a free one from 8765 on if not given.
        token: callers must show it; made if not given.
        asks_for_token: False lets every user of this machine in; on the loopback interface only.
        names: further host names that this machine is called by.
        saves_to: where fits are saved; ``fits`` in the first folder given, else in this one.
        browser: open the page, where there is a screen.
        max_upload_bytes: of one file that is sent.
        workers: processes for long work.
        say: is told where it listens, once it does.

    Raises:
        InputError: a source cannot be shown, the port is taken, the host is not this machine's, or
            the token will not do.
    """
    if token is not None and not asks_for_token:
        raise InputError("a token was given, and none is to be asked for", where="--no-token")
    access = Access(
        host=host,
        token=token or secrets.token_urlsafe(24) if asks_for_token else None,
        ticket=secrets.token_urlsafe(24) if asks_for_token else None,
        names=frozenset({socket.gethostname().lower(), *(name.lower() for name in names)}),
    )
    with (
        tempfile.TemporaryDirectory(prefix="atlas-serve-") as scratch,
        closing(_listening(host, port)) as listener,
    ):
        files = Workspace(sources, saves_to=saves_to or _saves_to(sources), scratch=Path(scratch))
        session = Session.open(files, workers=workers, max_upload_bytes=max_upload_bytes)
        bound = listener.getsockname()[1]
        say(_served(session, access, bound))
        config = uvicorn.Config(
            create_app(session, access),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        server = uvicorn.Server(config)
        if browser and _has_screen():
            address = _address(host, bound, access.ticket)
            threading.Thread(target=_open_when_up, args=(server, address), daemon=True).start()
        server.run(sockets=[listener])


def _served(session: Session, access: Access, port: int) -> Served:
    saves_to = session.files.saves_to
    about = {"host": access.host, "port": port, "saves_to": saves_to}
    notes = [*session.notes]
    if not is_loopback(access.host):
        notes.append(BEYOND.format(**about))
    elif access.token is None:
        notes.append(OPEN.format(**about))
    return Served(
        address=_address(access.host, port, access.token),
        host=access.host,
        port=port,
        token=access.token,
        saves_to=str(saves_to),
        notes=tuple(notes),
    )


def _saves_to(sources: Sequence[Path]) -> Path:
    folder = next((path for path in sources if path.is_dir()), Path.cwd())
    return folder / FITS_FOLDER


def _listening(host: str, port: int | None) -> socket.socket:
    """A socket on the port, or on the first free one."""
    ports = [port] if port is not None else [*range(FIRST_PORT, FIRST_PORT + TRIED_PORTS), 0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            if number == ports[-1]:
                raise InputError(
                    f"nothing can listen there: {error}",
                    value=f"{host}:{number}",
                    where="--host, --port",
                    remedy="another port, or none for a free one; the host is an address of this "
                    "machine",
                ) from None
        else:
            return listener
    raise AssertionError("the last port was tried")


def _address(host: str, port: int, token: str | None) -> str:
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _has_screen() -> bool:
    """Whether a browser has somewhere to open; a text browser would take the server's terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )


def _open_when_up(server: uvicorn.Server, address: str) -> None:
    for _ in range(200):
        if server.started:
            webbrowser.open(address)
            return
        threading.Event().wait(0.05)
