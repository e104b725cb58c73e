"""Splits aligned messages into evaluation and training text.

A message has one id in all languages. Evaluation text is chosen by id, among the ids that every
language has whole after cleaning, so that line i says the same in every language. The choice
follows a seeded order of the ids: with a language more, the order stays and only ids that this
language lacks give way to later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.deduplication import order_key


@dataclass(frozen=True)
class CleanText:
    """One source's messages in one language after cleaning.

    Attributes:
        lines: usable lines of each message, by id; messages without any are not there.
        whole: ids of the messages of which no line was refused.
    """

    lines: Mapping[str, Sequence[str]]
    whole: frozenset[str]


# source -> language -> its messages
AlignedText = Mapping[str, Mapping[str, CleanText]]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation text that was chosen.

    Attributes:
        units: (source, id) of the messages, in order; a message may have several lines.
        prints: fingerprints of its lines by language, the reference language's included.
        n_eligible: messages that could have been chosen, by source.
    """

    units: Sequence[tuple[str, str]]
    prints: Mapping[str, frozenset[str]]
    n_eligible: Mapping[str, int]


def choose_evaluation(
    texts: AlignedText, languages: Sequence[str], *, n_lines: int, seed: int, reference: str
) -> Evaluation:
    """Choose messages of up to ``n_lines`` lines, as evenly from the sources as they allow.

    No line is chosen that says the same as an earlier one in any of the languages.

    Args:
        texts: cleaned messages.
        languages: the languages in which a message must be whole.
        n_lines: evaluation lines wanted in each language.
        seed: of the order.
        reference: a language whose lines of the chosen messages are reported too, so that copies
            of them under other ids can be found.
    """
    queues = {
        source: sorted(ids, key=lambda i, s=source: order_key(seed, s, i))  # type: ignore[misc]
        for source in texts
        if (ids := _eligible(texts[source], languages))
    }
    prints: dict[str, set[str]] = {language: set() for language in (*languages, reference)}
    units: list[tuple[str, str]] = []
    room = n_lines
    for source, identity in _in_turn(queues):
        by_language = texts[source]
        size = len(by_language[languages[0]].lines[identity])
        fresh = {code: _prints(by_language[code], identity) for code in languages}
        if size > room or any(len(new) < size or new & prints[code] for code, new in fresh.items()):
            continue
        for code in prints:
            prints[code] |= _prints(by_language[code], identity) if code in by_language else set()
        units.append((source, identity))
        room -= size
    return Evaluation(
        units=units,
        prints={code: frozenset(seen) for code, seen in prints.items()},
        n_eligible={source: len(queue) for source, queue in queues.items()},
    )


def messages_to_withhold(
    texts: Mapping[str, CleanText], prints: Mapping[str, frozenset[str]]
) -> set[str]:
    """Ids of one source's messages that hold a line of the evaluation text in any language.

    Those chosen are among them, and so are their copies under other ids: a message that equals a
    chosen one in English is out of the training text in all languages, however it was translated.
    """
    return {
        identity
        for code, seen in prints.items()
        if code in texts
        for identity, lines in texts[code].lines.items()
        if any(fingerprint(line) in seen for line in lines)
    }


def _eligible(texts: Mapping[str, CleanText], languages: Sequence[str]) -> set[str]:
    """Ids that are whole in every language, with as many lines in each."""
    if any(code not in texts for code in languages):
        return set()
    shared = frozenset.intersection(*(texts[code].whole for code in languages))
    return {i for i in shared if len({len(texts[code].lines[i]) for code in languages}) == 1}


def _in_turn(queues: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """One id of each source after the other, until all are through."""
    sources = list(queues)
    for turn in zip_longest(*queues.values()):
        yield from ((s, i) for s, i in zip(sources, turn, strict=True) if i is not None)


def _prints(text: CleanText, identity: str) -> set[str]:
    return {fingerprint(line) for line in text.lines.get(identity, ())}
