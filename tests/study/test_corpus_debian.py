"""Debian packages as a source, made here by dpkg-deb and handed out by a stand-in for apt-get."""

import dataclasses
import os
import shutil
import subprocess

import pytest

from atlas_scaling.errors import SourceError
from atlas_scaling.study.corpus import build_corpus, corpus_spec
from atlas_scaling.study.corpus_sources import SOURCES, list_sources
from atlas_scaling.study.debian import (
    DEBIAN_SOURCES,
    DebianText,
    SharedPackages,
    fetch_debian,
)
from tests.study.tiny_sources import mo, sentence

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="this system has no dpkg-deb"
)
HELP = DEBIAN_SOURCES["libreoffice-help"]
PARAGRAPH = '<p id="par_id{0}" class="paragraph" dir="auto"><span class="avis">{1}</span></p>\n'


def make_package(repository, locale: str, pages: dict[str, list[str]]) -> None:
    name = f"libreoffice-help-{locale}"
    root = repository / "build" / name
    for page, texts in pages.items():
        file = root / "usr/share/libreoffice/help" / locale / "text" / f"{page}.html"
        file.parent.mkdir(parents=True, exist_ok=True)
        body = "".join(PARAGRAPH.format(i, text) for i, text in enumerate(texts))
        file.write_text(f"<html><body><p>no id</p>{body}</body></html>", "utf-8")
    pack(repository, root, name)


def pack(repository, root, name: str) -> None:
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 4:7.4-1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
        "Description: help\n"
    )
    target = repository / f"{name}_4%3a7.4-1_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, target], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Packages of three languages, and an apt-get that has them and nothing else."""
    folder = tmp_path / "repository"
    for locale, short in (("en-us", "en"), ("sv", "sv"), ("da", "da")):
        pages = {
            f"shared/{n:02}": [sentence(short, 10 * n + i) for i in range(8)] for n in range(12)
        }
        if locale == "sv":
            pages["shared/00"][0] = sentence("en", 0)  # left untranslated
        make_package(folder, locale, pages)
    apt = tmp_path / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(
        "#!/bin/sh\n"
        f'cp {folder}/"$3"_*.deb . 2>/dev/null || '
        '{ echo "E: Unable to locate package $3" >&2; exit 100; }\n'
    )
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{apt.parent}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_pages_of_help_are_aligned_text_by_page_and_paragraph(repository, tmp_path):
    corpus = build_corpus(
        corpus_spec(parts=["libreoffice-help"], eval_lines=10),
        ["swe_Latn", "dan_Latn"],
        cache=tmp_path / "cache",
    )
    assert corpus.manifest.aligned
    pairs = zip(corpus.eval_lines("swe_Latn"), corpus.eval_lines("dan_Latn"), strict=True)
    meant = {sentence("sv", i): sentence("da", i) for i in range(200)}
    assert all(meant[swedish] == danish for swedish, danish in pairs)
    record = corpus.record("swe_Latn")
    assert record.dropped["same_as_english"] == 1
    assert record.train.lines + record.evaluation.lines == 12 * 8 - 1
    assert "libreoffice-help-sv 4:7.4-1" in corpus.manifest.sources[0].pin


def test_packages_in_the_cache_are_not_fetched_again(repository, tmp_path):
    said = []
    first = fetch_debian(HELP, ["swe_Latn"], tmp_path / "cache", said.append)
    assert said == ["fetching libreoffice-help-en-us", "fetching libreoffice-help-sv"]
    assert fetch_debian(HELP, ["swe_Latn"], tmp_path / "cache", said.append) == first
    assert len(said) == 2
    row = next(row for row in list_sources(tmp_path / "cache").sources if row.name == HELP.name)
    assert row.cached


