"""Makes the embedded corpus from its files, a language at a time.

1. Each part is cleaned onto disk (``clean_sources``).
2. Evaluation text is chosen by aligned id (``aligned_split``).
3. Each language is freed of copies (``deduplication``) and written.

One language is in memory at a time, and of all of them the evaluation text. What is done is noted,
so that a build that was cut off, even by kill -9, goes on and gives the same bytes::

    BUILD/work/parts/PART/          step 1
    BUILD/work/written/CODE.json    step 3 is done for a language: its record
    BUILD/whole/                    the corpus
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.study.aligned_split import (
    AlignedText,
    Evaluation,
    choose_evaluation,
    messages_to_withhold,
)
from atlas_scaling.study.cache import WHOLE, noted
from atlas_scaling.study.clean_sources import CleanedSource, clean_source
from atlas_scaling.study.corpus_sources import ENGLISH, SOURCES, WheelText
from atlas_scaling.study.corpus_store import (
    EVALUATION,
    IDS,
    MANIFEST,
    TRAIN,
    LanguageRecord,
    Line,
    write_language,
    write_lines,
    write_manifest,
)
from atlas_scaling.study.debian import DEBIAN_SOURCES, DebianText
from atlas_scaling.study.deduplication import distinct_lines
from atlas_scaling.study.embedded_corpus import EmbeddedSpec, Fetched, source_records
from atlas_scaling.study.say import Pace, Say

MAX_EVAL_SHARE: Final = 0.25
"""At most this share of the language with the least text becomes evaluation text."""

_STEP_SECONDS: Final = (50.0, 50.0)  # cleaning and writing, about, as measured: for the time left

TEST_MESSAGE: Final = "of_a_message_in_the_evaluation_text"
"""Why a good line is no training text: it says what an evaluation line says."""


def build_embedded(
    place: Path,
    spec: EmbeddedSpec,
    languages: Sequence[str],
    request: Mapping[str, Any],
    *,
    fetched: Mapping[str, Fetched],
    problems: Mapping[str, SourceError],
    say: Say,
) -> None:
    """Build a corpus in ``place / WHOLE``, or go on with it (``cache.resumable_directory``).

    Args:
        place: where.
        spec: what was asked for.
        languages: codes, sorted.
        request: for the manifest.
        fetched: the files of each part that is there.
        problems: why the other parts are not.
        say: is told what is being done.

    Raises:
        InputError: a language has no text, or the languages share none to evaluate on.
        SourceError: the same, where a part is missing; or a file cannot be read.
    """
    whole, work = place / WHOLE, place / "work"
    if (whole / MANIFEST).exists():
        return
    for folder in (whole / TRAIN, whole / EVALUATION, work / "written"):
        folder.mkdir(parents=True, exist_ok=True)
    cleaning, writing = Pace(say).parts(_STEP_SECONDS)
    paces = cleaning.parts([_size(files) for files in fetched.values()])
    texts = {
        part: _cleaned(work / "parts" / part, part, files, languages, say, pace)
        for (part, files), pace in zip(fetched.items(), paces, strict=True)
    }
    sizes = _sizes(texts, languages)
    _refuse_empty(texts, sizes, problems)
    chosen = choose_evaluation(
        texts,
        languages,
        n_lines=min(spec.eval_lines, max(1, int(MAX_EVAL_SHARE * min(sizes.values())))),
        seed=spec.seed,
        reference=ENGLISH,
    )
    if not chosen.units:
        raise _nothing_shared(texts, languages, problems)
    build = _Writing(whole, work, texts, languages, chosen, spec.seed, writing)
    ids = build.evaluation_ids()
    records = build.languages_written()
    write_lines(whole / EVALUATION / IDS, ids)
    write_manifest(
        whole,
        records,
        request=request,
        aligned=True,
        sources=source_records(spec, fetched, problems),
        notes=_notes(spec, len(ids), sum(chosen.n_eligible.values())),
    )


def _cleaned(
    folder: Path, part: str, files: Fetched, languages: Sequence[str], say: Say, pace: Pace
) -> CleanedSource:
    say(f"reading and cleaning {part}")
    with (
        closing(WheelText(SOURCES[part], files, languages))
        if isinstance(files, Path)
        else nullcontext(DebianText(DEBIAN_SOURCES[part], files))
    ) as text:
        return clean_source(folder, text, languages, pace)


def _size(files: Fetched) -> int:
    """Bytes of a part's files."""
    paths = [files] if isinstance(files, Path) else files.values()
    return sum(path.stat().st_size for path in paths)


