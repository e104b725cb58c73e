"""Order and duplicates: seeded orders that no machine changes, and one place for every line.

A line is known by its ``fingerprint`` (``cleaning``), so that near copies count as copies. In the
training text no fingerprint occurs twice, whether in one language or in two, and none is one of the
evaluation text of any language.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.corpus_store import Line


class Excess(StrEnum):
    """Why a line that is good in itself was left out."""

    TEST_LINE = "in_the_evaluation_text"
    DUPLICATE = "duplicate"
    OTHER_LANGUAGE = "kept_in_another_language"


def order_key(seed: int, *parts: str) -> bytes:
    """Where something stands in the order of ``seed``: the same on every machine."""
    return hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()


def distinct_lines(
    lines: Mapping[str, Sequence[Line]],
    *,
    withheld: Collection[str],
    seed: int,
    dropped: Mapping[str, Counter[str]],
) -> dict[str, list[Line]]:
    """Each language's lines without copies, in the order of ``seed``.

    Args:
        lines: by language. Of copies within a language the first stays; of copies in several
            languages, the one of the language that ``seed`` picks for that line.
        withheld: fingerprints that may not occur, those of the evaluation text.
        seed: of the picks and of the order.
        dropped: counters by language, added to.
    """
    firsts = {
        language: _firsts(candidates, withheld, dropped[language])
        for language, candidates in lines.items()
    }
    holders: dict[str, list[str]] = {}
    for language in sorted(firsts):
        for print_ in firsts[language]:
            holders.setdefault(print_, []).append(language)
    kept: dict[str, list[Line]] = {}
    for language, by_print in firsts.items():
        mine = [
            line
            for print_, line in by_print.items()
            if language == _keeper(print_, holders[print_], seed)
        ]
        dropped[language][Excess.OTHER_LANGUAGE] += len(by_print) - len(mine)
        kept[language] = sorted(mine, key=lambda line: order_key(seed, line.text))
    return kept


def _firsts(
    lines: Sequence[Line], withheld: Collection[str], dropped: Counter[str]
) -> dict[str, Line]:
    firsts: dict[str, Line] = {}
    for line in lines:
        print_ = fingerprint(line.text)
        if print_ in withheld:
            dropped[Excess.TEST_LINE] += 1
        elif print_ in firsts:
            dropped[Excess.DUPLICATE] += 1
        else:
            firsts[print_] = line
    return firsts


def _keeper(print_: str, languages: Sequence[str], seed: int) -> str:
    if len(languages) == 1:
        return languages[0]
    return min(languages, key=lambda language: order_key(seed, language, print_))
