"""The transfer matrices of the ATLAS paper (arXiv 2510.22037v2), as printed.

Figure C.2 is 38x38, Figure 2 its 30x30 part; rows are targets, columns are sources. Only the cells
between the first nine languages, 72, come from bilingual runs (Fig. C.2 caption); all others are
the paper's random-forest estimates. Printed to one decimal; ``-0.0`` is a mean below zero.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.languages import normalise

PRINTED_STEP: Final = 0.1
"""One decimal: a printed value stands for anything within half of this."""

MONO_TOKENS: Final = 42e9
"""d of the monolingual runs: 10,000 steps (App. B.5.1; 10,000 x 2048 x 2048 = 41.9B)."""

N_PARAMS: Final = 2_034_422_912
"""Scale 34, "2B" (Table B.3), embeddings counted once."""

N_DIRECT_LANGUAGES: Final = 9

FIGURES: Final = {38: "Fig. C.2", 30: "Fig. 2"}


@dataclass(frozen=True, eq=False)
class PublishedMatrix:
    """One figure.

    Attributes:
        figure: its number in the paper.
        paper_codes: languages as the figure labels them, in its order; targets and sources alike.
        languages: the same as our codes.
        bts: shape ``(n, n)``, targets x sources; NaN on the diagonal.
        direct: where a bilingual run was made, not a forest asked; same shape.
    """

    figure: str
    paper_codes: tuple[str, ...]
    languages: tuple[str, ...]
    bts: NDArray[np.float64]
    direct: NDArray[np.bool_]


def published_table(size: Literal[38, 30] = 38) -> PublishedMatrix:
    """The figure with ``size`` languages."""
    table = files("atlas_scaling.published") / "data" / f"transfer_matrix_{size}.csv"
    header, *rows = csv.reader(table.read_text(encoding="utf-8").splitlines())
    codes = tuple(header[1:])
    assert codes == tuple(row[0] for row in rows), "targets and sources stand in one order"
    bts = np.array([[float(cell) if cell else np.nan for cell in row[1:]] for row in rows])
    among_direct = np.arange(len(codes)) < N_DIRECT_LANGUAGES
    direct = np.logical_and.outer(among_direct, among_direct) & ~np.isnan(bts)
    return PublishedMatrix(
        figure=FIGURES[size],
        paper_codes=codes,
        languages=tuple(normalise(code) for code in codes),
        bts=bts,
        direct=direct,
    )
