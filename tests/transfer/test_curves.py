from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy.interpolate import make_smoothing_spline

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.curves import GRID_SIZE, LossPoints, fit_curve
from atlas_scaling.transfer.spline import SmoothingSpline


def planted(tokens: np.ndarray) -> np.ndarray:
    """A power law over a floor, with a steep bend early on as after a warm-up."""
    return 2 + 300 * tokens**-0.35 + 2 * np.exp(-tokens / 3e5)


def test_a_curve_without_noise_is_followed_closely() -> None:
    tokens = np.linspace(2e5, 4e6, 40)
    curve = fit_curve(LossPoints.of(tokens, planted(tokens)))
    between = np.exp(curve.log_tokens[20:])
    assert np.exp(curve.log_loss[20:]) == pytest.approx(planted(between), rel=3e-4)


def test_a_power_law_is_followed_exactly_even_by_three_points() -> None:
    tokens = np.array([1e5, 1e6, 7e6])
    curve = fit_curve(LossPoints.of(tokens, 40 * tokens**-0.2))
    assert np.exp(curve.log_loss) == pytest.approx(40 * np.exp(curve.log_tokens) ** -0.2, rel=1e-9)


@given(seed=st.integers(0, 10_000), noise=st.floats(0, 0.05), n=st.integers(3, 30))
@settings(max_examples=30, deadline=None)
def test_a_curve_and_its_draws_never_rise(seed: int, noise: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = np.sort(rng.uniform(1e5, 5e6, n))
    losses = planted(tokens) * np.exp(noise * rng.standard_normal(n))
    try:
        curve = fit_curve(LossPoints.of(tokens, losses), n_draws=20)
    except InputError:  # so noisy that it does nothing but rise, which has its own test
        reject()
    assert (np.diff(curve.log_loss) <= 0).all()
    assert curve.log_loss.shape == (GRID_SIZE,)
    if curve.draws is not None:
        assert (np.diff(curve.draws, axis=1) <= 0).all()


@pytest.mark.parametrize("noise", [0.002, 0.01])
def test_draws_cover_the_true_curve_as_often_as_they_say(noise: float) -> None:
    rng = np.random.default_rng(1)
    tokens = np.linspace(2e5, 4e6, 25)
    at = [5, 30, 64, 100, 120]
    covered = []
    for trial in range(40):
        losses = planted(tokens) * np.exp(noise * rng.standard_normal(25))
        curve = fit_curve(LossPoints.of(tokens, losses), seed=trial)
        assert curve.draws is not None
        low, high = np.quantile(curve.draws[:, at], [0.05, 0.95], axis=0)
        truth = np.log(planted(np.exp(curve.log_tokens[at])))
        covered.append((low <= truth) & (truth <= high))
    assert 0.82 <= np.mean(covered) <= 0.99  # 90 % nominal, 40 x 5 correlated trials


def test_the_noise_is_told_from_the_scatter() -> None:
    rng = np.random.default_rng(0)
    tokens = np.linspace(2e5, 4e6, 60)
    losses = planted(tokens) * np.exp(0.004 * rng.standard_normal(60))
    noise = fit_curve(LossPoints.of(tokens, losses)).noise
    assert noise == pytest.approx(0.004, rel=0.35)  # 2 sd of an estimate from about 55 freedoms


def test_three_points_give_a_curve_but_no_noise_unless_it_is_stated() -> None:
    points = LossPoints.of([1e5, 1e6, 4e6], [6.0, 4.0, 3.5])
    assert fit_curve(points).draws is None
    assert fit_curve(points).noise is None
    stated = fit_curve(points, noise=0.02)
    assert stated.noise == pytest.approx(0.02 / np.cbrt(6.0 * 4.0 * 3.5))  # share of the loss
    assert stated.draws is not None


def test_the_mean_is_scipys_smoothing_spline_at_one_stiffness(monkeypatch) -> None:
    # SciPy minimises sum (y - f)^2 + lam * integral f''^2: the same f as ours at gamma = 1 / lam.
    rng = np.random.default_rng(3)
    t = np.linspace(0, 1, 15)
    y = np.sin(3 * t) + 0.1 * rng.standard_normal(15)
    for lam in (1e-4, 1e-2):
        monkeypatch.setattr("atlas_scaling.transfer.spline._GAMMAS", np.array([1 / lam]))
        ours = SmoothingSpline(t, y, np.zeros((15, 0)), n_grid=50)
        theirs = make_smoothing_spline(t, y, lam=lam)(np.linspace(0, 1, 50))
        assert ours.mean == pytest.approx(theirs, abs=1e-8)


def test_seeds_are_told_from_noise() -> None:
    rng = np.random.default_rng(5)
    tokens = np.tile(np.linspace(2e5, 4e6, 20), 30)
    run = np.repeat(np.arange(30), 20)
    offsets = 0.02 * rng.standard_normal(30)
    losses = planted(tokens) * np.exp(offsets[run] + 0.005 * rng.standard_normal(600))
    curve = fit_curve(LossPoints.of(tokens, losses, run=run), n_draws=2)
    assert curve.seed_variance is not None
    assert np.sqrt(curve.seed_variance) == pytest.approx(np.std(offsets, ddof=1), rel=0.05)
    assert curve.noise == pytest.approx(0.005, rel=0.15)


def test_one_run_says_nothing_of_seeds() -> None:
    tokens = np.linspace(2e5, 4e6, 20)
    assert fit_curve(LossPoints.of(tokens, planted(tokens))).seed_variance is None


def test_runs_of_one_point_each_put_seeds_into_the_noise() -> None:
    tokens = np.linspace(2e5, 4e6, 8)
    points = LossPoints.of(tokens, planted(tokens), run=list(range(8)))
    assert fit_curve(points).seed_variance is None


def test_a_loss_that_rises_at_the_end_is_used_up_to_its_minimum() -> None:
    tokens = np.linspace(1e5, 4e6, 40)
    losses = 3 + 2 * np.abs(np.log(tokens / 2e6))
    curve = fit_curve(LossPoints.of(tokens, losses))
    assert curve.rises_from == pytest.approx(2e6, rel=0.1)
    assert curve.last <= 2.2e6


def test_a_loss_that_only_rises_is_refused() -> None:
    tokens = np.linspace(1e5, 4e6, 20)
    with pytest.raises(InputError, match="the loss rises") as caught:
        fit_curve(LossPoints.of(tokens, tokens**0.1, name="run a"))
    assert caught.value.where == "run a"
    assert "lowest at 100k of 4M" in str(caught.value)


@pytest.mark.parametrize(
    ("tokens", "loss", "problem", "value"),
    [
        ([1e5, 1e6], [3.0, 2.0], "3 or more token counts", 2),
        ([1e5, 1e5, 1e5], [3.0, 2.0, 1.0], "3 or more token counts", 1),
        ([0.0, 1e5, 1e6], [3.0, 2.0, 1.0], "3 or more token counts", 2),
        ([1e5, 2e5, 3e5], [3.0, float("nan"), 1.0], "loss must be finite", None),
        ([1e5, 2e5, 3e5], [3.0, 0.0, 1.0], "loss must be finite and above zero", 0.0),
        ([-1.0, 2e5, 3e5], [3.0, 2.0, 1.0], "tokens must be finite", -1.0),
        ([1e5, 2e5], [3.0, 2.0, 1.0], "lists of one length", None),
    ],
)
def test_points_that_make_no_curve_are_refused(tokens, loss, problem, value) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        LossPoints.of(tokens, loss, name="run a")
    assert "run a" in (caught.value.where or "")
    if value is not None:
        assert caught.value.value == value


def test_a_noise_that_is_not_above_zero_is_refused() -> None:
    with pytest.raises(InputError, match="above zero"):
        fit_curve(LossPoints.of([1e5, 1e6, 4e6], [6.0, 4.0, 3.5]), noise=0.0)
