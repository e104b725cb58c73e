"""Order and duplicates: seeded orders, the same on every machine, and one place for every line.

A line is known by its ``fingerprint`` (``cleaning``), so that near copies count as copies. In the
training text no fingerprint occurs twice, whether in one language or in two, and none is one of the
evaluation text of any language.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from itertools import groupby
from pathlib import Path

from atlas_scaling.study.cache import discard
from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.corpus_store import Line
from atlas_scaling.study.line_sort import LineSorter


class Excess(StrEnum):
    """Why a line that is good in itself was left out."""

    TEST_LINE = "in_the_evaluation_text"
    DUPLICATE = "duplicate"
    OTHER_LANGUAGE = "kept_in_another_language"


def order_key(seed: int, *parts: str) -> bytes:
    """Where something stands in the order of ``seed``: the same on every machine."""
    return hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()


def distinct_lines(
    lines: Callable[[str], Sequence[Line]],
    languages: Iterable[str],
    *,
    withheld: Collection[str],
    seed: int,
    dropped: Mapping[str, Counter[str]],
    folder: Path,
) -> Iterator[tuple[str, list[Line]]]:
    """Each language's lines without copies, in the order of ``seed``; one language at a time.

    Args:
        lines: of a language; asked for twice. Of copies within a language the first stays; of
            copies in several languages, the one of the language that ``seed`` picks for that line.
        languages: codes.
        withheld: fingerprints that may not occur, those of the evaluation text.
        seed: of the picks and of the order.
        dropped: counters by language, added to.
        folder: to sort in; removed at the end.
    """
    codes = sorted(languages)
    discard(folder)
    folder.mkdir(parents=True)
    prints = LineSorter(folder / "prints")
    for code in codes:
        for print_ in _firsts(lines(code), withheld, Counter()):
            prints.add(f"{print_}\t{code}".encode())
    leave_copies(prints.merged(), codes, seed, folder)
    for code in codes:
        firsts = _firsts(lines(code), withheld, dropped[code])
        left = set((folder / code).read_text("utf-8").split("\n")[:-1])
        mine = [line for print_, line in firsts.items() if print_ not in left]
        dropped[code][Excess.OTHER_LANGUAGE] += len(firsts) - len(mine)
        yield code, sorted(mine, key=lambda line: order_key(seed, line.text))
    discard(folder)


def leave_copies(
    prints: Iterable[bytes], languages: Sequence[str], seed: int, folder: Path
) -> dict[str, int]:
    """Note, in a file a language, the fingerprints that another language keeps.

    Args:
        prints: lines ``FINGERPRINT<tab>CODE``, sorted.
        languages: codes.
        seed: picks the language that keeps what several have.
        folder: where the files are written.

    Returns:
        Distinct fingerprints of each language.
    """
    distinct = dict.fromkeys(languages, 0)
    with ExitStack() as stack:
        left = {code: stack.enter_context((folder / code).open("wb")) for code in languages}
        for print_, same in groupby(prints, key=lambda line: line.partition(b"\t")[0]):
            holders = sorted({line.partition(b"\t")[2].decode() for line in same})
            keeper = _keeper(print_.decode(), holders, seed)
            for code in holders:
                distinct[code] += 1
                if code != keeper:
                    left[code].write(print_ + b"\n")
    return distinct


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
