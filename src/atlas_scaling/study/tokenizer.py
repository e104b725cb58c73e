"""The tokenizer: one SentencePiece unigram vocabulary with byte fallback over a study's languages.

Or one language's own, or a file of the user's (``tokenizer_file``).

Training text is drawn from each language in proportion to ``bytes^(1/T)``; T = 100, the paper's
(appendix B.2), is nearly even. Text is cut as it is, without normalisation: decoding gives it back.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError, model_validator

from atlas_scaling.config import BesideTheFile
from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import Frozen, TokenizerInfo
from atlas_scaling.study.cache import discard, key_of, new_directory, sha256_of
from atlas_scaling.study.corpus_store import Corpus
from atlas_scaling.study.say import Say, silent
from atlas_scaling.study.settings import Count
from atlas_scaling.study.tokenizer_file import (
    SENTENCEPIECE,
    load_file,
    sentencepiece,
    vocabulary_size,
)

MODEL: Final = "tokenizer.model"
VOCABULARY: Final = "vocabulary.json"
CARD: Final = "tokenizer.json"

UNK_ID: Final = 0
EOS_ID: Final = 1
N_BYTE_PIECES: Final = 256
MAX_CHARACTER_SHARE: Final = 0.25
"""At most this share of the vocabulary goes to single characters; rarer ones are cut into bytes."""

MIN_COVERAGE: Final = 0.98
"""SentencePiece takes no less."""
MAX_REPEATS: Final = 5
"""How often a small text is repeated at most to give its language its share of the sample."""

_TRAINER_VERSION: Final = 1


class TokenizerSpec(Frozen):
    """What vocabulary to train, or which one to take.

    Attributes:
        file: one of your own in place of one that is trained: a SentencePiece model (``.model``),
            or a ``tokenizer.json`` of the Hugging Face library; relative to the file that names it.
            Its size is its own.
        end_of_text: the piece of such a file that ends a document, where it does not say which.
        vocab_size: pieces in all, the 256 bytes and the two control pieces included.
        temperature: T of the sampling over languages; 1 is by size, large is even.
        character_coverage: share of the characters of the text that get a piece of their own; less
            where that would take more than a quarter of the vocabulary.
        sample_bytes: text to train on at most, over all languages.
        reserved: rows of the embedding beyond the pieces, for tokens that are added later; the
            paper has 512.
    """

    file: BesideTheFile | None = None
    end_of_text: str | None = None
    vocab_size: int = Field(default=4096, ge=300, le=262_144)
    temperature: float = Field(default=100.0, ge=1.0)
    character_coverage: float = Field(default=0.999995, ge=MIN_COVERAGE, le=1.0)
    sample_bytes: Count = Field(default=5_000_000, gt=0)
    reserved: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _takes_a_file_as_it_is(self) -> TokenizerSpec:
        trained = {"vocab_size", "temperature", "character_coverage", "sample_bytes"}
        defaults = {name: TokenizerSpec.model_fields[name].default for name in trained}
        changed = sorted(name for name in trained if getattr(self, name) != defaults[name])
        if self.file is not None and changed:
            raise ValueError(f"a tokenizer file is taken as it is; leave out {', '.join(changed)}")
        if self.file is None and self.end_of_text is not None:
            raise ValueError("end_of_text belongs to a tokenizer file; a trained one has its own")
        return self

    @property
    def rows(self) -> int:
        """Rows of the embedding: the pieces, and what is reserved."""
        pieces = self.vocab_size if self.file is None else vocabulary_size(self.file)
        return pieces + self.reserved


class TokenizerCard(Frozen):
    """``tokenizer.json``: what the vocabulary was trained on, and how; or which file it is."""

    request: dict[str, Any]
    info: TokenizerInfo
    model: str = MODEL
    eos_id: int = EOS_ID
    character_coverage: float | None = None
    sample_bytes: dict[str, int] = Field(default_factory=dict)


class Tokenizer:
    """A vocabulary that is in the cache.

    Attributes:
        path: its directory.
        card: what it says of itself.
    """

    def __init__(self, path: Path, card: TokenizerCard) -> None:
        self.path = path
        self.card = card
        self._vocabulary = load_file(path / card.model)

    @property
    def info(self) -> TokenizerInfo:
        """Name, size and hash, as run records hold them."""
        return self.card.info

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return self.card.info.vocab_size

    @property
    def eos_id(self) -> int:
        """The id that ends every line."""
        return self.card.eos_id

    @property
    def file(self) -> Path:
        """What it is in: a SentencePiece model, or a ``tokenizer.json``."""
        return self.path / self.card.model

    @property
    def is_own(self) -> bool:
        """Whether it was trained here: unigram, byte fallback, text cut as it is."""
        return self.card.character_coverage is not None

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line, without the id that ends it."""
        return self._vocabulary.encode(lines)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; the inverse of ``encode`` for one line."""
        return self._vocabulary.decode(ids)


def train_tokenizer(
    corpus: Corpus,
    spec: TokenizerSpec,
    *,
    languages: Sequence[str] | None = None,
    cache: Path,
    say: Say = silent,
) -> Tokenizer:
    """The vocabulary of a corpus: from the cache, or trained on its training text into it.

    The same corpus and spec give the same vocabulary on every machine: one thread, a fixed sample.

    Args:
        corpus: the text.
        spec: what vocabulary.
        languages: on which of the corpus to train; all unless given.
        cache: the cache directory.
        say: is told what is being done.

    Raises:
        InputError: the text is too small for so many pieces, a file cannot be used, or what reads
            it is not installed.
        SourceError: the cache cannot be written.
    """
    if spec.file is not None:
        return _adopt(spec.file, spec.end_of_text, cache)
    codes = corpus.languages if languages is None else tuple(sorted(languages))
    request = {
        "corpus": corpus.sha256,
        "languages": list(codes),
        "spec": spec.model_dump(mode="json", exclude={"file", "end_of_text", "reserved"}),
        "sentencepiece": sentencepiece().__version__,
        "version": _TRAINER_VERSION,
    }
    path = cache / "tokenizers" / key_of(request)
    if (found := _find(path)) is not None:
        return found
    say(f"training a vocabulary of {spec.vocab_size} pieces on {_listed(codes)}")
    budgets = byte_budgets(
        {code: corpus.record(code).train.bytes for code in codes},
        temperature=spec.temperature,
        total=spec.sample_bytes,
    )
    sample = {code: list(first_bytes(corpus.train_lines(code), budgets[code])) for code in codes}
    coverage = affordable_coverage(sample.values(), spec)
    model = _train([line for lines in sample.values() for line in lines], spec, coverage)
    with new_directory(path) as scratch:
        (scratch / MODEL).write_bytes(model)
        card = TokenizerCard(
            request=request,
            info=TokenizerInfo(
                name=f"unigram-{spec.vocab_size}-{'-'.join(_short_names(codes))}",
                vocab_size=spec.vocab_size,
                sha256=sha256_of(scratch / MODEL),
            ),
            character_coverage=coverage,
            sample_bytes={
                code: sum(len(line.encode()) + 1 for line in lines)
                for code, lines in sample.items()
            },
        )
        (scratch / CARD).write_text(card.model_dump_json(indent=1) + "\n", "utf-8")
    return open_tokenizer(path)


def open_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in the directory ``path``.

    Raises:
        InputError: there is none, or its model is not the one its card names.
    """
    try:
        card = TokenizerCard.model_validate_json((path / CARD).read_bytes())
    except (FileNotFoundError, ValidationError):
        raise InputError("this directory holds no tokenizer", value=str(path)) from None
    model = path / card.model
    if not model.is_file() or sha256_of(model) != card.info.sha256:
        raise InputError(
            "the model of this tokenizer is damaged",
            where=str(model),
            remedy="remove the directory and train it again",
        )
    return Tokenizer(path, card)


