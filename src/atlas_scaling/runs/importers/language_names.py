"""Names of languages in a source as our codes, and columns named after languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from atlas_scaling.errors import InputError
from atlas_scaling.languages import meant_by, normalise
from atlas_scaling.runs.importers.column_map import LANGUAGE_SLOT, RUN_SLOT, ColumnMap

_SLOTS: Final = {LANGUAGE_SLOT: "(?P<language>.+?)", RUN_SLOT: "(?P<run_id>.+?)"}


@dataclass(frozen=True, slots=True)
class NamedColumn:
    """A column that a pattern matches, and what its name says; None where there is no slot."""

    column: str
    language: str | None = None
    run_id: str | None = None


class LanguageNames:
    """Their names to our codes, as the map says, else as ``languages.normalise`` knows them."""

    def __init__(self, columns: ColumnMap) -> None:
        self._stated = columns.languages
        self._domains = columns.domains

    def code(self, name: str, *, where: str) -> str | None:
        """Our code; None for a name that the map leaves out.

        Raises:
            InputError: it is no language that we know, and the map says nothing of it.
        """
        if name in self._stated:
            stated = self._stated[name]
            return stated if stated is None or self._domains else normalise(stated)
        if self._domains:
            return name
        try:
            return normalise(name)
        except InputError as error:
            likely = [entry.code for entry in meant_by(name)] or ["swe_Latn"]
            raise InputError(
                f"{name!r} is no language code",
                value=name,
                where=where,
                remedy=f"{error.remedy}; say which language it is in the map, "
                f"languages: {{{name}: {likely[0]}}} (null leaves it out); "
                "if these are data domains, domains: true",
            ) from None

    def knows(self, name: str) -> bool:
        """Whether ``name`` is a language, or is said to be one, or to be left out."""
        try:
            self.code(name, where="")
        except InputError:
            return False
        return True

    def codes(self, names: Iterable[str], *, where: str) -> dict[str, str | None]:
        """The code of each name."""
        return {name: self.code(name, where=where) for name in names}


def columns_like(
    pattern: str, columns: Iterable[str], names: LanguageNames, *, where: str
) -> tuple[NamedColumn, ...]:
    """The columns that ``pattern`` matches, with their languages; left-out ones are left out.

    Raises:
        InputError: no column matches, a name is no language, or two columns are of one language.
    """
    columns = list(columns)
    matches = {column: m for column in columns if (m := _regex(pattern).fullmatch(column))}
    if not matches:
        raise InputError(
            "no column has a name like this",
            value=pattern,
            where=where,
            remedy=f"the columns are {listed(columns)}",
        )
    found: dict[tuple[str | None, str | None], NamedColumn] = {}
    for column, match in matches.items():
        slots = match.groupdict()
        language = slots.get("language")
        if language is not None:
            language = names.code(language, where=f"column {column}")
            if language is None:
                continue
        one = NamedColumn(column, language, slots.get("run_id"))
        other = found.setdefault((one.language, one.run_id), one)
        if other is not one:
            raise InputError(
                f"two columns are of {language}",
                value=[other.column, column],
                where=where,
                remedy=f"leave one out in the map, languages: {{{slots['language']}: null}}",
            )
    return tuple(found.values())


def known_columns_like(
    pattern: str, columns: Iterable[str], names: LanguageNames
) -> tuple[list[str], list[str]]:
    """Names in the columns that ``pattern`` matches: of languages, and of none that we know."""
    slots = [m["language"] for column in columns if (m := _regex(pattern).fullmatch(column))]
    unknown = [name for name in slots if not names.knows(name)]
    known = [name for name in slots if name not in unknown and names.code(name, where="")]
    return known, unknown


def listed(columns: Iterable[str], most: int = 20) -> str:
    """Some column names for a message."""
    columns = list(columns)
    rest = f" and {len(columns) - most} more" if len(columns) > most else ""
    return ", ".join(columns[:most]) + rest


def by_code(columns: Iterable[NamedColumn]) -> Mapping[str, str]:
    """Language to column, by code."""
    return {
        c.language: c.column for c in sorted(columns, key=lambda c: str(c.language)) if c.language
    }


def _regex(pattern: str) -> re.Pattern[str]:
    """A pattern with slots as a regular expression; everything else is literal."""
    parts = re.split("(" + "|".join(map(re.escape, _SLOTS)) + ")", pattern)
    return re.compile("".join(_SLOTS.get(part, re.escape(part)) for part in parts), re.DOTALL)
