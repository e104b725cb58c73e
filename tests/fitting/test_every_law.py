"""Every law: exact derivatives, planted truth, and the same optimum as SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import least_squares

from atlas_scaling import laws
from atlas_scaling.fitting.api import fit_observations
from atlas_scaling.fitting.objective import Coordinates, Estimator, Problem
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.laws import DataFacts, Law
from atlas_scaling.units import LossUnit


@dataclass(frozen=True)
class Case:
    """A law, inputs that determine it, and a truth to plant."""

    law: Law
    x: dict[str, NDArray[np.float64]]
    truth: dict[str, float]


def _grid(seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """240 points over N, D, repetition and mixtures of three languages."""
    rng = np.random.default_rng(seed)
    n = 240
    shares = rng.dirichlet([0.7, 0.7, 0.7], size=n).T
    N = 10 ** rng.uniform(7, 10, n)
    D = 10 ** rng.uniform(8.5, 12, n)
    K = rng.choice([1.0, 2.0, 4.0, 8.0, 16.0], n)
    unique = np.full(n, 2e9)
    return {
        "n_params": N,
        "tokens": D,
        "flops": 6 * N * D,
        "n_languages": K,
        "target_tokens": D / K,
        "target_unique": unique,
        "unique_tokens": D / rng.choice([0.5, 2.0, 8.0, 30.0], n),
        "family_share": shares[0] * 0.9 + 0.1,
        "shares": shares,
        "source_tokens": shares[:2] * D,
        "source_unique": np.array([unique, unique * 20]),
        "other_tokens": shares[2] * D,
        "other_unique": unique * 40,
        # a third of the runs has one stage, the others early shares from nothing to nearly all
        "target_early": np.where(np.arange(n) % 3, rng.uniform(0, 0.9, n), 0.0),
        "source_early": np.where(np.arange(n) % 3, rng.uniform(0, 1, (2, n)), 0.0),
        "other_early": np.where(np.arange(n) % 3, rng.uniform(0, 1, n), 0.0),
    }


_X = _grid()
_CHINCHILLA = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}

CASES = {
    "chinchilla": Case(laws.Chinchilla(), _X, _CHINCHILLA),
    "chinchilla_tied": Case(
        laws.Chinchilla().tied("alpha", "beta"), _X, _CHINCHILLA | {"beta": 0.35}
    ),
    "atlas_target": Case(laws.ATLAS(variant="target"), _X, _CHINCHILLA | {"lam": 0.3}),
    "atlas_other": Case(
        laws.ATLAS(variant="other"), _X, _CHINCHILLA | {"lam": 0.3, "tau_other": 0.1}
    ),
    "atlas_full": Case(
        laws.ATLAS(sources=("aaa", "bbb")),
        _X,
        _CHINCHILLA | {"lam": 0.3, "tau[aaa]": 0.4, "tau[bbb]": 0.05, "tau_other": 0.02},
    ),
    "atlas_two_stage": Case(
        laws.TwoStage(sources=("aaa", "bbb")),
        _X,
        _CHINCHILLA
        | {"lam": 0.3, "tau[aaa]": 0.4, "tau[bbb]": 0.15, "tau_other": 0.2}
        | {"early": 0.7, "early_other": 1.2},
    ),
    "atlas_lambda_each": Case(
        laws.ATLAS(sources=("aaa",), shared_lambda=False),
        _X | {"source_tokens": _X["source_tokens"][:1], "source_unique": _X["source_unique"][:1]},
        _CHINCHILLA
        | {
            "lam[target]": 0.3,
            "lam[aaa]": 0.6,
            "lam[other]": 0.2,
            "tau[aaa]": 0.4,
            "tau_other": 0.2,
        },
    ),
    "data_constrained": Case(laws.DataConstrained(), _X, _CHINCHILLA | {"R_D": 8.0, "R_N": 3.0}),
    "msl": Case(laws.MSL(), _X, _CHINCHILLA | {"gamma": 0.12}),
    "capacity": Case(laws.Capacity(), _X, _CHINCHILLA | {"phi": 0.11, "psi": -0.04}),
    "kaplan": Case(
        laws.Kaplan(), _X, {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}
    ),
    "skaling": Case(
        laws.Skaling(), _X, {"E": 1.2, "A": 3e4, "B": 3e5, "alpha": 0.6, "beta": 0.65, "k": 0.5}
    ),
    "single_power": Case(laws.SinglePower(), _X, {"E": 1.8, "A": 1500.0, "alpha": 0.16}),
    "additive_mixture": Case(
        laws.AdditiveMixture(domains=("aaa", "bbb", "ccc")),
        _X,
        _CHINCHILLA
        | {"E": 1.0, "C[aaa]": 1.5, "C[bbb]": 0.8, "C[ccc]": 0.3}
        | {"gamma[aaa]": 0.3, "gamma[bbb]": 0.5, "gamma[ccc]": 0.8},
    ),
    "exponential_mixture": Case(
        laws.ExponentialMixture(domains=("aaa", "bbb", "ccc")),
        _X,
        {"E": 1.1, "t[aaa]": -0.9, "t[bbb]": 0.2, "t[ccc]": 0.7},
    ),
    "crossover": Case(laws.Crossover(), _X, {"a": 1113708.0, "b": 1.65}),
}


def _observations(case: Case, noise: float, seed: int = 1) -> Observations:
    x = {name: case.x[name] for name in case.law.inputs}
    loss = case.law.predict(case.truth, **x)
    rng = np.random.default_rng(seed)
    return Observations(
        x=x,
        loss=loss * np.exp(noise * rng.standard_normal(loss.shape)),
        run=np.arange(len(loss)),
        run_ids=tuple(f"run {i}" for i in range(len(loss))),
        weights=None,
        facets={},
        facts=DataFacts(target="aaa"),
        unit=LossUnit.NATS_PER_TOKEN,
    )


def test_no_built_in_law_is_left_out_here() -> None:
    assert {case.law.name for case in CASES.values()} == set(laws.names())


@pytest.mark.parametrize("name", CASES)
def test_the_jacobian_is_that_of_central_differences(name: str) -> None:
    case = CASES[name]
    observations = _observations(case, noise=0.0)
    coordinates = Coordinates(case.law)
    problem = Problem(coordinates, SimpleNamespace(**observations.x), np.log(observations.loss))
    natural = np.array([[case.truth[n] for n in coordinates.names]])
    theta = coordinates.inward(natural)
    _, J = problem.log_jacobian(theta)
    for k in range(coordinates.n_free):
        h = 1e-5 * max(1.0, abs(theta[0, k]))
        up, down = theta.copy(), theta.copy()
        up[0, k] += h
        down[0, k] -= h
        slope = (problem.log_prediction(up) - problem.log_prediction(down)) / (2 * h)
        np.testing.assert_allclose(J[0, k], slope[0], rtol=2e-6, atol=2e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_planted_truth_is_found_again(name: str) -> None:
    case = CASES[name]
    fitted = fit_observations(_observations(case, noise=0.0), case.law, estimator=Estimator.named())
    assert fitted.diagnostics.converged
    for parameter, value in case.truth.items():
        assert fitted.values[parameter] == pytest.approx(value, rel=1e-5, abs=1e-6), parameter


@pytest.mark.parametrize("name", CASES)
def test_with_noise_no_scipy_descent_from_the_truth_ends_lower(name: str) -> None:
    case = CASES[name]
    observations = _observations(case, noise=0.01)
    delta = 1e-2
    fitted = fit_observations(observations, case.law, estimator=Estimator.named("huber", delta))
    coordinates = Coordinates(case.law)

    def residual(theta: NDArray[np.float64]) -> NDArray[np.float64]:
        values = coordinates.natural(theta[None])[0]
        return np.log(observations.loss) - np.log(case.law.predict(values, **observations.x))

    start = coordinates.inward(np.array([case.truth[n] for n in coordinates.names]))
    other = least_squares(
        residual,
        np.clip(start, coordinates.low + 1e-9, coordinates.high - 1e-9),
        bounds=(coordinates.low, coordinates.high),
        loss="huber",
        f_scale=delta,
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        x_scale="jac",
        max_nfev=2000,
    )
    # SciPy's cost is 0.5 sum rho((r/d)^2) d^2, which is the sum of Huber's function here
    assert fitted.objective <= other.cost * (1 + 1e-9)
    assert fitted.objective == pytest.approx(other.cost, rel=1e-5)