def byte_budgets(available: Mapping[str, int], *, temperature: float, total: int) -> dict[str, int]:
    """Bytes to draw of each language, repetitions included: shares ∝ ``bytes^(1/T)`` of ``total``.

    ``total`` is at most what there is. A small text is repeated up to ``MAX_REPEATS`` times, then
    its language gets less than its share.

    >>> byte_budgets({"a": 100, "b": 900}, temperature=1e9, total=400)
    {'a': 200, 'b': 200}
    """
    weights = {code: n ** (1.0 / temperature) for code, n in available.items()}
    total = min(total, sum(available.values()))
    return {
        code: min(round(total * weights[code] / sum(weights.values())), MAX_REPEATS * n)
        for code, n in available.items()
    }


def first_bytes(lines: Iterable[str], budget: int) -> Iterator[str]:
    """The first lines that fit into ``budget`` bytes, begun again where they do not fill it.

    A corpus is in random order already, so the first lines are a sample.
    """
    for line in cycle(lines):  # reads no further than it is asked to
        budget -= len(line.encode()) + 1
        if budget < 0:
            return
        yield line


def affordable_coverage(texts: Iterable[Sequence[str]], spec: TokenizerSpec) -> float:
    """The coverage asked for, or what a quarter of the vocabulary can hold if that is less."""
    counts: Counter[str] = Counter()
    for lines in texts:
        for line in lines:
            counts.update(line)
    room = int(MAX_CHARACTER_SHARE * (spec.vocab_size - N_BYTE_PIECES - 2))
    commonest = [n for _, n in counts.most_common(room)]
    if len(counts) <= room or not counts:
        return spec.character_coverage
    # SentencePiece stops at the first character that reaches the coverage: aim just below the last.
    affordable = (sum(commonest) - 0.5) / counts.total()
    return min(spec.character_coverage, max(MIN_COVERAGE, affordable))


