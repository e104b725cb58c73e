"""Transfer scores over d for the pairs of a matrix, from the runs behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.measure import compare_runs
from atlas_scaling.transfer.sides import trained_on

if TYPE_CHECKING:
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import SizeMatrix

_SHARE_DIGITS = 2


def score_curves(frame: pl.DataFrame, matrix: SizeMatrix) -> list[BtsAnswer]:
    """The answer behind each cell of ``matrix``, its curve with it; in the order of cells.

    Args:
        frame: the ``RunTable.frame`` that the matrix was measured on, in tokens.
        matrix: of one model size.
    """
    return list(_answers(frame, matrix))


def _answers(frame: pl.DataFrame, matrix: SizeMatrix) -> Iterator[BtsAnswer]:
    scratch = frame.filter(pl.col("base_run").is_null())
    if matrix.n_params is not None:
        scratch = scratch.filter(pl.col("n_params") == matrix.n_params)
    sides: dict[frozenset[tuple[str, float]], list[pl.DataFrame]] = {}
    for _, rows in scratch.group_by("run_id", maintain_order=True):
        shares = trained_on(rows).items()
        key = frozenset((code, round(share, _SHARE_DIGITS)) for code, share in shares)
        sides.setdefault(key, []).append(rows)
    for cell in matrix.cells:
        mono = sides.get(frozenset({(cell.target, 1.0)}))
        pair = sides.get(frozenset({(cell.target, 0.5), (cell.source, 0.5)}))
        if mono is None or pair is None:
            continue
        try:
            comparison = compare_runs(pl.concat(mono), pl.concat(pair), cell.target)
            yield comparison.score(matrix.d, level=matrix.level)
        except InputError:
            continue  # the runs changed since the matrix was measured; the cell stands without it
