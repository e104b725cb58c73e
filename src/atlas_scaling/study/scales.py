"""Model shapes by scale number: Table B.3 of the ATLAS paper, and smaller ones below it.

Scales 0 to 52 are the published shapes, 9M to 20B parameters. Their printed counts leave out all
norms but one a layer; ours count every weight that is trained, ``(L + 1) d`` more, and take the
vocabulary of the study. Scales -1 to -6 are our own, for small machines: each takes about half the
compute of the one above, embedding left out, in the proportions of scale 0.
"""

from __future__ import annotations

from typing import Final

from atlas_scaling.errors import InputError
from atlas_scaling.published.model_shapes import model_shapes

# scale: layers, width, heads, head width; the feed-forward is four times as wide and gated
_SMALLER: Final = {
    -1: (3, 96, 3, 32),
    -2: (3, 64, 2, 32),
    -3: (3, 48, 3, 16),
    -4: (3, 32, 2, 16),
    -5: (2, 24, 2, 12),
    -6: (2, 16, 1, 16),
}


def shape_of_scale(scale: object) -> dict[str, int | bool]:
    """Depth and widths of a scale, as the keys of a study's size.

    >>> shape_of_scale(34)["d_model"], shape_of_scale(-2)["d_model"]
    (2176, 64)

    Raises:
        InputError: there is no such scale.
    """
    smallest, largest = min(_SMALLER), len(model_shapes()) - 1
    if isinstance(scale, bool) or not isinstance(scale, int) or not smallest <= scale <= largest:
        raise InputError(
            "there is no such scale",
            value=scale,
            where="scale",
            remedy=f"0 to {largest} are rows of Table B.3, {smallest} to -1 are smaller; "
            "or write the shape out: n_layers, d_model, n_heads",
        )
    if scale < 0:
        layers, width, heads, head_width = _SMALLER[scale]
        feed_forward = 4 * width
    else:
        row = model_shapes()[scale]
        layers, width, heads, head_width = row.layers, row.embed, row.heads, row.kv
        feed_forward = row.ffw
    return {
        "n_layers": layers,
        "d_model": width,
        "n_heads": heads,
        "d_head": head_width,
        "d_ff": feed_forward,
        "gated": True,
    }
