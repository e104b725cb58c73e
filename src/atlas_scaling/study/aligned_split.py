"""Splits aligned messages into evaluation and training text.

A message has one id in all languages. Evaluation text is chosen by id, among the ids that every
language has whole after cleaning, so that line i says the same in every language. The choice
follows a seeded order of the ids: with a language more, the order stays and only ids that this
language lacks give way to later ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Final

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


# source -> language -> its messages, which may lie on disk: asked for one after the other
AlignedText = Mapping[str, Mapping[str, CleanText]]

_CANDIDATES_AT_ONCE: Final = 2_000


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
    sizes = {
        source: ids for source in texts if (ids := _eligible(texts[source], languages))
    }  # lines of each message
    queues = {
        source: sorted(ids, key=lambda i, s=source: order_key(seed, s, i))  # type: ignore[misc]
        for source, ids in sizes.items()
    }
    prints: dict[str, set[str]] = {language: set() for language in (*languages, reference)}
    units: list[tuple[str, str]] = []
    room = n_lines
    candidates = _in_turn(queues)
    while room and (block := list(islice(candidates, _CANDIDATES_AT_ONCE))):
        fresh = {code: _prints(texts, code, block) for code in prints}
        for unit in block:
            size = sizes[unit[0]][unit[1]]
            news = (fresh[code][unit] for code in languages)
            if size > room or any(
                len(new) < size or new & prints[code]
                for code, new in zip(languages, news, strict=True)
            ):
                continue
            for code, seen in prints.items():
                seen.update(fresh[code][unit])
            units.append(unit)
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


def _eligible(texts: Mapping[str, CleanText], languages: Sequence[str]) -> dict[str, int]:
    """Ids that are whole in every language, with as many lines in each: how many."""
    if any(code not in texts for code in languages):
        return {}
    sizes: dict[str, int] | None = None
    for code in languages:
        text = texts[code]
        mine = {identity: len(text.lines[identity]) for identity in text.whole}
        if sizes is None:
            sizes = mine
        else:
            sizes = {identity: n for identity, n in sizes.items() if mine.get(identity) == n}
    return sizes or {}


def _in_turn(queues: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """One id of each source after the other, until all are through."""
    sources = list(queues)
    for turn in zip_longest(*queues.values()):
        yield from ((s, i) for s, i in zip(sources, turn, strict=True) if i is not None)


def _prints(
    texts: AlignedText, code: str, units: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], set[str]]:
    """Fingerprints of the lines of each message in one language."""
    found: dict[tuple[str, str], set[str]] = {unit: set() for unit in units}
    for source in dict.fromkeys(source for source, _ in units):
        if code in texts[source]:
            text = texts[source][code]
            for unit in units:
                if unit[0] == source:
                    found[unit] = {fingerprint(line) for line in text.lines.get(unit[1], ())}
    return found
