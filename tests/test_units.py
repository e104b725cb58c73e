import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.units import bits_per_byte, format_count, parse_count


@pytest.mark.parametrize(
    ("text", "value"),
    [("2e9", 2e9), ("2B", 2e9), ("400 M", 4e8), ("1_000", 1e3), ("1.5k", 1.5e3), ("1T", 1e12)],
)
def test_counts_are_read_as_people_write_them(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize(
    "text", ["", "two", "1e9e9", "-5", "0", "nan", "inf", "5 apples", "1e999", "1e41", "1e-41"]
)
def test_what_is_no_count_above_zero_is_refused(text):
    with pytest.raises(InputError):
        parse_count(text, name="--params")


@given(st.floats(min_value=1e-3, max_value=1e15))
def test_a_printed_count_reads_back_to_the_digits_it_shows(value):
    assert parse_count(format_count(value)) == pytest.approx(value, rel=5e-3)


def test_a_count_that_rounds_up_to_the_next_unit_is_written_in_it():
    assert [format_count(v) for v in (999_999_999.99, 999.9e3, 999.4, 0.5)] == [
        "1B",
        "1M",
        "999",
        "0.5",
    ]


def test_one_bit_per_token_over_four_bytes_is_a_quarter_bit_per_byte():
    assert bits_per_byte(math.log(2), n_tokens=100, n_bytes=400) == pytest.approx(0.25)


def test_a_text_without_bytes_has_no_bits_per_byte():
    with pytest.raises(InputError):
        bits_per_byte(1.0, n_tokens=1, n_bytes=0)
