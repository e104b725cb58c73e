"""Names that are not taken yet, of things and of files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "unnamed"


def distinct(name: str, taken: Iterable[str]) -> str:
    """``name``, or ``name-2`` and so on where it is taken."""
    held, n, free = set(taken), 2, name
    while free in held:
        free, n = f"{name}-{n}", n + 1
    return free


def free_path(folder: Path, stem: str, suffix: str) -> Path:
    """A path in ``folder`` (made if it is not there) that does not exist yet."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = {path.stem for path in folder.glob(f"*{suffix}")}
    return folder / (distinct(_slug(stem), taken) + suffix)
