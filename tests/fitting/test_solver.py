from types import SimpleNamespace

import numpy as np
import pytest

from atlas_scaling import laws
from atlas_scaling.errors import FitError, InputError
from atlas_scaling.fitting import fit, solver
from atlas_scaling.fitting.objective import (
    Coordinates,
    Estimator,
    Problem,
    huber,
)
from atlas_scaling.fitting.starts import search, search_each, spread, starting_points
from atlas_scaling.laws import Law, Parameter
from tests.fitting.planted import two_power_table


def problem_of(table, law=None, **options):
    x = SimpleNamespace(**{k: table[k].to_numpy() for k in ("n_params", "tokens")})
    coordinates = Coordinates(law or laws.Chinchilla())
    return Problem(coordinates, x, np.log(table["loss"].to_numpy()), **options)


def test_huber_is_quadratic_within_delta_and_linear_beyond():
    r = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    np.testing.assert_allclose(huber(r, 1.0), [2.5, 0.125, 0.0, 0.125, 2.5])
    np.testing.assert_allclose(huber(r, np.inf), r**2 / 2)


@pytest.mark.parametrize("delta", [0.3, 1e-2, 1e-3, np.inf])
def test_the_gradient_is_that_of_central_differences(delta):
    problem = problem_of(two_power_table())
    theta = starting_points(problem, 3)
    rows = np.zeros(3, dtype=int)
    at = problem.local(theta, rows, delta)
    for k in range(5):
        h = 1e-6
        up, down = theta.copy(), theta.copy()
        up[:, k] += h
        down[:, k] -= h
        slope = (problem.objective(up, rows, delta) - problem.objective(down, rows, delta)) / (
            2 * h
        )
        np.testing.assert_allclose(at.gradient[:, k], slope, rtol=1e-4, atol=1e-7)


def test_the_majoriser_is_above_the_newton_matrix():
    at = problem_of(two_power_table()).local(
        starting_points(problem_of(two_power_table()), 4), np.zeros(4, int), 0.01
    )
    assert (np.linalg.eigvalsh(at.H_irls - at.H_newton) > -1e-9).all()


def test_weights_repeat_rows_and_zero_weight_drops_them():
    table = two_power_table()
    n = table.height
    doubled = problem_of(table[[*range(n), 0, 1]])
    weighted = problem_of(table, weights=np.r_[2.0, 2.0, np.ones(n - 2)])
    without = problem_of(table[5:])
    masked = problem_of(table, counts=np.r_[np.zeros(5), np.ones(n - 5)][None])
    theta, rows = starting_points(doubled, 4), np.zeros(4, dtype=int)
    for a, b in ((doubled, weighted), (without, masked)):
        np.testing.assert_allclose(
            a.objective(theta, rows, 1e-3), b.objective(theta, rows, 1e-3), rtol=1e-12
        )
        np.testing.assert_allclose(
            a.local(theta, rows, 1e-3).H_irls, b.local(theta, rows, 1e-3).H_irls, rtol=1e-9
        )


def test_how_problems_are_batched_does_not_change_where_they_end(monkeypatch):
    problem = problem_of(two_power_table())
    theta = starting_points(problem, 12)
    together = solver.minimise(problem, theta, delta=0.01)
    monkeypatch.setattr(solver, "BLOCK_BYTES", 1)
    alone = solver.minimise(problem, theta, delta=0.01)
    np.testing.assert_allclose(together.value, alone.value, rtol=1e-12)
    assert together.converged.all()


def test_a_held_coordinate_does_not_move():
    problem = problem_of(two_power_table())
    theta = starting_points(problem, 5)
    held = np.array([False, False, False, True, False])
    ended = solver.minimise(problem, theta, delta=0.1, held=held)
    np.testing.assert_array_equal(ended.theta[:, 3], theta[:, 3])
    assert not np.allclose(ended.theta[:, 4], theta[:, 4])


def test_an_optimum_on_a_bound_is_found_on_the_bound():
    table = two_power_table(noise=0.0)
    found = search(problem_of(table, laws.Chinchilla().within(alpha=(0.4, 0.9))), Estimator.named())
    assert found.best[3] == 0.4
    assert found.converged


