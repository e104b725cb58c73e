"""Verdicts in words: what a person would say of a standard error."""

import numpy as np
import pytest

from atlas_scaling.fitting.identify import _verdict
from atlas_scaling.laws.base import Parameter

SHARE = Parameter("E", start=(1.0, 2.0), bounds=(0.0, 20.0), transform="identity", tolerance=0.2)
SIGNED = Parameter("tau", start=(0.0, 1.0), bounds=(-2.0, 4.0), transform="identity", tolerance=0.3)
FACTOR = Parameter("A", start=(1.0, 1e8), bounds=(1e-12, 1e30), tolerance=1.5)


@pytest.mark.parametrize(
    ("parameter", "value", "error", "said"),
    [
        (SHARE, 2.0, 0.1, "identified"),
        (SHARE, 2.0, 0.3, "weak: standard error 15 %"),
        (SHARE, 2.0, 1.99, "not identified: standard error 100 %"),
        (SHARE, 0.1, 2.834, "not identified: standard error 28 times the value"),
        (SHARE, 1e-9, 1.0, "not identified: standard error over 100 times the value"),
        (SIGNED, 0.1, 0.6, "not identified: standard error 0.6"),
        (SIGNED, 0.1, 1234.0, "not identified: standard error 1,200"),
        # its coordinate is log A, so that an error of 1.4 is one of a factor exp(1.4)
        (FACTOR, np.log(5.0), 1.4, "weak: standard error a factor of 4.1"),
        (FACTOR, np.log(5.0), 28.0, "not identified: standard error a factor of over 100"),
        (FACTOR, np.log(5.0), np.inf, "not identified: other parameters can take its place"),
    ],
)
def test_a_standard_error_reads_as_a_person_would_say_it(parameter, value, error, said):
    assert _verdict(parameter, value, error) == said
