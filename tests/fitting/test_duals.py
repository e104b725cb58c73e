import numpy as np
import pytest

from atlas_scaling.fitting.duals import ONE, Dual

X = np.array([0.3, 1.7, 4.2])

FUNCTIONS = {
    "sum of a constant": lambda a, b: a + 3.0 + b,
    "difference both ways": lambda a, b: (2.0 - a) - (b - 1.0),
    "product": lambda a, b: a * b * 2.0,
    "quotient both ways": lambda a, b: (1.0 / a) + (a / b) + (b / 4.0),
    "power of numbers": lambda a, b: a**b,
    "power of a constant": lambda a, b: 2.5**a + X**b,
    "power by a constant": lambda a, b: a**3 + b**-0.5,
    "exp and log": lambda a, b: np.exp(-a) * np.log(b) + np.log1p(a) + np.expm1(b),
    "other logs": lambda a, b: np.log2(a) + np.log10(b) + np.exp2(a),
    "roots": lambda a, b: np.sqrt(a) + np.square(b) + np.reciprocal(a),
    "tanh": lambda a, b: np.tanh(a) * b,
    "absolute": lambda a, b: np.abs(a - b),
    "logaddexp": lambda a, b: np.logaddexp(a, b) + np.logaddexp(a, 0.2),
    "minimum and maximum": lambda a, b: np.minimum(a, b) + np.maximum(a, 1.0),
    "where": lambda a, b: np.where(X > 1.0, a * b, a + b),
    "clip": lambda a, b: np.clip(a, 0.5, 2.0) * b,
    "unary signs": lambda a, b: -a + (+b),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_derivative_is_that_of_central_differences(name):
    function = FUNCTIONS[name]
    a, b = np.array([[0.8]]), np.array([[1.9]])
    dual = function(Dual(a, {0: ONE}), Dual(b, {1: ONE}))
    np.testing.assert_allclose(dual.value, function(a, b), rtol=1e-14)
    h = 1e-6
    for k, (da, db) in enumerate(((h, 0.0), (0.0, h))):
        slope = (function(a + da, b + db) - function(a - da, b - db)) / (2 * h)
        part = np.broadcast_to(dual.parts.get(k, 0.0), np.shape(slope))
        np.testing.assert_allclose(part, slope, rtol=1e-7, atol=1e-9)


def test_sums_and_rows_keep_their_derivatives():
    a = Dual(np.array([[2.0]]), {0: ONE})
    scaled = a * X
    total = np.sum(scaled, axis=1)
    np.testing.assert_allclose(total.value, [2.0 * X.sum()])
    np.testing.assert_allclose(total.parts[0], [X.sum()])
    np.testing.assert_allclose(scaled[:, 1].parts[0], [X[1]])
    assert scaled.shape == (1, 3)


def test_zero_to_a_power_has_slope_zero_and_not_nan():
    share = np.array([0.0, 0.5])
    with np.errstate(divide="ignore", invalid="ignore"):
        out = share ** Dual(np.array([[0.7]]), {0: ONE})
    np.testing.assert_allclose(out.value, [[0.0, 0.5**0.7]])
    np.testing.assert_allclose(out.parts[0], [[0.0, 0.5**0.7 * np.log(0.5)]])


def test_comparisons_are_of_values():
    a = Dual(np.array([1.0, 3.0]), {0: ONE})
    assert (a > 2.0).tolist() == [False, True]
    assert np.isfinite(a).all()


def test_a_function_without_a_rule_says_which_there_are():
    with pytest.raises(TypeError, match="arctan2 has no derivative rule"):
        np.arctan2(Dual(X, {}), 1.0)
    with pytest.raises(TypeError, match="cannot be differentiated"):
        np.median(Dual(X, {}))
