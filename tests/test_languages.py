import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling import languages as table
from atlas_scaling.errors import InputError
from atlas_scaling.languages import language, languages, normalise, relatives, search

SHARED = Path(__file__).parents[2] / "shared" / "published"


@pytest.mark.parametrize(
    ("given_code", "meant"),
    [
        ("en", "eng_Latn"),
        ("eng", "eng_Latn"),
        ("eng_Latn", "eng_Latn"),
        ("eng-Latn", "eng_Latn"),
        ("en_latn", "eng_Latn"),
        ("ENG_LATN", "eng_Latn"),
        (" sv ", "swe_Latn"),
        ("iw", "heb_Hebr"),
        ("he", "heb_Hebr"),
        ("in", "ind_Latn"),
        ("hi_Latn", "hin_Latn"),
        ("nan_Latn_TW", "nan_Latn"),
        ("az_RU", "aze_Cyrl"),
        ("ndc_ZW", "ndc_Latn"),
        ("ms_Arab_BN", "msa_Arab_BN"),
        ("sr-Latn", "srp_Latn"),
        ("sr@latin", "srp_Latn"),
        ("zh-TW", "zho_Hant"),
        ("pt-BR", "por_Latn_BR"),
        ("sv-SE", "swe_Latn"),
        ("en_US", "eng_Latn"),
        ("de-AT", "deu_Latn"),
        ("es-419", "spa_Latn"),
        ("pt_PT", "por_Latn"),
        ("iw_IL", "heb_Hebr"),
        ("hi_Latn_IN", "hin_Latn"),
        ("sr-ME", "srp_Latn"),
        ("zh-Hant-HK", "zho_Hant"),
        ("ger", "deu_Latn"),
        ("fre_Latn", "fra_Latn"),
    ],
)
def test_usual_codes_become_ours(given_code, meant):
    assert normalise(given_code) == meant


@pytest.mark.parametrize(
    "codes",
    [
        ("zh", "zh-Hans", "zh-Hant", "cmn", "cmn_Hans", "zh_Latn", "yue"),
        ("hi", "hi_Latn"),
        ("no", "nb", "nn"),
        ("sr", "sr-Latn", "hr", "bs"),
        ("pt", "pt-BR"),
        ("fil", "tl"),
        ("sw", "swh", "swc"),
        ("ar", "arb", "arz"),
        ("fa", "pes", "prs"),
        ("ms", "zsm", "id", "ms_Arab", "ms_Arab_BN"),
        ("kaa", "kaa_Latn"),
        ("az", "az_RU", "azj", "azb"),
        ("ku", "kmr", "ckb"),
        ("et", "ekk"),
        ("lv", "lvs", "ltg"),
    ],
)
def test_codes_that_are_not_the_same_text_are_never_merged(codes):
    assert len({normalise(code) for code in codes}) == len(codes)


def test_a_region_never_leads_to_another_script_than_cldr_has_there():
    cldr = pytest.importorskip("babel.core").get_global("likely_subtags")
    tried = 0
    for entry in languages():
        tag = entry.iso639_1 or entry.iso639_3
        usual = cldr.get(tag)
        if usual is None or table._aliases().get(tag) != entry.code:
            continue
        for region in table.REGIONS:
            here = cldr.get(f"{tag}_{region.upper()}", usual).split("_")[1]
            try:
                found = language(f"{tag}-{region}")
            except InputError:
                continue
            if found.madlad == f"{tag}_{region.upper()}":
                continue  # MADLAD-400 says itself which text it means
            # where CLDR has the usual script, a region changes nothing that the bare code says
            wanted = {here} if here != usual.split("_")[1] else {here, entry.script}
            assert found.iso639_3 == entry.iso639_3
            assert found.script in wanted
            tried += 1
    assert tried > 40_000


def test_every_language_is_known_with_the_region_that_cldr_has_it_in():
    cldr = pytest.importorskip("babel.core").get_global("likely_subtags")
    refused = []
    for entry in languages():
        tag = entry.iso639_1 or entry.iso639_3
        usual = cldr.get(tag)
        if usual is not None and table._aliases().get(tag) == entry.code:
            try:
                assert language(f"{tag}_{usual.split('_')[2]}").iso639_3 == entry.iso639_3
            except InputError:
                refused.append(tag)
    assert refused == []


def test_bibliographic_codes_are_no_codes_of_another_language():
    for bibliographic, terminological in table.ISO639_2.items():
        assert normalise(bibliographic) == normalise(terminological)
        assert bibliographic not in {entry.iso639_3 for entry in languages()}


def test_norwegian_is_the_macrolanguage_and_bokmal_and_nynorsk_are_its_members():
    assert normalise("no") == "nor_Latn"
    assert normalise("nb") == "nob_Latn"
    assert [kin.code for kin in relatives("no")] == ["nno_Latn", "nob_Latn"]


def test_a_bare_code_stands_for_the_script_most_texts_are_in():
    assert normalise("hi") == "hin_Deva"
    assert normalise("sr") == "srp_Cyrl"
    assert normalise("pa") == "pan_Guru"


def test_chinese_without_a_script_is_either_script():
    assert normalise("zh") == "zho_Hani"


def test_every_code_of_the_table_is_its_own_normal_form():
    assert all(normalise(entry.code) == entry.code for entry in languages())


def test_every_madlad_code_is_known_and_no_two_are_the_same_language():
    codes = [entry.madlad for entry in languages() if entry.madlad]
    assert len(codes) == 419
    assert len({normalise(code) for code in codes}) == 419


