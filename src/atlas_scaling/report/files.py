"""Writes a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from atlas_scaling.errors import InputError


def write_atomically(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path``; a kill leaves the old file or the new one.

    Raises:
        InputError: the folder is missing or cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritable(path, error.strerror) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        temporary.chmod(0o666 & ~_umask())  # mkstemp keeps its files private
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error.strerror) from None
    finally:
        temporary.unlink(missing_ok=True)
    return path


def check_writable(path: Path) -> None:
    """Refuse what ``write_atomically`` would refuse, before the work is done.

    Raises:
        InputError: the folder is missing or cannot be written to, or ``path`` is a folder itself.
    """
    if path.is_dir():
        raise InputError(
            "this is a folder, not a file", value=str(path), remedy="name a file in it"
        )
    if not path.parent.is_dir():
        raise _unwritable(path, "there is no such folder")
    if not os.access(path.parent, os.W_OK):
        raise _unwritable(path, "the folder is not yours to write to")


def _unwritable(path: Path, reason: str | None) -> InputError:
    return InputError(
        f"this file cannot be written: {reason}",
        value=str(path),
        remedy="give a file in a folder that exists and is yours",
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
