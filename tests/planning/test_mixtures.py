import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.languages import languages
from atlas_scaling.planning.mixtures import checked_mixture, effective_languages

CODES = [entry.code for entry in languages()]


@given(st.integers(1, 100))
def test_even_shares_count_as_their_number(k):
    assert effective_languages(dict.fromkeys(CODES[:k], 1 / k)) == pytest.approx(k)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=20))
def test_uneven_shares_count_as_fewer_languages_but_at_least_one(weights):
    mixture = {code: w / sum(weights) for code, w in zip(CODES, weights, strict=False)}
    assert 1 - 1e-12 <= effective_languages(mixture) <= len(weights) + 1e-9


def test_a_vanishing_share_does_not_count():
    assert effective_languages({"de": 0.5, "fr": 0.5, "es": 0.0}) == pytest.approx(2)
    assert effective_languages({"de": 0.5, "fr": 0.5 - 1e-9, "es": 1e-9}) == pytest.approx(2)


def test_the_effective_number_is_near_the_hill_number_that_the_law_implies():
    # with phi = .11 the capacity term's mean over tokens is H_(1-phi)^phi; worked for one mixture
    mixture = {"de": 0.6, "fr": 0.2, "es": 0.15, "pt": 0.05}
    implied = sum(share * (1 / share) ** 0.11 for share in mixture.values()) ** (1 / 0.11)
    assert effective_languages(mixture) == pytest.approx(implied, rel=0.03)
    assert math.log(effective_languages(mixture)) == pytest.approx(
        -(0.6 * math.log(0.6) + 0.2 * math.log(0.2) + 0.15 * math.log(0.15) + 0.05 * math.log(0.05))
    )


def test_codes_are_normalised():
    assert checked_mixture({"de": 0.5, "iw": 0.5}) == {"deu_Latn": 0.5, "heb_Hebr": 0.5}


def test_per_cent_are_refused_with_what_to_do():
    with pytest.raises(InputError) as caught:
        checked_mixture({"de": 50, "fr": 49.9})
    assert caught.value.value == pytest.approx(99.9)
    assert "divide" in caught.value.remedy
