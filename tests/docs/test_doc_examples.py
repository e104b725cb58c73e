"""The checker of examples: it must see what is wrong, or no page is checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.doc_examples import (
    examples,
    matches,
    run_page,
    shortened,
    unknown_options,
    updated,
)


def page(tmp_path, text):
    path = tmp_path / "page.md"
    path.write_text(text)
    return path


def test_a_console_block_is_its_commands_with_their_output():
    text = "# T\n\n```console\n$ atlas a \\\n  --b c\none\n\ntwo\n\n$ ls\n```\n"
    first, second = examples(text)
    assert (first.source, first.shown) == ("atlas a --b c", ("one", "", "two"))
    assert (second.source, second.shown) == ("ls", None)
    assert text.splitlines()[slice(*first.output)] == ["one", "", "two"]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        (["a 1.5", "b"], ["a 1.5", "b"], True),
        (["a 1.5"], ["a 1x5"], False),
        (["a", "…", "z"], ["a", "b", "c", "z"], True),
        (["a", "…", "z"], ["a", "z"], True),
        (["a", "…"], ["b", "a"], False),
        (["in … s"], ["in 12.5 s"], True),
        (["in … s"], ["in 12.5 m"], False),
        (["a", "", "b"], ["a  ", "", "", "b"], True),
        (["a"], ["a", "b"], False),
    ],
)
def test_an_ellipsis_stands_for_anything_and_nothing_else_does(shown, printed, same):
    assert matches(shown, printed) is same


def test_a_number_that_the_program_does_not_print_is_found(tmp_path):
    text = "```console\n$ atlas --version\natlas-scaling 99\n```\n"
    (outcome,) = run_page(page(tmp_path, text))
    assert outcome.why == "prints something else"
    (again,) = run_page(page(tmp_path, updated(text, [outcome])))
    assert again.why is None


PRINTED = ["head 2", "", "a 1", "b 2", "c 3", "d 4", "note: x", "end 9"]


@pytest.mark.parametrize(
    ("shown", "kept"),
    [
        (["head 1", "…"], ["head 2", "…"]),
        (["head 1", "…", "c 7", "…"], ["head 2", "…", "c 3", "…"]),
        (["head 1", "…", "b 5", "c 7", "…", "end 8"], ["head 2", "…", "b 2", "c 3", "…", "end 9"]),
        (["…", "end 8"], ["…", "end 9"]),
        (["head 1", "end"], PRINTED),
    ],
)
def test_what_a_page_left_out_stays_left_out_when_it_is_brought_up_to_date(shown, kept):
    assert shortened(shown, PRINTED) == kept
    assert matches(kept, PRINTED)


@given(st.lists(st.sampled_from(["…", "a", "b", ""])), st.lists(st.sampled_from(["a", "b", "c"])))
def test_a_page_that_was_brought_up_to_date_shows_what_is_printed(shown, printed):
    assert matches(shortened(shown, printed), printed)


def test_a_command_that_fails_is_found_unless_its_error_is_shown(tmp_path):
    silent = "```console\n$ atlas transfer sources klingon\n```\n"
    (outcome,) = run_page(page(tmp_path, silent))
    assert outcome.why.startswith("failed: error: ")
    shown = silent.replace("klingon\n", "klingon\nerror: …\n…\n")
    (outcome,) = run_page(page(tmp_path, shown))
    assert outcome.why is None


def test_python_is_run_in_one_piece_of_a_page_and_its_output_compared(tmp_path):
    text = "```python\nx = 2\n```\n\n```python\nprint(x + 1)\n```\n\n```text\n{}\n```\n"
    assert [o.why for o in run_page(page(tmp_path, text.format(3)))] == [None, None]
    assert [o.why for o in run_page(page(tmp_path, text.format(4)))][1] == "prints something else"
    broken = "```python\n1 / 0\n```\n"
    (outcome,) = run_page(page(tmp_path, broken))
    assert "ZeroDivisionError" in outcome.why


def test_files_and_shell_commands_of_a_page_meet_in_one_folder(tmp_path):
    text = (
        "<!-- file: sub/a.txt -->\n```yaml\nhello\n```\n\n"
        "```console\n$ cat sub/*.txt\nhello\n\n$ atlas --version | wc -l\n1\n```\n"
    )
    assert [o.why for o in run_page(page(tmp_path, text))] == [None, None, None]


@pytest.mark.parametrize("command", ["atlas serve", "atlas study run x.yaml", "make demo"])
def test_what_trains_or_waits_is_never_run_without_being_marked(tmp_path, command):
    (outcome,) = run_page(page(tmp_path, f"```console\n$ {command}\n```\n"))
    assert "not run: REASON" in outcome.why


@pytest.mark.parametrize("mark", ["not run: no time", "needs: a-study", "slow: a minute"])
def test_what_is_marked_is_left_out(tmp_path, mark):
    text = f"<!-- {mark} -->\n```console\n$ false\n```\n"
    (outcome,) = run_page(page(tmp_path, text))
    assert outcome.skipped
    assert outcome.why is None


def test_what_a_page_needs_is_there_where_it_is_given(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x").write_text("1\n")
    text = "<!-- needs: a-study -->\n```console\n$ cat a-study/x\n1\n```\n"
    (outcome,) = run_page(page(tmp_path, text), {"a-study": tmp_path / "mine"})
    assert (outcome.skipped, outcome.why) == (None, None)


def test_figures_are_drawn_again_beside_the_page(tmp_path):
    (tmp_path / "figures").mkdir()
    text = "```console\n$ echo new > a.svg\n```\n\n![A](figures/a.svg)\n"
    list(run_page(page(tmp_path, text)))
    assert not (tmp_path / "figures" / "a.svg").exists()
    list(run_page(page(tmp_path, text), keep_figures=True))
    assert (tmp_path / "figures" / "a.svg").read_text() == "new\n"


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ("atlas plan expand --from-languages 8 --to-languages 16 --json", []),
        ("atlas plan expand --from-languages=8 --form 16", ["--form"]),
        ("atlas plan expnad --from-languages 8", ["expnad"]),
        ("atlas transfer sources cat_Latn --top 5 | head", []),
        ("atlas --help", []),
    ],
)
def test_words_that_the_program_does_not_know_are_found(command, unknown):
    assert unknown_options(command) == unknown
