"""One matrix of several: of each pair the most trusted cell, where their scores compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix

ANCHOR_TOLERANCE: Final = 0.1
"""Two origins count as taken at one d, or one model size, if they differ by less than this."""

_TRUST: Final = (
    Provenance.MISSING,
    Provenance.ESTIMATED,
    Provenance.PUBLISHED,
    Provenance.CENSORED,
    Provenance.MEASURED,
)


@dataclass(frozen=True, slots=True)
class MergedAnswer(Answer):
    """What a merged matrix holds (the matrix itself is in its file)."""

    targets: tuple[str, ...]
    sources: tuple[str, ...]
    counts: dict[str, int]
    source: str
    warnings: tuple[str, ...]


def merged_answer(merged: TransferMatrix) -> MergedAnswer:
    """A merged matrix in a few words, with what is doubtful about it."""
    warnings = [] if merged.measured_note is None else [merged.measured_note]
    if any(not comparable(merged.origins[0], origin) for origin in merged.origins):
        warnings.append(
            "its scores were not all taken at one d, unit and model size: a BTS falls as d grows, "
            "so scores of different origins do not rank against each other"
        )
    return MergedAnswer(
        targets=merged.targets,
        sources=merged.sources,
        counts=merged.counts,
        source="; ".join(map(str, merged.origins)),
        warnings=tuple(warnings),
    )


def merge(
    first: TransferMatrix, *others: TransferMatrix, allow_different_d: bool = False
) -> TransferMatrix:
    """One matrix of several: the more trusted cell of each pair, the earlier matrix's if equal.

    Measured is trusted before censored, published and estimated.

    Args:
        first: whose order of languages comes first.
        others: the rest.
        allow_different_d: merge although d, its unit or the model size differ. The cells keep
            their origins, and answers from such a matrix say so.

    Raises:
        InputError: the matrices were taken at a different d, unit or model size.
    """
    matrices = (first, *others)
    origins = [origin for matrix in matrices for origin in matrix.origins]
    differing = next((o for o in origins if not comparable(origins[0], o)), None)
    if differing is not None and not allow_different_d:
        raise InputError(
            "these scores were not taken at one d and model size; BTS falls as d grows",
            value=f"{origins[0]}; {differing}",
            remedy="take both at one d (--at), or allow it (--allow-different-d)",
        )
    best: dict[tuple[str, str], Cell] = {}
    for matrix in matrices:
        for cell in matrix:
            held = best.get((cell.target, cell.source))
            if held is None or _TRUST.index(cell.provenance) > _TRUST.index(held.provenance):
                best[cell.target, cell.source] = cell
    return TransferMatrix.from_cells(
        best.values(),
        targets=tuple(dict.fromkeys(t for matrix in matrices for t in matrix.targets)),
        sources=tuple(dict.fromkeys(s for matrix in matrices for s in matrix.sources)),
    )


def comparable(first: Origin, second: Origin) -> bool:
    """Whether scores of two origins were taken at one d, in one unit, at one model size."""

    def near(a: float | None, b: float | None) -> bool:
        return a is None or b is None or abs(a - b) <= ANCHOR_TOLERANCE * max(a, b)

    return (
        first.unit == second.unit
        and near(first.d, second.d)
        and near(first.n_params, second.n_params)
    )
