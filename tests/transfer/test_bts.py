from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.bts import Censored, CurvePair, bts_points, pooled_seed_sd
from atlas_scaling.transfer.curves import LossPoints, fit_curve
from tests.transfer.planted import law


def planted_pair(
    tau: float,
    share: float = 0.5,
    *,
    mono_tokens: np.ndarray | None = None,
    pair_tokens: np.ndarray | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> CurvePair:
    """Two curves with D_eff = D (w + tau (1 - w)), whose BTS is 2 tau / (1 + tau) at every d."""
    rng = np.random.default_rng(seed)
    d = np.linspace(1e5, 2e6, 25) if mono_tokens is None else mono_tokens
    D = np.linspace(1e5, 8e6, 40) if pair_tokens is None else pair_tokens
    alone = law(d) * np.exp(noise * rng.standard_normal(d.size))
    both = law(D * (share + tau * (1 - share))) * np.exp(noise * rng.standard_normal(D.size))
    return CurvePair(
        fit_curve(LossPoints.of(d, alone), seed=2 * seed),
        fit_curve(LossPoints.of(D, both), seed=2 * seed + 1),
        share,
    )


@given(tau=st.floats(-0.3, 0.8), share=st.floats(0.4, 0.7), d=st.floats(3e5, 1e6))
@settings(max_examples=25, deadline=None)
def test_a_planted_transfer_weight_is_found_at_any_share(
    tau: float, share: float, d: float
) -> None:
    (point,) = bts_points(planted_pair(tau, share), np.array([d]))
    assert point.censored is None
    assert point.bts == pytest.approx(2 * tau / (1 + tau), abs=0.01)
    assert point.tau == pytest.approx(tau, abs=0.01)


def test_a_source_that_does_nothing_scores_zero() -> None:
    # law(D/2) = law(d) at D = 2 d: BTS = 2 - 2 = 0, worked by hand.
    (point,) = bts_points(planted_pair(0.0), np.array([1e6]))
    assert point.bts == pytest.approx(0.0, abs=1e-3)


def test_a_bts_never_reached_is_an_upper_bound() -> None:
    # tau = 0: sigma = 2 d = 2e6 tokens, but the run ends at 1.5e6: BTS < 2 - 1.5/1 = 0.5.
    pair = planted_pair(0.0, pair_tokens=np.linspace(1e5, 1.5e6, 30))
    (point,) = bts_points(pair, np.array([1e6]))
    assert point.censored is Censored.UPPER
    assert (point.bts, point.tau, point.lower) == (None, None, None)
    assert point.upper == pytest.approx(0.5, abs=1e-9)


def test_a_bts_already_reached_at_the_first_evaluation_is_a_lower_bound() -> None:
    # tau = 0: sigma = 2 d = 4e5, but the run is first evaluated at 5e5: BTS > 2 - 5/2 = -0.5.
    pair = planted_pair(0.0, pair_tokens=np.linspace(5e5, 8e6, 30))
    (point,) = bts_points(pair, np.array([2e5]))
    assert point.censored is Censored.LOWER
    assert (point.bts, point.tau) == (None, None)
    assert point.lower == pytest.approx(-0.5, abs=1e-9)
    assert point.upper == 2.0


def test_between_checkpoints_the_curve_is_followed_not_the_nearest_one() -> None:
    # Evaluations a factor 1.6 apart: nearest-checkpoint sigma would be off by up to 0.5 in BTS.
    pair = planted_pair(0.25, pair_tokens=np.geomspace(1e5, 8e6, 10))
    points = bts_points(pair, np.geomspace(2e5, 2e6, 9))
    assert [p.bts for p in points] == pytest.approx([0.4] * 9, abs=0.02)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = []
    for trial in range(60):
        pair = planted_pair(0.1, noise=0.004, seed=trial)
        for point in bts_points(pair, np.array([4e5, 1e6])):
            assert point.lower is not None
            assert point.upper is not None
            held.append(point.lower <= 0.2 / 1.1 <= point.upper)
    assert 0.83 <= np.mean(held) <= 0.99  # 90 % nominal


def test_a_bound_with_noise_is_no_tighter_than_without() -> None:
    noisy = planted_pair(0.0, pair_tokens=np.linspace(1e5, 1.95e6, 30), noise=0.004, seed=4)
    exact = planted_pair(0.0, pair_tokens=np.linspace(1e5, 1.95e6, 30))
    (with_noise,) = bts_points(noisy, np.array([1.2e6]))
    (without,) = bts_points(exact, np.array([1.2e6]))
    assert with_noise.censored is without.censored is Censored.UPPER
    assert with_noise.upper is not None
    assert without.upper is not None
    assert with_noise.upper >= without.upper


def test_an_interval_that_may_not_be_reached_is_open_below() -> None:
    # sigma = 2 d = 1.96e6 of 2e6 tokens: reached, but with this noise not surely.
    pair = planted_pair(0.0, pair_tokens=np.linspace(1e5, 2e6, 30), noise=0.006, seed=1)
    points = bts_points(pair, np.array([9.8e5]))
    assert points[0].censored is None
    assert points[0].lower is None
    assert points[0].upper is not None


def test_too_few_evaluations_give_a_score_without_interval() -> None:
    pair = planted_pair(
        0.25, mono_tokens=np.geomspace(1e5, 2e6, 3), pair_tokens=np.geomspace(1e5, 8e6, 3)
    )
    (point,) = bts_points(pair, np.array([1e6]))
    assert point.bts == pytest.approx(0.4, abs=0.2)  # a law with a floor is bent, three points not
    assert (point.lower, point.upper) == (None, None)


def test_a_pair_that_would_never_reach_the_loss_has_no_value_and_no_bound() -> None:
    # w = 0.9, tau = -1.5: r = 0.9 - 0.15 = 0.75, sigma = d/0.75; an even pair has D_eff < 0.
    (point,) = bts_points(planted_pair(-1.5, 0.9), np.array([1e6]))
    assert point.censored is Censored.UPPER
    assert (point.bts, point.lower, point.upper) == (None, None, None)


def test_a_step_limited_start_is_called_early_and_the_rest_is_not() -> None:
    # Early on the loss follows tokens in all (BTS 1), later D_eff with tau = 0 (BTS 0).
    def loss(D: np.ndarray, share: float) -> np.ndarray:
        return law(share * D) + 30 * np.exp(-D / 1e5)

    D = np.linspace(4e4, 1.2e7, 300)
    d = np.linspace(4e4, 4e6, 100)
    pair = CurvePair(
        fit_curve(LossPoints.of(d, loss(d, 1.0))), fit_curve(LossPoints.of(D, loss(D, 0.5))), 0.5
    )
    points = bts_points(pair, np.array([1e5, 6e5, 3.5e6]))
    assert [p.early for p in points] == [True, True, False]
    assert points[1].fall_per_doubling is not None
    assert points[1].fall_per_doubling > 0.25
    assert points[0].bts is not None
    assert points[0].bts > 0.8


def test_an_anchor_outside_the_monolingual_run_is_refused_with_its_range() -> None:
    with pytest.raises(InputError, match="no loss at this d") as caught:
        bts_points(planted_pair(0.0), np.array([3e6]))
    assert caught.value.value == "3M"
    assert "between 100k and 2M" in str(caught.value)


def test_the_default_anchor_leaves_an_even_pair_three_times_its_tokens() -> None:
    pair = planted_pair(0.0, pair_tokens=np.linspace(1e5, 3e6, 20))
    assert pair.default_d == pytest.approx(1e6)  # 3e6 / 3, as 30,000 steps against 10,000


def test_seed_variances_of_both_sides_are_pooled_by_their_freedoms() -> None:
    rng = np.random.default_rng(0)
    tokens = np.linspace(1e5, 2e6, 20)

    def side(n_runs: int, sd: float):
        losses = [law(tokens) * np.exp(sd * x) for x in rng.standard_normal(n_runs)]
        run = np.repeat(np.arange(n_runs), tokens.size)
        return fit_curve(LossPoints.of(np.tile(tokens, n_runs), np.concatenate(losses), run=run))

    a, b = side(3, 0.01), side(5, 0.02)
    assert a.seed_variance is not None
    assert b.seed_variance is not None
    sd, dof = pooled_seed_sd(a, b) or (0.0, 0)
    assert dof == 2 + 4
    assert sd == pytest.approx(np.sqrt((2 * a.seed_variance + 4 * b.seed_variance) / 6))
    assert pooled_seed_sd(fit_curve(LossPoints.of(tokens, law(tokens)))) is None


def test_seeds_that_differ_widen_the_interval() -> None:
    pair = planted_pair(0.25)
    (without,) = bts_points(pair, np.array([1e6]))
    seeds = CurvePair(pair.mono, pair.pair, 0.5, seed_sd=(0.01, 4))
    (with_seeds,) = bts_points(seeds, np.array([1e6]))
    assert without.upper is not None
    assert without.lower is not None
    assert with_seeds.upper is not None
    assert with_seeds.lower is not None
    assert with_seeds.upper - with_seeds.lower > 10 * (without.upper - without.lower)