def test_packages_that_have_all_languages_are_one_source(repository, tmp_path, monkeypatch):
    campaigns = ("wesnoth-1.16-did", "wesnoth-1.16-dm")
    wesnoth = SOURCES["wesnoth"]
    monkeypatch.setitem(
        SOURCES, "wesnoth", dataclasses.replace(wesnoth, wheel=SharedPackages(campaigns))
    )
    for k, name in enumerate(campaigns):
        root = repository / "build" / name
        for locale in ("sv", "da"):
            story = {sentence("en", 50 * k + i): sentence(locale, 50 * k + i) for i in range(40)}
            file = root / f"usr/share/games/wesnoth/1.16/locale/{locale}/LC_MESSAGES/{name}.mo"
            file = file.with_name(file.name.replace("-1.16", ""))
            file.parent.mkdir(parents=True)
            file.write_bytes(mo(story))
        pack(repository, root, name)
    corpus = build_corpus(
        corpus_spec(parts=["wesnoth"], eval_lines=10),
        ["swe_Latn", "dan_Latn", "eng_Latn"],
        cache=tmp_path / "cache",
    )
    numbers = [50 * k + i for k in (0, 1) for i in range(40)]
    for code, locale in (("swe_Latn", "sv"), ("eng_Latn", "en")):
        read = {*corpus.train_lines(code), *corpus.eval_lines(code)}
        assert read == {sentence(locale, number) for number in numbers}
    assert corpus.manifest.sources[0].pin == ", ".join(f"{one} 4:7.4-1" for one in campaigns)
    rows = {row.name: row.cached for row in list_sources(tmp_path / "cache").sources}
    assert rows["wesnoth"]
    assert not rows["libreoffice-help"]


def test_a_package_that_apt_does_not_have_is_a_source_that_failed(repository, tmp_path):
    with pytest.raises(SourceError, match="libreoffice-help-ru could not be fetched") as caught:
        fetch_debian(HELP, ["rus_Cyrl"], tmp_path / "cache", print)
    assert "Unable to locate package" in caught.value.value
    assert "apt-get update" in caught.value.remedy


def test_where_there_is_no_apt_that_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="this system has no apt"):
        fetch_debian(HELP, ["swe_Latn"], tmp_path / "cache", print)


def test_a_damaged_package_is_named(tmp_path):
    (tmp_path / "libreoffice-help-sv_1_all.deb").write_bytes(b"not a package")
    with pytest.raises(SourceError, match="cannot be unpacked") as caught:
        DebianText(HELP, {"swe_Latn": tmp_path / "libreoffice-help-sv_1_all.deb"}).messages(
            "swe_Latn"
        )
    assert "remove it" in caught.value.remedy


PAGES = {  # where each source has the page "one" of a language, and how a paragraph is written
    "debian-handbook": (
        "usr/share/doc/debian-handbook/html/{}/one.html",
        {"eng_Latn": "en-US", "swe_Latn": "sv-SE", "zho_Hans": "zh-CN", "": "pt-BR"},
        "<html><body>{}</body></html>",
        '<div class="para">{}</div>',
    ),
    "gnome-user-docs": (
        "usr/share/help/{}/gnome-help/one.page",
        {"eng_Latn": "C", "swe_Latn": "sv", "zho_Hans": "zh_CN", "": "pt_BR"},
        '<page id="one"><info><desc>x</desc></info>{}</page>',
        "<p>{}</p>",
    ),
    "installation-guide": (
        "usr/share/doc/installation-guide-amd64/{}/ch01s01.html",
        {"eng_Latn": "en", "swe_Latn": "sv", "zho_Hans": "zh_CN"},
        "<html><head><title>x</title></head><body>{}</body></html>",
        "<p>{}</p>",
    ),
}


@pytest.mark.parametrize("part", PAGES)
def test_translated_pages_are_aligned_by_place(part, repository, tmp_path):
    path, locales, page, paragraph = PAGES[part]
    (package,) = SOURCES[part].wheel.names
    chinese = [f"{a}{b}的系统设置可以更改" for a in "甲乙丙丁戊己" for b in "天地人山水火"]
    texts = {
        "eng_Latn": [sentence("en", i) for i in range(36)],
        "swe_Latn": [sentence("sv", i) for i in range(36)],
        "zho_Hans": chinese,
        "": [sentence("da", i) for i in range(36)],  # a variety that is left out
    }
    root = repository / "build" / package
    for code, locale in locales.items():
        file = root / path.format(locale)
        file.parent.mkdir(parents=True)
        file.write_text(page.format("".join(map(paragraph.format, texts[code]))), "utf-8")
    pack(repository, root, package)
    corpus = build_corpus(
        corpus_spec(parts=[part], eval_lines=9),
        ["eng_Latn", "swe_Latn", "zho_Hans"],
        cache=tmp_path / "cache",
    )
    for code in corpus.languages:
        assert {*corpus.train_lines(code), *corpus.eval_lines(code)} == set(texts[code])
    pairs = zip(corpus.eval_lines("swe_Latn"), corpus.eval_lines("zho_Hans"), strict=True)
    assert all(texts["swe_Latn"].index(a) == chinese.index(b) for a, b in pairs)
    assert corpus.manifest.sources[0].pin == f"{package} 4:7.4-1"
