"""Mixtures as planning reads them, and the number of languages that an uneven one counts as.

``effective_languages`` is ``K = exp(-sum_i w_i log w_i)``. The capacity law is for even shares,
``w_i = 1/K``; read at one language it says ``K = 1/w_i``. Let that stand for uneven shares: the
terms' means over training tokens are ``sum_i w_i (1/w_i)^phi = H_(1-phi)^phi``, H_q the Hill number
of order q, and likewise for psi. Both published exponents are small (0.11, -0.04), so that ``H_1``,
the exponential of the entropy, serves for both. It is K for K even shares, and languages of a
vanishing share do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.mixtures import MIXTURE_TOLERANCE


def effective_languages(mixture: Mapping[str, float]) -> float:
    """``exp(-sum_i w_i log w_i)``: K of the even mixture that an uneven one counts as.

    >>> round(effective_languages({"eng_Latn": 0.5, "swe_Latn": 0.25, "dan_Latn": 0.25}), 3)
    2.828
    """
    shares = [share for share in checked_mixture(mixture).values() if share > 0]
    return math.exp(-sum(share * math.log(share) for share in shares))


def checked_mixture(mixture: Mapping[str, float], *, where: str = "mixture") -> dict[str, float]:
    """``mixture`` with our codes.

    Raises:
        InputError: a share below 0, a sum that is not 1, an unknown language, or one given twice.
    """
    shares: dict[str, float] = {}
    for code, share in mixture.items():
        if not (math.isfinite(share) and share >= 0):
            raise InputError(
                "a share is a number from 0 to 1", value=share, where=f"{where}, {code}"
            )
        ours = normalise(code)
        if ours in shares:
            raise InputError("a language stands twice in a mixture", value=code, where=where)
        shares[ours] = float(share)
    total = math.fsum(shares.values())
    if abs(total - 1) > MIXTURE_TOLERANCE:
        raise InputError(
            "the shares of a mixture must sum to 1",
            value=total,
            where=where,
            remedy="divide each by the sum, if they are weights or per cent",
        )
    return shares
