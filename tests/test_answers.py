import json
import math
from dataclasses import dataclass

import numpy as np

from atlas_scaling.answers import Answer, Estimate, jsonable


@dataclass(frozen=True)
class _Example(Answer):
    ratio: Estimate
    names: tuple[str, ...]


def test_an_answer_becomes_plain_json_with_null_for_an_unknown_interval():
    answer = _Example(Estimate(1.5), ("a", "b"))
    assert json.loads(json.dumps(answer.to_dict())) == {
        "ratio": {"value": 1.5, "interval": None},
        "names": ["a", "b"],
    }


def test_values_that_json_has_no_word_for_become_null():
    assert jsonable([math.nan, math.inf, 1.0]) == [None, None, 1.0]


def test_numpy_values_become_python_numbers_with_all_their_digits():
    value = np.float64(0.1) + np.float64(0.2)
    assert jsonable({"x": value, "y": np.arange(2)}) == {"x": float(value), "y": [0, 1]}
