"""What a tokenizer does to each language: fertility, and premiums over a reference language.

Measured on the evaluation text. Fertility is tokens per byte and per word. Where the text is
aligned (the same content in every language) the byte premium is ``bytes(l) / bytes(reference)`` and
the token premium ``tokens(l) / tokens(reference)``: what the same content costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.study.corpus_store import Corpus, EvaluationText
from atlas_scaling.study.scripts import is_spaced, script_of
from atlas_scaling.study.tokenizer import Tokenizer

ENGLISH: Final = "eng_Latn"


@dataclass(frozen=True, slots=True)
class LanguageFertility(Answer):
    """One language's row. Tokens do not count the end of a line, bytes not its newline.

    ``tokens_per_word`` is None in scripts without spaces; the premiums are None where the
    evaluation text is not aligned with the reference's.
    """

    language: str
    n_lines: int
    n_bytes: int
    n_tokens: int
    tokens_per_byte: float
    tokens_per_word: float | None
    byte_premium: float | None
    token_premium: float | None


@dataclass(frozen=True, slots=True)
class FertilityReport(Answer):
    """All languages of a corpus under one tokenizer; ``reference`` has the premiums 1.

    ``aligned`` says whether all have premiums; ``not_aligned`` names those that have none.
    """

    tokenizer: str
    corpus_sha256: str
    reference: str
    aligned: bool
    not_aligned: tuple[str, ...]
    languages: tuple[LanguageFertility, ...]


def fertility_report(
    corpus: Corpus, tokenizer: Tokenizer, *, reference: str | None = None
) -> FertilityReport:
    """Measure ``tokenizer`` on the evaluation text of ``corpus``.

    Args:
        corpus: the text.
        tokenizer: what cuts it.
        reference: the language that premiums are over; English if it is there, else the first, of
            those whose evaluation text is aligned if some is.

    Raises:
        InputError: ``reference`` is no language of the corpus, or its evaluation text is not
            aligned while that of others is.
    """
    kinds = corpus.evaluation_text
    aligned = [code for code in corpus.languages if kinds.get(code) is EvaluationText.ALIGNED]
    if reference is None:
        choice = aligned or corpus.languages
        reference = ENGLISH if ENGLISH in choice else choice[0]
    corpus.record(reference)
    if aligned and reference not in aligned:
        raise InputError(
            "nothing compares with this language: its evaluation text is its own",
            value=reference,
            where="reference",
            remedy=f"choose one of {', '.join(aligned)}",
        )
    counts = {code: _Counts.of(corpus, tokenizer, code) for code in corpus.languages}
    base = counts[reference]
    return FertilityReport(
        tokenizer=tokenizer.info.name,
        corpus_sha256=corpus.sha256,
        reference=reference,
        aligned=len(aligned) == len(corpus.languages),
        not_aligned=tuple(code for code in corpus.languages if code not in aligned),
        languages=tuple(
            LanguageFertility(
                language=code,
                n_lines=count.lines,
                n_bytes=count.bytes,
                n_tokens=count.tokens,
                tokens_per_byte=count.tokens / count.bytes,
                tokens_per_word=count.tokens / count.words if is_spaced(script_of(code)) else None,
                byte_premium=count.bytes / base.bytes if code in aligned else None,
                token_premium=count.tokens / base.tokens if code in aligned else None,
            )
            for code, count in counts.items()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Counts:
    lines: int
    words: int
    bytes: int
    tokens: int

    @classmethod
    def of(cls, corpus: Corpus, tokenizer: Tokenizer, language: str) -> _Counts:
        lines = list(corpus.eval_lines(language))
        return cls(
            lines=len(lines),
            words=sum(len(line.split()) for line in lines),
            bytes=sum(len(line.encode()) for line in lines),
            tokens=sum(map(len, tokenizer.encode(lines))),
        )
