import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.study.cleaning import fingerprint
from atlas_scaling.study.corpus_store import Line
from atlas_scaling.study.deduplication import Excess, distinct_lines, order_key

TEXT = st.text(alphabet="abcd ,.", min_size=1, max_size=6)
TEXTS = st.dictionaries(
    st.sampled_from(["dan_Latn", "nob_Latn", "swe_Latn"]), st.lists(TEXT, max_size=12), min_size=1
)


def distinct(texts, *, withheld=(), seed=0):
    dropped = {code: Counter() for code in texts}
    lines = {code: [Line(text, "s") for text in of] for code, of in texts.items()}
    with tempfile.TemporaryDirectory() as folder:
        kept = dict(
            distinct_lines(
                lines.__getitem__,
                lines,
                withheld=set(withheld),
                seed=seed,
                dropped=dropped,
                folder=Path(folder) / "copies",
            )
        )
    return {code: [line.text for line in of] for code, of in kept.items()}, dropped


@given(TEXTS, st.integers(0, 3))
def test_no_fingerprint_is_kept_twice_and_none_is_lost(texts, seed):
    kept, _ = distinct(texts, seed=seed)
    prints = [fingerprint(text) for of in kept.values() for text in of]
    assert len(prints) == len(set(prints))
    assert set(prints) == {fingerprint(text) for of in texts.values() for text in of}


@given(TEXTS, st.integers(0, 3))
def test_every_line_is_kept_or_counted(texts, seed):
    kept, dropped = distinct(texts, seed=seed)
    for code, of in texts.items():
        assert len(kept[code]) + dropped[code].total() == len(of)


@given(TEXTS)
def test_the_order_of_the_languages_does_not_matter(texts):
    backwards = dict(reversed(texts.items()))
    assert distinct(texts)[0] == distinct(backwards)[0]


def test_lines_of_the_evaluation_text_are_kept_out_in_any_spelling_of_case():
    kept, dropped = distinct(
        {"swe_Latn": ["Spara filen!", "stäng filen"]}, withheld={fingerprint("spara filen")}
    )
    assert kept == {"swe_Latn": ["stäng filen"]}
    assert dropped["swe_Latn"] == {Excess.TEST_LINE: 1, Excess.OTHER_LANGUAGE: 0}


def test_lines_that_two_languages_share_go_to_either_of_them():
    shared = [f"delt setning {'abcdefgh'[i % 8] * (i // 8 + 1)}" for i in range(64)]
    kept, _ = distinct({"dan_Latn": shared, "nob_Latn": shared})
    # Binomial(64, 1/2): fewer than 16 on one side has a chance of 2e-5, and the seed is fixed.
    assert min(len(of) for of in kept.values()) >= 16


def test_an_order_is_the_same_on_every_machine_and_another_for_another_seed():
    # printf '0\nspara filen' | sha256sum
    assert order_key(0, "spara filen").hex()[:8] == "6d173c58"
    assert order_key(1, "spara filen") != order_key(0, "spara filen")
