"""Text as token ids: cut once, kept on disk, memory-mapped by every run.

``PackedText`` is one language's text as one long array of ids. Each line of the text ends with the
end-of-sequence id, so that lines can be recovered from the array alone. A ``TokenStore`` holds the
packed texts of a corpus::

    STORE/tokens.json      tokenizer, corpus, counts
    STORE/train/CODE.bin   ids, little-endian, 2 bytes each (4 where the vocabulary is above 65,536)
    STORE/eval/CODE.bin
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.record import Frozen, TokenizerInfo
from atlas_scaling.study.cache import discard, key_of, new_directory
from atlas_scaling.study.corpus_store import EVALUATION, TRAIN, Corpus
from atlas_scaling.study.documents import some_at_a_time
from atlas_scaling.study.say import Pace, Say, silent
from atlas_scaling.units import counted

if TYPE_CHECKING:
    from atlas_scaling.study.tokenizer import Tokenizer

TokenIds: TypeAlias = NDArray[np.uint16] | NDArray[np.uint32]

CARD: Final = "tokens.json"
SPLITS: Final = (TRAIN, EVALUATION)

_CHARACTERS_AT_ONCE: Final = 1 << 20
_PACKING_VERSION: Final = 1


@dataclass(frozen=True)
class PackedText:
    """One language's text as token ids.

    Attributes:
        language: code such as ``swe_Latn``.
        tokens: ids, shape ``(n_tokens,)``, memory-mapped and read-only; each line ends with EOS.
        n_bytes: UTF-8 bytes of the text, one newline a line included.
    """

    language: str
    tokens: TokenIds
    n_bytes: int

    @property
    def n_tokens(self) -> int:
        """Ids in all, the EOS that ends each line included."""
        return len(self.tokens)


class PackedRecord(Frozen):
    """Counts of one packed text, with one EOS a line in ``tokens``, one newline in ``bytes``."""

    tokens: int
    lines: int
    bytes: int


class StoreCard(Frozen):
    """``tokens.json``: what was cut, with what, into how much; texts by split and language."""

    corpus_sha256: str
    tokenizer: TokenizerInfo
    eos_id: int
    dtype: Literal["uint16", "uint32"]
    texts: dict[str, dict[str, PackedRecord]]


@dataclass(frozen=True)
class TokenStore:
    """The packed texts of a corpus.

    Attributes:
        path: its directory; ``TokenStore.open(path)`` in another process gives an equal store.
        card: what it says of itself.
    """

    path: Path
    card: StoreCard

    @classmethod
    def open(cls, path: Path) -> TokenStore:
        """The store in ``path``.

        Raises:
            InputError: there is none, or its files have not the sizes that it lists.
        """
        try:
            card = StoreCard.model_validate_json((path / CARD).read_bytes())
        except (FileNotFoundError, ValidationError):
            raise InputError(
                "this directory holds no packed tokens",
                value=str(path),
                remedy="run the study again: tokens are packed from the corpus in the cache",
            ) from None
        for split, records in card.texts.items():
            for language, record in records.items():
                file = _ids_path(path, split, language)
                expected = record.tokens * np.dtype(card.dtype).itemsize
                if not file.is_file() or file.stat().st_size != expected:
                    raise InputError(
                        "a file of these packed tokens is damaged",
                        where=str(file),
                        remedy="remove the directory; the study packs them again",
                    )
        return cls(path, card)

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages it has, sorted."""
        return tuple(sorted(self.card.texts[TRAIN]))

    @property
    def tokenizer(self) -> TokenizerInfo:
        """What cut the text."""
        return self.card.tokenizer

    @property
    def corpus_sha256(self) -> str:
        """Hash of the text."""
        return self.card.corpus_sha256

    @property
    def eos_id(self) -> int:
        """The id that ends every line."""
        return self.card.eos_id

    def train(self, language: str) -> PackedText:
        """Training text of a language."""
        return self._packed(TRAIN, language)

    def evaluation(self, language: str) -> PackedText:
        """Evaluation text of a language."""
        return self._packed(EVALUATION, language)

    def unique_tokens(self, language: str) -> int:
        """Distinct training tokens there are of a language (U): no line occurs twice."""
        return self._record(TRAIN, language).tokens

    @property
    def unique(self) -> dict[str, int]:
        """The same for every language."""
        return {code: self.unique_tokens(code) for code in self.languages}

    def _packed(self, split: str, language: str) -> PackedText:
        record = self._record(split, language)
        ids = np.memmap(
            _ids_path(self.path, split, language),
            dtype=np.dtype(self.card.dtype).newbyteorder("<"),
            mode="r",
            shape=(record.tokens,),
        )
        return PackedText(language, ids, record.bytes)

    def _record(self, split: str, language: str) -> PackedRecord:
        try:
            return self.card.texts[split][language]
        except KeyError:
            raise unknown(
                "these packed tokens have no such language",
                language,
                self.languages,
                where=str(self.path),
            ) from None


