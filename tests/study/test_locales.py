from atlas_scaling.languages import normalise
from atlas_scaling.study.locales import CODE_OF_LOCALE, code_of_locale
from atlas_scaling.study.scripts import letters_in, script_of

# Names of the .pak files in PyQt6-WebEngine-Qt6 6.11.2 and of the .json files in homeassistant
# 2026.11.0, as `unzip -l` lists them.
CHROMIUM = """am ar bg bn ca cs da de el en-GB en-US es-419 es et fa fi fil fr gu he hi hr hu id it
ja kn ko lt lv ml mr ms nb nl pl pt-BR pt-PT ro ru sk sl sr sv sw ta te th tr uk vi zh-CN zh-TW"""
HOME_ASSISTANT = """el ru ko ja hu zh-Hant cs sk tr lt es de ga gl sr-Latn pt sv en fr et zh-Hans
en-GB he bg sr nl it ca uk fi pt-BR eu id pl vi nb mk sl ro da hy lv fy lb es-419 hr gsw ar is fa
ka bn th nn af sq cy hi bs ta ne eo ml ur"""
VARIETIES = {"en-GB", "es-419", "pt-BR"}


def test_every_locale_of_the_two_default_sources_has_a_code_or_is_left_out_by_name():
    for name in (CHROMIUM + " " + HOME_ASSISTANT).split():
        assert (code_of_locale(name) is None) == (name in VARIETIES)


def test_codes_are_those_of_the_table_of_languages():
    for code in CODE_OF_LOCALE.values():
        assert normalise(code) == code


def test_every_script_that_occurs_has_its_letters():
    for code in CODE_OF_LOCALE.values():
        assert letters_in("1 2", script_of(code)) == 0


def test_varieties_do_not_become_the_language():
    assert code_of_locale("pt_BR") is None
    assert code_of_locale("pt_PT") == code_of_locale("pt") == "por_Latn"
    assert code_of_locale("zh_TW") == "zho_Hant"
    assert code_of_locale("zh-CN") == "zho_Hans"
    assert code_of_locale("sr@latn") == "srp_Latn"
    assert code_of_locale("sr") == "srp_Cyrl"
