"""Which sources help a target most, and which targets a source helps most, from a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.indistinct import indistinct_targets
from atlas_scaling.transfer.lookup import require_language
from atlas_scaling.transfer.matrix import MEASUREMENTS, Cell, Provenance, TransferMatrix
from atlas_scaling.transfer.scores import tau_from_bts

LAW: Final = "BTS = 2 - sigma/d (ATLAS, section 4); tau = BTS/(2 - BTS), capacity ignored"


@dataclass(frozen=True, slots=True)
class RankedLanguage(Answer):
    """One language in a ranking.

    Attributes:
        language: its code.
        bts: the score; None where only a bound is known.
        tau: the transfer weight the score gives (``scores.tau_from_bts``).
        provenance: measured, censored, published or estimated.
        interval: at the level of the matrix, or the bounds of a censored score (None on the open
            side); None where there is none.
        rounding: where a rounded number lay before; no confidence interval.
        rank: 1 is best; equal scores share a rank.
        early: taken at a d so small that a positive score may yet turn.
        notes: what else is doubtful about the score (``matrix.Cell``).
    """

    language: str
    bts: float | None
    tau: float | None
    provenance: Provenance
    interval: tuple[float | None, float | None] | None
    rounding: tuple[float, float] | None
    rank: int
    early: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourcesAnswer(Answer):
    """Sources of one target, best first. ``n_known`` counts all that the matrix has for it."""

    target: str
    sources: tuple[RankedLanguage, ...]
    n_known: int
    source: str
    law: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetsAnswer(Answer):
    """Targets of one source, those it helps most first; ``language`` is the source."""

    language: str
    targets: tuple[RankedLanguage, ...]
    n_known: int
    source: str
    law: str
    warnings: tuple[str, ...]


def best_sources(
    matrix: TransferMatrix, target: str, *, top: int | None = None, measured_only: bool = False
) -> SourcesAnswer:
    """The sources that help ``target`` most.

    Args:
        matrix: where to look.
        target: a code as users write it.
        top: how many; all if None.
        measured_only: leave estimates out.

    Raises:
        InputError: the matrix does not have the target, or knows no cell of it.
    """
    target = require_language(target, matrix.targets, what="target")
    cells = _known(matrix.row(target), f"target {target}", measured_only=measured_only)
    ranked = _ranked(cells, [cell.source for cell in cells])
    return SourcesAnswer(
        target=target,
        sources=ranked[:top],
        n_known=len(ranked),
        source=_origins(cells),
        law=LAW,
        warnings=(
            *_known_how(matrix, cells, ranked[:top]),
            *_warnings(cells, ranked, top),
            *_indistinct_target(matrix, target),
        ),
    )


def best_targets(
    matrix: TransferMatrix, source: str, *, top: int | None = None, measured_only: bool = False
) -> TargetsAnswer:
    """The targets that ``source`` helps most; otherwise as ``best_sources``."""
    source = require_language(source, matrix.sources, what="source")
    cells = _known(matrix.column(source), f"source {source}", measured_only=measured_only)
    ranked = _ranked(cells, [cell.target for cell in cells])
    return TargetsAnswer(
        language=source,
        targets=ranked[:top],
        n_known=len(ranked),
        source=_origins(cells),
        law=LAW,
        warnings=(
            *_known_how(matrix, cells, ranked[:top]),
            *_warnings(cells, ranked, top),
            *_indistinct_targets(matrix, ranked[:top]),
        ),
    )


def _known(cells: Sequence[Cell], what: str, *, measured_only: bool) -> list[Cell]:
    kept = [c for c in cells if not measured_only or c.provenance in MEASUREMENTS]
    if kept:
        return kept
    if cells:
        raise InputError(
            f"every score of {what} is an estimate, none was measured",
            where="--measured-only",
            remedy="leave the option out to see the estimates",
        )
    raise InputError(
        f"the matrix has a place for {what}, but no score in it",
        remedy="measure a pair (atlas transfer bts), or complete the matrix "
        "(atlas transfer complete)",
    )


def _score(cell: Cell) -> tuple[float, float]:
    """What cells are ranked by: -0.0, a printed number just below zero, comes after 0.0."""
    guess = cell.best_guess
    assert guess is not None, "cells that are not missing have a value or a bound"
    return guess, math.copysign(1.0, guess)


def _ranked(cells: Sequence[Cell], codes: Sequence[str]) -> tuple[RankedLanguage, ...]:
    trusted_first = {kind: i for i, kind in enumerate(Provenance)}
    order = sorted(
        zip(cells, codes, strict=True),
        key=lambda pair: (
            *(-part for part in _score(pair[0])),
            trusted_first[pair[0].provenance],
            pair[1],
        ),
    )
    scores = [_score(cell) for cell, _ in order]
    return tuple(
        RankedLanguage(
            language=code,
            bts=cell.bts,
            tau=None if cell.bts is None else tau_from_bts(cell.bts),
            provenance=cell.provenance,
            interval=cell.interval,
            rounding=cell.rounding,
            rank=scores.index(_score(cell)) + 1,
            early=cell.early,
            notes=cell.notes,
        )
        for cell, code in order
    )


def _origins(cells: Sequence[Cell]) -> str:
    return "; ".join(str(o) for o in dict.fromkeys(cell.origin for cell in cells if cell.origin))


def _known_how(
    matrix: TransferMatrix, cells: Sequence[Cell], shown: Sequence[RankedLanguage]
) -> list[str]:
    """Which of the scores are a model's estimates."""
    if all(cell.provenance in MEASUREMENTS for cell in cells):
        return []
    estimated = [r.language for r in shown if r.provenance is Provenance.ESTIMATED]
    if not estimated:
        said = "all of those shown are measured"
    elif all(cell.provenance is Provenance.ESTIMATED for cell in cells):
        said = "none of these was measured; run the pairs that matter before relying on them"
    else:
        said = f"estimated, not measured, of those shown: {', '.join(estimated)}"
    return [f"{matrix.measured_note}; {said}"]


