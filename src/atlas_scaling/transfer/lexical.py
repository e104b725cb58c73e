"""How many words two languages share, measured on text.

The overlap of languages a and b is ``sum over words of min(p_a, p_b)``, p a word's share of the
text: 1 less the total variation distance, 0 for nothing in common, 1 for the same text. Words are
runs of letters without case; where a script sets no spaces every letter is one, runs of the Latin
alphabet apart.

``data/word_overlap.csv`` has it for the languages of Chromium's messages, which say the same in
each (``tools/build_word_overlap.py``).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.languages import UNSPACED_SCRIPTS, language, relatives

Floats = NDArray[np.float64]

_WORD: Final = re.compile(r"[^\W\d_]+")
_LETTER: Final = re.compile(r"[a-z]+|[^\W\d_]")

CHANCE: Final = 0.01
"""Overlap of unrelated languages of different scripts, whose text shares names only."""


def word_counts(code: str, lines: Iterable[str]) -> Counter[str]:
    """How often each word occurs in the text of a language."""
    words = _LETTER if language(code).script in UNSPACED_SCRIPTS else _WORD
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(words.findall(line.casefold()))
    return counts


def word_overlap(counts: Mapping[str, Mapping[str, int]]) -> Floats:
    """Overlap of each pair of languages, shape ``(n, n)``, in the order of ``counts``.

    Raises:
        InputError: a language has no word.
    """
    empty = [code for code, words in counts.items() if not sum(words.values())]
    if empty:
        raise InputError("there is no text to count words in", value=empty)
    shares = []
    for words in counts.values():
        total = sum(words.values())
        shares.append({word: n / total for word, n in words.items()})
    overlap = np.eye(len(shares))
    for i, one in enumerate(shares):
        for j, other in enumerate(shares[:i]):
            common = one.keys() & other.keys()
            overlap[i, j] = overlap[j, i] = sum(min(one[w], other[w]) for w in common)
    return overlap


def on_log_scale(overlap: Floats) -> Floats:
    """An overlap between 0 and 1 on a scale where 1 % against 3 % differ as 10 % against 30 %.

    0 stays 0 and 1 stays 1; below ``CHANCE`` it is nearly linear.
    """
    scaled: Floats = np.log1p(overlap / CHANCE) / np.log1p(1 / CHANCE)
    return scaled


def shipped_overlap(codes: Sequence[str]) -> Floats:
    """Overlap of ``codes`` by the shipped table, shape ``(n, n)``; NaN where it has none.

    Another code of the same language stands in for one that is not there (``nob_Latn`` for
    ``nor_Latn``).
    """
    known, table = _shipped()
    at = [_row_of(code, known) for code in codes]
    found = np.full((len(codes), len(codes)), np.nan)
    has = [i for i, row in enumerate(at) if row is not None]
    rows = [row for row in at if row is not None]
    found[np.ix_(has, has)] = table[np.ix_(rows, rows)]
    return found


def _row_of(code: str, known: Mapping[str, int]) -> int | None:
    near = (code, *(kin.code for kin in relatives(code)))
    return next((known[one] for one in near if one in known), None)


@cache
def _shipped() -> tuple[dict[str, int], Floats]:
    path = Path(__file__).parents[1] / "data" / "word_overlap.csv"
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    table = np.array([[float(x) for x in row[1:]] for row in rows])
    return {code: i for i, code in enumerate(header[1:])}, table
