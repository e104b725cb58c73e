"""Numbers, intervals and languages as a report says them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from atlas_scaling.errors import InputError
from atlas_scaling.languages import language
from atlas_scaling.units import NO_FIT, LossUnit, format_count

MISSING = "–"

UNIT_WORDS = {
    LossUnit.NATS_PER_TOKEN: "nats per token",
    LossUnit.BITS_PER_BYTE: "bits per byte",
    LossUnit.UNIGRAM_NORMALISED: "unigram-normalised nats per token",
    LossUnit.CONTENT_ADJUSTED_BITS: "content-adjusted bits",
}

_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "lam": "λ",
    "phi": "φ",
    "psi": "ψ",
    "tau": "τ",
}


def language_name(code: str) -> str:
    """``Swedish``; a code that the table does not know stands for itself.

    >>> language_name("swe_Latn"), language_name("domain-7")
    ('Swedish', 'domain-7')
    """
    try:
        return language(code).name
    except InputError:
        return code


def is_language(code: str) -> bool:
    """Whether the table of languages has this code; data domains are none."""
    return language_name(code) != code


def language_title(code: str) -> str:
    """``Swedish (swe_Latn)``."""
    name = language_name(code)
    return code if name == code else f"{name} ({code})"


def short_names(codes: Sequence[str]) -> dict[str, str]:
    """A name for each code, without what stands in brackets; the code where names would be equal.

    >>> short_names(["zho_Hani", "swe_Latn"])
    {'zho_Hani': 'Chinese', 'swe_Latn': 'Swedish'}
    """
    names = {code: language_name(code).partition(" (")[0] for code in codes}
    taken = list(names.values())
    return {code: code if taken.count(name) > 1 else name for code, name in names.items()}


def parameter_name(name: str) -> str:
    """As papers print it: ``α``, ``τ of Danish``.

    >>> parameter_name("alpha"), parameter_name("tau[dan_Latn]"), parameter_name("E")
    ('α', 'τ of Danish', 'E')
    """
    group, _, label = name.partition("[")
    first = group.replace("_", " ").partition(" ")[0]
    letter = _GREEK.get(first, first) + group[len(first) :]
    return letter if not label else f"{letter} of {language_name(label.removesuffix(']'))}"


def number(value: float | None, digits: int = 4) -> str:
    """Significant digits, without an exponent where it is not needed; a dash where missing.

    >>> number(0.34781, 3), number(482.01), number(None), number(1.2e-7, 2)
    ('0.348', '482', '–', '1.2e-07')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}g}"


def signed(value: float | None) -> str:
    """``+0.42`` with two decimals and a true minus; a dash where missing.

    >>> signed(0.4162), signed(-1.0), signed(None)
    ('+0.42', '−1.00', '–')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:+.2f}".replace("-", "−")


def r_squared(value: float | None) -> str:
    """Four decimals, cut and not rounded: 1 is for a law without error.

    >>> r_squared(0.99996), r_squared(1.0), r_squared(-0.51234), r_squared(-2e13)
    ('0.9999', '1.0000', '−0.5124', 'below −100')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value < NO_FIT:
        return f"below −{-NO_FIT}"
    return f"{math.floor(value * 1e4) / 1e4:.4f}".replace("-", "−")


def interval(bounds: tuple[float | None, float | None] | None) -> str:
    """``0.31 … 0.36``, ``below 0.3``, ``above 0.3``, or a dash; an infinite end is none.

    >>> interval((0.3123, 0.3561)), interval((None, 0.3)), interval((0.3, math.inf)), interval(None)
    ('0.312 … 0.356', 'below 0.3', 'above 0.3', '–')
    """
    low, high = (None if v is None or not math.isfinite(v) else v for v in bounds or (None, None))
    if low is None and high is None:
        return MISSING
    if low is None:
        return f"below {number(high, 3)}"
    return f"above {number(low, 3)}" if high is None else f"{number(low, 3)} … {number(high, 3)}"


def count(value: float | None) -> str:
    """``2.03B``, or a dash."""
    return MISSING if value is None or not math.isfinite(value) else format_count(value)


def listed(items: Sequence[str], *, most: int = 6) -> str:
    """``a, b and c``; of many the first ones and how many more.

    >>> listed(["a", "b", "c"]), listed(list("abcdefgh"), most=3)
    ('a, b and c', 'a, b, c and 5 more')
    """
    if len(items) > most:
        return f"{', '.join(items[:most])} and {len(items) - most} more"
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1]))) if items else "none"
