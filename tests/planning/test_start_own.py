import math

import numpy as np
import pytest
from scipy import stats

from atlas_scaling.errors import InputError
from atlas_scaling.planning.start_own import (
    fit_crossovers,
    start_from_curves,
    start_from_sizes,
)
from atlas_scaling.transfer.curves import LossPoints
from tests.planning.planted import TRUE, curves


def from_curves(last, tokens, **options):
    scratch, continued = curves(last, **options)
    return start_from_curves(
        "vi", scratch=scratch, continued=continued, n_params=1e9, tokens=tokens
    )


def test_two_curves_that_cross_decide_by_probability():
    assert from_curves(1e11, 1e10).recommendation == "continue"
    assert from_curves(1e11, 9e10).recommendation == "scratch"
    near = from_curves(1e11, TRUE)
    assert near.recommendation == "undecided"
    assert near.evidence == "measured"
    low, high = near.crossover_tokens.interval
    assert low < near.crossover_tokens.value < high
    assert near.crossover_flops.value == pytest.approx(6e9 * near.crossover_tokens.value)


def test_curves_that_do_not_cross_are_labelled_and_say_what_would_tell():
    answer = from_curves(1e10, 8e9)
    assert answer.evidence == "extrapolated"
    assert answer.readings["at least"] == pytest.approx(1e10)
    assert any("longer run" in warning for warning in answer.warnings)
    assert answer.recommendation == "continue"


def test_scratch_ahead_from_the_start_has_no_value_but_a_bound():
    answer = from_curves(1e12, 5e11, first=1e11)
    assert answer.evidence == "censored"
    assert answer.crossover_tokens.value is None
    assert answer.recommendation == "scratch"
    assert answer.readings == {"at most": pytest.approx(1e11)}


def test_an_open_end_of_an_interval_is_null_in_json():
    tokens = np.geomspace(1e9, 1e10, 20)
    scratch = LossPoints.of(tokens, 3.0 * (tokens / 1e9) ** -0.1, name="scratch")
    continued = LossPoints.of(tokens, 2.0 * (tokens / 1e9) ** -0.1, name="continued")
    answer = start_from_curves("vi", scratch=scratch, continued=continued, n_params=1e9, tokens=5e9)
    assert answer.evidence == "censored"
    assert answer.to_dict()["crossover_tokens"]["interval"][1] is None
    assert answer.recommendation == "continue"


def test_single_runs_say_that_seeds_are_not_in_the_interval():
    assert any("another seed" in warning for warning in from_curves(1e11, 1e10).warnings)


# --- C = a N^b over sizes


def test_planted_crossovers_give_their_law_back():
    sizes = {n: 1_113_708 * n**1.65 / (6 * n) for n in (1e8, 3e8, 1e9, 2e9)}
    law = fit_crossovers(sizes)
    assert law.coefficient.value == pytest.approx(1_113_708, rel=1e-6)
    assert law.exponent.value == pytest.approx(1.65)
    assert law.tokens_at(4e9).value == pytest.approx(1_113_708 * 4e9**0.65 / 6)


def test_intervals_are_those_of_a_linear_regression():
    sizes = {1e8: 30e9, 3e8: 66e9, 1e9: 120e9, 2e9: 215e9}
    law = fit_crossovers(sizes, level=0.9)
    x, y = np.log(list(sizes)), np.log([6 * n * d for n, d in sizes.items()])
    line = stats.linregress(x, y)
    t = stats.t.ppf(0.95, 2)
    assert law.exponent.value == pytest.approx(line.slope)
    assert law.exponent.interval == pytest.approx(
        (line.slope - t * line.stderr, line.slope + t * line.stderr)
    )
    assert np.log(law.coefficient.interval) == pytest.approx(
        [line.intercept - t * line.intercept_stderr, line.intercept + t * line.intercept_stderr]
    )
    low, high = law.tokens_at(4e9).interval
    assert low < law.tokens_at(4e9).value < high
    # the prediction interval is symmetric in the logarithm, and holds `level` of the chance
    assert math.log(high / low) / 2 == pytest.approx(math.log(high / law.tokens_at(4e9).value))
    assert law.probability_below(4e9, high) == pytest.approx(0.95)


def test_crossovers_on_a_line_to_the_digit_give_no_interval():
    law = fit_crossovers({1e9: 130e9, 2e9: 260e9, 4e9: 520e9})
    assert law.exponent.value == pytest.approx(2)
    answer = start_from_sizes("vi", law, n_params=2e9, tokens=1e11)
    assert answer.crossover_tokens.value == pytest.approx(260e9)
    assert (answer.crossover_tokens.interval, answer.probability_scratch_better) == (None, None)
    assert any("tells no error" in warning for warning in answer.warnings)


def test_two_sizes_give_a_line_without_an_interval():
    law = fit_crossovers({1e8: 30e9, 1e9: 120e9})
    assert law.exponent.interval is None
    answer = start_from_sizes("vi", law, n_params=2e9, tokens=1e12)
    assert answer.recommendation == "scratch"
    assert answer.crossover_tokens.interval is None
    assert answer.probability_scratch_better is None
    assert any("measure a third" in warning for warning in answer.warnings)
    assert any("extrapolated" in warning for warning in answer.warnings)


def test_own_sizes_decide_by_probability():
    law = fit_crossovers({1e8: 30e9, 3e8: 66e9, 1e9: 120e9, 2e9: 215e9})
    at = law.tokens_at(1e9).value
    chosen = [
        start_from_sizes("vi", law, n_params=1e9, tokens=at * f).recommendation
        for f in (0.3, 1.0, 3.0)
    ]
    assert chosen == ["continue", "undecided", "scratch"]


def test_one_size_is_no_law():
    with pytest.raises(InputError) as caught:
        fit_crossovers({1e9: 120e9})
    assert caught.value.value == 1
    assert "one more size" in caught.value.remedy


def test_a_crossover_below_zero_is_refused():
    with pytest.raises(InputError, match="tokens must be above zero"):
        fit_crossovers({1e9: 120e9, 2e9: -1.0})
