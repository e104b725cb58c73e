"""The order of the data: which language each sequence is of, and which window of its text.

The language of a sequence is chosen by Tijdeman's rule (1980, *The chairman assignment problem*):
among the languages that are due, ``share * j - drawn >= 1/(2n - 2)``, the one that would be late
first. Every language is then within ``1 - 1/(2n - 2)`` sequences of its share at all times, however
many languages there are. Where a run has stages, each gets whole numbers of sequences of each of
its languages, and no other language is drawn in it.

A language's windows come in a shuffled order, a new one each epoch. All of it follows from the seed
and the counts of sequences drawn so far, which are the whole state: two runs with one seed see a
language's windows in the same order, whatever else is in their mixtures.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import MixtureStage
from atlas_scaling.study.tokens import PackedText

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_ROUNDING: Final = 1e-9  # of share times count, far below one sequence


class Sampler:
    """Draws batches of windows from the texts of a mixture.

    Args:
        texts: one per language of the mixture.
        mixture: shares above zero that sum to 1, or stages of such.
        sequence_length: tokens a window predicts; it holds one more.
        seed: of the order.
        total: sequences of the whole run; with more than one stage it must be given.

    Raises:
        InputError: a language has no text, or less than one window; or a stage is too short.
    """

    def __init__(
        self,
        texts: Mapping[str, PackedText],
        mixture: Mapping[str, float] | Sequence[MixtureStage],
        *,
        sequence_length: int,
        seed: int,
        total: int | None = None,
    ) -> None:
        if isinstance(mixture, Mapping):
            mixture = [MixtureStage(fraction=1.0, mixture=dict(mixture))]
        self._languages = sorted({code for stage in mixture for code in stage.mixture})
        self._streams = [
            _Stream(_text_of(texts, code), sequence_length, seed) for code in self._languages
        ]
        self._stages = _stages(mixture, self._languages, total)
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

    @property
    def epochs(self) -> dict[str, float]:
        """How often each language's text has been seen so far."""
        windows = zip(self.sequences.items(), self._streams, strict=True)
        return {code: n / stream.n_windows for (code, n), stream in windows}

    def restore(self, sequences: Mapping[str, int]) -> None:
        """Go on from ``sequences`` as an earlier ``sequences`` gave it."""
        self._drawn = np.array([sequences[code] for code in self._languages], dtype=np.int64)

    def batch(self, size: int, *, rows: slice = slice(None)) -> NDArray[np.int64]:
        """The next ``size`` windows, (size, sequence_length + 1).

        Args:
            size: of the whole batch, by which the state goes on.
            rows: which of it to read, for a process that trains on a part.
        """
        drawn = [self._next() for _ in range(size)]
        return np.stack([self._streams[i].window(n) for i, n in drawn[rows]])

    def _next(self) -> tuple[int, int]:
        """The next language, and how many of its windows came before."""
        total = int(self._drawn.sum())
        stage = next(one for one in reversed(self._stages) if total >= one.begin)
        i = stage.choose(total, self._drawn)
        n = int(self._drawn[i])
        self._drawn[i] += 1
        return i, n


class _Stage:
    """Shares over all languages of the sampler, from sequence ``begin`` on."""

    def __init__(self, shares: FloatArray, begin: int, before: IntArray) -> None:
        self.begin = begin
        self._before = before
        self._members = np.flatnonzero(shares)
        self._shares = shares[self._members]
        n = len(self._members)
        self._slack = 1.0 / (2 * n - 2) if n > 1 else 0.0

    def choose(self, total: int, drawn: IntArray) -> int:
        """The language of sequence number ``total``, by Tijdeman's rule."""
        lag = self._shares * (total - self.begin + 1) - (drawn - self._before)[self._members]
        is_due = lag >= self._slack - _ROUNDING
        late_in = np.where(is_due, (1.0 - self._slack - lag) / self._shares, np.inf)
        return int(self._members[np.argmin(late_in)])


def _stages(
    mixture: Sequence[MixtureStage], languages: Sequence[str], total: int | None
) -> list[_Stage]:
    none = np.zeros(len(languages), dtype=np.int64)
    rows = [
        np.array([stage.mixture.get(code, 0.0) for code in languages], dtype=np.float64)
        for stage in mixture
    ]
    if len(mixture) == 1:
        return [_Stage(rows[0], 0, none)]
    if total is None:
        raise ValueError("stages are parts of a total, which was not given")
    stages, begin, before = [], 0, none
    done = np.cumsum([stage.fraction for stage in mixture])
    for number, (shares, part) in enumerate(zip(rows, done, strict=True)):
        end = total if number == len(rows) - 1 else round(part * total)
        counts = whole_counts(shares, end - begin)
        if not counts.any():
            raise InputError(
                "a stage is shorter than one sequence",
                value=f"stage {number + 1} of {len(rows)}, {total} sequences in all",
                where="stages",
                remedy="give it a larger fraction, or the run more tokens",
            )
        stages.append(_Stage(counts / counts.sum(), begin, before))
        begin, before = end, before + counts
    return stages


def whole_counts(shares: FloatArray, total: int) -> IntArray:
    """``total`` sequences in whole numbers as close to ``shares`` as can be: largest remainders.

    >>> whole_counts(np.array([0.5, 0.25, 0.25]), 10).tolist()
    [5, 3, 2]
    """
    exact = shares * total
    counts = np.floor(exact + _ROUNDING).astype(np.int64)
    rest = np.argsort(counts - exact, kind="stable")[: total - int(counts.sum())]
    counts[rest] += 1
    return counts


class _Stream:
    """The windows of one language, in the order in which they are drawn."""

    def __init__(self, text: PackedText, length: int, seed: int) -> None:
        self._tokens = text.tokens
        self._length = length
        self.n_windows = (text.n_tokens - 1) // length
        if self.n_windows < 1:
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
        epoch, place = divmod(n, self.n_windows)
        if epoch != self._epoch:
            generator = np.random.Generator(np.random.PCG64((*self._seed, epoch)))
            self._order = generator.permutation(self.n_windows)
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
