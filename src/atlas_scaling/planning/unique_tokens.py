"""How many distinct tokens a language has, where the user does not say.

The paper prints MADLAD-400's counts of six languages (Table C.1). For others the Unimax rates of
Table B.4 are a hint: Unimax gives every language an equal share unless that would repeat its text
too often, so a rate below the largest ones says how much text there is. Swahili sets the scale: its
rate of 0.719 % of 1T tokens over 770M distinct ones is 9.3 epochs. A language at the common rate of
1.42 % has at least 1.5B tokens, and the table does not say how many more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.planning.checks import by_our_codes, check_above_zero
from atlas_scaling.published.mixtures import UNIMAX_SOURCE, unimax_percent
from atlas_scaling.published.regime_laws import SOURCE, regime_laws
from atlas_scaling.units import format_count

REFERENCE: Final = "swa_Latn"
COMMON_PERCENT: Final = 1.42


@dataclass(frozen=True, slots=True)
class UniqueTokens(Answer):
    """Distinct tokens of one language.

    Attributes:
        tokens: the count; infinite where nothing limits it.
        source: ``given``, a table, or ``not known``.
    """

    tokens: float
    source: str


def unique_tokens(
    codes: Iterable[str], given: Mapping[str, float] | None = None
) -> tuple[dict[str, UniqueTokens], tuple[str, ...]]:
    """Counts of all ``codes``, and what is doubtful about them.

    Args:
        codes: languages, our codes.
        given: the user's own counts by any code.

    >>> counts, said = unique_tokens(["swa_Latn", "cat_Latn"], {"ca": 10e9})
    >>> counts["swa_Latn"].tokens, counts["cat_Latn"].source
    (770000000.0, 'given')

    Raises:
        InputError: a count is not above zero, or a code is unknown.
    """
    for code, tokens in (given or {}).items():
        if tokens == 0:
            raise InputError(
                "a language without any text cannot be trained on",
                value=0,
                where=f"unique tokens of {code}",
                remedy="a target: give what text there is, or plan for a relative that has some; "
                "a source: leave it out",
            )
        check_above_zero(**{f"unique tokens of {code}": tokens})
    own = by_our_codes(given, where="unique tokens")
    printed = {law.language: law.unique_tokens for law in regime_laws()}
    found: dict[str, UniqueTokens] = {}
    estimated, unlimited = [], []
    for code in codes:
        hint = hint_from_rates(code)
        if code in own:
            found[code] = UniqueTokens(own[code], "given")
        elif code in printed:
            found[code] = UniqueTokens(printed[code], f"MADLAD-400, {SOURCE}")
        elif hint is not None and math.isfinite(hint):
            found[code] = UniqueTokens(hint, f"estimated from {UNIMAX_SOURCE}")
            estimated.append(f"{code} {format_count(hint)}")
        else:
            found[code] = UniqueTokens(math.inf, "not known")
            unlimited.append(code)
    said = []
    unused = [code for code in own if code not in found]
    if unused:
        said.append(f"distinct tokens given, but neither target nor source: {', '.join(unused)}")
    if estimated:
        said.append(
            f"distinct tokens estimated from the Unimax rates: {', '.join(estimated)}; give yours"
        )
    if unlimited:
        said.append(
            f"distinct tokens not known, taken as unlimited: {', '.join(unlimited)}; give yours "
            "and repetition is priced"
        )
    return found, tuple(said)


def hint_from_rates(code: str) -> float | None:
    """Tokens by the Unimax rate; infinite at the common rate and above, None if not in the table.

    >>> round(hint_from_rates("yor_Latn") / 1e6)
    64
    """
    rates = unimax_percent()
    if code not in rates:
        return None
    if rates[code] >= COMMON_PERCENT:
        return math.inf
    printed = {law.language: law.unique_tokens for law in regime_laws()}
    return printed[REFERENCE] * rates[code] / rates[REFERENCE]  # as many epochs as of that one
