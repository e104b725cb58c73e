"""Builds a corpus from documents that stream by: memory does not grow with the text.

1. Documents are read once, language by language, and sorted on disk by a seeded hash of their
   fingerprint, so that copies come to lie side by side and the order is a shuffle.
2. Hashes of all languages are sorted together: of a document that stands in several languages, one
   language keeps it.
3. Each language is read in its new order and written, without copies and without what the
   evaluation text has.

Evaluation text is given, or is split off by document, as the documents whose hash comes first:
a document stays on its side as the text grows.

What steps 1 and 3 made of a language is noted once it is whole, so that a build that was cut off,
even by kill -9, goes on with the next language and gives the same bytes::

    BUILD/work/read/CODE.json       step 1 is done: whether evaluation text was given
    BUILD/work/read/CODE/           its documents, sorted
    BUILD/work/read/CODE.keys       their hashes
    BUILD/work/read/CODE.eval       its evaluation lines
    BUILD/work/distinct.json        step 2 is done: distinct documents of each language
    BUILD/work/left/CODE            hashes that another language keeps
    BUILD/work/written/CODE.json    step 3 is done: its record
    BUILD/whole/                    the corpus
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeVar

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.cache import WHOLE, discard, noted
from atlas_scaling.study.cleaning import fingerprint, tidied
from atlas_scaling.study.contamination import PassageIndex
from atlas_scaling.study.corpus_store import (
    EVALUATION,
    IDS,
    MANIFEST,
    TRAIN,
    Contamination,
    EvaluationText,
    LanguageRecord,
    SourceRecord,
    SourceShare,
    TextRecord,
    text_path,
    write_lines,
    write_manifest,
)
from atlas_scaling.study.deduplication import Excess, leave_copies
from atlas_scaling.study.line_sort import MEMORY_BYTES, LineSorter
from atlas_scaling.study.say import Pace, Say

MAX_EVAL_SHARE: Final = 0.1
"""At most this share of a language's distinct documents becomes evaluation text."""

SHARED_PASSAGE: Final = "has_a_passage_of_the_evaluation_text"

STREAMING_VERSION: Final = 2
"""Raised with every change that alters a corpus which is built here."""

T = TypeVar("T")

_STEP_SECONDS: Final = (39.0, 2.0, 59.0)  # of a hundred, as measured: for the time left only
_KEY_DIGITS: Final = 16
_NAMED: Final = 12  # languages in a note
_BREAK: Final = "\u2028"


class GivenLine(NamedTuple):
    """A line of given evaluation text; equal ids say the same in every language."""

    identity: str
    text: str


@dataclass(frozen=True)
class Intake:
    """What a corpus is built from.

    Attributes:
        source: its name, as manifests have it.
        place: where a language's text comes from, for messages.
        documents: the documents of a language, each any text; read once.
        evaluation: given evaluation text of a language, or None.
        eval_lines: documents to split off for evaluation where it is None.
        seed: of that split and of the order.
        contamination: whether a training document that shares a passage with the evaluation text
            of its language is dropped or only reported.
        records: of the sources, for the manifest.
        has_ids: whether the identities of given evaluation text are the source's own, so that lines
            which a language lacks are left out of all; else they are line numbers.
        about_bytes: how much text a language has, for the time left; None if that is not known.
        memory: bytes of text to hold at a time.
    """

    source: str
    place: Callable[[str], str]
    documents: Callable[[str], Iterator[str]]
    evaluation: Callable[[str], Sequence[GivenLine] | None]
    eval_lines: int
    seed: int
    contamination: Literal["drop", "report"]
    records: Sequence[SourceRecord]
    has_ids: bool = False
    about_bytes: Callable[[str], int | None] = lambda _: None
    memory: int = MEMORY_BYTES


def build_streamed(
    place: Path, intake: Intake, languages: Sequence[str], request: Mapping[str, Any], say: Say
) -> None:
    """Build a corpus in ``place / WHOLE``, or go on with it (``cache.resumable_directory``).

    Raises:
        InputError: a language has no text, or too little to train and evaluate on.
        SourceError: a source cannot be read.
    """
    if not (place / WHOLE / MANIFEST).exists():
        _Build(place, intake, languages, say).run(request)


