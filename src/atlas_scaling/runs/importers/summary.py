"""What an import found, kept and dropped, and why: ``found == kept + sum of dropped``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from atlas_scaling.answers import Answer

if TYPE_CHECKING:
    import polars as pl

    from atlas_scaling.runs.importers.column_map import ColumnMap

PLACES_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Dropped(Answer):
    """Rows left out for one reason, and where the first of them stand (``losses.csv:17``)."""

    reason: str
    rows: int
    first: tuple[str, ...]


class Tally:
    """Counts dropped rows by reason and remembers the first places of each."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, reason: str, rows: int, places: Sequence[str]) -> None:
        """``rows`` more for ``reason``; ``places`` of the first of them, in order."""
        self._rows[reason] = self._rows.get(reason, 0) + rows
        first = self._first.setdefault(reason, [])
        first.extend(places[: PLACES_SHOWN - len(first)])

    def dropped(self) -> tuple[Dropped, ...]:
        """Reasons with their counts, most frequent first."""
        by_count = sorted(self._rows.items(), key=lambda item: -item[1])
        return tuple(Dropped(reason, n, tuple(self._first[reason])) for reason, n in by_count)


@dataclass(frozen=True, slots=True)
class ImportSummary(Answer):
    """An import in numbers.

    Attributes:
        kind: what the source was read as.
        files: how many files were read.
        found: evaluations found: rows of a long table, filled loss cells of a wide one or a log.
        kept: rows of the frame.
        n_runs: runs among them.
        languages: languages evaluated among them.
        dropped: the rest of what was found, by reason, most frequent first.
        columns: which column or metric each of ours was taken from.
        notes: what had to be assumed, joined or mended.
    """

    kind: str
    files: int
    found: int
    kept: int
    n_runs: int
    languages: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    columns: dict[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Imported:
    """Imported runs.

    Attributes:
        frame: one row per (run, step, language) with the columns of ``runs.store.SCHEMA`` (null
            where the source does not say), then those the map asked to keep. ``step`` and
            ``language`` are left out where the source has none.
        summary: what became of every row.
        columns: the map that made it, guesses written out; save it beside the data.
    """

    frame: pl.DataFrame
    summary: ImportSummary
    columns: ColumnMap = field(repr=False)

    def __repr__(self) -> str:
        s = self.summary
        return f"Imported({s.kept} of {s.found} rows, {s.n_runs} runs, from {s.kind})"
