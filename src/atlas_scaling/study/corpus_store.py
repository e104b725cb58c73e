"""A corpus on disk, which explains itself to whoever opens it.

::

    CORPUS/manifest.json     where the text comes from, what was dropped and why, sizes, hashes
    CORPUS/train/CODE.txt    training text, one sentence, paragraph or document a line
    CORPUS/eval/CODE.txt     evaluation text; aligned: line i says the same in every language
    CORPUS/eval/ids.txt      what line i is in its source, if the evaluation text is aligned

A line break within a document is written U+2028. A directory is written once, whole or not at all,
and never changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pydantic import ValidationError

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.record import Frozen
from atlas_scaling.runs.writer import replace_whole
from atlas_scaling.study.contamination import PassageIndex

MANIFEST: Final = "manifest.json"
TRAIN: Final = "train"
EVALUATION: Final = "eval"
IDS: Final = "ids.txt"
LINE_BREAK: Final = "\u2028"
SCHEMA_VERSION: Final = 1


class Line(NamedTuple):
    """A line of text and the source it comes from."""

    text: str
    source: str


class SourceRecord(Frozen):
    """Where text comes from. ``problem`` says why a source that was asked for was not used."""

    name: str
    licence: str
    homepage: str | None = None
    pin: str | None = None
    filename: str | None = None
    sha256: str | None = None
    problem: str | None = None


class TextRecord(Frozen):
    """One text file. ``bytes`` are of its UTF-8 form, a newline a line included."""

    lines: int
    characters: int
    bytes: int
    sha256: str


class SourceShare(Frozen):
    """How much of a language's text one source gave."""

    train_lines: int
    train_bytes: int
    eval_lines: int


class Contamination(Frozen):
    """Passages of the evaluation text that the training text has (``study/contamination.py``).

    Attributes:
        eval_lines: evaluation lines long enough to have a passage.
        eval_lines_found: of these, how many have one that the training text has as well.
        train_lines: training lines with such a passage.
        dropped: whether those lines were left out.
    """

    eval_lines: int
    eval_lines_found: int
    train_lines: int
    dropped: bool


class EvaluationText(StrEnum):
    """What a language's evaluation text is: whether its losses compare with other languages'."""

    ALIGNED = "aligned"  # with all others that are: line i says the same
    GIVEN = "given"  # a test text of its own, which says something else
    SPLIT_OFF = "split off"  # some of its own training text


class LanguageRecord(Frozen):
    """A language's texts, what each source gave, and how many lines were dropped for what.

    ``evaluation_text`` is None in corpora that were built before it was noted.
    """

    train: TextRecord
    evaluation: TextRecord
    evaluation_text: EvaluationText | None = None
    sources: dict[str, SourceShare]
    dropped: dict[str, int]
    contamination: Contamination | None = None


