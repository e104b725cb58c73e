from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct

from atlas_scaling.transfer.features import relation_features
from atlas_scaling.transfer.gaussian import Observations, PairProcess, _bound_site

CODES = (
    *("swe_Latn", "dan_Latn", "deu_Latn", "spa_Latn", "por_Latn"),
    *("rus_Cyrl", "ukr_Cyrl", "fin_Latn", "est_Latn", "jpn_Jpan"),
)
FEATURES = relation_features(CODES)
N = len(CODES)


def planted(*, noise: float = 0.05, seed: int = 0) -> np.ndarray:
    """Scores of relatedness, targets and pairs, as the process assumes them."""
    rng = np.random.default_rng(seed)
    both_ways = rng.normal(0, 0.1, (N, N))
    return (
        0.3 * FEATURES.values[0]
        + 0.2 * FEATURES.values[2]
        + rng.normal(-0.4, 0.3, (N, 1))
        + (both_ways + both_ways.T) / 2
        + rng.normal(0, noise, (N, N))
    )


def observe(values: np.ndarray, mask: np.ndarray | None = None) -> Observations:
    off = ~np.eye(N, dtype=bool)
    target, source = np.nonzero(off if mask is None else off & mask)
    n = target.size
    return Observations(target, source, values[target, source], np.zeros(n, int), np.zeros(n))


def test_held_out_pairs_are_predicted_with_honest_intervals() -> None:
    inside, errors, spread = [], [], []
    for seed in range(6):
        values = planted(seed=seed)
        rng = np.random.default_rng(seed)
        hidden = np.triu(rng.random((N, N)) < 0.25)
        hidden |= hidden.T
        np.fill_diagonal(hidden, False)
        process = PairProcess(observe(values, ~hidden), FEATURES)
        target, source = np.nonzero(hidden)
        mean, sd = process.predict(target, source)
        truth = values[target, source]
        inside += list(np.abs(mean - truth) < 1.645 * sd)
        errors += list(mean - truth)
        spread += list(truth - values.mean())
    assert 0.82 <= np.mean(inside) <= 0.97  # 90 % nominal
    assert np.std(errors) < 0.5 * np.std(spread)


def test_noise_of_a_measurement_is_believed() -> None:
    values = planted()
    seen = observe(values)
    doubtful = Observations(seen.target, seen.source, seen.score.copy(), seen.side, seen.sd.copy())
    doubtful.score[0] += 3.0
    doubtful.sd[0] = 5.0
    mean, _ = PairProcess(doubtful, FEATURES).predict(seen.target[:1], seen.source[:1])
    assert mean[0] == pytest.approx(values[seen.target[0], seen.source[0]], abs=0.35)


def test_the_gradient_of_the_objective_is_exact() -> None:
    # Compare the maximum found with finite differences of the marginal likelihood there.
    process = PairProcess(observe(planted()), FEATURES)

    def objective(log_v: np.ndarray) -> float:
        K = np.tensordot(np.exp(log_v[:-1]), process._parts, axes=1)
        K = K + np.diag(np.full(len(process._y), np.exp(log_v[-1])))
        away = (log_v - process._prior) / 1.5
        _, log_det = np.linalg.slogdet(K)
        return 0.5 * (process._y @ np.linalg.solve(K, process._y) + log_det + away @ away)

    slope = approx_fprime(process._log_variances, objective, 1e-6)
    assert np.abs(slope).max() < 0.02


def test_predictions_are_those_of_sklearn_with_the_same_covariance() -> None:
    # One linear kernel on the square root of ours, the noise as its alpha.
    values = planted()
    seen = observe(values)
    process = PairProcess(seen, FEATURES)
    weights = np.exp(process._log_variances)
    ask_t, ask_s = np.array([0, 3, 7]), np.array([4, 1, 2])
    t, s = np.append(seen.target, ask_t), np.append(seen.source, ask_s)
    K = np.tensordot(weights[:-1], process._kernel.parts(t, s, t, s), axes=1)
    root = np.linalg.cholesky(K + 1e-10 * np.eye(len(K)))
    theirs = GaussianProcessRegressor(
        DotProduct(sigma_0=0, sigma_0_bounds="fixed"), alpha=weights[-1], optimizer=None
    )
    n = len(seen)
    theirs.fit(root[:n], process._y)
    mean, sd = theirs.predict(root[n:], return_std=True)
    ours, deviation = process.predict(ask_t, ask_s)
    assert ours == pytest.approx(process._centre + process._scale * mean, abs=1e-6)
    assert deviation == pytest.approx(process._scale * np.sqrt(sd**2 + weights[-1]), abs=1e-6)


