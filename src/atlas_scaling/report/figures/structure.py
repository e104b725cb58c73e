"""The transfer matrix as a whole: scores by relatedness, and one way against the other.

The charts are ``transfer.plots``; here they become figures with words and data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report.figure import Figure, Panel
from atlas_scaling.report.words import counted, signed
from atlas_scaling.transfer.plots import (
    RELATEDNESS,
    relatedness_chart,
    relatedness_rows,
    symmetry_chart,
    symmetry_rows,
)

if TYPE_CHECKING:
    from atlas_scaling.transfer.matrix import TransferMatrix

ENOUGH_CELLS: Final = 8
"""Fewer scores than this have no distribution to speak of."""


def relatedness(matrix: TransferMatrix) -> Figure | None:
    """Scores by what two languages share; None where the matrix has too few, or only one kind."""
    rows = relatedness_rows(matrix)
    if rows.height < ENOUGH_CELLS or rows["shares"].n_unique() < 2:
        return None
    medians = dict(rows.group_by("shares").agg(pl.col("bts").median()).iter_rows())
    counts = dict(rows.group_by("shares").len().iter_rows())
    said = "; ".join(
        f"{kind} {signed(medians[kind])} ({counted(counts[kind], 'pair')})"
        for kind in RELATEDNESS
        if kind in medians
    )
    return Figure(
        name="relatedness",
        title="Transfer by what two languages share (BTS)",
        caption="Every known pair. Boxes span the middle half, the line in them is the median. "
        "Bounds count at their bound. How far the groups differ by more than chance: "
        "atlas transfer analyze.",
        alt=f"Median scores: {said}.",
        data=rows,
        panels=(Panel("", relatedness_chart(matrix), wide=rows["shares"].n_unique() > 2),),
    )


def symmetry(matrix: TransferMatrix) -> Figure | None:
    """Scores one way against the other; None where few pairs are known both ways."""
    try:
        rows = symmetry_rows(matrix)
    except InputError:
        return None
    if rows.height < ENOUGH_CELLS:
        return None
    gap = float(np.median(np.abs(rows["a_to_b"].to_numpy() - rows["b_to_a"].to_numpy())))
    return Figure(
        name="symmetry",
        title="Transfer one way against the other (BTS)",
        caption="On the line both directions are equal. Faint points rest on an estimate.",
        alt=f"{counted(rows.height, 'pair')} known both ways; half of them differ by more than "
        f"{gap:.2f}.",
        data=rows,
        panels=(Panel("", symmetry_chart(matrix), wide=True),),
    )
