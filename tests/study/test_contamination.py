import random
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.study.contamination import (
    EVALUATION_STRIDE,
    PASSAGE_LETTERS,
    PassageIndex,
    letters_of,
)

ALWAYS_FOUND = PASSAGE_LETTERS + EVALUATION_STRIDE - 1


def prose(n: int, seed: int, alphabet: str = string.ascii_lowercase) -> str:
    return "".join(random.Random(seed).choices(alphabet, k=n))


def found(index: PassageIndex, texts: list[str]) -> list[bool]:
    pairs = list(index.found_in(texts))
    assert [text for text, _ in pairs] == texts
    return [hit for _, hit in pairs]


@settings(max_examples=50, deadline=None)
@given(
    before=st.integers(0, 200),
    shared=st.integers(0, 120),
    after=st.integers(0, 200),
    offset=st.integers(0, 80),
    alphabet=st.sampled_from(["ab", string.ascii_lowercase, "абвгдежзик", "漢字仮名交文章例示"]),
)
def test_a_shared_passage_is_found_wherever_it_stands(before, shared, after, offset, alphabet):
    evaluation = prose(offset + shared + 30, 1, alphabet)
    passage = evaluation[offset : offset + shared]
    text = prose(before, 2, alphabet) + "#" + passage + "#" + prose(after, 3, alphabet)
    letters = letters_of(text)
    # what a plain search says
    windows = {
        evaluation[i : i + PASSAGE_LETTERS] for i in range(len(evaluation) - PASSAGE_LETTERS + 1)
    }
    there = any(letters[i : i + PASSAGE_LETTERS] in windows for i in range(len(letters)))
    (hit,) = found(PassageIndex([evaluation]), [text])
    if shared >= ALWAYS_FOUND:
        assert hit
    if not there:
        assert not hit


def test_case_digits_spaces_and_punctuation_do_not_hide_a_passage():
    line = "the quick brown fox jumps over the lazy dog and then over the fence again"
    altered = "Intro 7: " + line.upper().replace(" ", " 3, ") + " Outro."
    assert found(PassageIndex([line]), [altered]) == [True]


def test_passages_do_not_reach_from_one_text_into_the_next():
    line = prose(80, 5)
    assert found(PassageIndex([line]), [line[:40], line[40:], line]) == [False, False, True]


def test_counts_are_of_texts_on_both_sides():
    lines = [prose(90, seed) for seed in range(5)] + ["short"]
    index = PassageIndex(lines)
    assert index.n_long_enough == 5
    hits = found(index, [prose(90, 77), lines[1] + lines[3], lines[1]])
    assert hits == [False, True, True]
    assert index.n_found == 2


def test_no_evaluation_text_is_found_nowhere():
    assert found(PassageIndex([]), [prose(100, 1)]) == [False]


def test_random_text_has_no_false_hits():
    index = PassageIndex([prose(2000, seed) for seed in range(200)])
    assert not any(found(index, [prose(1000, 10_000 + seed) for seed in range(300)]))
