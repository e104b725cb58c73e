import doctest

import pytest

from atlas_scaling.report import axes, words


@pytest.mark.parametrize("module", [words, axes])
def test_the_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("low", "high"), [(1, 9), (1e3, 5e12), (0.31, 0.33), (1e-12, 1e12), (5e4, 3e6), (7, 7.7)]
)
def test_ticks_are_few_round_and_inside(low, high):
    ticks = axes.log_ticks(low, high)
    assert 2 <= len(ticks) <= 7  # one tick tells no scale
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in ticks)
    assert ticks == sorted(ticks)


def test_a_language_that_the_table_does_not_know_stands_for_itself():
    assert words.language_title("domain-7") == "domain-7"
    assert words.language_title("swe_Latn") == "Swedish (swe_Latn)"


def test_equal_names_are_told_apart_by_their_codes():
    assert words.short_names(["kaa_Cyrl", "kaa_Latn"]) == {
        "kaa_Cyrl": "kaa_Cyrl",
        "kaa_Latn": "kaa_Latn",
    }


@pytest.mark.parametrize(
    ("bounds", "said"),
    [((None, 0.5), "below 0.5"), ((0.25, None), "above 0.25"), ((None, None), "–"), (None, "–")],
)
def test_open_intervals_are_said_as_bounds(bounds, said):
    assert words.interval(bounds) == said
