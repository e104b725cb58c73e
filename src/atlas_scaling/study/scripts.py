"""Scripts: which letters belong to each, and which set spaces between words.

A script is the four-letter part of a language code: ``Cyrl`` of ``rus_Cyrl``. Ranges are letters
and combining marks of the Unicode blocks of the script, without their digits and punctuation.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from typing import Final

from atlas_scaling.languages import UNSPACED_SCRIPTS

_HAN: Final = "3005-3007 3400-4dbf 4e00-9fff f900-faff"

_RANGES: Final = {
    "Arab": "0620-065f 066e-06d3 06d5-06ef 06fa-06ff 0750-077f 08a0-08ff fb50-fdff fe70-fefc",
    "Armn": "0531-0587",
    "Beng": "0980-09e3 09f0-09f1",
    "Cyrl": "0400-052f 1c80-1c88",
    "Deva": "0900-0963 0971-097f",
    "Ethi": "1200-135f 1380-138f",
    "Geor": "10a0-10ff 1c90-1cbf",
    "Grek": "0370-0373 0376-0377 037a-037d 0386-0386 0388-03ff 1f00-1fff",
    "Gujr": "0a80-0ae3",
    "Guru": "0a00-0a63 0a70-0a75",
    "Hang": "1100-11ff 3130-318f ac00-d7a3",
    "Hans": _HAN,
    "Hant": _HAN,
    "Hebr": "0591-05bd 05bf-05f2 fb1d-fb4f",
    "Jpan": f"3041-3096 309d-309f 30a1-30fa 30fc-30ff 31f0-31ff {_HAN}",
    "Khmr": "1780-17d3",
    "Knda": "0c80-0ce3",
    "Laoo": "0e81-0ecd 0edc-0edf",
    "Latn": "0041-005a 0061-007a 00aa-00aa 00ba-00ba 00c0-00d6 00d8-00f6 00f8-02ff 0300-036f"
    " 1e00-1eff",
    "Mlym": "0d00-0d63 0d7a-0d7f",
    "Mymr": "1000-103f 1050-109f",
    "Orya": "0b00-0b63",
    "Sinh": "0d80-0df3",
    "Taml": "0b80-0be3",
    "Telu": "0c00-0c63",
    "Thai": "0e01-0e3a 0e40-0e4e",
    "Tibt": "0f00-0f1f 0f40-0fbc",
}


def script_of(language: str) -> str:
    """The script of a code.

    >>> script_of("rus_Cyrl")
    'Cyrl'
    """
    return language.split("_")[1]


def is_spaced(script: str) -> bool:
    """Whether the script sets spaces between words."""
    return script not in UNSPACED_SCRIPTS


def letters_in(text: str, script: str | None = None) -> int:
    """How many characters of ``text`` are letters or marks of ``script``, or of any script here.

    >>> letters_in("Привет, Qt 6!", "Cyrl"), letters_in("Привет, Qt 6!")
    (6, 8)

    Raises:
        KeyError: for a script that is not in the table.
    """
    return len(text) - len(_class_of(script).sub("", text))


@cache
def _class_of(script: str | None) -> re.Pattern[str]:
    ranges = " ".join(_RANGES.values()) if script is None else _RANGES[script]
    parts = (part.split("-") for part in ranges.split())
    inside = "".join(f"\\u{first}-\\u{last}" for first, last in parts)
    return re.compile(f"[{inside}]+")


_UNICODE_NAMES: Final = {
    "ADLAM": "Adlm", "ARABIC": "Arab", "ARMENIAN": "Armn", "BENGALI": "Beng", "CANADIAN": "Cans",
    "CHAKMA": "Cakm", "CHEROKEE": "Cher", "CYRILLIC": "Cyrl", "DEVANAGARI": "Deva",
    "ETHIOPIC": "Ethi", "GEORGIAN": "Geor", "GRANTHA": "Gran", "GREEK": "Grek", "GUJARATI": "Gujr",
    "GURMUKHI": "Guru", "HANGUL": "Hang", "HEBREW": "Hebr", "HIRAGANA": "Jpan", "JAVANESE": "Java",
    "KANNADA": "Knda", "KHMER": "Khmr", "LAO": "Laoo", "LATIN": "Latn", "MALAYALAM": "Mlym",
    "MONGOLIAN": "Mong", "MYANMAR": "Mymr", "ORIYA": "Orya", "SINHALA": "Sinh", "SYRIAC": "Syrc",
    "TAGALOG": "Tglg", "TAI THAM": "Lana", "TAI VIET": "Tavt", "TAMIL": "Taml", "TELUGU": "Telu",
    "THAANA": "Thaa", "THAI": "Thai", "TIBETAN": "Tibt", "TIFINAGH": "Tfng", "VAI": "Vaii",
    "YI": "Yiii",
}  # fmt: skip
_HANS, _HANT = "们个国这说", "們個國這說"


def script_of_text(text: str) -> str | None:
    """The script that most letters of a text are in, by their Unicode names; None if unknown.

    Han characters are Hans or Hant by some of the commonest that were simplified.

    >>> script_of_text("Привет, Qt 6!"), script_of_text("我们这个国家")
    ('Cyrl', 'Hans')
    """
    letters = Counter(character for character in text if character.isalpha())
    counts: Counter[str | None] = Counter()
    for character, n in letters.items():
        counts[_script_of_letter(character)] += n
    script = counts.most_common(1)[0][0] if counts else None
    if script != "Hani":
        return script
    simplified, traditional = (sum(letters[one] for one in some) for some in (_HANS, _HANT))
    return "Hans" if simplified >= traditional else "Hant"


def _script_of_letter(character: str) -> str | None:
    name = unicodedata.name(character, "")
    if name.startswith("CJK"):
        return "Hani"
    first, _, rest = name.partition(" ")
    return _UNICODE_NAMES.get(first) or _UNICODE_NAMES.get(f"{first} {rest.partition(' ')[0]}")
