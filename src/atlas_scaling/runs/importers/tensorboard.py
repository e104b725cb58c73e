"""TensorBoard event files: scalars of ``events.out.tfevents.…``, one run a directory.

A file is TFRecords, ``length (8) | crc of the length (4) | data | crc of the data (4)``,
little-endian, the checksums masked CRC-32C; data are protobuf ``Event`` messages. Read are ``step``
(2) and the scalar values of ``summary`` (5), as ``simple_value`` or as a tensor of one number.
Files of one directory are one resumed run, in the order of their first events. Scalars are
float32: a count of tokens is right to 1 part in 17 million.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.log import LoggedRun, log_source
from atlas_scaling.runs.importers.source import Kind, Source
from atlas_scaling.runs.importers.wire import (
    TornError,
    Value,
    as_bytes,
    as_double,
    as_float,
    as_int64,
    as_text,
    fields,
    take_records,
)

STEP: Final = "step"

# Numbers of the fields of event.proto, summary.proto and tensor.proto.
EVENT_WALL_TIME, EVENT_STEP, EVENT_SUMMARY = 1, 2, 5
SUMMARY_VALUE, VALUE_TAG, VALUE_SIMPLE, VALUE_TENSOR = 1, 1, 2, 8
TENSOR_DTYPE, TENSOR_CONTENT, TENSOR_FLOATS, TENSOR_DOUBLES = 1, 4, 5, 6
DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64 = 1, 2, 3, 9
UNPACK: Final = {DT_FLOAT: "<f", DT_DOUBLE: "<d", DT_INT32: "<i", DT_INT64: "<q"}

# Larger records are images and histograms, which are not read; summing them in Python is slow.
LARGEST_CHECKED: Final = 4096
LARGEST_RECORD: Final = 1 << 30


def read_tensorboard(paths: Sequence[Path], *, root: Path) -> Source:
    """Event files as a source; the run id is the directory below ``root``.

    A torn or damaged file is read up to there, with a note.

    Raises:
        InputError: a file is no event file.
    """
    notes: list[str] = []
    runs = [_read_file(path, _run_id(path, root), notes) for path in paths]
    return log_source(Kind.TENSORBOARD, runs, line_word="event", notes=notes)


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) as TFRecords store it: rotated right by 15 bits plus a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def _run_id(path: Path, root: Path) -> str:
    folder = path.parent
    below = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else "."
    return below if below != "." else folder.resolve().name


def _read_file(path: Path, run_id: str, notes: list[str]) -> LoggedRun:
    run = LoggedRun(run_id=run_id, file=str(path))
    take_records(path, _records, partial(_take, run), word="event", notes=notes)
    return run


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    first = True
    while head := file.read(12):
        if len(head) < 12:
            raise _not_events(head, path) if first else TornError("the file ends inside a record")
        size, checksum = struct.unpack("<QI", head)
        if masked_crc32c(head[:8]) != checksum or size > LARGEST_RECORD:
            raise _not_events(head, path) if first else TornError("a record is damaged")
        data, tail = file.read(size), file.read(4)
        if len(data) < size or len(tail) < 4:
            raise TornError("the file ends inside a record")
        if size <= LARGEST_CHECKED and masked_crc32c(data) != struct.unpack("<I", tail)[0]:
            raise TornError("a record is damaged")
        first = False
        yield data


def _not_events(head: bytes, path: Path) -> InputError:
    return InputError(
        "this is no TensorBoard event file",
        value=head,
        where=str(path),
        remedy="give an events.out.tfevents file, or a log directory",
    )


def _take(run: LoggedRun, record: bytes, number: int) -> None:
    step, summary = 0, b""
    for field, value in fields(record):
        if field == EVENT_WALL_TIME and number == 1:
            run.order = as_double(value)
        elif field == EVENT_STEP:
            step = as_int64(value)
        elif field == EVENT_SUMMARY:
            summary = as_bytes(value)
    values = [_scalar(value) for field, value in fields(summary) if field == SUMMARY_VALUE]
    found = [(tag, number) for tag, number in values if number is not None]
    if found:
        run.rows.add(number, [*((t, v) for t, v in found if t != STEP), (STEP, float(step))])


def _scalar(message: Value) -> tuple[str, float | None]:
    tag, number = "", None
    for field, value in fields(as_bytes(message)):
        if field == VALUE_TAG:
            tag = as_text(value)
        elif field == VALUE_SIMPLE:
            number = as_float(value)
        elif field == VALUE_TENSOR:
            number = _tensor_scalar(as_bytes(value))
    return tag, number


def _tensor_scalar(tensor: bytes) -> float | None:
    """The number of a tensor that holds one; None for other tensors and types."""
    dtype = 0
    for field, value in fields(tensor):
        if field == TENSOR_DTYPE:
            dtype = as_int64(value)
        elif field == TENSOR_CONTENT and dtype in UNPACK:
            content = as_bytes(value)
            if len(content) == struct.calcsize(UNPACK[dtype]):
                return float(struct.unpack(UNPACK[dtype], content)[0])
        elif field in _REPEATED and isinstance(value, bytes):
            size, read = _REPEATED[field]
            if len(value) == size:
                return read(value)
    return None


_REPEATED: Final[dict[int, tuple[int, Callable[[Value], float]]]] = {
    TENSOR_FLOATS: (4, as_float),
    TENSOR_DOUBLES: (8, as_double),
}
