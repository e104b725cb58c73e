"""The sources of the embedded corpus: which wheel, under which licence, and what in it is text.

Each is a program with translations, so that its texts are the same content in every language. The
text is for training on the user's own machine; nothing of it is redistributed by this project.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import SourceError
from atlas_scaling.study.catalogues import (
    WITH_ENGLISH,
    Message,
    parse_json_tree,
    parse_mo,
    parse_pak,
    parse_po,
)
from atlas_scaling.study.debian import DEBIAN_SOURCES, SharedPackages
from atlas_scaling.study.downloads import Wheel, wheel_path
from atlas_scaling.study.locales import code_of_locale
from atlas_scaling.study.pages import parse_page
from atlas_scaling.units import counted

ENGLISH: Final = "eng_Latn"

_LONGEST_ID: Final = 80


@dataclass(frozen=True, slots=True)
class Source:
    """A wheel whose translations are text, or Debian packages that have those of all languages.

    Attributes:
        name: what a study calls it.
        wheel: the pinned file, or the packages.
        licence: licence of its texts.
        homepage: where it comes from.
        member: pattern of the files in the wheel; its groups are ``locale``, and ``part`` where a
            message's key is unique within a part of the program only.
        parse: the parser of such a file.
    """

    name: str
    wheel: Wheel | SharedPackages
    licence: str
    homepage: str
    member: str
    parse: Callable[[bytes], Iterator[Message]]


# The stories of a game, each in a package of its own; the rest of the game is not fetched.
_CAMPAIGNS: Final = (
    *("did", "dm", "dw", "ei", "httt", "l", "low", "nr", "sof", "sota", "sotbe"),
    *("thot", "trow", "tsg", "ttb", "utbs"),
)

SOURCES: Final = {
    source.name: source
    for source in (
        Source(
            name="chromium",
            wheel=Wheel(
                project="PyQt6-WebEngine-Qt6",
                version="6.11.2",
                filename="pyqt6_webengine_qt6-6.11.2-py3-none-manylinux_2_34_x86_64.whl",
                sha256="764891ae20e81828ed8ba0dc153daffca10f8060c9a9b0303a7d407e3e72ce9b",
                n_bytes=116_332_252,
            ),
            licence="LGPL-3.0 (wheel); Chromium's own strings mostly BSD-3-Clause",
            homepage="https://pypi.org/project/PyQt6-WebEngine-Qt6/",
            member=r"/qtwebengine_locales/(?P<locale>[^/]+)\.pak$",
            parse=parse_pak,
        ),
        Source(
            name="homeassistant",
            wheel=Wheel(
                project="homeassistant",
                version="2026.11.0",
                filename="homeassistant-2026.11.0-py3-none-any.whl",
                sha256="7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
                n_bytes=67_607_712,
            ),
            licence="Apache-2.0",
            homepage="https://www.home-assistant.io/",
            member=r"^homeassistant/components/(?P<part>[^/]+)/translations/(?P<locale>[^/]+)\.json$",
            parse=parse_json_tree,
        ),
        Source(
            name="pretix",
            wheel=Wheel(
                project="pretix",
                version="2026.8.0",
                filename="pretix-2026.8.0-py3-none-any.whl",
                sha256="a78932e698778d873530d67f25a57c28d1c09b1bfb1a22ec817c00d90397db85",
                n_bytes=39_528_456,
            ),
            licence="AGPL-3.0 with additional terms",
            homepage="https://pretix.eu/",
            member=r"^pretix/locale/(?P<locale>[^/]+)/LC_MESSAGES/(?P<part>\w+)\.po$",
            parse=parse_po,
        ),
        Source(
            name="gramps",
            wheel=Wheel(
                project="gramps",
                version="6.0.8",
                filename="gramps-6.0.8-py3-none-any.whl",
                sha256="56f03bcb643320eb9f9892d4c3f8bbe7c4c4d2e4c71e56f598584af24561ec1c",
                n_bytes=17_077_316,
            ),
            licence="GPL-2.0-or-later",
            homepage="https://gramps-project.org/",
            member=r"/locale/(?P<locale>[^/]+)/LC_MESSAGES/gramps\.mo$",
            parse=parse_mo,
        ),
        Source(
            name="weblate",
            wheel=Wheel(
                project="weblate",
                version="2026.10.1",
                filename="weblate-2026.10.1-py3-none-any.whl",
                sha256="27a779ceb05fec3665081df0d3f46f4b6ac0e3f499160a1c3cb145e8e35853d2",
                n_bytes=10_949_589,
            ),
            licence="GPL-3.0-or-later",
            homepage="https://weblate.org/",
            member=r"^weblate/locale/(?P<locale>[^/]+)/LC_MESSAGES/(?P<part>\w+)\.mo$",
            parse=parse_mo,
        ),
        Source(
            name="indico",
            wheel=Wheel(
                project="indico",
                version="3.3.14",
                filename="indico-3.3.14-py3-none-any.whl",
                sha256="d98e030e0f21d22b9d9423d7cb3f9fca472ac5c2c4f3d8c5d7026ed3ed6c9811",
                n_bytes=38_192_838,
            ),
            licence="MIT",
            homepage="https://getindico.io/",
            member=r"^indico/translations/(?P<locale>[^/]+)/LC_MESSAGES/(?P<part>[\w-]+)\.po$",
            parse=parse_po,
        ),
        Source(
            name="plone",
            wheel=Wheel(
                project="plone.app.locales",
                version="7.0.4",
                filename="plone_app_locales-7.0.4-py3-none-any.whl",
                sha256="de96a5d0dc1fe5ab540fa6f993805c09da80a9518aa7a309e8cd1f433e3ae6aa",
                n_bytes=12_492_437,
            ),
            licence="GPL-2.0",
            homepage="https://plone.org/",
            member=r"/locales/(?P<locale>[^/]+)/LC_MESSAGES/(?P<part>\w+)\.po$",
            parse=parse_po,
        ),
        Source(
            name="wesnoth",
            wheel=SharedPackages(tuple(f"wesnoth-1.16-{one}" for one in _CAMPAIGNS)),
            licence="GPL-2.0-or-later",
            homepage="https://www.wesnoth.org/",
            member=r"/locale/(?P<locale>[^/]+)/LC_MESSAGES/(?P<part>wesnoth-\w+)\.mo$",
            parse=parse_mo,
        ),
        Source(
            name="debian-handbook",
            wheel=SharedPackages(("debian-handbook",)),
            licence="GPL-2.0-or-later or CC-BY-SA-3.0",
            homepage="https://debian-handbook.info/",
            # sv-SE is Swedish, while zh-CN and zh-TW are two languages here, and pt-BR is none
            member=r"/html/(?P<locale>zh-\w\w|(?!pt-BR)\w\w)[^/]*/(?P<part>[\w.-]+)\.html$",
            parse=parse_page,
        ),
        Source(
            name="gnome-user-docs",
            wheel=SharedPackages(("gnome-user-docs",)),
            licence="CC-BY-SA-3.0",
            homepage="https://help.gnome.org/",
            member=r"/help/(?P<locale>[^/]+)/(?P<part>(?:gnome-help|system-admin-guide)/[\w-]+)\.page$",
            parse=parse_page,
        ),
        Source(
            name="installation-guide",
            wheel=SharedPackages(("installation-guide-amd64",)),
            licence="GPL-2.0",
            homepage="https://www.debian.org/releases/bookworm/installmanual",
            member=r"/installation-guide-amd64/(?P<locale>\w+)/(?P<part>\w+)\.html$",
            parse=parse_page,
        ),
    )
}

DEFAULT_SOURCES: Final = ("chromium", "homeassistant")


@dataclass(frozen=True, slots=True)
class SourceRow(Answer):
    """A source as a list shows it; ``cached`` says whether a file of it is in the cache.

    ``n_bytes`` is None where it depends on the languages.
    """

    name: str
    pin: str
    n_bytes: int | None
    licence: str
    homepage: str
    cached: bool


@dataclass(frozen=True, slots=True)
class SourceList(Answer):
    """All sources of the embedded corpus; ``default`` are those a study gets that names none."""

    default: tuple[str, ...]
    sources: tuple[SourceRow, ...]


def list_sources(cache: Path) -> SourceList:
    """The sources, and which of them ``cache`` holds."""
    rows = [_row(source, cache) for source in SOURCES.values()]
    packages = [
        SourceRow(
            name=source.name,
            pin=f"{len(source.packages)} Debian packages, one a language",
            n_bytes=None,
            licence=source.licence,
            homepage=source.homepage,
            cached=any((cache / "debian").glob(f"{source.name}*.deb")),
        )
        for source in DEBIAN_SOURCES.values()
    ]
    return SourceList(default=DEFAULT_SOURCES, sources=(*rows, *packages))


def _row(source: Source, cache: Path) -> SourceRow:
    wheel = source.wheel
    if isinstance(wheel, Wheel):
        pin, n_bytes, there = wheel.pin, wheel.n_bytes, wheel_path(wheel, cache)
    else:
        pin, n_bytes = f"{counted(len(wheel.names), 'Debian package')}, for all languages", None
        there = cache / "debian" / f"{source.name}.zip"
    return SourceRow(
        name=source.name,
        pin=pin,
        n_bytes=n_bytes,
        licence=source.licence,
        homepage=source.homepage,
        cached=there.is_file(),
    )


class WheelText:
    """The messages in a source's wheel, read a language at a time; to be closed.

    The id of a message is the same in every language. Where two files of the wheel hold one
    language (``pt`` and ``pt_PT``), the first in sorted order goes first and the other fills gaps.
    English is what the wheel has of it, and what its catalogues of ``languages`` have beside the
    translations.

    Args:
        source: what to read.
        wheel: its file.
        languages: whose files count.
    """

    def __init__(self, source: Source, wheel: Path, languages: Collection[str]) -> None:
        self._source = source
        self._archive = zipfile.ZipFile(wheel)
        wanted, pattern = {*languages, ENGLISH}, re.compile(source.member)
        self._files: list[tuple[str, str, str | None]] = []  # name, language, part
        for name in sorted(self._archive.namelist()):
            found = pattern.search(name)
            language = code_of_locale(found["locale"]) if found else None
            if found is not None and language in wanted:
                self._files.append((name, language, found.groupdict().get("part")))

    def close(self) -> None:
        """Close the wheel."""
        self._archive.close()

    def messages(self, code: str) -> dict[str, str]:
        """Messages of a language by id; empty where the source does not have it.

        Raises:
            SourceError: a file in the wheel cannot be read.
        """
        messages: dict[str, str] = {}
        beside = code == ENGLISH and self._source.parse in WITH_ENGLISH
        for name, language, part in self._files:
            if language != code and not beside:
                continue
            for message in _parsed(self._source, self._archive, name):
                identity = _identity(part, message.key)
                if language == code:
                    messages.setdefault(identity, message.text)
                if beside and message.english is not None:
                    messages.setdefault(identity, message.english)
        return messages


def _parsed(source: Source, archive: zipfile.ZipFile, name: str) -> Iterator[Message]:
    try:
        yield from source.parse(archive.read(name))
    except (ValueError, struct.error, zipfile.BadZipFile) as error:
        raise SourceError(
            f"a file of the source {source.name} cannot be read: {error}",
            where=f"{archive.filename}, {name}",
            remedy="this is a fault of the reader: please report it, and leave the source out",
        ) from error


def _identity(part: str | None, key: str) -> str:
    """One short line that names a message: gettext's keys are whole texts, so they are hashed."""
    full = key if part is None else f"{part}.{key}"
    if len(full) <= _LONGEST_ID and full.isprintable():
        return full
    return hashlib.sha256(full.encode()).hexdigest()[:16]
