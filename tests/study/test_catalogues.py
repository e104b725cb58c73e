import gettext
import io
import json
import struct

import pytest

from atlas_scaling.errors import SourceError
from atlas_scaling.study.catalogues import Message, parse_json_tree, parse_mo, parse_pak, parse_po
from tests.study.tiny_sources import mo, pak


def test_a_pak_gives_its_texts_by_resource_id():
    assert list(parse_pak(pak({7: "sju", 300: "åtta"}))) == [
        Message("7", "sju"),
        Message("300", "åtta"),
    ]


def test_an_alias_in_a_pak_has_the_text_it_points_to():
    messages = parse_pak(pak({7: "sju", 9: "nio"}, aliases={8: 9}))
    assert {m.key: m.text for m in messages} == {"7": "sju", "9": "nio", "8": "nio"}


def test_what_is_no_text_in_a_pak_is_left_out():
    data = pak({1: "ett", 2: "XX"}).replace(b"XX", b"\xff\xfe")
    assert [m.key for m in parse_pak(data)] == ["1"]


def test_a_pak_of_another_version_is_refused_with_what_it_says():
    data = struct.pack("<I", 4) + pak({1: "ett"})[4:]
    with pytest.raises(SourceError) as caught:
        list(parse_pak(data))
    assert caught.value.value == (4, 1)


def test_a_json_tree_gives_its_strings_by_path():
    data = json.dumps({"a": {"b": "x", "n": 3}, "c": ["y", "z"]}).encode()
    assert list(parse_json_tree(data)) == [
        Message("a.b", "x"),
        Message("c.0", "y"),
        Message("c.1", "z"),
    ]


PO = r"""
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\n"

#: file.py:3
msgid "Save the "
"file"
msgstr "Spara "
"\"filen\"\nnu"

#, fuzzy
msgid "Old text"
msgstr "Gammal text"

#, python-format, fuzzy
msgid "Other old text"
msgstr "Annan gammal text"

msgid "one file"
msgid_plural "%d files"
msgstr[0] "en fil"
msgstr[1] "%d filer"

msgctxt "menu"
msgid "Open"
msgstr "Öppna"

msgid "Not translated"
msgstr ""

#~ msgid "Gone"
#~ msgstr "Borta"
"""


def test_po_gives_translated_messages_without_fuzzy_plural_and_obsolete_ones():
    assert list(parse_po(PO.encode())) == [
        Message("Save the file", 'Spara "filen"\nnu', "Save the file"),
        Message("menu\x04Open", "Öppna", "Open"),
    ]


def test_po_with_windows_line_ends_reads_the_same():
    assert list(parse_po(PO.replace("\n", "\r\n").encode())) == list(parse_po(PO.encode()))


def test_mo_gives_what_gettext_of_the_standard_library_gives():
    data = mo(
        {"": "Content-Type: text/plain; charset=UTF-8\n", "Save": "Spara", "menu\x04Open": "Öppna"}
    )
    reference = gettext.GNUTranslations(io.BytesIO(data))
    messages = {m.key: m for m in parse_mo(data)}
    assert messages["Save"].text == reference.gettext("Save") == "Spara"
    assert messages["menu\x04Open"].text == reference.pgettext("menu", "Open") == "Öppna"
    assert messages["menu\x04Open"].english == "Open"
    assert len(messages) == 2


def test_plural_messages_of_mo_are_left_out():
    assert list(parse_mo(mo({"file\0files": "fil\0filer"}))) == []
