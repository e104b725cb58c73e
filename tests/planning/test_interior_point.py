"""The solver against fine grids and against SciPy."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from atlas_scaling.planning.allocation_problem import Problem
from atlas_scaling.planning.interior_point import minimise
from atlas_scaling.planning.interior_system import Constraints, Objective

C = 1e21


def problem(
    tau, *, unique=None, lam=0.1, E=0.7, A=1500.0, alpha=0.45, B=9000.0, beta=0.45, R=1, **more
):
    tau = np.atleast_2d(np.asarray(tau, dtype=float))
    T, n = tau.shape
    spread = np.linspace(1, 1.15, T)  # targets differ
    return Problem(
        E=np.tile(E * spread, (R, 1)),
        A=np.tile(A * spread, (R, 1)),
        alpha=np.full((R, T), alpha),
        B=np.tile(B * spread, (R, 1)),
        beta=np.full((R, T), beta),
        tau=np.tile(tau, (R, 1, 1)),
        lam=np.full((R, 1, n), lam),
        unique=np.full(n, np.inf) if unique is None else np.asarray(unique, dtype=float),
        flops=np.full(R, C),
        **more,
    )


def solve(p, objective, *, low=None, high=None, v=None, bounds=(13.8, 32.0), max_tokens=None):
    n = p.n_languages
    low = np.zeros(n) if low is None else np.asarray(low, dtype=float)
    high = np.ones(n) if high is None else np.asarray(high, dtype=float)
    room = high - low
    w = low + room * (1 - low.sum()) / room.sum()
    found = minimise(
        p,
        objective,
        Constraints(low, high, None if bounds is None else np.array([bounds]), max_tokens),
        v=np.array([22.0 if v is None else v]),
        w=w[None],
    )
    assert found.converged.all()
    assert found.w.sum() == pytest.approx(1.0)
    return found


def mean(p, weights=None):
    T = p.n_targets
    return Objective(weights=np.full((1, T), 1 / T) if weights is None else np.array([weights]))


def worst(p):
    return Objective(offsets=np.zeros((1, p.n_targets)))


def simplex(n, step):
    if n == 2:
        first = np.arange(0, 1 + step / 2, step)
        return np.column_stack([first, 1 - first])
    grid = np.arange(0, 1 + step / 2, step)
    pairs = np.array([(a, b) for a in grid for b in grid if a + b <= 1 + 1e-12])
    return np.column_stack([pairs, 1 - pairs.sum(axis=1)]).clip(0)


def grid_best(p, objective, *, v, step, keep=lambda w: np.ones(len(w), bool)):
    """The best of a grid of shares times a grid of log N."""
    w = simplex(p.n_languages, step)
    w = w[keep(w)]
    v, w = np.repeat(v, len(w)), np.tile(w, (len(v), 1))
    rows = np.zeros(len(v), dtype=int)
    losses = p.rows(rows).losses(v, w)
    return float(objective.rows(rows).value(losses).min())


CASES = {
    "one target that repeats, two sources": problem(
        [[1.0, 0.4, 0.2]], unique=[5e9, 1e12, 1e12], lam=0.3
    ),
    "two targets that help each other": problem([[1.0, 0.3], [0.2, 1.0]]),
    "two targets that repeat": problem([[1.0, 0.1], [0.1, 1.0]], unique=[5e9, 30e9]),
    "interference": problem([[1.0, -0.2], [-0.3, 1.0]]),
    "interference and repetition": problem([[1.0, -0.2], [-0.2, 1.0]], unique=[4e9, 20e9], lam=0.5),
    "two targets and a source": problem(
        [[1.0, 0.2, 0.5], [0.1, 1.0, 0.3]], unique=[8e9, 9e9, 1e12]
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["mean", "worst"])
def test_no_point_of_a_fine_grid_is_better(name, kind):
    p = CASES[name]
    objective = mean(p) if kind == "mean" else worst(p)
    found = solve(p, objective)
    v = found.v[0] + np.linspace(-0.5, 0.5, 41)
    step = 0.002 if p.n_languages == 2 else 0.01
    best = grid_best(p, objective, v=v, step=step)
    assert found.objective[0] <= best + 1e-9
    assert found.objective[0] == pytest.approx(best, abs=2e-4)


@pytest.mark.parametrize("name", CASES)
def test_many_starts_end_in_one_optimum(name):
    p = CASES[name].rows(np.zeros(6, dtype=int))
    T, n = p.n_targets, p.n_languages
    w = np.random.Generator(np.random.PCG64(1)).dirichlet(np.full(n, 3.0), 6)
    found = minimise(
        p,
        Objective(weights=np.full((6, T), 1 / T)),
        Constraints(np.zeros(n), np.ones(n), np.tile([13.8, 32.0], (6, 1))),
        v=np.linspace(18, 26, 6),
        w=w,
    )
    assert found.converged.all()
    assert np.ptp(found.objective) < 1e-9


def test_the_gradient_and_hessian_are_those_of_finite_differences():
    p = CASES["two targets and a source"]
    v, w = np.array([21.0]), np.array([[0.3, 0.5, 0.2]])
    weights = np.array([[0.4, 0.6]])
    x = np.concatenate([v, w[0]])

    def value(x):
        return float((weights * p.losses(x[:1], x[None, 1:])).sum())

    def slope(x):
        return (weights[..., None] * p.expand(x[:1], x[None, 1:]).gradients()).sum(axis=1)[0]

    step = 1e-5 * np.eye(4)
    numeric = [(value(x + h) - value(x - h)) / 2e-5 for h in step]
    assert slope(x) == pytest.approx(numeric, rel=1e-6)
    numeric = [(slope(x + h) - slope(x - h)) / 2e-5 for h in step]
    hessian = p.expand(v, w).hessian(weights)[0]
    assert hessian == pytest.approx(np.array(numeric), rel=1e-5, abs=1e-9)


def test_a_compute_optimal_size_without_repetition_is_the_closed_form():
    # one language: minimise A N^-a + B (C/6N)^-b, so a A N^-a = b B D^-b
    p = problem([[1.0, 0.0]], alpha=0.34, beta=0.28, A=400.0, B=400.0)
    found = solve(p, mean(p))
    G = (0.34 * 400 / (0.28 * 400)) ** (1 / 0.62)
    assert np.exp(found.v[0]) == pytest.approx(G * (C / 6) ** (0.28 / 0.62), rel=1e-4)
    assert found.w[0] == pytest.approx([1, 0], abs=1e-5)


def test_a_single_target_repeats_until_a_repeat_is_worth_a_source_s_token():
    # S'(D) = exp(-lam (D/U - 1)) = tau: D = U (1 + ln(1/tau) / lam)
    tau, lam, U = 0.3, 0.25, 2e9
    p = problem([[1.0, tau]], unique=[U, np.inf], lam=lam)
    found = solve(p, mean(p))
    D = C / 6 / np.exp(found.v[0]) * found.w[0, 0]
    assert pytest.approx(U * (1 + np.log(1 / tau) / lam), rel=1e-4) == D


def test_equal_languages_get_equal_shares():
    p = problem([[1.0, 0.3, 0.3, 0.3]], unique=[1e9, np.inf, np.inf, np.inf])
    found = solve(p, mean(p))
    assert found.w[0, 1] == pytest.approx(found.w[0, 2], rel=1e-6)
    assert found.w[0, 1] == pytest.approx(found.w[0, 3], rel=1e-6)


def test_floors_and_caps_hold_and_say_what_they_cost():
    p = CASES["two targets that help each other"]
    free = solve(p, mean(p))
    bound = solve(p, mean(p), low=[0.8, 0.0])
    assert bound.w[0, 0] == pytest.approx(0.8, abs=1e-6)
    assert bound.objective[0] > free.objective[0]
    tighter = solve(p, mean(p), low=[0.81, 0.0])
    slope = (tighter.objective[0] - bound.objective[0]) / 0.01
    # a unit more of one language is a unit less of the other
    assert bound.pressure[0, 0] - bound.pressure[0, 1] == pytest.approx(slope, rel=0.05)
    capped = solve(p, mean(p), high=[0.2, 1.0])
    assert capped.w[0, 0] == pytest.approx(0.2, abs=1e-6)


def test_a_fixed_size_is_kept_and_is_no_better_than_a_free_one():
    p = CASES["two targets that repeat"]
    free = solve(p, mean(p))
    fixed = solve(p, mean(p), v=np.log(1e9), bounds=None)
    assert fixed.v[0] == np.log(1e9)
    assert fixed.objective[0] > free.objective[0]
    best = grid_best(p, mean(p), v=np.array([np.log(1e9)]), step=0.001)
    assert fixed.objective[0] == pytest.approx(best, abs=1e-5)


def test_limits_of_tokens_hold():
    p = CASES["one target that repeats, two sources"]
    limits = np.array([10e9, np.inf, 20e9])
    found = solve(p, mean(p), max_tokens=limits, v=23.5)
    tokens = C / 6 / np.exp(found.v[0]) * found.w[0]
    assert (tokens <= limits * (1 + 1e-6)).all()
    assert found.objective[0] > solve(p, mean(p)).objective[0]

    def keep(w):
        return (w[:, 0] <= 10e9 / D) & (w[:, 2] <= 20e9 / D)

    best = np.inf
    for v in found.v[0] + np.linspace(-0.3, 0.3, 61):
        D = C / 6 / np.exp(v)
        best = min(best, grid_best(p, mean(p), v=np.array([v]), step=0.01, keep=keep))
    assert found.objective[0] <= best + 1e-9


def test_serving_is_paid_for_from_the_same_budget():
    p = problem([[1.0, 0.0]], inference_tokens=1e12)
    found = solve(p, mean(p), bounds=(13.8, np.log(C / 6 / (1e6 + 1e12 / 3))), v=18.0)
    N = np.exp(found.v[0])
    D = p.tokens_at(found.v)[0][0]
    assert pytest.approx(C) == 6 * N * D + 2 * N * 1e12
    assert np.exp(solve(problem([[1.0, 0.0]]), mean(p)).v[0]) > N


def test_scipy_finds_nothing_better_among_twelve_languages():
    rng = np.random.Generator(np.random.PCG64(3))
    tau = np.clip(rng.normal(0.05, 0.15, (6, 12)), -0.1, 0.6)
    tau[np.arange(6), np.arange(6)] = 1
    p = problem(tau, unique=np.exp(rng.uniform(np.log(1e9), np.log(1e11), 12)))
    found = solve(p, mean(p))

    def value(x):
        w = np.exp(x[1:] - x[1:].max())
        loss = p.losses(x[:1], (w / w.sum())[None])
        return float(loss.mean()) if np.isfinite(loss).all() else 1e3

    start = np.concatenate([found.v, np.log(found.w[0] + 1e-6)])
    for seed in range(3):
        x = start + 0.3 * np.random.Generator(np.random.PCG64(seed)).standard_normal(len(start))
        other = minimize(value, x, method="L-BFGS-B", options={"maxiter": 2000, "maxfun": 10**5})
        assert found.objective[0] <= other.fun + 1e-8


def test_draws_are_solved_as_if_alone():
    rng = np.random.Generator(np.random.PCG64(5))
    base = CASES["two targets and a source"]
    rows = base.rows(np.zeros(4, dtype=int))
    rows.B[:] *= np.exp(0.1 * rng.standard_normal((4, 2)))
    together = minimise(
        rows,
        Objective(weights=np.full((4, 2), 0.5)),
        Constraints(np.zeros(3), np.ones(3), np.tile([13.8, 32.0], (4, 1))),
        v=np.full(4, 22.0),
        w=np.full((4, 3), 1 / 3),
    )
    for r in range(4):
        one = rows.rows(np.array([r]))
        assert solve(one, mean(one)).objective[0] == pytest.approx(together.objective[r], abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_many_languages_with_gains_and_losses_reach_the_optimum_that_filling_up_gives(seed):
    # one target: share by share to the language whose next token is worth most, at each size
    rng = np.random.Generator(np.random.PCG64(seed))
    n, lam = 24, 0.1
    tau = rng.normal(0.03, 0.1, n)
    tau[0] = 1
    unique = 10 ** rng.uniform(8.5, 11.5, n)
    p = problem(tau, unique=unique, lam=lam)
    found = solve(p, mean(p))

    def filled(D):
        # marginal worth tau exp(-lam (d/U - 1)) is cut at a level found by bisection
        low, high = -60.0, 0.0
        for _ in range(200):
            level = (low + high) / 2
            with np.errstate(divide="ignore", invalid="ignore"):
                d = np.where(tau > 0, unique * (1 + (np.log(tau) - level) / lam), 0.0)
            d = np.where((tau > 0) & (np.log(np.maximum(tau, 1e-300)) > level), d, 0.0)
            low, high = (level, high) if d.sum() > D else (low, level)
        # languages exactly at the level are filled in part, to their distinct tokens at most
        short = D - d.sum()
        near = np.argmin(np.where(tau > 0, np.abs(np.log(np.maximum(tau, 1e-300)) - level), np.inf))
        d[near] += short
        return d

    best = np.inf
    for v in found.v[0] + np.linspace(-0.2, 0.2, 81):
        d = filled(C / 6 / np.exp(v))
        worth = (
            np.minimum(d, unique) + unique * -np.expm1(-lam * np.maximum(d / unique - 1, 0)) / lam
        )
        best = min(best, 0.7 + 1500 * np.exp(-0.45 * v) + 9000 * (tau @ worth) ** -0.45)
    assert found.objective[0] == pytest.approx(best, abs=2e-6)


@pytest.mark.parametrize("flops", [1e-70, 1e300], ids=["nothing", "beyond all numbers"])
def test_numbers_that_run_out_end_the_search_unconverged(flops):
    """A matrix of NaN, or a singular one, is lifted so often and no more."""
    with np.errstate(all="ignore"):
        p = replace(problem([[1.0, 0.5]]), flops=np.array([flops]))
        found = minimise(
            p,
            mean(p),
            Constraints(np.zeros(2), np.ones(2), None, None),
            v=np.array([0.3 * np.log(flops)]),
            w=np.array([[0.5, 0.5]]),
        )
    assert not found.converged.any()
