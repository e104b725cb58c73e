"""Cleans the messages of one source onto disk, a language at a time, and reads them from there.

::

    FOLDER/CODE.jsonl   a message a line: id, whether it is whole, its usable lines
    FOLDER/CODE.json    that the language is done, and how many lines were refused for what
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from atlas_scaling.runs.writer import replace_whole
from atlas_scaling.study.aligned_split import CleanText
from atlas_scaling.study.cleaning import fault_of, plain_lines
from atlas_scaling.study.corpus_sources import ENGLISH
from atlas_scaling.study.say import Pace

SAME_AS_ENGLISH: Final = "same_as_english"
"""Why a line is none of its language: the English messages of the source have it too."""


class SourceText(Protocol):
    """What reads a source: ``WheelText``, ``DebianText``."""

    def messages(self, code: str) -> Mapping[str, str]:
        """Messages of a language by id."""


class CleanedSource(Mapping[str, CleanText]):
    """A source's cleaned messages by language, each read from disk when it is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, code: str) -> CleanText:
        lines, whole = {}, set()
        try:
            with self._text(code).open(encoding="utf-8") as file:
                for row in file:
                    identity, is_whole, lines[identity] = json.loads(row)
                    if is_whole:
                        whole.add(identity)
        except FileNotFoundError:
            raise KeyError(code) from None
        return CleanText(lines, frozenset(whole))

    def __contains__(self, code: object) -> bool:
        return self._done(str(code)).exists()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.stem for path in self._folder.glob("*.json")))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def dropped(self, code: str) -> Counter[str]:
        """How many lines of a language were refused, by reason."""
        return Counter(json.loads(self._done(code).read_bytes()) if code in self else {})

    def put(self, code: str, text: CleanText, dropped: Mapping[str, int]) -> None:
        """Write a language, its mark last."""
        with self._text(code).open("w", encoding="utf-8") as file:
            for identity, lines in text.lines.items():
                row = [identity, identity in text.whole, list(lines)]
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        replace_whole(self._done(code), json.dumps(dropped).encode())

    def _text(self, code: str) -> Path:
        return self._folder / f"{code}.jsonl"

    def _done(self, code: str) -> Path:
        return self._folder / f"{code}.json"


def clean_source(
    folder: Path, source: SourceText, languages: Collection[str], pace: Pace
) -> CleanedSource:
    """Clean a source in ``languages`` and in English, as far as ``folder`` does not have them yet.

    Args:
        folder: where to.
        source: what to clean.
        languages: codes.
        pace: is told how far it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cleaned = CleanedSource(folder)
    wanted = sorted({*languages, ENGLISH})
    left = [code for code in wanted if code not in cleaned]
    if not left:
        return cleaned
    in_english = source.messages(ENGLISH)
    english = frozenset(line for text in in_english.values() for line in plain_lines(text))
    for number, code in enumerate(left, len(wanted) - len(left)):
        pace.offer(lambda: f"  {number} of {len(wanted)} languages", number / len(wanted))  # noqa: B023
        if code == ENGLISH:
            cleaned.put(code, *cleaned_language(in_english, code, frozenset()))
        else:
            cleaned.put(code, *cleaned_language(source.messages(code), code, english))
    return cleaned


def cleaned_language(
    messages: Mapping[str, str], code: str, english: frozenset[str]
) -> tuple[CleanText, Counter[str]]:
    """The usable lines of a language's messages, and how many others there were by reason."""
    lines: dict[str, Sequence[str]] = {}
    whole: set[str] = set()
    dropped: Counter[str] = Counter()
    judged: dict[str, tuple[list[str], Counter[str]]] = {}  # many ids have the same text
    for identity, text in messages.items():
        if text not in judged:
            judged[text] = _usable_lines(text, code, english)
        usable, refused = judged[text]
        dropped.update(refused)
        if usable:
            lines[identity] = usable
            if not refused:
                whole.add(identity)
    return CleanText(lines, frozenset(whole)), dropped


def _usable_lines(text: str, code: str, english: frozenset[str]) -> tuple[list[str], Counter[str]]:
    usable: list[str] = []
    refused: Counter[str] = Counter()
    for line in plain_lines(text):
        fault = SAME_AS_ENGLISH if line in english else fault_of(line, code)
        if fault is None:
            usable.append(line)
        else:
            refused[fault] += 1
    return usable, refused
