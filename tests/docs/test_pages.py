"""What the pages show is what the program prints (tools/doc_examples.py)."""

import re

import pytest
from tools.doc_examples import ROOT, examples, figures, pages, run_page, unknown_options

ALL = [*pages(), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_the_examples_of_a_page_print_what_it_shows(page):
    wrong = [
        f"{page.name}:{o.example.first + 1}: {o.why}\n$ {o.example.source}\n" + "\n".join(o.printed)
        for o in run_page(page)
        if o.why is not None
    ]
    remedy = f"python tools/doc_examples.py --update docs/{page.name}"
    assert not wrong, "\n\n".join([*wrong, f"if the program is right: {remedy}"])


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_every_command_on_a_page_is_one_of_the_program_with_options_that_it_has(page):
    text = page.read_text()
    commands = [e.source for e in examples(text) if e.kind == "console"]
    inline = re.findall(r"`(atlas [a-z][^`…\n]*)`", text)
    for command in [*commands, *inline]:
        if command.startswith("atlas "):
            assert unknown_options(command) == [], f"{page.name}: {command}"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_figure_of_a_page_is_written_by_one_of_its_commands(page):
    text = page.read_text()
    commands = " ".join(e.source for e in examples(text))
    for figure in figures(text):
        assert figure in commands, f"{page.name} shows {figure}"
        assert (page.parent / "figures" / figure).is_file()


def test_no_figure_lies_about_that_no_page_shows():
    shown = {figure for page in pages() for figure in figures(page.read_text())}
    assert {path.name for path in (ROOT / "docs" / "figures").iterdir()} == shown


def test_links_between_pages_lead_somewhere():
    for page in ALL:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_both_tables_of_contents():
    contents = (ROOT / "docs" / "index.md").read_text().splitlines()
    readme = (ROOT / "docs" / "README.md").read_text()
    for page in pages():
        if page.stem not in ("README", "index"):
            assert page.stem in contents, f"docs/index.md does not list {page.name}"
            assert f"({page.name})" in readme, f"docs/README.md does not list {page.name}"
