"""The tokenizer: one SentencePiece unigram vocabulary with byte fallback over a study's languages.

Training text is drawn from each language in proportion to ``bytes^(1/T)``; T = 100, the paper's
(appendix B.2), is nearly even. Text is cut as it is, without normalisation: decoding gives it back.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, ValidationError

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import Frozen, TokenizerInfo
from atlas_scaling.study.cache import discard, key_of, new_directory, sha256_of
from atlas_scaling.study.corpus_store import Corpus
from atlas_scaling.study.say import Say, silent

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

MODEL: Final = "tokenizer.model"
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
    """What vocabulary to train.

    Attributes:
        vocab_size: pieces in all, the 256 bytes and the two control pieces included.
        temperature: T of the sampling over languages; 1 is by size, large is even.
        character_coverage: share of the characters of the text that get a piece of their own; less
            where that would take more than a quarter of the vocabulary.
        sample_bytes: text to train on at most, over all languages.
    """

    vocab_size: int = Field(default=4096, ge=300, le=262_144)
    temperature: float = Field(default=100.0, ge=1.0)
    character_coverage: float = Field(default=0.999995, ge=MIN_COVERAGE, le=1.0)
    sample_bytes: int = Field(default=5_000_000, gt=0)


class TokenizerCard(Frozen):
    """``tokenizer.json``: what the vocabulary was trained on, and how."""

    request: dict[str, Any]
    info: TokenizerInfo
    character_coverage: float
    sample_bytes: dict[str, int]


class Tokenizer:
    """A trained vocabulary.

    Attributes:
        path: its directory.
        card: what it says of itself.
    """

    def __init__(self, path: Path, card: TokenizerCard) -> None:
        self.path = path
        self.card = card
        self._processor = _load(path / MODEL)

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
        return EOS_ID

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Ids of each line, without the id that ends it."""
        return list(self._processor.encode(list(lines), out_type=int, num_threads=1))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids; the inverse of ``encode`` for one line."""
        return str(self._processor.decode([int(i) for i in ids]))


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
        InputError: the text is too small for so many pieces, or sentencepiece is not installed.
        SourceError: the cache cannot be written.
    """
    codes = corpus.languages if languages is None else tuple(sorted(languages))
    request = {
        "corpus": corpus.sha256,
        "languages": list(codes),
        "spec": spec.model_dump(mode="json"),
        "sentencepiece": _sentencepiece().__version__,
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
    model = path / MODEL
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
        _sentencepiece().SentencePieceTrainer.train(
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


def _load(model: Path) -> SentencePieceProcessor:
    processor: SentencePieceProcessor = _sentencepiece().SentencePieceProcessor(
        model_file=str(model)
    )
    return processor


def _sentencepiece() -> Any:
    """The optional package, imported where it is needed."""
    try:
        import sentencepiece
    except ImportError:
        raise InputError(
            "sentencepiece is not installed", remedy="pip install 'atlas-scaling[train]'"
        ) from None
    return sentencepiece
