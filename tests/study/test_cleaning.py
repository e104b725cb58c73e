import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.study.cleaning import (
    Fault,
    fault_of,
    fingerprint,
    looks_english,
    plain_lines,
    tidied,
    without_markup,
)
from atlas_scaling.study.scripts import letters_in

# Text that is rich in what cleaning looks for, so that the properties meet it.
MARKUP = ["<b>", "</b>", "<br>", "<", ">", "&amp;", "&lt;", "&", "&F", "(&F)", "[x](http://a)"]
ESCAPES = ["**", "`", "''", "\\n", '\\"', "\\", "{name}", "%s", "$1", "\n", "- ", "• ", "1", "."]
CHARACTERS = [" ", "\u00a0", "\u00ad", "\u200b", "\u2028", "e\u0301", "Å", "\u212b", "क्षि"]
WORDS = ["слово", "ord", "文件"]
PIECES = st.sampled_from([*MARKUP, *ESCAPES, *CHARACTERS, *WORDS])
MESSAGES = st.lists(PIECES | st.text(max_size=4), max_size=14).map("".join)


@given(MESSAGES)
def test_cleaning_a_line_without_markup_leaves_it_as_it_is(message):
    for line in plain_lines(message):
        assert tidied(line) == line
        if fault_of(line, "swe_Latn") not in {Fault.ICU, Fault.PLACEHOLDER, Fault.RESIDUE}:
            assert plain_lines(line) == [line]


@given(MESSAGES)
def test_clean_lines_are_never_empty_are_nfc_and_have_no_line_breaks(message):
    for line in plain_lines(message):
        assert line.strip() == line != ""
        assert unicodedata.is_normalized("NFC", line)
        assert line.splitlines() == [line]


@given(MESSAGES, st.sampled_from(["swe_Latn", "rus_Cyrl", "jpn_Jpan", "hin_Deva"]))
def test_a_line_without_fault_has_no_markup_and_enough_letters_of_its_script(message, language):
    for line in plain_lines(message):
        if fault_of(line, language) is None:
            assert not set(line) & set("<>{}\\|_`^~")
            assert letters_in(line, language.split("_")[1]) >= 2


@given(st.text())
def test_a_fingerprint_is_its_own_fingerprint(text):
    assert fingerprint(fingerprint(text)) == fingerprint(text)


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("Öppna <b>filen</b> nu", ["Öppna filen nu"]),
        ("Ett.<br>Två.<p>Tre.</p>", ["Ett.", "Två.", "Tre."]),
        ("- eins zwei\n\n * drei", ["eins zwei", "drei"]),
        ("Läs [handboken]({url}) först", ["Läs handboken först"]),
        ("**Viktigt**: `stäng av`", ["Viktigt: stäng av"]),
        ("&Öppna i ny flik", ["Öppna i ny flik"]),
        ("文件(&F)", ["文件"]),
        ("Spa&ra som", ["Spara som"]),
        ("AT&T och R&D", ["AT&T och R&D"]),
        ("Ljus &amp; mörker", ["Ljus & mörker"]),
        ("&lt;b&gt;fet&lt;/b&gt; text", ["fet text"]),
        # html.unescape alone reads "&copy" as the copyright sign, and "&para" as a pilcrow.
        ("&copy text", ["copy text"]),
        ("Rad ett\\nRad två", ["Rad ett", "Rad två"]),
        ("mjuk\u00adt binde\u200bstreck", ["mjukt bindestreck"]),
        ("hårt\u00a0mellanrum", ["hårt mellanrum"]),
        ("Cafe\u0301", ["Caf\u00e9"]),
        # Persian needs the zero-width non-joiner.
        ("می\u200cخواهم", ["می\u200cخواهم"]),
    ],
)
def test_markup_is_taken_away_and_text_is_normalised(message, lines):
    assert plain_lines(message) == lines


