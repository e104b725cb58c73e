"""Units of loss and of counts, and the conversions between them.

Losses are natural-log (nats) per token inside. Across languages and tokenizers compare bits per
byte: ``bits_per_byte = nats_per_token * tokens / (bytes * ln 2)``.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from enum import StrEnum
from typing import Final

from atlas_scaling.errors import InputError

NATS_PER_BIT: Final = math.log(2.0)

MOST: Final = 1e40
"""No number is larger, or smaller than its inverse: products and powers of a few stay finite."""

NO_FIT: Final = -100
"""An R² below this says no more than that a law does not hold there."""

_SUFFIXES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_COUNT = re.compile(r"^\s*([+-]?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([kmbgt]?)\s*$", re.I)


class LossUnit(StrEnum):
    """Units a loss may come in. A fit never mixes them."""

    NATS_PER_TOKEN = "nats_per_token"
    BITS_PER_BYTE = "bits_per_byte"
    UNIGRAM_NORMALISED = "unigram_normalised"
    CONTENT_ADJUSTED_BITS = "content_adjusted_bits"


def bits_per_byte(nats_per_token: float, *, n_tokens: float, n_bytes: float) -> float:
    """Bits per UTF-8 byte of a text of ``n_bytes`` that the tokenizer cuts into ``n_tokens``.

    >>> round(bits_per_byte(math.log(2.0), n_tokens=100, n_bytes=400), 3)
    0.25

    Raises:
        InputError: there is no byte.
    """
    if n_bytes <= 0:
        raise InputError("a text needs at least one byte", value=n_bytes, where="n_bytes")
    return nats_per_token * n_tokens / (n_bytes * NATS_PER_BIT)


def parse_count(text: str | float, *, name: str = "count") -> float:
    """A positive count as users write it: ``2e9``, ``2B``, ``1_000``, ``400 M``.

    >>> parse_count("2B"), parse_count("1.5e3"), parse_count("300k")
    (2000000000.0, 1500.0, 300000.0)

    Raises:
        InputError: if it is no number, not finite, or not above zero; or beyond ``MOST``.
    """
    if isinstance(text, str):
        match = _COUNT.match(text)
        if match is None:
            raise InputError(
                f"{name} is not a number",
                value=text,
                where=name,
                remedy="write it like 2e9, 2B, 400M or 1_000_000",
            )
        value = float(re.sub("[_,]", "", match[1])) * _SUFFIXES[match[2].lower()]
    elif isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    else:
        raise InputError(f"{name} is not a number", value=text, where=name)
    check_above_zero(name, value)
    return value


def check_above_zero(name: str, value: float) -> None:
    """A number that can be reckoned with: above zero and finite, within ``MOST`` and its inverse.

    Raises:
        InputError: it is not; ``name`` is the place.
    """
    if not 1 / MOST <= value <= MOST:
        within = "" if not 0 < value < math.inf else f", between {1 / MOST:g} and {MOST:g}"
        raise InputError(f"{name} must be above zero and finite{within}", value=value, where=name)


def format_count(value: float, *, digits: int = 3) -> str:
    """A count for people: ``2.03B``, ``400M``, ``12.5k``.

    >>> format_count(2_034_000_000), format_count(400e6), format_count(950)
    ('2.03B', '400M', '950')
    """
    value = float(f"{value:.{digits}g}")  # rounded first: 999.99M is 1B
    for threshold, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= threshold:
            return f"{value / threshold:.{digits}g}{suffix}"
    return f"{value:.{digits}g}"


def plain(value: float, digits: int = 2) -> str:
    """A number of which ``digits`` are known, as people write it: never with an exponent of ten.

    >>> plain(0.57), plain(2_834.0), plain(99.7), plain(0.000012)
    ('0.57', '2,800', '100', '0.000012')
    """
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


def counted(n: int, noun: str) -> str:
    """``1 run``, ``3 runs``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
