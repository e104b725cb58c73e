"""Which code made a result: version, commit, and whether the working tree had changes."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from atlas_scaling._version import __version__
from atlas_scaling.runs.record import CodeInfo


@cache
def code_info() -> CodeInfo:
    """Version, and commit and dirty flag where the package runs from its own git checkout."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return CodeInfo(version=__version__)
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return CodeInfo(
        version=__version__,
        commit=commit or None,
        dirty=None if changes is None else bool(changes),
    )


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
