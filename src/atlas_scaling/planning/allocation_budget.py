"""What an allocation may spend, and which model sizes that leaves.

A budget C pays ``6 N D`` for training and, if asked, ``2 N`` for each token served.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.compute import FLOPS_PER_PARAMETER_TOKEN
from atlas_scaling.errors import InputError
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.units import format_count

SMALLEST: Final = 1e6
"""Parameters of the smallest model, and tokens of the shortest run, that are looked at; less where
laws rest on smaller models."""

BEYOND_TEXT: Final = 1e-3
"""How far beyond all text the bound of N lies: limits of epochs hold there, and two constraints in
one place would stall the solver."""


@dataclass(frozen=True)
class Budget:
    """What may be spent.

    Attributes:
        flops: training and serving; None where N and D are both fixed.
        n_params: fixed size, or None.
        sizes: sizes to choose from, or None.
        tokens: fixed training tokens, or None.
        inference_tokens: that will be served over the model's life, paid for from ``flops``.
    """

    flops: float | None = None
    n_params: float | None = None
    sizes: tuple[float, ...] | None = None
    tokens: float | None = None
    inference_tokens: float = 0.0

    def __post_init__(self) -> None:
        check_above_zero(flops=self.flops, n_params=self.n_params, tokens=self.tokens)
        for size in self.sizes or ():
            check_above_zero(sizes=size)
        if not (math.isfinite(self.inference_tokens) and self.inference_tokens >= 0):
            raise InputError(
                "tokens to be served are 0 or more",
                value=self.inference_tokens,
                where="inference_tokens",
            )
        given = [self.flops, self.n_params or self.sizes, self.tokens]
        if sum(value is not None for value in given) == 3:
            raise InputError(
                "compute, parameters and tokens together say too much",
                value={"flops": self.flops, "n_params": self.n_params, "tokens": self.tokens},
                where="flops, n_params, tokens",
                remedy="leave one out",
            )
        if self.n_params is not None and self.sizes is not None:
            raise InputError(
                "a fixed size and sizes to choose from are two questions",
                value={"n_params": self.n_params, "sizes": list(self.sizes)},
                where="n_params, sizes",
                remedy="leave one out",
            )
        if self.flops is None and (self.n_params is None or self.tokens is None):
            raise InputError(
                "how much may be spent?",
                where="flops",
                remedy="give FLOPs, or both parameters and tokens",
            )

    @property
    def spent(self) -> float:
        """FLOPs in all."""
        if self.flops is not None:
            return self.flops
        assert self.n_params is not None
        assert self.tokens is not None
        return self.n_params * (FLOPS_PER_PARAMETER_TOKEN * self.tokens + 2 * self.inference_tokens)

    def fixed_v(
        self, flops: float, *, most_tokens: float = math.inf, smallest: float = SMALLEST
    ) -> NDArray[np.float64] | None:
        """Values of log N that may be chosen, or None where N is free.

        Raises:
            InputError: none of them can be trained, or all would need more than ``most_tokens``.
        """
        if self.tokens is not None:
            return np.log(
                [flops / (FLOPS_PER_PARAMETER_TOKEN * self.tokens + 2 * self.inference_tokens)]
            )
        sizes = self.sizes if self.sizes is not None else self.n_params and (self.n_params,)
        if not sizes:
            return None
        paid = {n: flops / FLOPS_PER_PARAMETER_TOKEN / n - self.inference_tokens / 3 for n in sizes}
        trained = [n for n, tokens in paid.items() if tokens >= smallest]
        if not trained:
            raise InputError(
                f"this budget trains no model of the sizes given on {format_count(smallest)} "
                "tokens" + (" after serving is paid" if self.inference_tokens else ""),
                value=flops,
                where="flops",
                remedy=f"smaller sizes than {format_count(min(sizes))}, or more compute",
            )
        fed = [n for n in trained if paid[n] < most_tokens]
        if not fed:
            raise too_little_text(paid[max(trained)])
        return np.log(fed)

    def free_v(
        self, flops: float, *, most_tokens: float = math.inf, smallest: float = SMALLEST
    ) -> tuple[float, float]:
        """Bounds of log N where it is free; ``most_tokens`` is all the text there is.

        Raises:
            InputError: the budget is too small for any model.
        """
        served = self.inference_tokens / 3
        low = max(
            smallest,
            flops / FLOPS_PER_PARAMETER_TOKEN / (most_tokens * (1 + BEYOND_TEXT) + served),
        )
        high = flops / FLOPS_PER_PARAMETER_TOKEN / (smallest + served)
        if high <= low * 1.01:
            raise InputError(
                "this budget is too small for any model: "
                f"{format_count(smallest)} parameters on {format_count(smallest)} tokens"
                + (" after serving is paid" if served else ""),
                value=flops,
                where="flops",
                remedy="more compute, less serving, or more epochs if those are limited",
            )
        return math.log(low), math.log(high)


def too_little_text(tokens: float) -> InputError:
    """A budget trains on more tokens than the limit of epochs leaves."""
    return InputError(
        "the limit of epochs leaves less text than this budget trains on",
        value=format_count(tokens),
        where="max_epochs",
        remedy="more epochs, more languages, lower floors, a larger model, or less compute",
    )
