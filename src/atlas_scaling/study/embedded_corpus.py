"""The embedded corpus: translations of programs that a machine gets through pip, or apt.

Messages are read from pinned wheels (``corpus_sources``), cleaned (``cleaning``), split by aligned
id (``aligned_split``) and freed of copies (``deduplication``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field

from atlas_scaling.errors import InputError, SourceError, nearest
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.aligned_split import (
    AlignedText,
    CleanText,
    Evaluation,
    choose_evaluation,
    messages_to_withhold,
)
from atlas_scaling.study.clean_sources import clean_source
from atlas_scaling.study.cleaning import CLEANING_VERSION
from atlas_scaling.study.corpus_sources import DEFAULT_SOURCES, ENGLISH, SOURCES, read_source
from atlas_scaling.study.corpus_store import CorpusText, Line, SourceRecord
from atlas_scaling.study.debian import DEBIAN_SOURCES, fetch_debian, read_debian, version_of
from atlas_scaling.study.deduplication import distinct_lines
from atlas_scaling.study.downloads import fetch_wheel
from atlas_scaling.study.locales import CODE_OF_LOCALE
from atlas_scaling.study.say import Say

Fetched: TypeAlias = Path | dict[str, Path]
"""A wheel, or Debian packages by language."""

MAX_EVAL_SHARE: Final = 0.25
"""At most this share of the language with the least text becomes evaluation text."""

TEST_MESSAGE: Final = "of_a_message_in_the_evaluation_text"
"""Why a good line is no training text: it says what an evaluation line says."""

ASSEMBLY_VERSION: Final = 1
"""Raised with every change that alters a corpus but no cleaned line (``CLEANING_VERSION``)."""


def _known_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    known = (*SOURCES, *DEBIAN_SOURCES)
    for part in parts:
        if part not in known:
            hint = nearest(part, known) or f"there are {', '.join(known)}"
            raise ValueError(f"{part!r} is no part of the embedded corpus; {hint}")
    if len(set(parts)) < len(parts):
        raise ValueError("a part is named twice")
    return parts


class EmbeddedSpec(Frozen):
    """Text that comes through pip.

    Attributes:
        source: says that it is this one.
        parts: names of its sources, see ``corpus_sources.SOURCES`` and ``debian.DEBIAN_SOURCES``.
        eval_lines: evaluation lines wanted in each language; fewer where the languages share less.
        seed: of the choice of evaluation text and of the order of training lines.
    """

    source: Literal["embedded"]
    parts: Annotated[tuple[str, ...], AfterValidator(_known_parts)] = Field(
        default=DEFAULT_SOURCES, min_length=1
    )
    eval_lines: int = Field(default=800, gt=0)
    seed: int = 0


def embedded_request(
    spec: EmbeddedSpec, languages: Sequence[str], missing: Sequence[str] = ()
) -> dict[str, Any]:
    """All that a corpus depends on; ``missing`` are parts that could not be had."""
    return {
        "spec": spec.model_dump(mode="json"),
        "languages": list(languages),
        "wheels": {
            part: SOURCES[part].wheel.sha256
            for part in spec.parts
            if part in SOURCES and part not in missing
        },
        "cleaning": CLEANING_VERSION,
        "assembly": ASSEMBLY_VERSION,
    }


def check_languages(languages: Sequence[str]) -> None:
    """Refuse languages that no source of the embedded corpus has.

    Raises:
        InputError: with the nearest codes that are there.
    """
    known = sorted(set(CODE_OF_LOCALE.values()))
    for code in languages:
        if code not in known:
            raise InputError(
                "the embedded corpus has no such language",
                value=code,
                where="languages",
                remedy=nearest(code, known) or f"it has {', '.join(known)}",
            )


def fetch_parts(
    spec: EmbeddedSpec, languages: Sequence[str], cache: Path, say: Say
) -> tuple[dict[str, Fetched], dict[str, SourceError]]:
    """What was fetched of each part, and the error of each part that cannot be had.

    Raises:
        SourceError: not one part can be had.
    """
    wheels: dict[str, Fetched] = {}
    problems: dict[str, SourceError] = {}
    for part in spec.parts:
        try:
            wheels[part] = (
                fetch_wheel(SOURCES[part].wheel, cache, say=say)
                if part in SOURCES
                else fetch_debian(DEBIAN_SOURCES[part], languages, cache, say)
            )
        except SourceError as error:
            problems[part] = error
            say(f"going on without the source {part}: {error.problem}")
    if not wheels:
        raise next(iter(problems.values()))
    return wheels, problems


def gather_embedded(
    spec: EmbeddedSpec,
    languages: Sequence[str],
    *,
    wheels: Mapping[str, Fetched],
    problems: Mapping[str, SourceError],
    say: Say,
) -> CorpusText:
    """Read, clean, split and free of copies.

    Args:
        spec: what was asked for.
        languages: codes, sorted.
        wheels: what was fetched of each part that is there.
        problems: why the other parts are not.
        say: is told what is being done.

    Raises:
        InputError: a language has no text, or the languages share none to evaluate on.
        SourceError: the same, where a part is missing; or a file cannot be read.
    """
    dropped: dict[str, Counter[str]] = {code: Counter() for code in languages}
    texts: dict[str, dict[str, CleanText]] = {}
    for part, wheel in wheels.items():
        say(f"reading and cleaning {part}")
        messages = (
            read_source(SOURCES[part], wheel, languages)
            if isinstance(wheel, Path)
            else read_debian(DEBIAN_SOURCES[part], wheel)
        )
        texts[part] = clean_source(messages, dropped, say)
    _refuse_empty(texts, languages, problems)

    chosen = choose_evaluation(
        texts,
        languages,
        n_lines=min(spec.eval_lines, _most_evaluation_lines(texts, languages)),
        seed=spec.seed,
        reference=ENGLISH,
    )
    if not chosen.units:
        raise _nothing_shared(texts, languages, problems)
    evaluation = {code: _lines_of(chosen, texts, code) for code in languages}
    train = distinct_lines(
        _training_candidates(texts, languages, chosen, dropped),
        withheld=frozenset().union(*chosen.prints.values()),
        seed=spec.seed,
        dropped=dropped,
    )
    _refuse_untrainable(train, len(evaluation[languages[0]]))
    ids = [
        f"{part}:{identity}"
        for part, identity in chosen.units
        for _ in texts[part][languages[0]].lines[identity]
    ]
    notes = _notes(spec, len(ids), sum(chosen.n_eligible.values()))
    return CorpusText(train, evaluation, ids, _records(spec, wheels, problems), dropped, notes)


def _notes(spec: EmbeddedSpec, n_lines: int, n_eligible: int) -> list[str]:
    if n_lines == spec.eval_lines:
        return []
    return [
        f"{n_lines} evaluation lines instead of {spec.eval_lines}: the languages share "
        f"{n_eligible} messages, and at most {MAX_EVAL_SHARE:.0%} of the smallest language's "
        "text is taken"
    ]


def _lines_of(chosen: Evaluation, texts: AlignedText, code: str) -> list[Line]:
    return [
        Line(line, part)
        for part, identity in chosen.units
        for line in texts[part][code].lines[identity]
    ]


def _most_evaluation_lines(texts: AlignedText, languages: Sequence[str]) -> int:
    sizes = (
        sum(
            len(lines)
            for text in texts.values()
            if code in text
            for lines in text[code].lines.values()
        )
        for code in languages
    )
    return max(1, int(MAX_EVAL_SHARE * min(sizes)))


def _training_candidates(
    texts: AlignedText,
    languages: Sequence[str],
    chosen: Evaluation,
    dropped: Mapping[str, Counter[str]],
) -> dict[str, list[Line]]:
    """Lines of the messages that have nothing to do with the evaluation text."""
    units = frozenset(chosen.units)
    candidates: dict[str, list[Line]] = {code: [] for code in languages}
    for part, by_language in texts.items():
        withheld = messages_to_withhold(by_language, chosen.prints)
        for code in languages:
            if code not in by_language:
                continue
            for identity, lines in by_language[code].lines.items():
                if identity not in withheld:
                    candidates[code] += (Line(line, part) for line in lines)
                elif (part, identity) not in units:
                    dropped[code][TEST_MESSAGE] += len(lines)
    return candidates


def _records(
    spec: EmbeddedSpec, wheels: Mapping[str, Fetched], problems: Mapping[str, SourceError]
) -> tuple[SourceRecord, ...]:
    return tuple(
        _record(part, wheels.get(part), problems[part].problem if part in problems else None)
        for part in spec.parts
    )


def _record(part: str, fetched: Fetched | None, problem: str | None) -> SourceRecord:
    if part in SOURCES:
        source = SOURCES[part]
        return SourceRecord(
            name=part,
            licence=source.licence,
            homepage=source.homepage,
            pin=source.wheel.pin,
            filename=source.wheel.filename,
            sha256=source.wheel.sha256,
            problem=problem,
        )
    packages = {} if fetched is None or isinstance(fetched, Path) else fetched
    return SourceRecord(
        name=part,
        licence=DEBIAN_SOURCES[part].licence,
        homepage=DEBIAN_SOURCES[part].homepage,
        pin=", ".join(version_of(one) for one in packages.values()) or None,
        problem=problem,
    )


def _refuse_empty(
    texts: AlignedText,
    languages: Sequence[str],
    problems: Mapping[str, SourceError],
) -> None:
    empty = [
        code
        for code in languages
        if not any(code in text and text[code].lines for text in texts.values())
    ]
    if empty:
        raise _too_little(
            f"there is no text for {', '.join(empty)}",
            value=empty,
            parts=list(texts),
            remedy="leave the language out, or add a part that has it: "
            + ", ".join(name for name in SOURCES if name not in texts),
            problems=problems,
        )


def _refuse_untrainable(train: Mapping[str, Sequence[Line]], n_eval: int) -> None:
    for code, lines in train.items():
        if not lines:
            raise InputError(
                f"nothing is left to train on for {code}: its text is copies of evaluation text",
                value=f"{n_eval} evaluation lines",
                where="corpus.eval_lines",
                remedy="ask for fewer evaluation lines, or leave the language out",
            )


def _nothing_shared(
    texts: AlignedText,
    languages: Sequence[str],
    problems: Mapping[str, SourceError],
) -> InputError | SourceError:
    whole = {
        code: sum(len(text[code].whole) for text in texts.values() if code in text)
        for code in languages
    }
    fewest = min(whole, key=lambda code: whole[code])
    return _too_little(
        "no message is there in all of these languages, so there is nothing to evaluate on",
        value=list(languages),
        parts=list(texts),
        remedy=f"leave out {fewest}, which has the fewest messages ({whole[fewest]})",
        problems=problems,
    )


def _too_little(
    problem: str,
    *,
    value: object,
    parts: Sequence[str],
    remedy: str,
    problems: Mapping[str, SourceError],
) -> InputError | SourceError:
    """Whose fault it is that text is missing: the source's that is gone, else the request's."""
    where = f"corpus.parts: {', '.join(parts)}"
    if not problems:
        return InputError(problem, value=value, where=where, remedy=remedy)
    gone = "; ".join(error.problem for error in problems.values())
    first = next(iter(problems.values()))
    return SourceError(
        f"{problem} without what could not be fetched ({gone})",
        value=value,
        where=where,
        remedy=first.remedy,
    )