def test_no_loss_at_all_at_any_start_is_a_fit_error():
    class Negative(Law):
        name = "negative"
        inputs = ("n_params", "tokens")
        parameters = (Parameter("E", start=(1.0, 2.0), bounds=(0.5, 3.0)),)

        def loss(self, p, x):
            return -p.E * x.n_params

    with pytest.raises(FitError, match="no finite positive loss"):
        search(problem_of(two_power_table(), Negative()), Estimator.named())


def test_a_law_that_forgets_its_parameters_is_refused():
    class Constant(Law):
        name = "constant"
        inputs = ("n_params",)
        parameters = (Parameter("E", start=(1.0, 2.0), bounds=(0.5, 3.0)),)

        def loss(self, p, x):
            return x.n_params * 0.0 + 2.0

    with pytest.raises(InputError, match="does not depend on its parameters"):
        search(problem_of(two_power_table(), Constant()), Estimator.named())


def test_every_resample_is_solved_as_if_it_were_alone():
    table = two_power_table()
    kept = np.ones((2, table.height))
    kept[0, :10] = 0
    kept[1, -15:] = 0
    both = search_each(problem_of(table, counts=kept), Estimator.named(), 2)
    first = search(problem_of(table[10:]), Estimator.named())
    second = search(problem_of(table[:-15]), Estimator.named())
    np.testing.assert_allclose(both.value, [first.value, second.value], rtol=1e-9)


def test_starting_points_fill_the_cube_evenly_and_move_with_the_seed():
    points = spread(256, 2)
    assert points.min() >= 0
    assert points.max() < 1
    counts = np.histogram2d(*points.T, bins=4)[0]
    assert counts.min() >= 12  # 16 expected in each of 16 cells
    assert counts.max() <= 20
    assert not np.allclose(points, spread(256, 2, seed=1))


def test_amplitudes_are_solved_for_at_the_true_exponents():
    table = two_power_table(noise=0.0)
    law = laws.Chinchilla().within(alpha=(0.34999999, 0.35000001), beta=(0.36999999, 0.37000001))
    problem = problem_of(table, law)
    natural = problem.coordinates.natural(starting_points(problem, 1))[0]
    np.testing.assert_allclose(natural[:3], [1.8, 480.0, 2000.0], rtol=1e-3)


def test_ties_and_fixed_values_leave_fewer_coordinates():
    law = laws.Chinchilla().tied("beta", "alpha").with_fixed(E=1.8)
    coordinates = Coordinates(law)
    assert [p.name for p in coordinates.free] == ["A", "B", "alpha"]
    natural = coordinates.natural(np.array([[1.0, 2.0, 0.3]]))[0]
    np.testing.assert_allclose(natural, [1.8, np.e, np.e**2, 0.3, 0.3])
    np.testing.assert_allclose(coordinates.inward(natural), [1.0, 2.0, 0.3])


def test_a_tie_with_a_fixed_parameter_fixes_both():
    law = laws.Chinchilla().tied("alpha", "beta").with_fixed(beta=0.4)
    coordinates = Coordinates(law)
    assert [p.name for p in coordinates.free] == ["E", "A", "B"]
    assert coordinates.natural(np.zeros((1, 3)))[0][3:].tolist() == [0.4, 0.4]


def test_nothing_left_to_fit_is_refused():
    fixed = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    with pytest.raises(InputError, match="nothing is left to fit"):
        Coordinates(laws.Chinchilla().with_fixed(**fixed))


@pytest.mark.parametrize(
    ("name", "delta", "problem"),
    [
        ("huber", 0.0, "above zero"),
        ("huber", np.inf, "above zero"),
        ("lad", 1e-3, "takes no delta"),
        ("median", None, "no such estimator"),
    ],
)
def test_an_estimator_that_cannot_be_is_refused(name, delta, problem):
    with pytest.raises(InputError, match=problem):
        Estimator.named(name, delta)


def test_deltas_go_from_wide_to_the_one_that_was_asked_for():
    assert Estimator.named("huber", 1e-3).stages() == [0.3, 0.03, 0.01, 1e-3]
    assert Estimator.named("huber", 0.5).stages() == [0.5]
    assert Estimator.named("lsq").stages() == [np.inf]


@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9, 1e-6])
@pytest.mark.parametrize("seed", range(4))
def test_data_that_a_law_fits_to_many_digits_is_fitted_and_not_doubted(noise, seed):
    found = fit(two_power_table(40, noise=noise, seed=seed), bootstrap=0)
    assert found.diagnostics.converged
    assert found.values["alpha"] == pytest.approx(0.35, rel=1e-6 + 10 * noise)
