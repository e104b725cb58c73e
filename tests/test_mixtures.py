import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.mixtures import tempered, unimax

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
