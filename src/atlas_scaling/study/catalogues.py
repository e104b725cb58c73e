"""Message catalogues of programs: Chromium ``.pak``, JSON trees, gettext ``.po`` and ``.mo``.

Each parser takes the bytes of one file and gives its messages. Nothing is cleaned here.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from atlas_scaling.errors import SourceError


class Message(NamedTuple):
    """One message of a catalogue.

    Attributes:
        key: what it has in common with its translations in other files.
        text: what the program shows.
        english: the English text, where the catalogue carries it beside the translation.
    """

    key: str
    text: str
    english: str | None = None


PAK_VERSION: Final = 5
_PAK_ENCODINGS: Final = {1: "utf-8", 2: "utf-16-le"}
_PAK_HEADER: Final = struct.Struct("<IBxxxHH")  # version, encoding, n_resources, n_aliases
_PAK_ENTRY: Final = struct.Struct("<HI")  # resource id, offset
_PAK_ALIAS: Final = struct.Struct("<HH")  # resource id, index of the entry that holds its text


def parse_pak(data: bytes) -> Iterator[Message]:
    """Messages of a Chromium data pack, by resource id.

    Layout: ``ui/base/resource/data_pack.cc`` of Chromium. Resources that are no text are left out.

    Raises:
        SourceError: the pack is of another version.
    """
    version, encoding, n_resources, n_aliases = _PAK_HEADER.unpack_from(data)
    if version != PAK_VERSION or encoding not in _PAK_ENCODINGS:
        raise SourceError("this data pack is of an unknown version", value=(version, encoding))
    # One entry more than there are resources: its offset is the end of the last one.
    entries = [
        _PAK_ENTRY.unpack_from(data, _PAK_HEADER.size + i * _PAK_ENTRY.size)
        for i in range(n_resources + 1)
    ]
    aliases_at = _PAK_HEADER.size + len(entries) * _PAK_ENTRY.size
    ids = [(entry[0], i) for i, entry in enumerate(entries[:-1])]
    ids += [
        _PAK_ALIAS.unpack_from(data, aliases_at + i * _PAK_ALIAS.size) for i in range(n_aliases)
    ]
    for resource, i in ids:
        raw = data[entries[i][1] : entries[i + 1][1]]
        try:
            text = raw.decode(_PAK_ENCODINGS[encoding])
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            yield Message(str(resource), text)


def parse_json_tree(data: bytes) -> Iterator[Message]:
    """Messages of a JSON file, by their dotted path."""
    yield from _leaves(json.loads(data), "")


def _leaves(node: Any, path: str) -> Iterator[Message]:
    if isinstance(node, str):
        yield Message(path, node)
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _leaves(child, f"{path}.{name}" if path else name)
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from _leaves(child, f"{path}.{i}")


_CONTEXT_END: Final = "\x04"  # what gettext puts between a message's context and its text
_PO_FIELD: Final = re.compile(r'^(msgctxt|msgid|msgid_plural|msgstr)\s+"(.*)"\s*$')
_PO_MORE: Final = re.compile(r'^\s*"(.*)"\s*$')
_PO_ESCAPE: Final = re.compile(r"\\(.)")
_PO_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse_po(data: bytes) -> Iterator[Message]:
    """Translated messages of a gettext source file, without fuzzy, obsolete and plural ones."""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    for block in re.split(r"\n\s*\n", text):
        if re.search(r"^#,.*\bfuzzy\b|^#~", block, re.M):
            continue
        fields = _po_fields(block)
        if "msgid_plural" not in fields:
            yield from _gettext_message(
                fields.get("msgctxt"), fields.get("msgid", ""), fields.get("msgstr", "")
            )


def _po_fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = None
    for line in block.split("\n"):
        if start := _PO_FIELD.match(line):
            name = start[1]
            fields[name] = start[2]
        elif name is not None and (more := _PO_MORE.match(line)):
            fields[name] += more[1]
    return {name: _po_unescaped(value) for name, value in fields.items()}


def _po_unescaped(value: str) -> str:
    return _PO_ESCAPE.sub(lambda escape: _PO_ESCAPED.get(escape[1], escape[1]), value)


_MO_MAGIC: Final = 0x950412DE


def parse_mo(data: bytes) -> Iterator[Message]:
    """Translated messages of a compiled gettext file; plural ones are left out."""
    order = "<" if struct.unpack_from("<I", data)[0] == _MO_MAGIC else ">"
    n_messages, originals_at, translations_at = struct.unpack_from(f"{order}III", data, 8)
    for i in range(n_messages):
        original = _mo_string(data, order, originals_at + 8 * i)
        translation = _mo_string(data, order, translations_at + 8 * i)
        if "\0" not in original:
            context, _, msgid = original.rpartition(_CONTEXT_END)
            yield from _gettext_message(context or None, msgid, translation)


def _mo_string(data: bytes, order: str, at: int) -> str:
    length, offset = struct.unpack_from(f"{order}II", data, at)
    return data[offset : offset + length].decode("utf-8", errors="replace")


def _gettext_message(context: str | None, msgid: str, msgstr: str) -> Iterator[Message]:
    if msgid and msgstr:
        key = msgid if context is None else f"{context}{_CONTEXT_END}{msgid}"
        yield Message(key, msgstr, english=msgid)


WITH_ENGLISH: Final = frozenset({parse_po, parse_mo})
"""Parsers whose catalogues have the English text beside the translation."""
