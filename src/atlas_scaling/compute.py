"""Training compute: ``C = 6 N D_tot`` (Kaplan et al. 2020) unless a better count is given."""

from __future__ import annotations

from typing import Final

FLOPS_PER_PARAMETER_TOKEN: Final = 6.0


def training_flops(n_params: float, tokens: float) -> float:
    """FLOPs of training ``n_params`` parameters on ``tokens`` tokens, as ``6 N D``.

    Args are cast to float first: N·D of a large run overflows int64.

    >>> training_flops(2e9, 400e9)
    4.8e+21
    """
    return FLOPS_PER_PARAMETER_TOKEN * float(n_params) * float(tokens)


def tokens_for(flops: float, n_params: float) -> float:
    """Tokens that ``flops`` buy for a model of ``n_params`` parameters."""
    return float(flops) / (FLOPS_PER_PARAMETER_TOKEN * float(n_params))
