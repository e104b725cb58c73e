"""Weights & Biases offline runs: ``wandb/offline-run-…/run-<id>.wandb``.

A file is a LevelDB log: 7 bytes of header, then blocks of 32 KiB with records ``crc32 (4) | length
(2) | type (1) | data``, little-endian; type 1 is a whole record, 2, 3, 4 are the first, middle and
last part of one; CRC-32 of type and data. Data are protobuf ``Record`` messages: read are ``run``
(17), ``config`` (5) and ``history`` (2), whose items give a key and a value, as JSON or typed.
Files with one run id are one resumed run, in the order of their start times.

For runs on a server export the history and read it as a table::

    history = pandas.DataFrame(run.scan_history())   # run = wandb.Api().run("team/project/id")
    history.assign(run_id=run.name).to_csv("run.csv", index=False)
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.log import LoggedRun, flattened, log_source, numbers_in
from atlas_scaling.runs.importers.source import Kind, Source
from atlas_scaling.runs.importers.wire import (
    TornError,
    Value,
    as_bytes,
    as_double,
    as_int64,
    as_sint64,
    as_text,
    fields,
    take_records,
)

MAGIC: Final = b":W&B\xe1\xbe"
HEADER_SIZE: Final = 7
BLOCK_SIZE: Final = 32 * 1024
RECORD_HEADER: Final = struct.Struct("<IHB")
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4

# Numbers of the fields of wandb_internal.proto.
RECORD_HISTORY, RECORD_CONFIG, RECORD_RUN = 2, 5, 17
ITEM_KEY, ITEM_NESTED_KEY = 1, 2
RUN_ID, RUN_CONFIG, RUN_DISPLAY_NAME, RUN_START_TIME = 1, 4, 8, 17
HISTORY_ITEM, CONFIG_UPDATE, CONFIG_REMOVE, SECONDS = 1, 1, 2, 1


def read_wandb(paths: Sequence[Path]) -> Source:
    """The ``.wandb`` files as a source; a torn file is read up to the tear, with a note.

    Raises:
        InputError: a file is no W&B file.
    """
    notes: list[str] = []
    runs = [_read_file(path, notes) for path in paths]
    return log_source(Kind.WANDB, runs, line_word="record", notes=notes)


def _read_file(path: Path, notes: list[str]) -> LoggedRun:
    run = LoggedRun(run_id=path.stem.removeprefix("run-"), file=str(path))
    if not take_records(path, _records, partial(_take, run), word="record", notes=notes):
        notes.append(f"{path}: no record in it")
    return run


def _records(file: BinaryIO, path: Path) -> Iterator[bytes]:
    header = file.read(HEADER_SIZE)
    if len(header) < HEADER_SIZE and MAGIC.startswith(header[: len(MAGIC)]):
        return  # killed before the first flush
    if not header.startswith(MAGIC):
        raise InputError(
            "this is no W&B run file",
            value=header,
            where=str(path),
            remedy="give a run-<id>.wandb file, or a folder of offline runs",
        )
    position, parts = HEADER_SIZE, b""
    while True:
        left = BLOCK_SIZE - position % BLOCK_SIZE
        if left < RECORD_HEADER.size:  # padding at the end of a block
            position += len(file.read(left))
        head = file.read(RECORD_HEADER.size)
        if not head and not parts:
            return
        if len(head) < RECORD_HEADER.size:
            raise TornError("the file ends inside a record")
        checksum, size, kind = RECORD_HEADER.unpack(head)
        data = file.read(size)
        position += len(head) + size
        if len(data) < size:
            raise TornError("the file ends inside a record")
        if not WHOLE <= kind <= LAST or zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            raise TornError("a record is damaged")
        parts = data if kind in (WHOLE, FIRST) else parts + data
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


def _take(run: LoggedRun, record: bytes, number: int) -> None:
    """Put what a record says into ``run``."""
    for field, value in fields(record):
        if field == RECORD_HISTORY:
            items = [v for n, v in fields(as_bytes(value)) if n == HISTORY_ITEM]
            run.rows.add(number, (leaf for item in items for leaf in numbers_in(_item(item))))
        elif field == RECORD_CONFIG:
            _take_config(value, run)
        elif field == RECORD_RUN:
            _take_run(value, run)


def _take_run(message: Value, run: LoggedRun) -> None:
    for field, value in fields(as_bytes(message)):
        if field == RUN_ID:
            run.run_id = as_text(value) or run.run_id
        elif field == RUN_DISPLAY_NAME:
            run.name = as_text(value) or None
        elif field == RUN_CONFIG:
            _take_config(value, run)
        elif field == RUN_START_TIME:
            run.order = sum(
                as_int64(v) * (1.0 if n == SECONDS else 1e-9) for n, v in fields(as_bytes(value))
            )


def _take_config(message: Value, run: LoggedRun) -> None:
    for field, value in fields(as_bytes(message)):
        if field == CONFIG_UPDATE:
            run.config.update(flattened(_item(value)))
        elif field == CONFIG_REMOVE:
            for name in _item(value):
                run.config.pop(name, None)


def _item(message: Value) -> dict[str, Any]:
    """A history or configuration item as ``{name: value}``; nested keys are joined by dots."""
    key, nested, value = "", [], None
    for field, raw in fields(as_bytes(message)):
        if field == ITEM_KEY:
            key = as_text(raw)
        elif field == ITEM_NESTED_KEY:
            nested.append(as_text(raw))
        elif field in ITEM_VALUES:
            value = ITEM_VALUES[field](raw)
    return {".".join(nested) or key: value}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


ITEM_VALUES: Final[dict[int, Callable[[Value], Any]]] = {
    4: bool,
    5: as_sint64,
    6: as_double,
    7: as_text,
    8: lambda raw: _json(as_text(raw)),
    16: lambda raw: _json(as_text(raw)),
}
"""Field number to reader of the kinds of value an item may have."""
