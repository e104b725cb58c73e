"""Targets that an estimator cannot tell apart: their rows of estimates are one row.

A forest on a few features sends targets with like features to the same leaves, and a process gives
two languages of one script and family the same scores. What such rows say of a language, above all
that it "gives" more than others, is the estimator's, not the language's. In the published 38x38
matrix this finds the rows that its readers know as near duplicates (Central Kurdish and Yoruba;
Bengali, Telugu, Marathi, Filipino, Afrikaans and others).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.transfer.matrix import Provenance, TransferMatrix

APART: Final = 0.025
"""Rows whose estimates differ by less than this on average are one row: a quarter of the step that
the published scores are printed to, half of what rounding alone may move one of them by."""

MIN_SOURCES: Final = 5
"""Fewer estimates in common say nothing about two rows."""


def indistinct_targets(matrix: TransferMatrix) -> tuple[tuple[str, ...], ...]:
    """Groups of targets, none of them measured, with one row of estimates; in matrix order."""
    estimated = matrix.provenance == Provenance.ESTIMATED.value
    estimated = estimated & ~matrix.is_measurement.any(axis=1, keepdims=True)
    scores = np.where(estimated, matrix.values, 0.0)
    n_common = estimated.astype(np.float64) @ estimated.T
    apart = np.array(
        [
            (np.abs(row - scores) * (estimated & own)).sum(axis=1)
            for row, own in zip(scores, estimated, strict=True)
        ]
    )
    one_row = (n_common >= MIN_SOURCES) & (apart < APART * n_common)
    return tuple(
        tuple(matrix.targets[i] for i in members)
        for members in _connected(one_row)
        if len(members) > 1
    )


def _connected(linked: NDArray[np.bool_]) -> list[list[int]]:
    """Connected components, members and components in ascending order."""
    label = np.arange(len(linked))
    for _ in label:  # each pass takes the least label of the neighbours
        lowest = np.where(linked, label, len(label)).min(axis=1, initial=len(label))
        label = np.minimum(label, lowest)
    return [np.flatnonzero(label == one).tolist() for one in dict.fromkeys(label.tolist())]