@pytest.mark.skipif(not SHARED.exists(), reason="the published tables are not beside the checkout")
def test_the_madlad_codes_are_those_of_table_b4():
    with (SHARED / "table_b4_unimax_rates.csv").open() as file:
        printed = {row["lang"] for row in csv.DictReader(file)}
    assert printed == {entry.madlad for entry in languages() if entry.madlad}


@pytest.mark.skipif(not SHARED.exists(), reason="the published tables are not beside the checkout")
def test_families_agree_with_those_assigned_by_hand_to_the_paper_s_38():
    spelt_otherwise = {
        "IE": "Indo-European",
        "Niger-Congo": "Atlantic-Congo",
        "Kra-Dai": "Tai-Kadai",
    }
    with (SHARED / "languages.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["script_OWN_ASSIGNMENT"]]
    assert len(rows) == 38
    for row in rows:
        family = row["top_family_OWN_ASSIGNMENT"]
        assert language(row["code"]).family == spelt_otherwise.get(family, family)
        if row["code"] != "zh":  # Han here, simplified there
            assert language(row["code"]).script == row["script_OWN_ASSIGNMENT"]


def test_a_language_says_what_it_is():
    swedish = language("sv")
    assert swedish.to_dict() == {
        "code": "swe_Latn",
        "name": "Swedish",
        "script": "Latn",
        "family": "Indo-European",
        "branch": "Germanic",
        "iso639_1": "sv",
        "iso639_3": "swe",
        "macrolanguage": None,
        "madlad": "sv",
    }
    assert str(swedish) == "swe_Latn (Swedish)"


def test_branches_are_the_usual_groups():
    branches = {code: language(code).branch for code in ("cat", "rus", "hin", "swa", "tgl", "ara")}
    assert branches == {
        "cat": "Romance",
        "rus": "Slavic",
        "hin": "Indo-Aryan",
        "swa": "Bantu",
        "tgl": "Central Philippine",
        "ara": "Semitic",
    }


def test_languages_of_the_declaration_have_their_family_or_none():
    families = {code: language(code).family for code in ("sms", "eve", "gaa", "qul", "niv", "mic")}
    assert families == {
        "sms": "Uralic",
        "eve": "Tungusic",
        "gaa": "Atlantic-Congo",
        "qul": "Quechuan",
        "niv": "Nivkh",
        "mic": "Algic",
    }
    assert language("zxx_Zxxx").family == ""  # none, rather than a guess


def test_yaml_s_norwegian_is_explained():
    with pytest.raises(InputError) as caught:
        normalise(False)  # type: ignore[arg-type]
    assert "False" in caught.value.problem
    assert caught.value.remedy is not None
    assert '"no" in quotes' in caught.value.remedy


@pytest.mark.parametrize("value", [None, 3, 1.5, True, ["en"]])
def test_what_is_not_text_is_refused(value):
    with pytest.raises(InputError, match="a language code is text") as caught:
        normalise(value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("Swedish", "did you mean swe_Latn (Swedish)?"),
        ("swedsh", "did you mean swe_Latn (Swedish)?"),
        ("Chinese", "did you mean zho_Hani"),
        ("hi_Arab", "hin_Deva (Hindi) or hin_Latn (Hindi (Latin))"),
        ("de-XX", "the table has this language as deu_Latn (German)"),
        ("uz-AF", "uzb_Cyrl (Uzbek (Cyrillic)) or uzb_Latn (Uzbek)"),
        ("zh-DE", "zho_Hans (Chinese (Simplified))"),
        ("nan", "nan_Latn"),
        ("kmz", "kmz_Latn"),
        ("qqq_Latn", "atlas languages"),
        ("xx", "atlas languages"),
        ("", "atlas languages"),
    ],
)
def test_an_unknown_code_names_the_nearest(wrong, hint):
    with pytest.raises(InputError) as caught:
        normalise(wrong)
    assert caught.value.value == wrong
    assert hint in (caught.value.remedy or "")


@given(st.text(max_size=12))
def test_any_text_is_a_code_of_the_table_or_an_input_error(text):
    codes = {entry.code for entry in languages()}
    try:
        code = normalise(text)
    except InputError as error:
        code = None
        remedy = error.remedy
    assert code in codes or (code is None and remedy)


@given(st.sampled_from(languages()), st.booleans())
def test_case_and_hyphens_do_not_matter(entry, upper):
    spelling = entry.code.replace("_", "-")
    assert normalise(spelling.upper() if upper else spelling.lower()) == entry.code


def test_search_finds_by_name_code_family_and_branch():
    assert search("swedish")[0].code == "swe_Latn"
    assert search("iw")[0].code == "heb_Hebr"
    assert search("norwegian")[0].code == "nor_Latn"
    assert {entry.code for entry in search("slavic")} >= {"rus_Cyrl", "pol_Latn", "bul_Cyrl"}
    assert search("no such thing") == []
    assert len(search("")) == len(languages())


def test_importing_the_module_reads_nothing_and_needs_no_other_package():
    code = (
        "import sys, json; import atlas_scaling.languages as t;"
        "print(json.dumps([t._rows.cache_info().currsize,"
        " [m for m in ('numpy', 'polars', 'pydantic') if m in sys.modules]]))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == [0, []]


def test_every_spelling_means_one_code():
    table._aliases.cache_clear()
    aliases = table._aliases()  # asserts that no spelling means two codes
    assert len(aliases) > len(languages())
