"""The order of the data: which language each sequence is of, and which window of its text.

Sequence ``j`` goes to the language that lags most behind its share, ``share * (j + 1) - count``, so
that every language is within one sequence of its share at all times. A language's windows come in
a shuffled order, a new one each epoch. All of it follows from the seed and the counts of sequences
drawn so far, which are the whole state: two runs with one seed see a language's windows in the same
order, whatever else is in their mixtures.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.study.tokens import PackedText


class Sampler:
    """Draws batches of windows from the texts of a mixture.

    Args:
        texts: one per language of the mixture.
        mixture: shares above zero that sum to 1.
        sequence_length: tokens a window predicts; it holds one more.
        seed: of the order.

    Raises:
        InputError: a language has no text, or less than one window.
    """

    def __init__(
        self,
        texts: Mapping[str, PackedText],
        mixture: Mapping[str, float],
        *,
        sequence_length: int,
        seed: int,
    ) -> None:
        self._languages = sorted(mixture)
        self._shares = np.array([mixture[code] for code in self._languages])
        self._streams = [
            _Stream(_text_of(texts, code), sequence_length, seed) for code in self._languages
        ]
        self._drawn = np.zeros(len(self._languages), dtype=np.int64)
        self._length = sequence_length

    @property
    def sequences(self) -> dict[str, int]:
        """Sequences drawn of each language so far: the state."""
        return dict(zip(self._languages, map(int, self._drawn), strict=True))

    @property
    def tokens(self) -> dict[str, int]:
        """Tokens trained on of each language so far, repetitions included."""
        return {code: n * self._length for code, n in self.sequences.items()}

    def restore(self, sequences: Mapping[str, int]) -> None:
        """Go on from ``sequences`` as an earlier ``sequences`` gave it."""
        self._drawn = np.array([sequences[code] for code in self._languages], dtype=np.int64)

    def batch(self, size: int) -> NDArray[np.int64]:
        """The next ``size`` windows, (size, sequence_length + 1)."""
        return np.stack([self._next() for _ in range(size)])

    def _next(self) -> NDArray[np.int64]:
        behind = self._shares * (self._drawn.sum() + 1) - self._drawn
        i = int(np.argmax(behind))
        window = self._streams[i].window(int(self._drawn[i]))
        self._drawn[i] += 1
        return window


class _Stream:
    """The windows of one language, in the order in which they are drawn."""

    def __init__(self, text: PackedText, length: int, seed: int) -> None:
        self._tokens = text.tokens
        self._length = length
        self._n_windows = (text.n_tokens - 1) // length
        if self._n_windows < 1:
            raise InputError(
                "the training text is shorter than one sequence",
                value=f"{text.n_tokens} tokens",
                where=text.language,
                remedy=f"give it more than {length} tokens of text, or shorten sequence_length",
            )
        self._seed = (seed, zlib.crc32(text.language.encode()))
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def window(self, n: int) -> NDArray[np.int64]:
        """The n-th window drawn of this language, counted from 0 over all epochs."""
        epoch, place = divmod(n, self._n_windows)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64((*self._seed, epoch)))
            self._order = generator.permutation(self._n_windows)
            self._epoch = epoch
        begin = int(self._order[place]) * self._length
        return np.asarray(self._tokens[begin : begin + self._length + 1], dtype=np.int64)


def _text_of(texts: Mapping[str, PackedText], code: str) -> PackedText:
    if code not in texts:
        raise InputError(
            "a language of the mixture has no text",
            value=code,
            where="mixture",
            remedy=f"the languages with text are {', '.join(sorted(texts))}",
        )
    return texts[code]
