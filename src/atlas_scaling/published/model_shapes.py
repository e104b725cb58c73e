"""Model shapes of Table B.3, 9M to 20B parameters.

The printed counts follow ``P = V e + l (4 e h k + 3 e f + e)`` with V = 64,512 rows of the tied
embedding (64,000 pieces and 512 special tokens), e the width, l layers, h heads of width k, f the
inner width of a gated feed-forward of three matrices; no biases, no final norm, one vector of width
e a layer. It gives 52 of the 53 printed counts; the last one (scale 52, used in no run) is printed
for another shape, so ``n_params`` is always the formula's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from atlas_scaling.published.tables import PAPER, rows

SOURCE: Final = f"{PAPER}, Table B.3"
VOCABULARY_ROWS: Final = 64_512


@dataclass(frozen=True, slots=True)
class ModelShape:
    """One row of Table B.3; widths in units, counts in parameters."""

    scale: int
    heads: int
    layers: int
    embed: int
    ffw: int
    kv: int
    n_params_printed: int

    @property
    def n_params_non_embedding(self) -> int:
        """Parameters without the embedding."""
        attention = 4 * self.embed * self.heads * self.kv
        return self.layers * (attention + 3 * self.embed * self.ffw + self.embed)

    @property
    def n_params(self) -> int:
        """Parameters by the formula, the tied embedding counted once."""
        return VOCABULARY_ROWS * self.embed + self.n_params_non_embedding


@cache
def model_shapes() -> tuple[ModelShape, ...]:
    """The 53 shapes, by scale."""
    names = ("scale", "heads", "layers", "embed", "ffw", "kv")
    return tuple(
        ModelShape(
            **{name: int(row[name]) for name in names}, n_params_printed=int(row["params_printed"])
        )
        for row in rows("model_shapes")
    )


def nearest_shape(n_params: float) -> ModelShape:
    """The shape whose size is nearest to ``n_params`` in ratio.

    >>> nearest_shape(2e9).scale
    33
    """
    return min(model_shapes(), key=lambda s: max(s.n_params / n_params, n_params / s.n_params))
