import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.runs.importers import wire


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the high bit on all but the last."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def field(number: int, value: int | float | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value & 0xFFFFFFFFFFFFFFFF)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def test_the_examples_of_the_specification_are_read():
    # protobuf.dev/programming-guides/encoding: Test1 {a: 150}, Test2 {b: "testing"}.
    assert list(wire.fields(bytes.fromhex("089601"))) == [(1, 150)]
    assert list(wire.fields(bytes.fromhex("120774657374696e67"))) == [(2, b"testing")]


@pytest.mark.parametrize(
    ("stored", "meant"), [(0, 0), (1, -1), (2, 1), (3, -2), (0xFFFFFFFE, 2**31 - 1)]
)
def test_zigzag_follows_the_table_of_the_specification(stored, meant):
    assert wire.as_sint64(stored) == meant


@given(st.integers(-(2**63), 2**63 - 1), st.integers(1, 2**20))
def test_any_int64_comes_back(value, number):
    ((read_number, raw),) = wire.fields(field(number, value))
    assert (read_number, wire.as_int64(raw)) == (number, value)


@given(st.floats(allow_nan=False), st.binary(max_size=300))
def test_doubles_and_bytes_come_back(number, data):
    first, second = wire.fields(field(1, number) + field(2, data))
    assert wire.as_double(first[1]) == number
    assert wire.as_bytes(second[1]) == data


def test_a_float_of_four_bytes_is_read():
    assert wire.as_float(struct.pack("<f", 0.5)) == 0.5
    assert math.isnan(wire.as_float(struct.pack("<f", math.nan)))


@given(st.binary(max_size=200))
def test_random_bytes_are_fields_or_a_wire_error(data):
    with contextlib.suppress(wire.WireError):
        assert all(number >= 0 for number, _ in wire.fields(data))


@pytest.mark.parametrize(
    "message",
    [
        b"\x08",  # a key without a value
        b"\x12\x07test",  # a string shorter than it says
        b"\x80" * 11,  # a number that does not end
        b"\x0b",  # a group
    ],
)
def test_a_message_that_ends_too_early_is_a_wire_error(message):
    with pytest.raises(wire.WireError):
        list(wire.fields(message))


def test_a_value_of_another_type_is_a_wire_error():
    for read in (wire.as_int64, wire.as_sint64):
        with pytest.raises(wire.WireError):
            read(b"abc")
    for read in (wire.as_bytes, wire.as_double, wire.as_float, wire.as_text):
        with pytest.raises(wire.WireError):
            read(3)
