"""Tiny stand-ins for the sources of the embedded corpus: real file formats, texts made here."""

import dataclasses
import hashlib
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from atlas_scaling.study.corpus_sources import SOURCES

# Letters with which a language spells words of its own from the number of a message.
ALPHABETS = {
    "en": "etaoinshrdlu",
    "sv": "åäöenratslid",
    "da": "æøåenrtdsilg",
    "ru": "оеаинтсрвлкм",
    "pt-PT": "ãõçaeosrinmd",
    "pt-BR": "ãõçaeosrinmd",
}


def sentence(locale: str, number: int, n_words: int = 5) -> str:
    """A made-up sentence of a language that says what ``number`` says."""
    letters = ALPHABETS[locale]
    digest = hashlib.sha256(f"{locale} {number}".encode()).digest()
    words = [
        "".join(letters[byte % len(letters)] for byte in digest[4 * i : 4 * i + 4])
        for i in range(n_words)
    ]
    return " ".join(words).capitalize() + "."


def pak(texts: Mapping[int, str], aliases: Mapping[int, int] | None = None) -> bytes:
    """A Chromium data pack of version 5, UTF-8; ``aliases`` are ids that share another's text."""
    aliases = aliases or {}
    ids = sorted(texts)
    bodies = [texts[i].encode() for i in ids]
    offset = 12 + 6 * (len(ids) + 1) + 4 * len(aliases)
    table = b""
    for resource, body in zip([*ids, 0], [*bodies, b""], strict=True):
        table += struct.pack("<HI", resource, offset)
        offset += len(body)
    table += b"".join(struct.pack("<HH", a, ids.index(i)) for a, i in sorted(aliases.items()))
    return struct.pack("<IBxxxHH", 5, 1, len(ids), len(aliases)) + table + b"".join(bodies)


def mo(messages: Mapping[str, str]) -> bytes:
    """A compiled gettext file, little-endian."""
    pairs = sorted((k.encode(), v.encode()) for k, v in messages.items())
    n = len(pairs)
    at = 28 + 16 * n
    tables, body = [b"", b""], b""
    for column in (0, 1):
        for pair in pairs:
            tables[column] += struct.pack("<II", len(pair[column]), at)
            body += pair[column] + b"\0"
            at += len(pair[column]) + 1
    return struct.pack("<7I", 0x950412DE, 0, n, 28, 28 + 8 * n, 0, 0) + b"".join(tables) + body


def install_source(monkeypatch, cache: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Pin ``name`` to a tiny wheel of ``files`` and put it into ``cache``; its path."""
    path = cache / "wheels" / f"{name}-0-py3-none-any.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(zipfile.ZipInfo(member), data)  # without the time: one hash, always
    pin_source(monkeypatch, name, path)
    return path


def pin_source(monkeypatch, name: str, path: Path) -> None:
    """Pin ``name`` to the file at ``path``."""
    data = path.read_bytes()
    wheel = dataclasses.replace(
        SOURCES[name].wheel,
        filename=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        n_bytes=len(data),
    )
    monkeypatch.setitem(SOURCES, name, dataclasses.replace(SOURCES[name], wheel=wheel))


def chromium_files(texts: Mapping[str, Mapping[int, str]]) -> dict[str, bytes]:
    """Locale to id to text, as files of the wheel."""
    folder = "PyQt6/Qt6/translations/qtwebengine_locales"
    return {f"{folder}/{locale}.pak": pak(by_id) for locale, by_id in texts.items()}


def homeassistant_files(texts: Mapping[str, Mapping[str, str]], part: str = "lamp") -> dict:
    """Locale to key to text, as files of the wheel."""
    return {
        f"homeassistant/components/{part}/translations/{locale}.json": json.dumps(
            {"config": dict(by_key)}
        ).encode()
        for locale, by_key in texts.items()
    }


def install_tiny_corpus(monkeypatch, cache: Path, n: int = 60) -> None:
    """Both default sources with ``n`` aligned messages each in en, sv, da and ru."""
    locales = ("en-US", "sv", "da", "ru")
    short = {"en-US": "en"}
    install_source(
        monkeypatch,
        cache,
        "chromium",
        chromium_files(
            {
                name: {100 + i: sentence(short.get(name, name), i) for i in range(n)}
                for name in locales
            }
        ),
    )
    install_source(
        monkeypatch,
        cache,
        "homeassistant",
        homeassistant_files(
            {
                name: {f"key_{i}": sentence(name, 10_000 + i) for i in range(n)}
                for name in ("en", "sv", "da", "ru")
            }
        ),
    )
