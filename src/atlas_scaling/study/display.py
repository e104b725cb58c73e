"""Shows a study at work: one live display on a terminal, a line per event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.pace import RunPace, Snapshot, StudyPace
from atlas_scaling.study.say import time_left
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

QUIET_SECONDS: Final = 30.0


class Display(Protocol):
    """What a study tells while it runs."""

    def say(self, message: str) -> None:
        """A line for the user."""
        ...

    @contextmanager
    def watch(self, pace: StudyPace) -> Iterator[None]:
        """Show ``pace`` while the block runs."""
        ...

    def on_event(self, event: Event) -> None:
        """News of a run."""
        ...


class _MayGo:
    """A stream that may go away, as a terminal does that is closed: the study goes on without."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class ConsoleDisplay:
    """A live display on a terminal; elsewhere one line a finished run and one every 30 s."""

    def __init__(self, console: Console) -> None:
        console.file = cast("IO[str]", _MayGo(console.file))
        self._console = console
        self._pace: StudyPace | None = None
        self._last_line = 0.0

    def say(self, message: str) -> None:
        """A line for the user."""
        self._console.print(message, markup=False, soft_wrap=True)

    @contextmanager
    def watch(self, pace: StudyPace) -> Iterator[None]:
        """Show ``pace`` while the block runs."""
        self._pace = pace
        self._last_line = time.monotonic()
        if not self._console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(
            get_renderable=lambda: _panel(pace.snapshot()),
            console=self._console,
            refresh_per_second=4,
            transient=True,
        ):
            yield

    def on_event(self, event: Event) -> None:
        """Note the event, and say it where people would want to know."""
        assert self._pace is not None
        state = self._pace.take(event)
        if event.kind in (EventKind.DONE, EventKind.FAILED, EventKind.LOST):
            self.say(_line(state, self._pace.snapshot(), event))
            self._last_line = time.monotonic()
        elif not self._console.is_terminal and self._is_time():
            self.say(_summary(self._pace.snapshot()))

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._last_line < QUIET_SECONDS:
            return False
        self._last_line = now
        return True


def _line(state: RunPace, snapshot: Snapshot, event: Event) -> str:
    count = f"[{snapshot.n_done + snapshot.n_failed}/{snapshot.n_runs}]"
    if event.kind is EventKind.DONE:
        speed = event.tokens_per_second
        rate = f", {format_count(speed)} tokens/s" if speed else ""
        return f"{count} {state.run.run_id}: {format_count(state.run.tokens)} tokens{rate}"
    if event.kind is EventKind.LOST:
        return f"{count} {state.run.run_id}: goes on from its last checkpoint: {event.reason}"
    return f"{count} {state.run.run_id}: FAILED: {event.reason}"


def _summary(snapshot: Snapshot) -> str:
    share = snapshot.tokens_done / snapshot.tokens_total
    return (
        f"{snapshot.n_done}/{snapshot.n_runs} runs, {share:.0%} of the tokens, "
        f"{format_count(snapshot.tokens_per_second)} tokens/s, {time_left(snapshot.seconds_left)}"
    )


def _panel(snapshot: Snapshot) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = ProgressBar(total=snapshot.tokens_total, completed=snapshot.tokens_done, width=60)
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for state in snapshot.running:
        speed = state.tokens_per_second
        table.add_row(
            state.run.run_id,
            f"{state.tokens / state.run.tokens:.0%}",
            f"{format_count(speed)} tokens/s" if speed else "starting",
        )
    return Group(Text(_summary(snapshot)), bar, table)