def pack(
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    languages: Sequence[str] | None = None,
    cache: Path,
    say: Say = silent,
) -> TokenStore:
    """The packed texts of ``corpus``: from the cache, or cut by ``tokenizer`` into it.

    Text streams through: about a million characters are in memory at once.

    Args:
        corpus: the text.
        tokenizer: what cuts it.
        languages: which of the corpus; all unless given.
        cache: the cache directory.
        say: is told what is being done.

    Raises:
        SourceError: the cache cannot be written.
    """
    codes = corpus.languages if languages is None else tuple(sorted(languages))
    request = {
        "corpus": corpus.sha256,
        "languages": list(codes),
        "tokenizer": tokenizer.info.sha256,
        "version": _PACKING_VERSION,
    }
    path = cache / "tokens" / key_of(request)
    if (found := _find(path)) is not None:
        return found
    say(f"cutting the text of {counted(len(codes), 'language')} into tokens")
    files = [(split, code) for split in SPLITS for code in codes]
    records = {code: corpus.record(code) for code in codes}
    sizes = [
        (records[code].train if split == TRAIN else records[code].evaluation).bytes
        for split, code in files
    ]
    dtype: Literal["uint16", "uint32"] = "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32"
    with new_directory(path) as scratch:
        texts: dict[str, dict[str, PackedRecord]] = {split: {} for split in SPLITS}
        for split in SPLITS:
            (scratch / split).mkdir()
        for (split, code), size, pace in zip(files, sizes, Pace(say).parts(sizes), strict=True):
            lines = corpus.train_lines(code) if split == TRAIN else corpus.eval_lines(code)
            texts[split][code] = _write_ids(
                _ids_path(scratch, split, code), lines, size, tokenizer, np.dtype(dtype), pace
            )
        card = StoreCard(
            corpus_sha256=corpus.sha256,
            tokenizer=tokenizer.info,
            eos_id=tokenizer.eos_id,
            dtype=dtype,
            texts=texts,
        )
        (scratch / CARD).write_text(card.model_dump_json(indent=1) + "\n", "utf-8")
    store = TokenStore.open(path)
    total = sum(record.tokens for record in card.texts[TRAIN].values())
    say(f"packed {total / 1e6:.2f} M training tokens, {path}")
    return store


def _write_ids(
    path: Path,
    lines: Iterator[str],
    size: int,
    tokenizer: Tokenizer,
    dtype: np.dtype[np.uint16] | np.dtype[np.uint32],
    pace: Pace,
) -> PackedRecord:
    n_tokens = n_lines = n_bytes = 0
    with path.open("wb") as file:
        for chunk in some_at_a_time(lines, _CHARACTERS_AT_ONCE):
            ids = [i for line in tokenizer.encode(chunk) for i in (*line, tokenizer.eos_id)]
            file.write(np.asarray(ids, dtype=dtype.newbyteorder("<")).tobytes())
            n_tokens += len(ids)
            n_lines += len(chunk)
            n_bytes += sum(len(line.encode()) + 1 for line in chunk)
            pace.offer(
                lambda: f"cutting {path.stem}: {n_tokens / 1e6:.1f} M tokens",  # noqa: B023
                n_bytes / size,
            )
    return PackedRecord(tokens=n_tokens, lines=n_lines, bytes=n_bytes)


def _ids_path(store: Path, split: str, language: str) -> Path:
    return store / split / f"{language}.bin"


def _find(path: Path) -> TokenStore | None:
    try:
        return TokenStore.open(path)
    except InputError:
        discard(path)
        return None
