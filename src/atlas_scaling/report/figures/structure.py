"""The transfer matrix as a whole: by relatedness, both ways, as a tree, and over model size.

The charts are ``transfer.plots``; here they become figures with words and data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.report.figure import Figure, Panel
from atlas_scaling.report.words import listed, signed
from atlas_scaling.transfer.analysis import square
from atlas_scaling.transfer.plots import (
    RELATEDNESS,
    dendrogram_chart,
    dendrogram_rows,
    relatedness_chart,
    relatedness_rows,
    size_chart,
    size_rows,
    symmetry_chart,
    symmetry_rows,
)
from atlas_scaling.transfer.structure import clusters
from atlas_scaling.units import counted

if TYPE_CHECKING:
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.pairs import MatrixAnswer

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


def dendrogram(matrix: TransferMatrix) -> Figure | None:
    """Languages joined by how much they help each other; None where too few pairs are known."""
    values, codes = square(matrix)
    known = ~np.isnan(values)
    kept = [i for i in range(len(codes)) if known[i].any() or known[:, i].any()]
    found = clusters(values[np.ix_(kept, kept)], [codes[i] for i in kept])
    if found is None:
        return None
    groups = [" ".join(group) for group in found.groups if len(group) > 1]
    note = "" if matrix.measured_note is None else f" {matrix.measured_note.capitalize()}."
    return Figure(
        name="dendrogram",
        title="Languages by how much they help each other",
        caption="Average linkage on the scores of both directions, each target's and source's own "
        f"mean taken off; languages that join further left help each other more.{note}",
        alt=f"Groups: {listed(groups, most=8) or 'none'}.",
        data=dendrogram_rows(found),
        panels=(Panel("", dendrogram_chart(found), wide=len(found.codes) > 20),),
    )


def sizes(answer: MatrixAnswer) -> Figure:
    """Scores over model size, one line a pair.

    Raises:
        InputError: no pair was measured at a known size.
    """
    rows = size_rows(answer)
    n = rows["n_params"].n_unique()
    return Figure(
        name="transfer-sizes",
        title="Transfer over model size (BTS)",
        caption="Each size at its own d. Triangles are bounds: the score lies below (down) or "
        "above (up) them.",
        alt=f"{counted(rows['pair'].n_unique(), 'pair')} at {counted(n, 'model size')}.",
        data=rows,
        panels=(Panel("", size_chart(answer)),),
    )
