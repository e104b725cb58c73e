import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.mixtures import unimax
from atlas_scaling.planning.usual_mixtures import usual_mixtures

UNIQUE = np.array([1e9, 20e9, 300e9])
TARGETS = np.array([True, False, False])


def at(name, tokens=100e9, unique=UNIQUE):
    mixtures, _ = usual_mixtures(unique, TARGETS)
    return mixtures[name](np.array([tokens]))[0]


def test_the_usual_mixtures():
    assert at("uniform") == pytest.approx([1 / 3] * 3)
    assert at("target_only") == pytest.approx([1, 0, 0])
    assert at("proportional") == pytest.approx(UNIQUE / 321e9)
    # w ~ U^.3: 1, 20^.3 = 2.45646, 300^.3 = 5.53524, together 8.99170
    assert at("temperature") == pytest.approx(np.array([1, 2.45646, 5.53524]) / 8.9917, rel=1e-5)


def test_unimax_gives_what_a_small_language_cannot_take_to_the_others():
    # 10 epochs of 1B are 10B of 100B; the other 90B are halved
    assert at("unimax") == pytest.approx([0.1, 0.45, 0.45])


def test_unimax_with_too_little_text_repeats_all_of_it_alike():
    assert unimax(np.array([1e9, 3e9]), 1e12) == pytest.approx([0.25, 0.75])


@given(
    st.lists(st.floats(1e6, 1e12), min_size=1, max_size=30),
    st.floats(1e6, 1e14),
)
def test_unimax_shares_sum_to_one_and_keep_the_limit_where_they_can(unique, tokens):
    unique = np.array(unique)
    shares = unimax(unique, tokens)
    assert shares.sum() == pytest.approx(1)
    if tokens <= 10 * unique.sum():
        assert (shares * tokens <= 10 * unique * (1 + 1e-9)).all()
    order = np.argsort(unique)
    assert (np.diff(shares[order]) >= -1e-12).all()  # more text, no smaller share


def test_mixtures_that_need_counts_are_left_out_with_a_word():
    mixtures, said = usual_mixtures(np.array([1e9, np.inf]), np.array([True, False]))
    assert set(mixtures) == {"uniform", "target_only", "unimax"}
    assert "left out" in said[0]
    # Unimax takes a language without a known limit for one with enough text
    assert mixtures["unimax"](np.array([30e9]))[0] == pytest.approx([1 / 3, 2 / 3])
    nothing, _ = usual_mixtures(np.full(2, np.inf), np.array([True, False]))
    assert set(nothing) == {"uniform", "target_only"}
