"""Cleans the messages of one source in all its languages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from atlas_scaling.study.aligned_split import CleanText
from atlas_scaling.study.cleaning import fault_of, plain_lines
from atlas_scaling.study.corpus_sources import ENGLISH
from atlas_scaling.study.say import Pace, Say

SAME_AS_ENGLISH: Final = "same_as_english"
"""Why a line is none of its language: the English messages of the source have it too."""


def clean_source(
    messages: Mapping[str, Mapping[str, str]], dropped: Mapping[str, Counter[str]], say: Say
) -> dict[str, CleanText]:
    """Clean one source in the languages that ``dropped`` counts for, and in English.

    Args:
        messages: language to id to text, English among them.
        dropped: counters of refused lines by language and reason, added to.
        say: is told how far it is.
    """
    english = frozenset(
        line for text in messages.get(ENGLISH, {}).values() for line in plain_lines(text)
    )
    pace = Pace(say)
    cleaned: dict[str, CleanText] = {}
    for code in sorted({*dropped, ENGLISH} & messages.keys()):
        pace.offer(lambda: f"  {len(cleaned)} of {len(messages)} languages")
        cleaned[code] = _cleaned_language(
            messages[code],
            code,
            frozenset() if code == ENGLISH else english,
            dropped.get(code, Counter()),
        )
    return cleaned


def _cleaned_language(
    messages: Mapping[str, str], code: str, english: frozenset[str], dropped: Counter[str]
) -> CleanText:
    lines: dict[str, Sequence[str]] = {}
    whole: set[str] = set()
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
    return CleanText(lines, frozenset(whole))


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