class _Read(Frozen):
    """That a language was read to its end; ``given`` says whether its evaluation text was."""

    given: bool


class _Build:
    def __init__(self, place: Path, intake: Intake, languages: Sequence[str], say: Say) -> None:
        self.whole, self.work = place / WHOLE, place / "work"
        self.intake = intake
        self.languages = languages
        self.say = say
        self.given: set[str] = set()
        self.aligned: set[str] = set()
        # ids of a language's evaluation lines, in order; the lines themselves lie on disk
        self.ids: dict[str, list[str]] = {}
        self.withheld: set[str] = set()
        self.dropped: dict[str, Counter[str]] = {code: Counter() for code in languages}

    def run(self, request: Mapping[str, Any]) -> None:
        for name in ("read", "left", "written"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        for name in (TRAIN, EVALUATION):
            (self.whole / name).mkdir(parents=True, exist_ok=True)
        n = len(self.languages)
        names = {code: f"{code} ({k} of {n})" for k, code in enumerate(self.languages, 1)}
        reading, settling, writing = Pace(self.say).parts(_STEP_SECONDS)
        for (code, name), pace in zip(names.items(), reading.parts(self._sizes()), strict=True):
            self._read(code, name, pace)
        distinct = self._settle_copies(settling)
        self._limit_evaluation(distinct)
        self._align()
        for code in self.languages:
            self.withheld.update(self._key(fingerprint(text)) for text in self._evaluation(code))
        paces = writing.parts([distinct[code] for code in self.languages])
        records = {
            code: self._write(code, name, distinct[code], pace)
            for (code, name), pace in zip(names.items(), paces, strict=True)
        }
        aligned = self.aligned == set(self.languages)
        if self.aligned:
            ids = next(self.ids[code] for code in self.languages if code in self.aligned)
            write_lines(self.whole / EVALUATION / IDS, ids)
        write_manifest(
            self.whole,
            records,
            request=request,
            aligned=aligned,
            sources=self.intake.records,
            notes=self._notes(),
        )

    def _sizes(self) -> list[float]:
        """About how much text each language has, or equal shares where that is not known."""
        sizes = [self.intake.about_bytes(code) for code in self.languages]
        return [1.0 if None in sizes else float(size or 0) for size in sizes]

    def _read(self, code: str, name: str, pace: Pace) -> None:
        """Step 1: sort a language's documents on disk, and keep those to evaluate on."""
        read = noted(
            self.work / "read" / f"{code}.json",
            lambda: _Read(given=self._read_text(code, name, pace)).model_dump_json(),
        )
        if _Read.model_validate_json(read).given:
            self.given.add(code)
        self.ids[code] = [identity for identity, _ in self._kept(code)]

    def _read_text(self, code: str, name: str, pace: Pace) -> bool:
        discard(self.work / "read" / code)  # half of it, of an earlier process
        given = self.intake.evaluation(code)
        expected = self.intake.about_bytes(code) or math.inf
        sorter = LineSorter(self.work / "read" / code, memory=self.intake.memory)
        first = _FirstDocuments(self.intake.eval_lines if given is None else 0)
        n_documents = n_bytes = 0
        with (self.work / "read" / f"{code}.keys").open("wb") as keys:
            for document in self.intake.documents(code):
                text = tidy(document)
                if not text:
                    continue
                print_ = fingerprint(text)
                key = self._key(print_).encode()
                data = text.replace("\n", _BREAK).encode()
                sorter.add(key + data)
                keys.write(key + b"\n")
                first.offer(_hash(print_, f"{self.intake.seed} eval"), text)
                n_documents += 1
                n_bytes += len(data)
                pace.offer(
                    lambda: f"reading {name}: {n_documents:,} documents, {n_bytes / 1e6:.0f} MB",  # noqa: B023
                    n_bytes / expected,
                )
        sorter.put_aside()
        self._put_aside(code, numbered_lines(first.texts()) if given is None else given)
        return given is not None

    def _put_aside(self, code: str, lines: Sequence[GivenLine]) -> None:
        """Keep a language's evaluation lines on disk."""
        kept = [GivenLine(line.identity, tidy(line.text)) for line in lines]
        self._evaluation_file(code).write_text(json.dumps(kept), "utf-8")

    def _evaluation_file(self, code: str) -> Path:
        return self.work / "read" / f"{code}.eval"

    def _kept(self, code: str) -> list[tuple[str, str]]:
        """Ids and texts of a language's evaluation lines, as they were read."""
        return [(one, text) for one, text in json.loads(self._evaluation_file(code).read_bytes())]

    def _evaluation(self, code: str) -> list[str]:
        """The evaluation lines that a language was left with, in order."""
        lines = dict(self._kept(code))
        return [lines[identity] for identity in self.ids[code]]

    def _settle_copies(self, pace: Pace) -> dict[str, int]:
        """Step 2: note what each language leaves to another; returns its distinct documents."""
        found = noted(self.work / "distinct.json", lambda: json.dumps(self._left_to_others(pace)))
        distinct: dict[str, int] = json.loads(found)
        return distinct

    def _left_to_others(self, pace: Pace) -> dict[str, int]:
        folder = self.work / "hashes"
        discard(folder)
        hashes = LineSorter(folder, memory=self.intake.memory)
        sorting, comparing = pace.parts([1, 1])
        files = [(code, self.work / "read" / f"{code}.keys") for code in self.languages]
        total = sum(path.stat().st_size for _, path in files) // (_KEY_DIGITS + 1)
        lines = (
            key[:_KEY_DIGITS] + b"\t" + code.encode()
            for code, path in files
            for key in _lines_of(path)
        )
        for line in _told(lines, total, sorting, "sorting hash"):
            hashes.add(line)
        distinct = leave_copies(
            _told(hashes.merged(), total, comparing, "comparing languages: hash"),
            self.languages,
            self.intake.seed,
            self.work / "left",
        )
        discard(folder)
        return distinct

    def _limit_evaluation(self, distinct: Mapping[str, int]) -> None:
        for code in self.languages:
            if code not in self.given:
                most = max(1, int(MAX_EVAL_SHARE * distinct[code]))
                self.ids[code] = self.ids[code][:most]

    def _align(self) -> None:
        """Bring given evaluation text into one order, if its lines say the same in all."""
        given = [code for code in self.languages if code in self.given]
        if not given:
            return
        ids = [self.ids[code] for code in given]
        if not self.intake.has_ids:
            if len({len(one) for one in ids}) == 1:
                self.aligned = self.given
            return
        shared = set(ids[0]).intersection(*ids[1:])
        if not shared or any(len(set(one)) < len(one) for one in ids):
            return
        order = [one for one in ids[0] if one in shared]
        self.ids |= dict.fromkeys(given, order)
        self.aligned = self.given

    def _write(self, code: str, name: str, n_distinct: int, pace: Pace) -> LanguageRecord:
        """Step 3: write a language."""
        record = noted(
            self.work / "written" / f"{code}.json",
            lambda: self._write_texts(code, name, n_distinct, pace).model_dump_json(),
        )
        discard(self.work / "read" / code)
        return LanguageRecord.model_validate_json(record)

    def _write_texts(self, code: str, name: str, n_distinct: int, pace: Pace) -> LanguageRecord:
        lines = self._evaluation(code)
        index = PassageIndex(lines)
        hits = Counter[bool]()
        train = write_lines(
            text_path(self.whole, TRAIN, code),
            _told(self._clean(code, index, hits), n_distinct, pace, f"writing {name}: document"),
        )
        evaluation = write_lines(text_path(self.whole, EVALUATION, code), lines)
        self._refuse_too_little(code, train, evaluation)
        return LanguageRecord(
            train=train,
            evaluation=evaluation,
            evaluation_text=self._kind_of_evaluation(code),
            sources={
                self.intake.source: SourceShare(
                    train_lines=train.lines, train_bytes=train.bytes, eval_lines=evaluation.lines
                )
            },
            dropped=dict(sorted(self.dropped[code].items())),
            contamination=Contamination(
                eval_lines=index.n_long_enough,
                eval_lines_found=index.n_found,
                train_lines=hits[True],
                dropped=self.intake.contamination == "drop",
            ),
        )

    def _kind_of_evaluation(self, code: str) -> EvaluationText:
        if code in self.aligned:
            return EvaluationText.ALIGNED
        return EvaluationText.GIVEN if code in self.given else EvaluationText.SPLIT_OFF

    def _clean(self, code: str, index: PassageIndex, hits: Counter[bool]) -> Iterator[str]:
        for text, hit in index.found_in(self._distinct(code)):
            hits[hit] += 1
            if hit and self.intake.contamination == "drop":
                self.dropped[code][SHARED_PASSAGE] += 1
            else:
                yield text

    def _distinct(self, code: str) -> Iterator[str]:
        """A language's documents in order, without copies and without evaluation text."""
        dropped, last = self.dropped[code], ""
        documents = LineSorter.reopened(self.work / "read" / code)
        with (self.work / "left" / code).open("rb") as left:
            other = left.readline()[:-1].decode()
            for line in documents.merged(keep=True):
                key = line[:_KEY_DIGITS].decode()
                while other and other < key:
                    other = left.readline()[:-1].decode()
                if key in self.withheld:
                    dropped[Excess.TEST_LINE] += 1
                elif key == last:
                    dropped[Excess.DUPLICATE] += 1
                elif key == other:
                    dropped[Excess.OTHER_LANGUAGE] += 1
                else:
                    yield line[_KEY_DIGITS:].decode().replace(_BREAK, "\n")
                last = key

    def _key(self, print_: str) -> str:
        return f"{_hash(print_, str(self.intake.seed)):016x}"

    def _refuse_too_little(self, code: str, train: TextRecord, evaluation: TextRecord) -> None:
        if not train.lines or not evaluation.lines:
            raise InputError(
                f"there is too little text for {code}: nothing is left to train or evaluate on",
                value=f"{train.lines} training, {evaluation.lines} evaluation lines",
                where=self.intake.place(code),
                remedy="give it more text that is not copies of itself, or leave the language out",
            )

    def _notes(self) -> list[str]:
        notes = []
        split = sorted(set(self.languages) - self.given)
        if split:
            some = ", ".join(split[:_NAMED])
            rest = f" and {len(split) - _NAMED} more" if len(split) > _NAMED else ""
            notes.append(f"evaluation lines split off by hash of the line: {some}{rest}")
        if not self.aligned:
            notes.append(
                "the evaluation text is not aligned: losses of two languages do not compare"
            )
        elif split:
            notes.append(
                "the evaluation text of these is their own, not aligned with the others': their "
                "losses do not compare with those of other languages"
            )
        return notes


class _FirstDocuments:
    """The distinct documents whose hashes come first, as many as wanted."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._heap: list[tuple[int, str]] = []  # of -hash, so that the last one is on top
        self._hashes: set[int] = set()

    def offer(self, hash_: int, text: str) -> None:
        if not self._n or hash_ in self._hashes:
            return
        if len(self._heap) < self._n:
            heapq.heappush(self._heap, (-hash_, text))
        elif hash_ < -self._heap[0][0]:
            gone = heapq.heapreplace(self._heap, (-hash_, text))
            self._hashes.remove(-gone[0])
        else:
            return
        self._hashes.add(hash_)

    def texts(self) -> list[str]:
        return [text for _, text in sorted(self._heap, key=lambda one: -one[0])]


def _lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines


def _told(items: Iterable[T], total: int, pace: Pace, doing: str) -> Iterator[T]:
    """``items``, of which there are ``total``; how many went by is said."""
    for n, item in enumerate(items):
        pace.offer(lambda: f"{doing} {n:,} of {total:,}", n / max(total, 1))  # noqa: B023
        yield item


def tidy(document: str) -> str:
    """A document in NFC, white space collapsed, without empty lines and invisible characters."""
    lines = (tidied(line) for line in document.splitlines())
    return "\n".join(line for line in lines if line)


def _hash(print_: str, seed: str) -> int:
    digest = hashlib.blake2b(print_.encode(), digest_size=8, key=seed.encode()).digest()
    return int.from_bytes(digest, "big")


def numbered_lines(texts: Iterable[str]) -> list[GivenLine]:
    """Evaluation text whose ids are line numbers."""
    return [GivenLine(str(i), text) for i, text in enumerate(texts)]
