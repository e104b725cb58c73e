"""Sorting more lines than memory holds: sorted runs on disk, merged as they are read.

Lines are bytes, compared byte by byte with their newline. A text that is to be sorted by a key is
given lines that begin with it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

MEMORY_BYTES: Final = 64 << 20
MERGED_AT_ONCE: Final = 64
"""Files open at a time; more runs than these are merged into one."""

_OBJECT_BYTES: Final = 48  # of a line in memory beside its text


class LineSorter:
    """Takes lines in any order and gives them sorted, once.

    Args:
        folder: where runs go if the lines do not fit; it must not exist, and is the caller's to
            remove.
        memory: bytes of lines to hold.
    """

    def __init__(self, folder: Path, *, memory: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._memory = memory
        self._lines: list[bytes] = []
        self._held = 0
        self._runs: list[Path] = []
        self._n_written = 0

    @classmethod
    def reopened(cls, folder: Path) -> LineSorter:
        """A sorter of the lines that an earlier one put aside in ``folder``, to be read only."""
        sorter = cls(folder)
        sorter._runs = sorted(folder.glob("run-*"))
        return sorter

    def add(self, line: bytes) -> None:
        """Take one line, which has no newline."""
        self._lines.append(line + b"\n")
        self._held += len(line) + _OBJECT_BYTES
        if self._held > self._memory:
            self._spill()

    def put_aside(self) -> None:
        """Hold no line in memory until they are asked for."""
        if self._lines:
            self._spill()

    def merged(self, *, keep: bool = False) -> Iterator[bytes]:
        """All lines in order, without their newlines; the sorter is empty afterwards.

        With ``keep`` what lies on disk stays there, for ``reopened``.
        """
        if self._runs:
            self.put_aside()
        self._lines.sort()
        lines: Iterable[bytes] = self._lines
        if self._runs:
            lines = _merge(self._runs)
        for line in lines:
            yield line[:-1]
        self._lines = []
        if not keep:
            self._drop_runs()

    def _spill(self) -> None:
        self._lines.sort()
        self._write(self._lines)
        self._lines, self._held = [], 0
        if len(self._runs) == MERGED_AT_ONCE:
            runs, self._runs = self._runs, []
            self._write(_merge(runs))
            merged, self._runs = self._runs, runs
            self._drop_runs()
            self._runs = merged

    def _write(self, lines: Iterable[bytes]) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"run-{self._n_written}"
        self._n_written += 1
        with path.open("wb") as file:
            file.writelines(lines)
        self._runs.append(path)

    def _drop_runs(self) -> None:
        for run in self._runs:
            run.unlink()
        self._runs = []


def _merge(runs: Iterable[Path]) -> Iterator[bytes]:
    with ExitStack() as stack:
        yield from heapq.merge(*(stack.enter_context(run.open("rb")) for run in runs))
