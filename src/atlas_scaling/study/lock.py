"""One process at a time in a directory, on local and on shared file systems.

::

    DIRECTORY/locks/1.json, 2.json, …      one Owner a file

Whoever creates the next number holds the directory; the file system lets one process create it, so
that of any number of processes that find a dead owner one takes over. Numbers are never removed:
they are the list of who worked here. An owner touches its file every ten seconds, and learns so
when it was taken for dead and followed by another.

An owner is gone when it said so, when its process on this machine no longer lives, or when it was
an earlier start of the same scheduler's job. Of a process elsewhere only the touches tell: it is
watched for a minute, which needs no clock but our own, or found silent for ten, which a clock that
is some minutes wrong cannot feign.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final

from pydantic import ValidationError

from atlas_scaling.errors import InputError, RunError
from atlas_scaling.runs.record import Frozen
from atlas_scaling.runs.writer import cannot_write, replace_whole

LOCKS: Final = "locks"
HEARTBEAT_SECONDS: Final = 10.0
WATCHED_SECONDS: Final = 60.0
SILENT_SECONDS: Final = 600.0

_LOOK_SECONDS: Final = 0.5


class Owner(Frozen):
    """Who works, or worked, in a directory.

    Attributes:
        host, pid: the process.
        machine: this start of the operating system and its process namespace, in which a pid
            means something; None if unknown.
        started: when the process began, in the system's ticks: pids are used again.
        job: the scheduler's job it belongs to.
        since: when it began here.
        released_at: when it said that it was done here.
    """

    host: str
    pid: int
    machine: str | None = None
    started: str | None = None
    job: str | None = None
    since: str
    released_at: str | None = None

    @classmethod
    def this_process(cls, job: str | None = None) -> Owner:
        """This process, from now on."""
        return cls(
            host=socket.gethostname(),
            pid=os.getpid(),
            machine=_this_machine(),
            started=_started(os.getpid()),
            job=job,
            since=_now(),
        )


class Life(StrEnum):
    """Whether an owner still works; ``UNHEARD`` is one elsewhere that may or may not."""

    ALIVE = "alive"
    GONE = "gone"
    UNHEARD = "unheard"


@dataclass(frozen=True, slots=True)
class Holder:
    """The last owner of a directory; ``silent`` is how many seconds ago it touched its file."""

    owner: Owner
    number: int
    touched: int
    silent: float

    @property
    def life(self) -> Life:
        """What can be told at a glance."""
        owner = self.owner
        if owner.released_at is not None:
            return Life.GONE
        if owner.machine == _this_machine():
            return Life.ALIVE if _lives(owner) else Life.GONE
        return Life.GONE if self.silent > SILENT_SECONDS else Life.UNHEARD

    def __str__(self) -> str:
        job = f", job {self.owner.job}" if self.owner.job else ""
        return (
            f"process {self.owner.pid} on {self.owner.host}{job}, since {self.owner.since}, "
            f"last sign of life {max(self.silent, 0):.0f} s ago"
        )


def last_holder(directory: Path) -> Holder | None:
    """Who holds or last held ``directory``; None if nobody ever did. Changes nothing."""
    return _holder(directory, _highest(directory), time.time())


class Lock:
    """A directory that is this process's own while the block runs: ``with Lock(run_dir, …):``.

    Args:
        directory: must exist.
        what: what it is called in messages.
        job: the scheduler's job this process belongs to.
        patience_seconds: how long to wait for another process on this machine to end.
        give_up: asked while another process is watched; True stops that, and it is believed alive.
        say: told when one is watched that may be gone, which takes a minute.

    Raises:
        InputError: another process holds it; the message says which, and since when.
        RunError: the directory cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        what: str,
        job: str | None = None,
        patience_seconds: float = 0.0,
        give_up: Callable[[], bool] = lambda: False,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._what = what
        self._patience_seconds = patience_seconds
        self._give_up = give_up
        self._say = say
        self._owner = Owner.this_process(job)
        self._number = 0
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._lost = False

    def __enter__(self) -> Lock:
        try:
            (self._directory / LOCKS).mkdir(exist_ok=True)
            self._take()
        except OSError as error:
            raise cannot_write(self._directory / LOCKS, error) from None
        self._heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._heart.join()
        if self._lost:
            return
        ended = self._owner.model_copy(update={"released_at": _now()})
        with suppress(RunError):  # on a full disk the end of the process has to tell
            replace_whole(self._path, (ended.model_dump_json(indent=2) + "\n").encode())

    def require(self) -> None:
        """Make sure that nobody took this process for dead and followed it.

        Raises:
            InputError: somebody did.
        """
        if self._lost:
            self._refuse(_holder(self._directory, _highest(self._directory), time.time()))

    @property
    def _path(self) -> Path:
        return _path(self._directory, self._number)

    def _take(self) -> None:
        while True:
            self._number = _highest(self._directory) + 1
            holder = _holder(self._directory, self._number - 1, self._file_time())
            if holder is not None and not self._is_gone(holder):
                self._refuse(holder)
            try:
                file = self._path.open("x", encoding="utf-8")
            except FileExistsError:  # another process was first
                continue
            try:
                with file:
                    file.write(self._owner.model_dump_json(indent=2) + "\n")
            except OSError:  # whose file it is could not be told: it would be watched, for a minute
                self._path.unlink()
                raise
            return

    def _is_gone(self, holder: Holder) -> bool:
        """Whether a holder is gone, or is after we waited for it or watched it."""
        elsewhere = holder.life is Life.UNHEARD
        if elsewhere and self._owner.job is not None and holder.owner.job == self._owner.job:
            return True  # the job runs again, since its first start has ended
        seconds = WATCHED_SECONDS if elsewhere else self._patience_seconds
        if elsewhere:
            self._say(
                f"this {self._what} was not given back by {holder}; watching for up to "
                f"{seconds:.0f} s whether it still works"
            )
        deadline = time.monotonic() + seconds
        now: Holder | None = holder
        while now is not None and now.life is not Life.GONE and time.monotonic() < deadline:
            if self._give_up() or (elsewhere and now.touched != holder.touched):
                return False
            time.sleep(_LOOK_SECONDS)
            now = _holder(self._directory, holder.number, time.time())
        return elsewhere or now is None or now.life is Life.GONE

    def _refuse(self, holder: Holder | None) -> None:
        raise InputError(
            f"another process is at work on this {self._what}",
            value=None if holder is None else str(holder),
            where=str(self._directory),
            remedy="wait for it, or stop it (atlas study cancel FOLDER); atlas study status FOLDER "
            "shows all",
        )

    def _file_time(self) -> float:
        """The time by the clock that stamps files here: on a shared disk often the server's."""
        probe = self._directory / LOCKS / f".now-{self._owner.host}-{self._owner.pid}"
        probe.touch()
        stamp = probe.stat().st_mtime
        probe.unlink()
        return stamp

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            if _path(self._directory, self._number + 1).exists():
                self._lost = True
                return
            with suppress(OSError):  # a file server away for a moment is no reason to die
                os.utime(self._path)


def _highest(directory: Path) -> int:
    try:
        names = [path.stem for path in (directory / LOCKS).iterdir() if path.suffix == ".json"]
    except (FileNotFoundError, NotADirectoryError):
        return 0
    return max((int(name) for name in names if name.isdigit()), default=0)


def _path(directory: Path, number: int) -> Path:
    return directory / LOCKS / f"{number}.json"


def _holder(directory: Path, number: int, now: float) -> Holder | None:
    """None where there is no such number."""
    try:
        with _path(directory, number).open("rb") as file:
            data, stat = file.read(), os.fstat(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        owner = Owner.model_validate_json(data)
    except ValidationError:  # created, and not yet written
        owner = Owner(host="unknown", pid=0, since="unknown")
    return Holder(owner, number, stat.st_mtime_ns, now - stat.st_mtime)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _this_machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux, and so no namespaces
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the machine did; None if it is gone or untold."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]


def _lives(owner: Owner) -> bool:
    if owner.started is not None:
        return _started(owner.pid) == owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
