"""From a program's message to lines of plain prose, or to the reason why a line cannot be used.

``plain_lines`` takes mark-up away, undoes escapes and normalises to NFC; ``fault_of`` judges one
such line. Both are pure, and a line without fault is left as it is when it is cleaned again.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from atlas_scaling.study.scripts import is_spaced, letters_in, script_of

CLEANING_VERSION: Final = 1
"""Raised with every change here that alters a line: built corpora are named by it."""


class Fault(StrEnum):
    """Why a line is no training text."""

    ICU = "plural_or_select_pattern"
    PLACEHOLDER = "placeholder"
    RESIDUE = "markup_address_or_identifier"
    NO_SENTENCE = "no_sentence"
    WRONG_SCRIPT = "wrong_script"
    ENGLISH = "english"


MIN_WORDS: Final = 4
MIN_LETTERS: Final = 12
MIN_LETTERS_OF_SCRIPT: Final = {"Hans": 6, "Hant": 6, "Jpan": 8}  # a character says more there
MIN_LETTER_SHARE: Final = 0.6
MIN_SCRIPT_SHARE: Final = 0.5
MIN_SCRIPT_SHARE_IN_HAN: Final = 0.25  # few characters beside long Latin names
MIN_ENGLISH_WORDS: Final = 2
MIN_ENGLISH_SHARE: Final = 0.12

# --- characters ------------------------------------------------------------------------------

# Soft hyphen, zero-width space, word joiner, byte-order mark and the bidirectional controls. The
# zero-width joiner and non-joiner stay: Persian and the Indic scripts spell with them.
_INVISIBLE: Final = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def visible(text: str) -> str:
    """``text`` in NFC without invisible characters."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", text))


# --- mark-up ---------------------------------------------------------------------------------

_UNSEEN_ELEMENT: Final = re.compile(r"<(script|style|svg|pre)\b.*?</\1\s*>|<!--.*?-->", re.S | re.I)
_LINE_ELEMENT: Final = re.compile(
    r"</?(?:br|p|li|ul|ol|dl|dd|dt|div|table|tr|td|th|h[1-6]|hr|blockquote|section)\b[^<>]*>", re.I
)
# Only names that are mark-up for sure: "<name>" in a message is a placeholder.
_INLINE_ELEMENT: Final = re.compile(
    r"</?(?:a|abbr|b|big|code|em|font|i|kbd|label|link\d?|q|s|small|span|strong|sub|sup|tt|u)"
    r"(?:\s[^<>]*)?/?>",
    re.I,
)
_ENTITY: Final = re.compile(r"&(?:#\d+|#x[0-9a-f]+|[a-z]\w*);", re.I)
_MARKDOWN_LINK: Final = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_MARKDOWN_EMPHASIS: Final = re.compile(r"\*\*|`+|''+")
_ESCAPED_BREAK: Final = re.compile(r"\\[nrt](?![a-z])")
_ESCAPED_QUOTE: Final = re.compile(r"\\([\"'])")
# A key that opens a menu: "&File", "文件(&F)", "Op&en". "AT&T" and "R&D" stay.
_MENU_KEY: Final = re.compile(r"\s?\(&+\w\)|(?<!\w)&+(?=\w)|(?<=\w)&(?=[^\W\d_A-Z])")
_MAY_HOLD_MARKUP: Final = re.compile(r"[<&\[*`'\\]")


def without_markup(text: str) -> str:
    """``text`` without HTML, Markdown, escapes and menu keys; line elements become line breaks.

    Applied until nothing changes, because one layer may hide another (``&lt;b&gt;``).

    >>> without_markup("&Open the <b>file</b> at [home]({url})")
    'Open the file at home'
    """
    while _MAY_HOLD_MARKUP.search(text):
        before = text
        for step in _MARKUP_STEPS:
            text = step(text)
        if text == before:
            break
    return text


def _without_html(text: str) -> str:
    text = _LINE_ELEMENT.sub("\n", _UNSEEN_ELEMENT.sub(" ", text))
    return _INLINE_ELEMENT.sub("", text)


def _without_entities(text: str) -> str:
    # Only with their semicolon: html.unescape alone would read the menu key "&copy" as a sign.
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _without_markdown(text: str) -> str:
    return _MARKDOWN_EMPHASIS.sub("", _MARKDOWN_LINK.sub(r"\1", text))


def _without_escapes(text: str) -> str:
    return _ESCAPED_QUOTE.sub(r"\1", _ESCAPED_BREAK.sub("\n", text))


def _without_menu_keys(text: str) -> str:
    # An entity that html.unescape does not know is left for fault_of rather than halved.
    return text if _ENTITY.search(text) else _MENU_KEY.sub("", text)