def test_tags_that_are_no_html_are_kept_for_the_placeholder_check():
    assert without_markup("Ange <namn> här") == "Ange <namn> här"


@pytest.mark.parametrize(
    ("line", "language", "fault"),
    [
        ("Det här är en mening.", "swe_Latn", None),
        ("Kasta", "swe_Latn", Fault.NO_SENTENCE),
        ("1 2 3 4 5 6 7 abcd", "swe_Latn", Fault.NO_SENTENCE),
        ("Hej {name}, hur mår du?", "swe_Latn", Fault.PLACEHOLDER),
        ("Hej %s, hur mår du idag?", "swe_Latn", Fault.PLACEHOLDER),
        ("Hej %(name)s, hur mår du idag?", "swe_Latn", Fault.PLACEHOLDER),
        ("Hej %1$s, hur mår du idag?", "swe_Latn", Fault.PLACEHOLDER),
        ("Hej $1, hur mår du idag?", "swe_Latn", Fault.PLACEHOLDER),
        ("Hej ${namn}, hur mår du idag?", "swe_Latn", Fault.PLACEHOLDER),
        ("Ange <namn> här om du vill", "swe_Latn", Fault.PLACEHOLDER),
        ("Klicka BEGIN_LINKhärEND_LINK om du vill", "swe_Latn", Fault.PLACEHOLDER),
        ("Det är 50 % av alla filer.", "swe_Latn", None),
        ("Das sind 50% der Dateien hier.", "deu_Latn", None),
        ("Se mer på https://example.org idag", "swe_Latn", Fault.RESIDUE),
        ("Skriv till info@example.org om det", "swe_Latn", Fault.RESIDUE),
        ("Nyckeln entity_id saknas i filen", "swe_Latn", Fault.RESIDUE),
        ("Filen ligger i /config på disken", "swe_Latn", Fault.RESIDUE),
        ("Starta om och/eller stäng av den", "swe_Latn", None),
        ("{n, plural, =1 {en fil} other {# filer}}", "swe_Latn", Fault.ICU),
        ("Это обычное предложение здесь.", "rus_Cyrl", None),
        ("This was never translated at all", "rus_Cyrl", Fault.WRONG_SCRIPT),
        ("Это обычное предложение здесь.", "swe_Latn", Fault.WRONG_SCRIPT),
        ("Check that the device is on", "swe_Latn", Fault.ENGLISH),
        ("Check that the device is on", "eng_Latn", None),
        ("请勿在此设备上安装应用", "zho_Hans", None),
        ("在 Mealie 应用中打开这个食谱", "zho_Hans", None),
        ("文件", "zho_Hans", Fault.NO_SENTENCE),
        ("このデバイスは設定済みです", "jpn_Jpan", None),
        ("기기가 이미 설정되어 있습니다 다시 시도하세요", "kor_Hang", None),
        ("डिवाइस पहले से सेट किया हुआ है", "hin_Deva", None),
    ],
)
def test_each_fault_is_found_and_good_lines_have_none(line, language, fault):
    assert fault_of(line, language) is fault


def test_a_plural_pattern_over_several_lines_is_refused_as_a_whole():
    message = "{n, plural,\n  =1 {en fil är vald}\n  other {# filer är valda nu}}"
    (line,) = plain_lines(message)
    assert fault_of(line, "swe_Latn") is Fault.ICU


@pytest.mark.parametrize(
    "line",
    [
        "Sie will, dass das Haus dort will",
        "El dispositivo has sido configurado por ti",
        "Las luces are encendidas hoy en casa",
        "Den danske and kan ikke svømme",
    ],
)
def test_words_that_other_languages_share_with_english_do_not_make_english(line):
    assert not looks_english(line)


def test_case_digits_and_punctuation_do_not_make_another_line():
    assert fingerprint("Steg 1: Öppna!") == fingerprint("steg 2 – öppna")
    assert fingerprint("Öppna filen") != fingerprint("Stäng filen")