def _sizes(texts: AlignedText, languages: Sequence[str]) -> dict[str, int]:
    """Usable lines of each language."""
    return {
        code: sum(
            len(lines)
            for text in texts.values()
            if code in text
            for lines in text[code].lines.values()
        )
        for code in languages
    }


class _Writing:
    """Step 3."""

    def __init__(
        self,
        whole: Path,
        work: Path,
        texts: Mapping[str, CleanedSource],
        languages: Sequence[str],
        chosen: Evaluation,
        seed: int,
        pace: Pace,
    ) -> None:
        self.whole, self.work = whole, work
        self.texts, self.languages, self.chosen, self.seed = texts, languages, chosen, seed
        self.units = frozenset(chosen.units)
        self.withheld = {
            part: messages_to_withhold(text, chosen.prints) for part, text in texts.items()
        }
        self.of_test_messages: dict[str, int] = {}
        self.pace = pace

    def evaluation_ids(self) -> list[str]:
        """A name for each evaluation line."""
        ids: list[str] = []
        first = {part: text.get(self.languages[0]) for part, text in self.texts.items()}
        for part, identity in self.chosen.units:
            text = first[part]
            assert text is not None
            ids += [f"{part}:{identity}"] * len(text.lines[identity])
        return ids

    def languages_written(self) -> dict[str, LanguageRecord]:
        """Write every language that is not written yet; the records of all."""
        dropped = {
            code: sum((text.dropped(code) for text in self.texts.values()), Counter())
            for code in self.languages
        }
        withheld = frozenset().union(*self.chosen.prints.values())
        in_turn = distinct_lines(
            self._candidates,
            self.languages,
            withheld=withheld,
            seed=self.seed,
            dropped=dropped,
            folder=self.work / "copies",
        )
        records = {}
        for number, (code, train) in enumerate(in_turn, 1):
            n = len(self.languages)
            self.pace.offer(lambda: f"writing {code} ({number} of {n})", (number - 1) / n)  # noqa: B023
            record = noted(
                self.work / "written" / f"{code}.json",
                lambda: self._written(code, train, dropped[code]).model_dump_json(),  # noqa: B023
            )
            records[code] = LanguageRecord.model_validate_json(record)
        return records

    def _written(self, code: str, train: Sequence[Line], dropped: Counter[str]) -> LanguageRecord:
        evaluation = self._evaluation(code)
        _refuse_untrainable(code, train, len(evaluation))
        if self.of_test_messages[code]:
            dropped[TEST_MESSAGE] += self.of_test_messages[code]
        return write_language(self.whole, code, train, evaluation, dropped)

    def _evaluation(self, code: str) -> list[Line]:
        """The evaluation lines of a language, in order."""
        texts = {part: text.get(code) for part, text in self.texts.items()}
        lines = []
        for part, identity in self.chosen.units:
            text = texts[part]
            assert text is not None  # what is chosen is there in every language
            lines += [Line(line, part) for line in text.lines[identity]]
        return lines

    def _candidates(self, code: str) -> list[Line]:
        """Lines of the messages that have nothing to do with the evaluation text."""
        candidates: list[Line] = []
        n_withheld = 0
        for part, by_language in self.texts.items():
            if code not in by_language:
                continue
            for identity, lines in by_language[code].lines.items():
                if identity not in self.withheld[part]:
                    candidates += (Line(line, part) for line in lines)
                elif (part, identity) not in self.units:
                    n_withheld += len(lines)
        self.of_test_messages[code] = n_withheld
        return candidates


def _notes(spec: EmbeddedSpec, n_lines: int, n_eligible: int) -> list[str]:
    if n_lines == spec.eval_lines:
        return []
    return [
        f"{n_lines} evaluation lines instead of {spec.eval_lines}: the languages share "
        f"{n_eligible} messages, and at most {MAX_EVAL_SHARE:.0%} of the smallest language's "
        "text is taken"
    ]


def _refuse_empty(
    texts: AlignedText, sizes: Mapping[str, int], problems: Mapping[str, SourceError]
) -> None:
    empty = [code for code, n in sizes.items() if not n]
    if empty:
        raise _too_little(
            f"there is no text for {', '.join(empty)}",
            value=empty,
            parts=list(texts),
            remedy="leave the language out, or add a part that has it: "
            + ", ".join(name for name in SOURCES if name not in texts),
            problems=problems,
        )


def _refuse_untrainable(code: str, train: Sequence[Line], n_eval: int) -> None:
    if not train:
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