_MARKUP_STEPS: Final[Sequence[Callable[[str], str]]] = (
    visible,  # an invisible character may part a sign from its word, and come from an entity
    _without_html,
    _without_entities,
    _without_markdown,
    _without_escapes,
    _without_menu_keys,
)

# --- lines -----------------------------------------------------------------------------------

_EDGES: Final = " -–—*#|•·=>~\u200c\u200d"


def tidied(line: str) -> str:
    """One line in NFC, white space collapsed, without invisible characters.

    >>> tidied("  Cafe\u0301 \u00a0 au  lait ")
    'Café au lait'
    """
    return " ".join(visible(line).split())


def normalised(line: str) -> str:
    """One ``tidied`` line without the list marks around it.

    >>> normalised(" •  eins zwei -")
    'eins zwei'
    """
    return tidied(line).strip(_EDGES)


def plain_lines(text: str) -> list[str]:
    """The non-empty lines of a message, without mark-up, normalised.

    A plural or select pattern stays in one piece, so that it is refused as a whole.
    """
    if _ICU.search(text):
        return [normalised(text)]
    lines = (normalised(line) for line in without_markup(text).splitlines())
    return [line for line in lines if line]


# --- judgement -------------------------------------------------------------------------------

_ICU: Final = re.compile(r"\{[^{}]*,\s*(?:plural|select|selectordinal)\s*,")
_PLACEHOLDER: Final = re.compile(
    r"[{}]"  # {name}, ${name}, %{name}, {{name}}
    r"|<[^<>]*>"  # <name>
    r"|\$[\w(&]"  # $1, $name
    r"|%\(\w*\)"  # %(name)s
    r"|%(?:\d+\$)?[-#0+]?\d*(?:\.\d+)?l{0,2}[A-Za-z](?![a-z])"  # %s, %1$s, %02d, %.2f
    r"|%\d"  # %1
    r"|\[%"
    r"|[A-Z]_[A-Z]"  # BEGIN_LINK
)
_RESIDUE: Final = re.compile(
    r"[<>\\|_`^~\ufffd\ue000-\uf8ff]"
    r"|&\w+;"
    r"|\w://|\bwww\.|\S@\S"
    r"|\]\("
    r"|(?:^|[\s(\"'])/\w"  # a path
    r"|[\x00-\x1f\x7f-\x9f]"
)
_ENGLISH_WORDS: Final = frozenset(
    {"and", "are", "because", "been", "from", "has", "have", "should", "that", "the", "this"}
    | {"when", "which", "will", "with", "you", "your"}
)


def fault_of(line: str, language: str) -> Fault | None:
    """Why the plain line ``line`` is no training text of ``language``, or None if it is.

    Args:
        line: one line as ``plain_lines`` gives it.
        language: code such as ``swe_Latn``; its script must be one of ``scripts``.
    """
    if _ICU.search(line):
        return Fault.ICU
    if _PLACEHOLDER.search(line):
        return Fault.PLACEHOLDER
    if _RESIDUE.search(line):
        return Fault.RESIDUE
    script = script_of(language)
    if not is_sentence(line, script):
        return Fault.NO_SENTENCE
    needed = MIN_SCRIPT_SHARE_IN_HAN if script in MIN_LETTERS_OF_SCRIPT else MIN_SCRIPT_SHARE
    if letters_in(line, script) < needed * letters_in(line):
        return Fault.WRONG_SCRIPT
    if language != "eng_Latn" and looks_english(line):
        return Fault.ENGLISH
    return None


def is_sentence(line: str, script: str) -> bool:
    """Whether a line has the letters, and where words are spaced the words, of a short sentence."""
    n_letters = letters_in(line)
    n_spaces = line.count(" ")
    if n_letters < MIN_LETTER_SHARE * (len(line) - n_spaces):
        return False
    if n_letters < MIN_LETTERS_OF_SCRIPT.get(script, MIN_LETTERS):
        return False
    return not is_spaced(script) or n_spaces + 1 >= MIN_WORDS


def looks_english(line: str) -> bool:
    """Whether common English function words say that a line was left untranslated.

    >>> looks_english("Check that the device is on and try again")
    True
    >>> looks_english("Sie will das Haus")
    False
    """
    words = [word.strip(".,:;!?()\"'") for word in line.lower().split()]
    english = [word for word in words if word in _ENGLISH_WORDS]
    enough = len(set(english)) >= MIN_ENGLISH_WORDS
    return enough and len(english) >= MIN_ENGLISH_SHARE * len(words)


_WORD: Final = re.compile(r"[^\W\d_]+")


def fingerprint(line: str) -> str:
    """What two lines share that differ in case, digits, spaces or punctuation alone.

    >>> fingerprint("Version 2 is here!") == fingerprint("version 3: is here")
    True
    """
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", line).casefold()))
