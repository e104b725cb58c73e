"""A matrix of transfer scores: rows are targets, columns are sources, each cell says what it is.

A cell has a value, or only a bound, or nothing. ``Provenance`` says how it was obtained, ``Origin``
where and at what d: a BTS falls with the tokens it is taken at, so scores taken at different d are
not one matrix, and ``merging.merge`` refuses them unless told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.lookup import require_language
from atlas_scaling.units import format_count

NOTE_BREAK: Final = "; "


class Provenance(StrEnum):
    """How a cell was obtained."""

    MEASURED = "measured"
    CENSORED = "censored"
    PUBLISHED = "published"
    ESTIMATED = "estimated"
    MISSING = "missing"


MEASUREMENTS: Final = frozenset({Provenance.MEASURED, Provenance.CENSORED, Provenance.PUBLISHED})
"""Cells that come from runs; ``PUBLISHED`` ones from runs of somebody else."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where cells come from.

    Attributes:
        name: a paper's figure, a folder of runs, a model.
        d: tokens of the monolingual run at which scores were taken, in ``unit``; None if unknown.
        unit: ``tokens``, ``bytes`` or another measure of text.
        n_params: model size, embeddings counted; None if unknown.
        level: of the intervals; None where there are none.
        step: values are rounded to multiples of this; None where they are not rounded.
    """

    name: str
    d: float | None = None
    unit: str = "tokens"
    n_params: float | None = None
    level: float | None = None
    step: float | None = None

    def __str__(self) -> str:
        parts = [] if self.d is None else [f"d = {format_count(self.d)} {self.unit}"]
        if self.n_params is not None:
            parts.append(f"{format_count(self.n_params)} parameters")
        return self.name if not parts else f"{self.name} ({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Cell:
    """One pair.

    Attributes:
        target: code of the language that is helped.
        source: code of the language that helps.
        bts: the score; None where missing or censored.
        lower: end of the interval, or the bound of a censored cell.
        upper: likewise.
        provenance: how it was obtained.
        origin: where; None where missing.
        early: taken at a d so small that a positive score may yet turn (``bts``).
        notes: what else is doubtful about it, each a short phrase without a semicolon.
    """

    target: str
    source: str
    bts: float | None = None
    lower: float | None = None
    upper: float | None = None
    provenance: Provenance = Provenance.MISSING
    origin: Origin | None = None
    early: bool = False
    notes: tuple[str, ...] = ()

    @property
    def best_guess(self) -> float | None:
        """The value, or the bound of a censored cell (2, above all, is no bound), or None."""
        for value in (self.bts, self.lower, self.upper):
            if value is not None:
                return value
        return None

    @property
    def interval(self) -> tuple[float | None, float | None] | None:
        """``(lower, upper)``, or None where neither is known."""
        return None if self.lower is None and self.upper is None else (self.lower, self.upper)

    @property
    def rounding(self) -> tuple[float, float] | None:
        """Where the number lay before it was rounded; no confidence interval. ``-0.0`` is below 0.

        >>> Cell("a", "b", -0.0, origin=Origin("a figure", step=0.1)).rounding
        (-0.05, -0.0)
        """
        if self.bts is None or self.origin is None or self.origin.step is None:
            return None
        half = self.origin.step / 2
        if self.bts != 0:
            return round(self.bts - half, 12), round(self.bts + half, 12)
        return (-half, self.bts) if math.copysign(1.0, self.bts) < 0 else (self.bts, half)


@dataclass(frozen=True, eq=False)
class TransferMatrix:
    """Scores of sources on targets. Arrays have shape ``(n_targets, n_sources)``, NaN is unknown.

    Attributes:
        targets: codes of the rows.
        sources: codes of the columns.
        values: BTS; NaN where a cell is missing or censored.
        lower, upper: interval at the origin's level, or the bound of a censored cell.
        provenance: ``Provenance`` values as strings.
        origin: index into ``origins``; -1 where a cell is missing.
        early: cells taken at a d so small that a positive score may yet turn.
        notes: what else is doubtful about each cell, joined by ``NOTE_BREAK``.
        origins: where the cells come from.
    """

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    values: NDArray[np.float64] = field(repr=False)
    lower: NDArray[np.float64] = field(repr=False)
    upper: NDArray[np.float64] = field(repr=False)
    provenance: NDArray[np.str_] = field(repr=False)
    origin: NDArray[np.int64] = field(repr=False)
    early: NDArray[np.bool_] = field(repr=False)
    notes: NDArray[np.str_] = field(repr=False)
    origins: tuple[Origin, ...]

    def __post_init__(self) -> None:
        shape = (len(self.targets), len(self.sources))
        for name in ("values", "lower", "upper", "provenance", "origin", "early", "notes"):
            array = getattr(self, name)
            assert array.shape == shape, f"{name} has shape {array.shape}, not {shape}"
            array.flags.writeable = False
        for axis, codes in (("targets", self.targets), ("sources", self.sources)):
            if len(set(codes)) != len(codes):
                twice = sorted({c for c in codes if codes.count(c) > 1})
                raise InputError("a language stands twice in a matrix", value=twice, where=axis)

    @classmethod
    def from_cells(
        cls,
        cells: Iterable[Cell],
        *,
        targets: Sequence[str] | None = None,
        sources: Sequence[str] | None = None,
    ) -> TransferMatrix:
        """Build a matrix of cells; pairs that are not given are missing.

        Args:
            cells: at most one for each pair.
            targets: order of the rows; that of first appearance if not given.
            sources: order of the columns; likewise.

        Raises:
            InputError: a pair is given twice, or is not among ``targets`` and ``sources``.
        """
        given = list(cells)
        rows = tuple(dict.fromkeys(c.target for c in given)) if targets is None else tuple(targets)
        columns = (
            tuple(dict.fromkeys(c.source for c in given)) if sources is None else tuple(sources)
        )
        origins = tuple(dict.fromkeys(c.origin for c in given if c.origin is not None))
        row_of = {code: i for i, code in enumerate(rows)}
        column_of = {code: j for j, code in enumerate(columns)}
        shape = (len(rows), len(columns))
        values, lower, upper = (np.full(shape, np.nan) for _ in range(3))
        provenance = np.full(shape, Provenance.MISSING.value, dtype="<U9")
        origin = np.full(shape, -1, dtype=np.int64)
        early = np.zeros(shape, dtype=bool)
        notes = [[""] * len(columns) for _ in rows]
        seen: set[tuple[str, str]] = set()
        for cell in given:
            pair = (cell.target, cell.source)
            if pair in seen:
                raise InputError("a pair stands twice in a matrix", value=pair)
            if cell.target not in row_of or cell.source not in column_of:
                raise InputError("a pair is not in the matrix's languages", value=pair)
            seen.add(pair)
            at = row_of[cell.target], column_of[cell.source]
            values[at] = _nan(cell.bts)
            lower[at] = _nan(cell.lower)
            upper[at] = _nan(cell.upper)
            provenance[at] = cell.provenance.value
            origin[at] = -1 if cell.origin is None else origins.index(cell.origin)
            early[at] = cell.early
            notes[at[0]][at[1]] = NOTE_BREAK.join(cell.notes)
        return cls(
            targets=rows,
            sources=columns,
            values=values,
            lower=lower,
            upper=upper,
            provenance=provenance,
            origin=origin,
            early=early,
            notes=np.array(notes, dtype=np.str_).reshape(shape),
            origins=origins,
        )

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {kind}" for kind, n in self.counts.items())
        return (
            f"TransferMatrix({len(self.targets)} targets x {len(self.sources)} sources: {counts})"
        )

    def __getitem__(self, pair: tuple[str, str]) -> Cell:
        """The cell of ``(target, source)``; codes as users write them.

        Raises:
            InputError: the matrix does not have that target or that source.
        """
        target = require_language(pair[0], self.targets, what="target")
        source = require_language(pair[1], self.sources, what="source")
        return self._cell(self.targets.index(target), self.sources.index(source))

    def __iter__(self) -> Iterator[Cell]:
        """Every cell, missing ones too, row by row."""
        for i in range(len(self.targets)):
            for j in range(len(self.sources)):
                yield self._cell(i, j)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Cells of each provenance that occurs; pairs of a language with itself left out."""
        own = np.equal.outer(np.array(self.targets), np.array(self.sources))
        kinds, numbers = np.unique(self.provenance[~own], return_counts=True)
        found = dict(zip(kinds.tolist(), numbers.tolist(), strict=True))
        return {kind.value: found[kind.value] for kind in Provenance if kind.value in found}

    @property
    def measured_note(self) -> str | None:
        """How few of the scores are measurements; None where there are no estimates."""
        counts = self.counts
        n_estimated = counts.get(Provenance.ESTIMATED.value, 0)
        n_measured = sum(counts.get(kind.value, 0) for kind in MEASUREMENTS)
        if not n_estimated:
            return None
        return (
            f"only {n_measured} of the {n_measured + n_estimated} scores of this matrix are "
            "measurements, all others a model's estimates"
        )

    @cached_property
    def is_measurement(self) -> NDArray[np.bool_]:
        """Cells that come from runs, shape ``(n_targets, n_sources)``."""
        return np.isin(self.provenance, sorted(MEASUREMENTS))

    @cached_property
    def best_guess(self) -> NDArray[np.float64]:
        """Values, with the bound in place of a censored one; NaN where missing."""
        bound = np.where(np.isnan(self.lower), self.upper, self.lower)
        censored = self.provenance == Provenance.CENSORED.value
        return np.where(censored, bound, self.values)

    def row(self, target: str) -> tuple[Cell, ...]:
        """Cells of one target that are not missing."""
        i = self.targets.index(require_language(target, self.targets, what="target"))
        cells = (self._cell(i, j) for j in range(len(self.sources)))
        return tuple(c for c in cells if c.provenance is not Provenance.MISSING)

    def column(self, source: str) -> tuple[Cell, ...]:
        """Cells of one source that are not missing."""
        j = self.sources.index(require_language(source, self.sources, what="source"))
        cells = (self._cell(i, j) for i in range(len(self.targets)))
        return tuple(c for c in cells if c.provenance is not Provenance.MISSING)

    def keep(self, mask: NDArray[np.bool_]) -> TransferMatrix:
        """The same languages with every cell outside ``mask`` missing.

        Args:
            mask: shape ``(n_targets, n_sources)``; e.g. ``matrix.is_measurement``.
        """
        return TransferMatrix.from_cells(
            self.select(mask), targets=self.targets, sources=self.sources
        )

    def without_empty(self) -> TransferMatrix:
        """The same without targets and sources that have no score."""
        known = self.provenance != Provenance.MISSING.value
        return TransferMatrix.from_cells(
            self.select(known),
            targets=[code for code, row in zip(self.targets, known, strict=True) if row.any()],
            sources=[code for code, of in zip(self.sources, known.T, strict=True) if of.any()],
        )

    def select(self, mask: NDArray[np.bool_]) -> tuple[Cell, ...]:
        """The cells inside ``mask`` that are not missing, row by row; shape as for ``keep``."""
        wanted = np.argwhere(mask & (self.provenance != Provenance.MISSING.value))
        return tuple(self._cell(int(i), int(j)) for i, j in wanted)

    def _cell(self, i: int, j: int) -> Cell:
        index = int(self.origin[i, j])
        return Cell(
            target=self.targets[i],
            source=self.sources[j],
            bts=_none(self.values[i, j]),
            lower=_none(self.lower[i, j]),
            upper=_none(self.upper[i, j]),
            provenance=Provenance(str(self.provenance[i, j])),
            origin=None if index < 0 else self.origins[index],
            early=bool(self.early[i, j]),
            notes=split_notes(str(self.notes[i, j])),
        )


def split_notes(joined: str) -> tuple[str, ...]:
    """The notes of one cell, from the form that matrices and files keep them in."""
    return tuple(filter(None, joined.split(NOTE_BREAK)))


def _nan(value: float | None) -> float:
    return np.nan if value is None else value


def _none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
