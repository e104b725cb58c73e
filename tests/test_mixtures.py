import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.mixtures import tempered, unimax
from atlas_scaling.published.mixtures import unimax_percent
from atlas_scaling.published.regime_laws import regime_laws

COUNTS = st.lists(st.integers(1, 10**13), min_size=1, max_size=30)


@given(COUNTS, st.floats(1e3, 1e14), st.floats(0.1, 100))
def test_unimax_is_even_but_for_languages_at_their_cap(counts, tokens, epochs):
    unique = np.array(counts, dtype=np.float64)
    shares = unimax(unique, tokens, epochs=epochs)
    assert shares.sum() == pytest.approx(1)
    if epochs * unique.sum() <= tokens:  # no room: all are at the cap, in proportion
        assert shares == pytest.approx(unique / unique.sum())
        return
    taken = shares * tokens
    at_cap = taken >= epochs * unique * (1 - 1e-9)
    assert (taken <= epochs * unique * (1 + 1e-9)).all()
    assert taken[~at_cap] == pytest.approx(taken.max())


@given(COUNTS)
def test_a_temperature_lies_between_proportional_and_uniform(counts):
    unique = np.array(counts, dtype=np.float64)
    assert tempered(unique, temperature=1) == pytest.approx(unique / unique.sum())
    assert tempered(unique, temperature=1e12) == pytest.approx(
        np.full(len(unique), 1 / len(unique))
    )
    spread = [np.ptp(tempered(unique, temperature=T)) for T in (1, 2, 5, 100)]
    assert spread == sorted(spread, reverse=True) or np.ptp(unique) < 1e-9 * unique.max()


def test_xlm_r_samples_by_the_power_0_3():
    # Conneau et al. 2020, section 3.1: q_i = p_i^alpha / sum p_j^alpha, alpha = 0.3
    p = np.array([0.7, 0.2, 0.1])
    assert tempered(p, temperature=1 / 0.3) == pytest.approx(p**0.3 / (p**0.3).sum())


def test_the_published_unimax_rates_are_unimax_with_english_at_five_per_cent():
    """Table B.4 from MADLAD-400's counts as far as the paper prints them (Table C.1), of 1T tokens.

    Counts of the other languages are not printed: those below the common rate are at their cap, so
    their own rate says how much they have, and what is checked is the rate of all the others.
    """
    percent = unimax_percent()
    printed = {law.language: law.unique_tokens for law in regime_laws()}
    epochs = percent["swa_Latn"] / 100 * 1e12 / printed["swa_Latn"]
    assert epochs == pytest.approx(9.34, abs=0.01)
    common = 1.42
    codes = [code for code in percent if code != "eng_Latn"]
    at_cap = [code for code in codes if percent[code] < common]
    counts = [
        printed.get(code, percent[code] / 100 * 1e12 / epochs if code in at_cap else 1e12)
        for code in codes
    ]
    rates = 95 * unimax(np.array(counts), 0.95e12, epochs=epochs)
    found = dict(zip(codes, rates, strict=True))
    for code in set(codes) - set(at_cap):  # fifty languages, French and Hindi by their counts
        assert round(found[code], 2) == percent[code] == common
    assert max(abs(found[code] / percent[code] - 1) for code in codes) < 2e-3
    # the cap is not printed: ten epochs would give Swahili 7 % more
    ten = 95 * unimax(np.array(counts), 0.95e12, epochs=10)
    assert dict(zip(codes, ten, strict=True))["swa_Latn"] == pytest.approx(0.77, abs=0.005)
