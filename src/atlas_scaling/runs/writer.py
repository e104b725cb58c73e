"""Writes run directories so that a kill at any byte loses at most the evaluation being written.

``run.json`` and ``status.json`` are replaced whole. The lines of an evaluation are appended to
``evals.jsonl`` in one write; what a kill leaves of a line is cut off before the next.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import EvalRow, RunRecord, RunStatus
from atlas_scaling.runs.store import EVALS_NAME, RECORD_NAME, STATUS_NAME

_PARTIAL: Final = ".partial-"


def write_record(run_dir: Path, record: RunRecord) -> None:
    """Write ``run.json``, or check that the one there is of the same run.

    Raises:
        RunError: the directory holds another run, or a record that is damaged, or cannot be
            written.
    """
    path = run_dir / RECORD_NAME
    if path.exists():
        try:
            before = RunRecord.model_validate_json(path.read_bytes())
        except ValidationError:
            raise RunError(
                "the record of this run cannot be read",
                where=str(path),
                remedy="remove this file: it is written anew when the run goes on",
            ) from None
        _refuse_other_run(before, record, path)
        return
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(run_dir, error) from None
    replace_whole(path, (record.model_dump_json(indent=2) + "\n").encode())


def write_status(run_dir: Path, status: RunStatus) -> None:
    """Replace ``status.json``."""
    replace_whole(run_dir / STATUS_NAME, (status.model_dump_json(indent=2) + "\n").encode())


def append_evals(run_dir: Path, rows: Sequence[EvalRow]) -> None:
    """Append the rows of one evaluation in one write, whole or not at all.

    Raises:
        RunError: they cannot be written; the file ends where it ended before.
    """
    data = "".join(row.model_dump_json() + "\n" for row in rows).encode()
    path = run_dir / EVALS_NAME
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _append_whole(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise cannot_write(path, error) from None


def _append_whole(descriptor: int, data: bytes) -> None:
    end = os.fstat(descriptor).st_size
    try:
        if os.write(descriptor, data) < len(data):  # a disk that is nearly full takes a part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def mend(run_dir: Path) -> None:
    """Remove what a kill left: half a line of ``evals.jsonl``, files that never got their name."""
    for abandoned in run_dir.rglob(f"*{_PARTIAL}*"):
        abandoned.unlink(missing_ok=True)
    path = run_dir / EVALS_NAME
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def replace_whole(path: Path, data: bytes) -> None:
    """Write ``path`` whole or not at all: to a file beside it, to the disk, then renamed.

    Raises:
        RunError: it cannot be written; the file before it is left as it was.
    """
    beside = path.with_name(f".{path.name}{_PARTIAL}{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> RunError:
    """The message for a write that failed."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return RunError(
        "the disk is full" if full else f"this cannot be written: {error.strerror or error}",
        where=str(path),
        remedy="make room and give the same command again; it goes on from the last checkpoint"
        if full
        else "check the folder and its permissions, then give the same command again",
    )


_MUST_AGREE = (
    "run_id",
    "mixture",
    "tokens",
    "model",
    "optimizer",
    "seed",
    "base_run",
    "branch_tokens",
)


def _refuse_other_run(before: RunRecord, now: RunRecord, path: Path) -> None:
    for name in (*_MUST_AGREE, "tokenizer", "corpus_sha256"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise RunError(
                "the directory holds another run",
                value=f"{name} {new}, was {old}",
                where=str(path),
                remedy="give the run a directory of its own",
            )
