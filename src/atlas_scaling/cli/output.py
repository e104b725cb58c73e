"""What every command shares: the ``--json`` flag, printing an answer, printing an error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from atlas_scaling.answers import jsonable
from atlas_scaling.errors import AtlasError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")
]

A = TypeVar("A")


def emit(answer: A, *, as_json: bool, text: Callable[[A], RenderableType]) -> None:
    """Print ``answer``: its JSON form, or what ``text`` renders of it."""
    if as_json:
        print_json(answer)
    else:
        console().print(text(answer), markup=False)


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON document; numbers are full doubles, missing is null."""
    sys.stdout.write(json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False))
    sys.stdout.write("\n")


def print_error(error: AtlasError, *, as_json: bool) -> None:
    """Say what went wrong on stderr, and with ``--json`` on stdout as a document too."""
    if as_json:
        print_json(error.to_dict())
    sys.stderr.write(f"error: {error}\n")


@contextmanager
def share_done(what: str) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal with the time left, shown from the first share that is told on."""
    if not sys.stderr.isatty():
        yield lambda share: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1.0, visible=False)
        yield lambda share: bar.update(task, completed=share, visible=True)


@contextmanager
def working(what: str) -> Iterator[None]:
    """A sign of life on a terminal, with the time taken, where no share of the work is known."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        bar.add_task(what)
        yield


@contextmanager
def steps_done() -> Iterator[Callable[[str, float | None], None]]:
    """A bar on stderr with the time left, lines where that is no terminal.

    Takes what is being done and the share done before it; a remark, with None for the share, stays.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    place = console(stderr=True)
    if not place.is_terminal:
        yield lambda text, share: place.print(text, markup=False)
        return
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=place, transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def say(text: str, share: float | None) -> None:
            if share is None:
                place.print(text, markup=False)
            else:
                bar.update(task, description=text, completed=share)

        yield say


def console(*, stderr: bool = False) -> Console:
    """A console that wraps to the terminal, or to 100 columns where there is none."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, width=None if stream.isatty() else 100)
