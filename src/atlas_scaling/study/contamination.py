"""Passages that training and evaluation text share: a check that copies of lines alone would miss.

A passage is 50 letters in a row, case, digits, spaces and punctuation aside: the length that the
GPT-4 report (arXiv 2303.08774, appendix C) takes. Passages are compared by a 64-bit polynomial
hash; all of the training text is looked at, and every fourth passage of the evaluation text, so
that 53 shared letters are always found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.documents import some_at_a_time

PASSAGE_LETTERS: Final = 50
EVALUATION_STRIDE: Final = 4

_LETTERS_AT_ONCE: Final = 1 << 18
_FACTOR: Final = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_FILTER_BITS: Final = 24

Hashes = NDArray[np.uint64]


def letters_of(text: str) -> str:
    """What of a text counts: its letters, in one case.

    >>> letters_of("Version 2 is here!")
    'versionishere'
    """
    return fingerprint(text).replace(" ", "")


class PassageIndex:
    """The passages of some texts, to look for in others.

    Args:
        texts: the evaluation text, one line or document each.

    Attributes:
        n_long_enough: how many of them have a passage at all; shorter ones are not looked for.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        found, owners, self.n_long_enough = [], [], 0
        for i, text in enumerate(texts):
            hashes, _ = _passages([letters_of(text)])
            hashes = np.concatenate([hashes[::EVALUATION_STRIDE], hashes[-1:]])
            self.n_long_enough += bool(len(hashes))
            found.append(hashes)
            owners.append(np.full(len(hashes), i))
        hashes = np.concatenate([*found, np.empty(0, np.uint64)])
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._owners = np.concatenate([*owners, np.empty(0, np.int64)])[order]
        self._may_hold = np.zeros(1 << _FILTER_BITS, dtype=np.bool_)
        self._may_hold[self._hashes >> np.uint64(64 - _FILTER_BITS)] = True
        self._seen: set[int] = set()

    @property
    def n_found(self) -> int:
        """How many of the texts had a passage in what was looked through so far."""
        return len(self._seen)

    def found_in(self, texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Each of ``texts`` in its order, and whether it has a passage of the index."""
        for batch in some_at_a_time(texts, _LETTERS_AT_ONCE):
            yield from zip(batch, self._look(batch), strict=True)

    def _look(self, batch: Sequence[str]) -> list[bool]:
        hashes, owners = _passages([letters_of(text) for text in batch])
        likely = self._may_hold[hashes >> np.uint64(64 - _FILTER_BITS)]
        hashes, owners = hashes[likely], owners[likely]
        first = np.searchsorted(self._hashes, hashes, side="left")
        last = np.searchsorted(self._hashes, hashes, side="right")
        for begin, end in {*zip(first.tolist(), last.tolist(), strict=True)}:
            self._seen.update(self._owners[begin:end].tolist())
        hit = np.zeros(len(batch), dtype=np.bool_)
        hit[owners[last > first]] = True
        return [bool(one) for one in hit]


def _passages(texts: Sequence[str]) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of every passage, and of which text it is.

    With ``P_i`` the sum of ``c_j r^j`` over the letters before i, the passage at i has the hash
    ``(P_(i+n) - P_i) r^-i``, modulo 2^64.
    """
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    total = int(lengths.sum())
    if total < PASSAGE_LETTERS:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    letters = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4").astype(np.uint64)
    powers = _powers(_FACTOR, total)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(_mixed(letters) * powers)])
    hashes = (sums[PASSAGE_LETTERS:] - sums[:-PASSAGE_LETTERS]) * _powers(
        pow(_FACTOR, -1, 1 << 64), total
    )[: total - PASSAGE_LETTERS + 1]
    owners = np.repeat(np.arange(len(texts)), lengths)
    # a passage begins and ends in one text
    whole = owners[: total - PASSAGE_LETTERS + 1] == owners[PASSAGE_LETTERS - 1 :]
    return _mixed(hashes[whole]), owners[: total - PASSAGE_LETTERS + 1][whole]


def _powers(factor: int, n: int) -> Hashes:
    steps = np.full(n, factor, dtype=np.uint64)
    steps[0] = 1
    return np.cumprod(steps)


def _mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64: every bit of the input moves every bit of the output."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
