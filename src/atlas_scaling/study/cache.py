"""The cache of a machine: where it is, and how something is put into it whole or not at all.

::

    CACHE/wheels/       downloaded packages
    CACHE/corpora/      built corpora, named by a hash of what was asked for; .building-… are others
    CACHE/tokenizers/   trained tokenizers
    CACHE/tokens/       packed token ids
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.runs.writer import replace_whole
from atlas_scaling.study.lock import Lock
from atlas_scaling.study.say import Say

CACHE_VARIABLE: Final = "ATLAS_CACHE"

_KEY_LENGTH: Final = 20
WHOLE: Final = "whole"
"""What in a resumable directory becomes the result."""

_PARTIAL: Final = ".partial-"
_BUILDING: Final = ".building-"
_DAY_SECONDS: Final = 24 * 3600
_ABANDONED_AFTER_SECONDS: Final = {_PARTIAL: _DAY_SECONDS, _BUILDING: 30 * _DAY_SECONDS}
_WAIT_SECONDS: Final = 1.0
_READ_BYTES: Final = 1 << 20


def cache_directory(chosen: Path | str | None = None) -> Path:
    """The cache: ``chosen``, else ``$ATLAS_CACHE``, else the user's cache directory.

    The environment is read when this is called, never at import.
    """
    if chosen is not None:
        return Path(chosen).expanduser()
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "atlas-scaling"


def key_of(request: Mapping[str, Any]) -> str:
    """A name for what was asked for: equal requests have equal names on every machine."""
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()[:_KEY_LENGTH]


def sha256_of(path: Path, on_read: Callable[[int], object] | None = None) -> str:
    """The hex SHA-256 of a file; ``on_read`` is told how many bytes were read so far."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
            if on_read is not None:
                on_read(stream.tell())
    return digest.hexdigest()


def noted(note: Path, make: Callable[[], str]) -> str:
    """What ``make()`` gave, kept in the file ``note``: it is made once, also after a kill."""
    if not note.exists():
        replace_whole(note, make().encode())
    return note.read_text("utf-8")


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A scratch directory beside ``target`` that becomes ``target`` when the block ends well.

    On any exception, Ctrl-C included, nothing is left. Where another process was first, its result
    stands: the name is a hash of the request, so that what two processes put there is equal.

    Raises:
        SourceError: if the disk does not take it.
    """
    with scratch_directory(target.parent) as scratch:
        yield scratch
        try:
            scratch.rename(target)
        except OSError as error:
            if not target.is_dir():
                raise cannot_write(target, error) from error


@contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """A directory inside ``parent`` that is gone after the block, unless it was renamed.

    Raises:
        SourceError: if the disk does not take it.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        scratch = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=parent))
    except OSError as error:
        raise cannot_write(parent, error) from error
    try:
        yield scratch
    except OSError as error:
        raise cannot_write(parent, error) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def resumable_directory(target: Path, say: Say) -> Iterator[Path]:
    """A directory whose part ``WHOLE`` becomes ``target`` when the block ends well.

    If the block is cut off, by Ctrl-C, a lost network or kill -9, the directory stays, and the next
    process that is to make ``target`` finds in it what was written. One process at a time is in the
    block, others wait; look for ``target`` first in it. Input that cannot be used leaves nothing,
    since the next request is another one.

    Raises:
        SourceError: if the disk does not take it.
    """
    place = target.parent / f"{_BUILDING}{target.name}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with _alone_in(place, say):
            yield place
            if not target.is_dir():
                (place / WHOLE).rename(target)
    except InputError:
        discard(place)
        raise
    except OSError as error:
        raise cannot_write(place, error) from error
    discard(place)


@contextmanager
def _alone_in(place: Path, say: Say) -> Iterator[None]:
    with ExitStack() as stack:
        waits = False
        while True:
            place.mkdir(exist_ok=True)
            try:
                stack.enter_context(Lock(place, what="corpus"))
                break
            except InputError as held:
                if not waits:
                    say(f"waiting for another process that makes the same: {held.value}")
                waits = True
            time.sleep(_WAIT_SECONDS)
        yield


def discard(directory: Path) -> None:
    """Remove a damaged entry of the cache."""
    shutil.rmtree(directory, ignore_errors=True)


def cannot_write(place: Path, error: OSError) -> SourceError:
    """The error for a cache that the disk refuses."""
    return SourceError(
        f"the cache could not be written: {error.strerror or error}",
        where=str(error.filename or place),
        remedy=f"make room or rights there, or name another place with {CACHE_VARIABLE}=DIR",
    )


def _sweep(parent: Path) -> None:
    """Remove what processes that were killed outright left behind long ago."""
    for prefix, seconds in _ABANDONED_AFTER_SECONDS.items():
        for left in parent.glob(f"{prefix}*"):
            try:
                age = time.time() - left.stat().st_mtime
            except FileNotFoundError:  # another process swept it
                continue
            if age > seconds:
                shutil.rmtree(left, ignore_errors=True)