def _train(lines: Sequence[str], spec: TokenizerSpec, coverage: float) -> bytes:
    model = io.BytesIO()
    try:
        sentencepiece().SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type="unigram",
            vocab_size=spec.vocab_size,
            character_coverage=coverage,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            unk_id=UNK_ID,
            eos_id=EOS_ID,
            bos_id=-1,
            pad_id=-1,
            num_threads=1,
            shuffle_input_sentence=False,
            max_sentence_length=1 << 20,
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise InputError(
            "a vocabulary of this size cannot be trained on this text: "
            + str(error).rsplit("]", 1)[-1].strip(),
            value=spec.vocab_size,
            where="tokenizer.vocab_size",
            remedy="ask for fewer pieces, or give more text",
        ) from error
    return model.getvalue()


def _find(path: Path) -> Tokenizer | None:
    try:
        return open_tokenizer(path)
    except InputError:
        discard(path)
        return None


def _short_names(languages: Sequence[str]) -> list[str]:
    few = [code.split("_")[0] for code in languages]
    return few if len(few) <= 8 else [f"{len(few)}languages"]


def _listed(languages: Sequence[str]) -> str:
    return languages[0] if len(languages) == 1 else f"{len(languages)} languages"


def _paragraphs(documents: Iterable[str]) -> Iterator[str]:
    for document in documents:
        yield from document.split("\n")


def _adopt(file: Path, end_of_text: str | None, cache: Path) -> Tokenizer:
    """A user's tokenizer file, copied into the cache."""
    vocabulary = load_file(file)
    eos_id = vocabulary.end_id(end_of_text)
    if eos_id is None:
        raise InputError(
            "which piece of this tokenizer ends a text?"
            if end_of_text is None
            else "this tokenizer has no such piece",
            value=end_of_text,
            where=str(file),
            remedy="name one that it has: tokenizer: {file: …, end_of_text: PIECE}",
        )
    digest = sha256_of(file)
    request = {"file": digest, "end_of_text": end_of_text, "version": _TRAINER_VERSION}
    path = cache / "tokenizers" / key_of(request)
    if (found := _find(path)) is not None:
        return found
    model = MODEL if file.suffix == SENTENCEPIECE else VOCABULARY
    with new_directory(path) as scratch:
        (scratch / model).write_bytes(file.read_bytes())
        card = TokenizerCard(
            request=request,
            info=TokenizerInfo(
                name=f"{file.parent.name}/{file.name}", vocab_size=vocabulary.size, sha256=digest
            ),
            model=model,
            eos_id=eos_id,
        )
        (scratch / CARD).write_text(card.model_dump_json(indent=1) + "\n", "utf-8")
    return open_tokenizer(path)
