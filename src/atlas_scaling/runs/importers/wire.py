"""A minimal reader of the Protocol Buffers wire format, enough for logs of known messages.

A message is a sequence of fields, each a varint key ``number << 3 | type`` and a value: type 0 a
varint, 1 eight bytes, 2 a length and that many bytes, 5 four bytes
(protobuf.dev/programming-guides/encoding). Types 3 and 4, groups, are withdrawn and refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5

Value = int | bytes


class TornError(Exception):
    """A file of framed records ends, or is damaged, in the middle of one."""


class WireError(ValueError):
    """These bytes are no protobuf message."""


def take_records(
    path: Path,
    records: Callable[[BinaryIO, Path], Iterator[bytes]],
    take: Callable[[bytes, int], None],
    *,
    word: str,
    notes: list[str],
) -> int:
    """Hand every record of a file on; a torn file is read up to the tear, with a note.

    Args:
        path: the file.
        records: finds the records in it.
        take: is told each record and its number, from 1.
        word: what a record is called.
        notes: the note is added here.

    Returns:
        How many there are.
    """
    number = 0
    with path.open("rb") as file:
        try:
            for number, record in enumerate(records(file, path), 1):
                take(record, number)
        except (TornError, WireError) as error:
            notes.append(f"{path}: {error} after {word} {number}; read up to there")
    return number


def fields(message: bytes) -> Iterator[tuple[int, Value]]:
    """Number and value of every field, in order: an int, or the bytes of all other types.

    Raises:
        WireError: the bytes end inside a field, or a type is unknown.
    """
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == BYTES:
            size, position = _varint(message, position)
        elif wire_type in (FIXED64, FIXED32):
            size = 8 if wire_type == FIXED64 else 4
        else:
            raise WireError(f"unknown wire type {wire_type}")
        if size > end - position:
            raise WireError("a field is longer than its message")
        yield number, message[position : position + size]
        position += size


def as_double(value: Value) -> float:
    """The eight bytes of a ``double``."""
    return float(struct.unpack("<d", _raw(value, 8))[0])


def as_float(value: Value) -> float:
    """The four bytes of a ``float``."""
    return float(struct.unpack("<f", _raw(value, 4))[0])


def as_int64(value: Value) -> int:
    """A varint as the signed 64-bit number that ``int64`` stores in it."""
    if not isinstance(value, int):
        raise WireError("expected a varint")
    return value - (1 << 64) if value >= 1 << 63 else value


def as_sint64(value: Value) -> int:
    """A varint as the number that ``sint64`` stores in it, its sign in the lowest bit (zigzag)."""
    if not isinstance(value, int):
        raise WireError("expected a varint")
    return (value >> 1) ^ -(value & 1)


def as_bytes(value: Value) -> bytes:
    """The bytes of a message, a string or a packed field."""
    if not isinstance(value, bytes):
        raise WireError("expected bytes")
    return value


def as_text(value: Value) -> str:
    """A string; bytes that are no UTF-8 are replaced, for a name is only looked up."""
    return as_bytes(value).decode("utf-8", errors="replace")


def _raw(value: Value, size: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise WireError(f"expected {size} bytes")
    return value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, lowest first, and the position after it."""
    result = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            break
    raise WireError("a number does not end")
