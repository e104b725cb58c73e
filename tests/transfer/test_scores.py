from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.scores import (
    bts_from_ratio,
    bts_from_relative_gain,
    bts_from_tau,
    bts_from_tokens,
    ratio_from_bts,
    ratio_from_tau,
    tau_from_bts,
    tau_from_ratio,
)

shares = st.floats(0.05, 0.95)
weights = st.floats(-0.9, 3.0)
counts = st.floats(1e3, 1e13)


@given(d=counts, ratio=st.floats(0.05, 20))
def test_an_even_pair_has_the_papers_score(d: float, ratio: float) -> None:
    sigma = d / ratio
    paper = -(sigma - 2 * d) / d  # section 4
    assert bts_from_tokens(d, sigma) == pytest.approx(paper, rel=1e-9, abs=1e-9)
    assert bts_from_ratio(ratio) == pytest.approx(2 - 1 / ratio, rel=1e-9, abs=1e-9)


@given(tau=weights, first=shares, second=shares)
def test_the_share_of_the_pair_does_not_change_the_score(
    tau: float, first: float, second: float
) -> None:
    # D_eff = (w + tau (1 - w)) sigma = d, so r = d / sigma = w + tau (1 - w): one tau, any share.
    for share in (first, second):
        ratio = share + tau * (1 - share)
        if ratio > 0:  # else the pair never reaches the loss
            expected = 2 * tau / (1 + tau)
            assert bts_from_ratio(ratio, share=share) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(share=shares, d=counts)
def test_a_source_that_does_nothing_scores_zero_at_any_share(share: float, d: float) -> None:
    assert bts_from_tokens(d, d / share, share=share) == pytest.approx(0, abs=1e-9)


@given(tau=weights)
def test_tau_and_bts_are_each_others_inverse(tau: float) -> None:
    assert tau_from_bts(bts_from_tau(tau)) == pytest.approx(tau, rel=1e-9, abs=1e-12)


@given(tau=weights, share=shares)
def test_tau_and_ratio_are_each_others_inverse(tau: float, share: float) -> None:
    ratio = ratio_from_tau(tau, share=share)
    assert tau_from_ratio(ratio, share=share) == pytest.approx(tau, rel=1e-6, abs=1e-9)


@given(ratio=st.floats(0.05, 20))
def test_the_ratio_form_round_trips(ratio: float) -> None:
    assert ratio_from_bts(bts_from_ratio(ratio)) == pytest.approx(ratio, rel=1e-9)


def test_a_share_where_an_even_pair_would_never_get_there_scores_minus_infinity() -> None:
    # w = 0.9, sigma = 1.25 d: r = 0.8 = 0.9 + 0.1 tau, so tau = -1 and the even pair has D_eff = 0.
    assert bts_from_tokens(1.0, 1.26, share=0.9) == -np.inf
    assert tau_from_ratio(1 / 1.26, share=0.9) < -1


def test_the_limits_are_two_and_no_lower_bound() -> None:
    assert tau_from_bts(2.0) == np.inf
    assert tau_from_bts(-np.inf) == -1.0
    assert bts_from_tau(np.array([-2.0, -1.0, 0.0, 1.0])).tolist() == [-np.inf, -np.inf, 0.0, 1.0]


@given(
    gain=st.floats(-0.3, 0.3),
    beta=st.floats(0.05, 0.6),
    share=st.floats(0.2, 0.8),
    at=st.sampled_from(["equal_target_tokens", "equal_total_tokens"]),
)
def test_a_relative_gain_is_worth_the_tokens_the_curve_says(
    gain: float, beta: float, share: float, at: str
) -> None:
    E, B, sigma = 1.3, 40.0, 5e8
    compared = share * sigma if at == "equal_target_tokens" else sigma
    alone = E + B * compared**-beta
    together = (1 - gain) * alone
    if together <= E:
        return
    d = ((together - E) / B) ** (-1 / beta)  # tokens alone for the loss reached together
    answer = bts_from_relative_gain(gain, slope=beta, irreducible=E / alone, share=share, at=at)  # type: ignore[arg-type]
    assert answer == pytest.approx(bts_from_tokens(d, sigma, share=share), rel=1e-6, abs=1e-6)


def test_no_gain_at_equal_target_tokens_is_no_transfer() -> None:
    assert bts_from_relative_gain(0.0, slope=0.2) == 0.0


def test_a_gain_beyond_the_reducible_loss_is_refused() -> None:
    with pytest.raises(InputError, match="whole reducible loss") as caught:
        bts_from_relative_gain(0.5, slope=0.2, irreducible=0.6)
    assert caught.value.value == 0.5
    assert caught.value.where == "gain"
    assert "below 0.4" in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_outside_the_pair_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1") as caught:
        bts_from_ratio(0.5, share=share)
    assert caught.value.value == share


def test_floats_give_floats_and_arrays_give_arrays() -> None:
    assert isinstance(bts_from_ratio(0.5), float)
    assert isinstance(tau_from_bts(0.5), float)
    assert bts_from_ratio(np.array([0.5, 1.0])).tolist() == [0.0, 1.0]
