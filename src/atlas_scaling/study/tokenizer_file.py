"""Tokenizer files of two kinds behind one interface: SentencePiece models, and ``tokenizer.json``.

The packages that read them are optional and imported where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

from atlas_scaling.errors import InputError

SENTENCEPIECE: Final = ".model"
HUGGING_FACE: Final = ".json"

_ENDS: Final = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>", "<|eos|>", "[SEP]")
"""Pieces that end a text in the tokenizers of well-known models."""


class Vocabulary(Protocol):
    """What is asked of a tokenizer."""

    @property
    def size(self) -> int:
        """Ids there are: one more than the largest."""
        ...

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line, without any that begins or ends it."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        ...

    def end_id(self, piece: str | None) -> int | None:
        """The id of ``piece``, or of the one that ends a text; None if there is none."""
        ...


class SentencePieceFile:
    """A SentencePiece model."""

    def __init__(self, path: Path) -> None:
        self._processor = sentencepiece().SentencePieceProcessor(model_file=str(path))

    @property
    def size(self) -> int:
        """Pieces."""
        return int(self._processor.get_piece_size())

    def pieces(self) -> list[tuple[str, float]]:
        """Every piece with its log probability, by id."""
        model = self._processor
        return [(model.id_to_piece(i), model.get_score(i)) for i in range(self.size)]

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line."""
        return list(self._processor.encode(list(lines), out_type=int, num_threads=1))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return str(self._processor.decode([int(i) for i in ids]))

    def end_id(self, piece: str | None) -> int | None:
        """The id of ``piece``, else the model's own end of sentence."""
        if piece is None:
            end = int(self._processor.eos_id())
            return end if end >= 0 else None
        found = int(self._processor.piece_to_id(piece))
        return found if self._processor.id_to_piece(found) == piece else None


class HuggingFaceFile:
    """A ``tokenizer.json``."""

    def __init__(self, path: Path) -> None:
        self._tokenizer: Any = _tokenizers().Tokenizer.from_file(str(path))

    @property
    def size(self) -> int:
        """Ids, those of added tokens included."""
        return int(max(self._tokenizer.get_vocab(with_added_tokens=True).values())) + 1

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line."""
        encoded = self._tokenizer.encode_batch(list(lines), add_special_tokens=False)
        return [list(one.ids) for one in encoded]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))

    def end_id(self, piece: str | None) -> int | None:
        """The id of ``piece``, else of the first well-known end of text."""
        for one in _ENDS if piece is None else (piece,):
            if (found := self._tokenizer.token_to_id(one)) is not None:
                return int(found)
        return None


def load_file(path: Path) -> Vocabulary:
    """The tokenizer in a file.

    Raises:
        InputError: it is not there, is of another kind, or is damaged.
    """
    if not path.is_file():
        raise InputError("there is no such tokenizer file", value=str(path), where="tokenizer.file")
    kinds: dict[str, Callable[[Path], Vocabulary]] = {
        SENTENCEPIECE: SentencePieceFile,
        HUGGING_FACE: HuggingFaceFile,
    }
    if path.suffix not in kinds:
        raise InputError(
            "a tokenizer file is a SentencePiece .model or a tokenizer.json",
            value=path.name,
            where="tokenizer.file",
        )
    try:
        return kinds[path.suffix](path)
    except InputError:
        raise
    except Exception as error:  # tokenizers raises plain Exception, sentencepiece RuntimeError
        raise InputError(
            f"this tokenizer file cannot be read: {str(error).splitlines()[0][:200]}",
            where=str(path),
        ) from None


@lru_cache(maxsize=8)
def vocabulary_size(path: Path) -> int:
    """Ids of the tokenizer in a file."""
    return load_file(path).size


def sentencepiece() -> Any:
    """The package sentencepiece.

    Raises:
        InputError: it is not installed.
    """
    try:
        import sentencepiece
    except ImportError:
        raise InputError(
            "sentencepiece is not installed", remedy="pip install 'atlas-scaling[train]'"
        ) from None
    return sentencepiece


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise InputError(
            "a tokenizer.json needs the library tokenizers", remedy="pip install tokenizers"
        ) from None
    return tokenizers