class Manifest(Frozen):
    """``manifest.json``.

    Attributes:
        schema_version: of this file.
        request: what was asked for; the directory is named by its hash.
        aligned: whether line i of the evaluation text is the same content in every language.
        sources: all that were asked for, with licence and pin.
        languages: by code.
        notes: what a reader should know, such as less evaluation text than asked for.
        corpus_sha256: over the hashes of all text files.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    request: dict[str, Any]
    aligned: bool
    sources: tuple[SourceRecord, ...]
    languages: dict[str, LanguageRecord]
    notes: tuple[str, ...]
    corpus_sha256: str


@dataclass(frozen=True)
class Corpus(Answer):
    """A corpus that is on disk.

    Attributes:
        path: its directory.
        manifest: what it says of itself.
    """

    path: Path
    manifest: Manifest

    @property
    def sha256(self) -> str:
        """Hash of all its text."""
        return self.manifest.corpus_sha256

    @property
    def languages(self) -> tuple[str, ...]:
        """Its language codes, sorted."""
        return tuple(sorted(self.manifest.languages))

    def to_dict(self) -> dict[str, Any]:
        """Where it is and all that its manifest says."""
        return {"path": str(self.path), **self.manifest.model_dump(mode="json")}

    def train_lines(self, language: str) -> Iterator[str]:
        """Training lines of a language, without their newlines."""
        return self._lines(TRAIN, language)

    def eval_lines(self, language: str) -> Iterator[str]:
        """Evaluation lines of a language, without their newlines."""
        return self._lines(EVALUATION, language)

    @property
    def evaluation_text(self) -> dict[str, EvaluationText]:
        """What the evaluation text of each language is."""
        usual = EvaluationText.ALIGNED if self.manifest.aligned else None
        return {
            code: kind
            for code, record in self.manifest.languages.items()
            if (kind := record.evaluation_text or usual) is not None
        }

    def record(self, language: str) -> LanguageRecord:
        """What the manifest says of a language.

        Raises:
            InputError: the corpus does not have it.
        """
        try:
            return self.manifest.languages[language]
        except KeyError:
            raise unknown(
                "this corpus has no such language", language, self.languages, where=str(self.path)
            ) from None

    def _lines(self, split: str, language: str) -> Iterator[str]:
        self.record(language)
        with text_path(self.path, split, language).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield line.removesuffix("\n").replace(LINE_BREAK, "\n")


def text_path(corpus: Path, split: str, language: str) -> Path:
    """The text file of a language."""
    return corpus / split / f"{language}.txt"


def open_corpus(path: Path) -> Corpus:
    """The corpus in ``path``.

    Raises:
        InputError: there is none, or its files are not those its manifest lists.
    """
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise InputError(
            "this directory holds no corpus",
            value=str(path),
            remedy="build one: atlas corpus build",
        ) from None
    except ValidationError as error:
        raise InputError(
            f"the manifest of this corpus is damaged: {error.errors()[0]['msg']}",
            where=str(path / MANIFEST),
            remedy="remove the directory and build the corpus again",
        ) from None
    corpus = Corpus(path, manifest)
    for language, record in manifest.languages.items():
        for split, text in ((TRAIN, record.train), (EVALUATION, record.evaluation)):
            file = text_path(path, split, language)
            size = file.stat().st_size if file.is_file() else None
            if size != text.bytes:
                raise InputError(
                    f"a file of this corpus is damaged: it should have {text.bytes} bytes",
                    value=size,
                    where=str(file),
                    remedy="remove the directory and build the corpus again",
                )
    return corpus


def write_manifest(
    whole: Path,
    records: Mapping[str, LanguageRecord],
    *,
    request: Mapping[str, Any],
    aligned: bool,
    sources: Sequence[SourceRecord],
    notes: Sequence[str],
) -> None:
    """Write the manifest of texts that are written; the last step of a corpus."""
    manifest = Manifest(
        request=dict(request),
        aligned=aligned,
        sources=tuple(sources),
        languages=dict(sorted(records.items())),
        notes=tuple(notes),
        corpus_sha256=_hash_of(records),
    )
    replace_whole(whole / MANIFEST, (manifest.model_dump_json(indent=1) + "\n").encode())


def write_language(
    whole: Path,
    code: str,
    train: Sequence[Line],
    evaluation: Sequence[Line],
    dropped: Mapping[str, int],
) -> LanguageRecord:
    """Write the texts of a language whose evaluation text is aligned."""
    index = PassageIndex(line.text for line in evaluation)
    hits = sum(hit for _, hit in index.found_in(line.text for line in train))
    return LanguageRecord(
        train=write_lines(text_path(whole, TRAIN, code), (line.text for line in train)),
        evaluation=write_lines(
            text_path(whole, EVALUATION, code), (line.text for line in evaluation)
        ),
        evaluation_text=EvaluationText.ALIGNED,
        sources={
            name: SourceShare(
                train_lines=sum(line.source == name for line in train),
                train_bytes=sum(n_bytes(line.text) for line in train if line.source == name),
                eval_lines=sum(line.source == name for line in evaluation),
            )
            for name in sorted({line.source for line in (*train, *evaluation)})
        },
        dropped=dict(sorted(dropped.items())),
        contamination=Contamination(
            eval_lines=index.n_long_enough,
            eval_lines_found=index.n_found,
            train_lines=hits,
            dropped=False,
        ),
    )


def n_bytes(line: str) -> int:
    """UTF-8 bytes of a line and its newline."""
    return len(line.encode()) + 1


def write_lines(path: Path, lines: Iterable[str]) -> TextRecord:
    """Write a text file line by line; a line break within one becomes U+2028."""
    n_lines = n_characters = size = 0
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for line in lines:
            data = line.replace("\n", LINE_BREAK).encode() + b"\n"
            file.write(data)
            digest.update(data)
            n_lines += 1
            n_characters += len(line)
            size += len(data)
    return TextRecord(lines=n_lines, characters=n_characters, bytes=size, sha256=digest.hexdigest())


def _hash_of(records: Mapping[str, LanguageRecord]) -> str:
    parts = [
        f"{code} {record.train.sha256} {record.evaluation.sha256}\n"
        for code, record in sorted(records.items())
    ]
    return hashlib.sha256("".join(parts).encode()).hexdigest()
