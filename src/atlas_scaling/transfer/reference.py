"""The published transfer matrices as ``TransferMatrix`` values."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

from atlas_scaling.published.transfer_matrices import (
    MONO_TOKENS,
    N_PARAMS,
    PRINTED_STEP,
    published_table,
)
from atlas_scaling.transfer.matrix import Origin, Provenance, TransferMatrix


@cache
def published_matrix(size: Literal[38, 30] = 38) -> TransferMatrix:
    """Figure C.2 (38x38) or Figure 2 (30x30) of the ATLAS paper.

    The 72 cells of bilingual runs are ``published``, all others ``estimated`` by the paper's
    random forest. The paper gives no intervals, so there are none; what is known is how the
    numbers were rounded (``Origin.step``, ``Cell.rounding``), which is no measure of their error.
    """
    table = published_table(size)
    known = ~np.isnan(table.bts)
    provenance = np.where(
        known,
        np.where(table.direct, Provenance.PUBLISHED.value, Provenance.ESTIMATED.value),
        Provenance.MISSING.value,
    )
    paper = f"arXiv 2510.22037v2, {table.figure}"
    return TransferMatrix(
        targets=table.languages,
        sources=table.languages,
        values=table.bts.copy(),
        lower=np.full(table.bts.shape, np.nan),
        upper=np.full(table.bts.shape, np.nan),
        provenance=provenance,
        origin=np.where(known, np.where(table.direct, 0, 1), -1),
        early=np.zeros(table.bts.shape, dtype=bool),
        notes=np.full(table.bts.shape, "", dtype=np.str_),
        origins=tuple(
            Origin(
                name=f"{paper}, {how}",
                d=MONO_TOKENS,
                n_params=float(N_PARAMS),
                step=PRINTED_STEP,
            )
            for how in ("bilingual runs", "random-forest estimates")
        ),
    )
