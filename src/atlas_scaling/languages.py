"""Languages and their codes: one table, and ``normalise`` from any usual code to ours.

A code inside is ``xxx_Scrp``: ISO 639-3, then ISO 15924, and a region only where the table holds
two varieties of one written language (``por_Latn`` and ``por_Latn_BR``). Accepted at the edges, in
any case and with ``-`` or ``_``: ISO 639-1 (``en``), ISO 639-3 and 639-2 (``deu``, ``ger``), BCP 47
(``en-Latn``, ``en-US``), FLORES (``eng_Latn``) and MADLAD-400 codes (``iw``, ``nan_Latn_TW``).

Two codes never become one unless they mean the same text:

- A bare code means the script that most of its texts are in (CLDR): ``hi`` is ``hin_Deva``, never
  ``hin_Latn``; ``kaa`` is ``kaa_Cyrl`` beside ``kaa_Latn``.
- Chinese without a script is ``zho_Hani``, either script, as MADLAD's and the ATLAS paper's ``zh``;
  ``zh-Hans`` and ``zh-CN`` are ``zho_Hans``, ``zh-TW`` is ``zho_Hant``, ``cmn`` is ``cmn_Hani``.
- A macrolanguage stays one: ``no`` is ``nor_Latn``, ``nb`` is ``nob_Latn``, ``nn`` is ``nno_Latn``;
  ``sw`` is ``swa_Latn``, not ``swh_Latn``; ``fil`` is not ``tl``. ``relatives`` lists such kin.
- A region says where a text is from, and where it decides the script, the script: ``sv-SE`` is
  ``swe_Latn``, ``zh-HK`` is ``zho_Hant``. It is refused where that script is not in the table:
  ``uz-AF`` is Uzbek in Arabic script.

The table covers the 419 MADLAD-400 languages, ISO 639-1, FLORES-200, the Wikipedias and the
languages of the Universal Declaration of Human Rights on npm;
``tools/build_language_table.py`` builds it, ``data/README.md`` gives its sources and licence.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError

OLD_CODES: Final = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv"}
"""Withdrawn ISO 639-1 codes and what replaced them (IANA language subtag registry)."""

TAGS: Final = {
    "zh_cn": "zho_Hans",
    "zh_sg": "zho_Hans",
    "zh_tw": "zho_Hant",
    "sr_latin": "srp_Latn",
    "sr_cyrillic": "srp_Cyrl",
    "pt_br": "por_Latn_BR",
}
"""Tags without a script whose region or variant says it; in the form of ``_key``."""

ISO639_2: Final = {
    "alb": "sqi", "arm": "hye", "baq": "eus", "bur": "mya", "chi": "zho", "cze": "ces",
    "dut": "nld", "fre": "fra", "geo": "kat", "ger": "deu", "gre": "ell", "ice": "isl",
    "mac": "mkd", "mao": "mri", "may": "msa", "per": "fas", "rum": "ron", "slo": "slk",
    "tib": "bod", "wel": "cym",
}  # fmt: skip
"""Bibliographic codes of ISO 639-2 that differ from ISO 639-3; none of them is a code there."""

UNSPACED_SCRIPTS: Final = frozenset(
    {"Hani", "Hans", "Hant", "Jpan", "Khmr", "Laoo", "Mymr", "Thai", "Tibt"}
)
"""Scripts that set no spaces between words."""

_REGIONS: Final = """
001 150 419 ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm
bn bo bq br bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj
dk dm do dz ec ee eg eh er es et fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr
gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn
kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq mr
ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr
ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz
tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf ws
xk ye yt za zm zw
"""
REGIONS: Final = frozenset(_REGIONS.split())
"""ISO 3166-1, Kosovo, and the world, Europe and Latin America."""

_HAN_BY_REGION: Final = {"hant": "au bn gb gf hk id mo pa pf ph sr th tw us vn", "hans": "cn my sg"}
SCRIPTS_BY_REGION: Final[dict[str, dict[str, str]]] = {
    "aze": {"arab": "iq ir", "cyrl": "ru"},
    "azj": {"arab": "iq ir", "cyrl": "ru"},
    "cmn": _HAN_BY_REGION,
    "hak": {"hant": "tw"},
    "hau": {"arab": "cm sd"},
    "kaz": {"arab": "af cn ir mn"},
    "kir": {"arab": "cn", "latn": "tr"},
    "kmr": {"arab": "iq ir lb", "cyrl": "am az ge tm"},
    "kur": {"arab": "iq ir lb", "cyrl": "am az ge tm"},
    "mon": {"mong": "cn"},
    "msa": {"arab": "cc"},
    "pan": {"arab": "pk"},
    "pli": {"deva": "in", "mymr": "mm", "sinh": "lk", "thai": "th"},
    "pnt": {"cyrl": "ru", "latn": "tr"},
    "snd": {"deva": "in"},
    "srp": {"latn": "me ro tr"},
    "tgk": {"arab": "pk"},
    "uig": {"cyrl": "kz mn"},
    "uzb": {"arab": "af", "cyrl": "cn"},
    "uzn": {"arab": "af", "cyrl": "cn"},
    "yue": {"hans": "cn"},
    "zho": _HAN_BY_REGION,
}
"""Regions where a language is written otherwise than its bare code says (CLDR, likely subtags)."""

SEARCH: Final = "atlas languages"


@dataclass(frozen=True, slots=True)
class Language(Answer):
    """One written language.

    Attributes:
        code: ours, ``swe_Latn``.
        name: in English, as Unicode CLDR has it.
        script: ISO 15924.
        family: top of Glottolog's tree, ``Indo-European``; empty where there is none.
        branch: a well-known group below the family, ``Germanic``; empty where there is none.
        iso639_1: two letters, or None.
        iso639_3: three letters.
        macrolanguage: ISO 639-3 of the macrolanguage it belongs to, or None.
        madlad: its code in MADLAD-400, or None if it is not there.
    """

    code: str
    name: str
    script: str
    family: str
    branch: str
    iso639_1: str | None
    iso639_3: str
    macrolanguage: str | None
    madlad: str | None

    def __str__(self) -> str:
        return f"{self.code} ({self.name})"


def languages() -> tuple[Language, ...]:
    """Every language of the table, by code."""
    return tuple(_table().values())


def language(code: str) -> Language:
    """The language that ``code`` means; see ``normalise`` for what is accepted.

    >>> language("sv").name, language("sv").branch
    ('Swedish', 'Germanic')
    """
    return _table()[normalise(code)]


def normalise(code: str) -> str:
    """Our code for ``code``.

    >>> normalise("en"), normalise("IW"), normalise("hi-Latn"), normalise("sv-SE")
    ('eng_Latn', 'heb_Hebr', 'hin_Latn', 'swe_Latn')

    Raises:
        InputError: it is no string, or no code of the table; with the nearest codes and names. A
            name such as ``Swedish`` is no code: the error says which code has it.
    """
    if not isinstance(code, str):
        raise _not_text(code)
    key = _key(code)
    found = _aliases().get(key) or _of_region(key)
    if found is not None:
        return found
    raise InputError(
        "unknown language code" if key else "an empty language code",
        value=code,
        remedy=_hint(key),
    )


def search(text: str) -> list[Language]:
    """Languages whose code, name, family or branch has ``text``, the best match first.

    >>> [found.code for found in search("swedish")]
    ['swe_Latn']
    """
    wanted = text.casefold().strip()
    exact = _aliases().get(_key(text))
    ranked = sorted((_rank(entry, wanted, exact), entry.name, entry.code) for entry in languages())
    return [_table()[code] for rank, _, code in ranked if rank < _NO_MATCH]


def relatives(code: str) -> list[Language]:
    """Other codes that may be meant: other scripts and regions, the macrolanguage, its members.

    >>> [kin.code for kin in relatives("nb")]
    ['nno_Latn', 'nor_Latn']
    """
    one = language(code)
    group = {one.iso639_3, one.macrolanguage} - {None}
    return [
        entry
        for entry in languages()
        if entry.code != one.code and (entry.iso639_3 in group or entry.macrolanguage in group)
    ]


_NO_MATCH: Final = 9


def _rank(entry: Language, wanted: str, exact: str | None) -> int:
    """How well ``entry`` answers a search, 0 best."""
    name = entry.name.casefold()
    groups = (entry.family.casefold(), entry.branch.casefold())
    tests = (
        entry.code == exact,
        name == wanted,
        name.startswith(wanted),
        wanted in name,
        wanted in (entry.iso639_1, entry.iso639_3, entry.script.casefold()),
        wanted in groups,
        any(group.startswith(wanted) for group in groups),
    )
    return next((rank for rank, holds in enumerate(tests) if holds), _NO_MATCH)


def _key(code: str) -> str:
    return code.strip().replace("-", "_").replace("@", "_").casefold()


def _of_region(key: str) -> str | None:
    """The code of a tag with a region that the table does not tell apart; None if there is none."""
    *tag, region = key.split("_")
    meant = _aliases().get("_".join(tag))
    if meant is None or region not in REGIONS:
        return None
    if len(tag) == 2:
        return meant if len(tag[1]) == 4 else None  # the script is said
    entry = _table()[meant]
    for script, regions in SCRIPTS_BY_REGION.get(entry.iso639_3, {}).items():
        if region in regions.split():
            return _aliases().get(f"{entry.iso639_3}_{script}")
    # Han without a script may be either, which a region elsewhere does not settle
    return None if entry.script == "Hani" else meant


def _not_text(code: object) -> InputError:
    if code is False:
        return InputError(
            "a language code is text, and this is the truth value False",
            value=code,
            remedy='YAML 1.1 reads no (Norwegian) as False: write "no" in quotes, or nor_Latn',
        )
    return InputError(
        "a language code is text", value=code, remedy='write it like "swe_Latn", "sv" or "swe"'
    )


def meant_by(code: str) -> list[Language]:
    """What a person who wrote an unknown ``code``, or a name, may have meant; the likeliest first.

    >>> [entry.code for entry in meant_by("swedish")]
    ['swe_Latn']
    """
    key = _key(code)
    near = [entry for entry in search(key) if key and key in entry.name.casefold()]
    return _of_tag(key) or near[:3] or _similar(key.partition("_")[0])


def _of_tag(key: str) -> list[Language]:
    """The language of the first part of a tag, in every script."""
    tag = key.partition("_")[0]
    code = _aliases().get(tag)
    iso639_3 = _table()[code].iso639_3 if code is not None else tag
    return [entry for entry in languages() if entry.iso639_3 == iso639_3]


def _hint(key: str) -> str:
    """The same in words."""
    near = meant_by(key)
    if not near:
        return f"look for it with: {SEARCH} NAME"
    if _of_tag(key):
        return f"the table has this language as {_either(near)}"
    return f"did you mean {_either(near)}?"


def _either(entries: list[Language]) -> str:
    return " or ".join(str(entry) for entry in entries)


def _similar(key: str) -> list[Language]:
    """Languages with a code or a name that is spelt much like ``key``."""
    by_spelling = {alias: code for alias, code in _aliases().items() if len(alias) > 2}
    by_spelling |= {entry.name.casefold(): entry.code for entry in languages()}
    near = difflib.get_close_matches(key, list(by_spelling), n=3, cutoff=0.75)
    return [_table()[code] for code in dict.fromkeys(by_spelling[alias] for alias in near)]


@cache
def _table() -> dict[str, Language]:
    return {
        row["code"]: Language(
            code=row["code"],
            name=row["name"],
            script=row["script"],
            family=row["family"],
            branch=row["branch"],
            iso639_1=row["iso639_1"] or None,
            iso639_3=row["iso639_3"],
            macrolanguage=row["macrolanguage"] or None,
            madlad=row["madlad"] or None,
        )
        for row in _rows()
    }


@cache
def _aliases() -> dict[str, str]:
    """Every accepted spelling, in the form of ``_key``, and the code it means."""
    aliases: dict[str, str] = dict(TAGS)
    for row in _rows():
        for alias in _spellings(row):
            meant = aliases.setdefault(alias, row["code"])
            assert meant == row["code"], f"{alias} would mean {meant} and {row['code']}"
    for old, new in OLD_CODES.items():
        assert aliases.setdefault(old, aliases[new]) == aliases[new], f"{old} is a code in use"
    return aliases


def _spellings(row: dict[str, str]) -> set[str]:
    iso639_3, script, *region = row["code"].split("_")
    spellings = {row["code"], row["madlad"]}
    bibliographic = [old for old, new in ISO639_2.items() if new == iso639_3]
    for tag in filter(None, (iso639_3, row["iso639_1"], *bibliographic)):
        spellings.add("_".join((tag, script, *region)))
        if row["bare"]:
            spellings.add(tag)
    return {_key(spelling) for spelling in spellings if spelling}


@cache
def _rows() -> tuple[dict[str, str], ...]:
    # not importlib.resources: its import takes longer than the rest of this module
    text = (Path(__file__).parent / "data" / "languages.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
