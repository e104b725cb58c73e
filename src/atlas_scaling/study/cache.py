"""The cache of a machine: where it is, and how something is put into it whole or not at all.

::

    CACHE/wheels/       downloaded packages
    CACHE/corpora/      built corpora, named by a hash of what was asked for
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from atlas_scaling.errors import SourceError

CACHE_VARIABLE: Final = "ATLAS_CACHE"

_KEY_LENGTH: Final = 20
_PARTIAL: Final = ".partial-"
_ABANDONED_AFTER_SECONDS: Final = 24 * 3600
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


def sha256_of(path: Path) -> str:
    """The hex SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


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
    """Remove what processes that were killed outright left behind a day ago or earlier."""
    for left in parent.glob(f"{_PARTIAL}*"):
        try:
            age = time.time() - left.stat().st_mtime
        except FileNotFoundError:  # another process swept it
            continue
        if age > _ABANDONED_AFTER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
