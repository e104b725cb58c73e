"""Names that programs give their translations (``pt_PT``, ``zh-CN``, ``nb``) as our codes.

One language has one text: regional varieties of a language that is there already say the same in
nearly the same words, so they are left out rather than mixed in or counted as more text.
"""

from __future__ import annotations

from typing import Final

CODE_OF_LOCALE: Final = {
    "af": "afr_Latn",
    "am": "amh_Ethi",
    "ar": "ara_Arab",
    "az": "aze_Latn",
    "ba": "bak_Cyrl",
    "be": "bel_Cyrl",
    "bg": "bul_Cyrl",
    "bn": "ben_Beng",
    "br": "bre_Latn",
    "bs": "bos_Latn",
    "c": "eng_Latn",
    "ca": "cat_Latn",
    "ckb": "ckb_Arab",
    "cs": "ces_Latn",
    "cs-cz": "ces_Latn",
    "cy": "cym_Latn",
    "da": "dan_Latn",
    "de": "deu_Latn",
    "de-de": "deu_Latn",
    "el": "ell_Grek",
    "en": "eng_Latn",
    "en-us": "eng_Latn",
    "eo": "epo_Latn",
    "es": "spa_Latn",
    "es-es": "spa_Latn",
    "et": "est_Latn",
    "eu": "eus_Latn",
    "fa": "fas_Arab",
    "fi": "fin_Latn",
    "fi-fi": "fin_Latn",
    "fil": "fil_Latn",
    "fo": "fao_Latn",
    "fr": "fra_Latn",
    "fr-fr": "fra_Latn",
    "fy": "fry_Latn",
    "ga": "gle_Latn",
    "gl": "glg_Latn",
    "gsw": "gsw_Latn",
    "gu": "guj_Gujr",
    "he": "heb_Hebr",
    "hi": "hin_Deva",
    "hr": "hrv_Latn",
    "hu": "hun_Latn",
    "hu-hu": "hun_Latn",
    "hy": "hye_Armn",
    "id": "ind_Latn",
    "is": "isl_Latn",
    "it": "ita_Latn",
    "it-it": "ita_Latn",
    "ja": "jpn_Jpan",
    "ja-jp": "jpn_Jpan",
    "ka": "kat_Geor",
    "kab": "kab_Latn",
    "kk": "kaz_Cyrl",
    "km": "khm_Khmr",
    "kn": "kan_Knda",
    "ko": "kor_Hang",
    "ko-kr": "kor_Hang",
    "lb": "ltz_Latn",
    "lo": "lao_Laoo",
    "lt": "lit_Latn",
    "lv": "lav_Latn",
    "mk": "mkd_Cyrl",
    "mk-mk": "mkd_Cyrl",
    "ml": "mal_Mlym",
    "mn": "mon_Cyrl",
    "mn-mn": "mon_Cyrl",
    "mr": "mar_Deva",
    "ms": "msa_Latn",
    "my": "mya_Mymr",
    "nb": "nob_Latn",
    "nb-no": "nob_Latn",
    "ne": "nep_Deva",
    "nl": "nld_Latn",
    "nn": "nno_Latn",
    "no": "nob_Latn",
    "pl": "pol_Latn",
    "pl-pl": "pol_Latn",
    "pt": "por_Latn",
    "pt-pt": "por_Latn",
    "ro": "ron_Latn",
    "ru": "rus_Cyrl",
    "sk": "slk_Latn",
    "sl": "slv_Latn",
    "sq": "sqi_Latn",
    "sr": "srp_Cyrl",
    "sr@cyrl": "srp_Cyrl",
    "sr@latn": "srp_Latn",
    "sr-latn": "srp_Latn",
    "sv": "swe_Latn",
    "sv-se": "swe_Latn",
    "sw": "swa_Latn",
    "ta": "tam_Taml",
    "te": "tel_Telu",
    "th": "tha_Thai",
    "tr": "tur_Latn",
    "tr-tr": "tur_Latn",
    "uk": "ukr_Cyrl",
    "uk-ua": "ukr_Cyrl",
    "ur": "urd_Arab",
    "vi": "vie_Latn",
    "zh-cn": "zho_Hans",
    "zh-hans": "zho_Hans",
    "zh-hans-cn": "zho_Hans",
    "zh-hant": "zho_Hant",
    "zh-tw": "zho_Hant",
}

VARIETIES_LEFT_OUT: Final = frozenset(
    {"ca-valencia", "de-at", "de-informal", "en-au", "en-ca", "en-gb", "es-419", "nl-be"}
    | {"nl-informal", "pl-informal", "pt-br", "zh-hk"}
)


def code_of_locale(name: str) -> str | None:
    """Our code for a locale's name, or None for a variety that is left out or an unknown name.

    >>> code_of_locale("pt_PT"), code_of_locale("pt-BR")
    ('por_Latn', None)
    """
    return CODE_OF_LOCALE.get(name.replace("_", "-").lower())