def _warnings(
    cells: Sequence[Cell], ranked: Sequence[RankedLanguage], top: int | None
) -> list[str]:
    shown = ranked[:top]
    found = []
    for step in sorted({c.origin.step for c in cells if c.origin and c.origin.step is not None}):
        found.append(
            f"printed to {step:g}, so a value stands for anything within {step / 2:g}; how far "
            "it may be from the truth was not published, hence no interval"
        )
    found.extend(_tie_warnings(ranked, len(shown)))
    early = [r.language for r in shown if r.early]
    if early:
        found.append(
            f"taken so early in training that a positive score may yet turn: {', '.join(early)}"
        )
    bounds = [r.language for r in shown if r.provenance is Provenance.CENSORED]
    if bounds:
        found.append(f"only a bound is known for {', '.join(bounds)}; ranked at the bound")
    found.extend(_notes(shown))
    if len({(c.origin.d, c.origin.unit, c.origin.n_params) for c in cells if c.origin}) > 1:
        found.append("these scores were not all taken at one d and model size")
    return found


def _notes(shown: Sequence[RankedLanguage]) -> list[str]:
    """Each note once, with the languages it is about."""
    about: dict[str, list[str]] = {}
    for one in shown:
        for note in one.notes:
            about.setdefault(note, []).append(one.language)
    return [
        f"all of these: {note}" if 1 < len(codes) == len(shown) else f"{', '.join(codes)}: {note}"
        for note, codes in about.items()
    ]


def _indistinct_target(matrix: TransferMatrix, target: str) -> list[str]:
    groups = (group for group in indistinct_targets(matrix) if target in group)
    return [
        f"what estimated these scores gives {', '.join(c for c in group if c != target)} the same "
        f"row: they say little of {target} itself"
        for group in groups
    ]


def _indistinct_targets(matrix: TransferMatrix, shown: Sequence[RankedLanguage]) -> list[str]:
    codes = {one.language for one in shown if one.provenance is Provenance.ESTIMATED}
    return [
        f"what estimated these scores does not tell {', '.join(group)} apart: one row for all"
        for group in indistinct_targets(matrix)
        if codes & set(group)
    ]


def _tie_warnings(ranked: Sequence[RankedLanguage], n_shown: int) -> list[str]:
    found = []
    ties = [a.rank for a, b in pairwise(ranked[:n_shown]) if a.rank == b.rank]
    if ties:
        shared = ", ".join(map(str, dict.fromkeys(ties)))
        found.append(f"equal scores share rank {shared}; their order means nothing")
    cut = [r.language for r in ranked[n_shown:] if n_shown and r.rank == ranked[n_shown - 1].rank]
    if cut:
        found.append(f"as good as the last one shown: {', '.join(cut)}")
    return found