def test_leaving_out_is_refitting_without_at_the_same_variances() -> None:
    seen = observe(planted())
    process = PairProcess(seen, FEATURES)
    block = np.flatnonzero(seen.pair == 3)
    mean, sd = process.left_out(block)
    kept = np.setdiff1d(np.arange(len(seen)), block)
    # The same standardised process on the rest, worked with plain matrices.
    K = np.tensordot(np.exp(process._log_variances[:-1]), process._parts, axes=1)
    K += np.exp(process._log_variances[-1]) * np.eye(len(seen))
    cross = K[np.ix_(block, kept)]
    expected = cross @ np.linalg.solve(K[np.ix_(kept, kept)], process._y[kept])
    covariance = K[np.ix_(block, block)] - cross @ np.linalg.solve(K[np.ix_(kept, kept)], cross.T)
    assert mean == pytest.approx(process._centre + process._scale * expected)
    assert sd == pytest.approx(process._scale * np.sqrt(np.diag(covariance)))


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("bound", [-1.0, 0.2, 1.5])
def test_a_bound_moves_one_variable_as_sampling_says(side: int, bound: float) -> None:
    # f ~ N(0.3, 0.5), y = f + e, e ~ N(0, 0.1), known: y is on one side of the bound.
    mean, variance, noise = 0.3, 0.5, 0.1
    rng = np.random.default_rng(0)
    f = rng.normal(mean, np.sqrt(variance), 2_000_000)
    y = f + rng.normal(0, np.sqrt(noise), f.size)
    kept = f[side * (y - bound) > 0]
    precision, shift = _bound_site(mean, variance, 1e-6, 0.0, bound, noise, side)
    new_variance = 1 / (1 / variance + precision)
    new_mean = new_variance * (mean / variance + shift)
    assert new_mean == pytest.approx(kept.mean(), abs=0.01)
    assert new_variance == pytest.approx(kept.var(), abs=0.01)


def test_censored_scores_teach_their_bound_and_no_more() -> None:
    values = planted(noise=0.02)
    seen = observe(values)
    low = seen.score < np.quantile(seen.score, 0.25)
    bound = np.quantile(seen.score, 0.25)
    censored = Observations(
        seen.target,
        seen.source,
        np.where(low, bound, seen.score),
        np.where(low, -1, 0),
        seen.sd,
    )
    as_values = Observations(
        seen.target, seen.source, censored.score, np.zeros(len(seen), int), seen.sd
    )
    truth = seen.score[low]
    where = seen.target[low], seen.source[low]
    with_bounds, sd = PairProcess(censored, FEATURES).predict(*where)
    with_values, _ = PairProcess(as_values, FEATURES).predict(*where)
    assert np.mean((with_bounds - truth) ** 2) < 0.7 * np.mean((with_values - truth) ** 2)
    assert np.mean(with_bounds < bound + sd) > 0.9


def test_what_a_planted_matrix_is_made_of_is_named() -> None:
    variances = PairProcess(observe(planted(noise=0.02)), FEATURES).variances
    assert set(variances) == {
        *("mean", "target", "target kin", "source", "source kin"),
        *("same script", "same family", "same branch"),
        *("pair", "both ways", "noise"),
    }
    assert variances["target"] + variances["target kin"] > 10 * variances["source"]
    assert variances["noise"] < 0.01


def test_a_cell_and_its_mirror_are_one_pair() -> None:
    seen = Observations(
        np.array([0, 1, 2]), np.array([1, 0, 1]), np.zeros(3), np.zeros(3, int), np.zeros(3)
    )
    assert seen.pair[0] == seen.pair[1] != seen.pair[2]
