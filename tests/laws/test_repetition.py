import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.laws.repetition import saturated, too_few_epochs, worth_of_repeats

counts = st.floats(1e3, 1e13)
rates = st.floats(1e-4, 1e3)


@given(counts, counts, rates)
def test_effective_data_is_never_more_than_seen_nor_less_than_the_fresh_part(D, U, lam):
    S = float(saturated(D, U, lam))
    assert min(D, U) * (1 - 1e-12) <= S <= D * (1 + 1e-12)


@given(counts, counts, rates, st.floats(1.0, 10.0))
def test_more_of_the_same_never_hurts(D, U, lam, factor):
    assert saturated(D * factor, U, lam) >= saturated(D, U, lam) * (1 - 1e-12)


@given(counts, rates)
def test_value_and_slope_are_continuous_where_repetition_begins(U, lam):
    h = 1e-6
    below = float(saturated(U, U, lam) - saturated(U * (1 - h), U, lam)) / (U * h)
    above = float(saturated(U * (1 + h), U, lam) - saturated(U, U, lam)) / (U * h)
    assert below == pytest.approx(1.0, rel=1e-6)
    assert above == pytest.approx(1.0, abs=1e-6 + lam * h)


def test_no_decay_counts_every_token_and_full_decay_only_the_first_epoch():
    assert float(saturated(30.0, 10.0, 1e-9)) == pytest.approx(30.0, rel=1e-6)
    assert float(saturated(30.0, 10.0, 1e9)) == pytest.approx(10.0, rel=1e-6)


def test_the_curve_of_muennighoff_is_the_same_curve():
    # U + U R* (1 - exp(-R/R*)), R = 3, R* = 15.39, U = 10
    expected = 10 + 10 * 15.39 * (1 - math.exp(-3 / 15.39))
    assert float(worth_of_repeats(40.0, 10.0, 15.39)) == pytest.approx(expected)
    assert float(saturated(40.0, 10.0, 1 / 15.39)) == pytest.approx(expected)


def test_nothing_seen_of_nothing_available_is_nothing():
    np.testing.assert_array_equal(
        saturated(np.array([0.0, 5.0]), np.array([0.0, np.inf]), 1.0), [0.0, 5.0]
    )


def test_too_few_epochs_are_said_and_enough_are_not():
    assert too_few_epochs(np.array([8.0]), np.array([10.0])) == (
        "at most 0.8 epochs were seen, aim for 4"
    )
    assert too_few_epochs(np.array([80.0]), np.array([10.0])) is None
