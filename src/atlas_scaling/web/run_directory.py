"""One run directory, read again and again while it grows: each time only what changed.

``run.json`` and ``status.json`` are read when their time stamps move, ``evals.jsonl`` from the byte
up to which it was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from atlas_scaling.answers import Answer
from atlas_scaling.runs.record import EvalRow, RunRecord, RunStatus
from atlas_scaling.runs.store import EVALS_NAME, RECORD_NAME, STATUS_NAME

GONE: Final = -1


@dataclass(frozen=True, slots=True)
class RunCurve(Answer):
    """Evaluations of one run in one language, in the order of tokens."""

    run_id: str
    language: str
    tokens: tuple[int, ...]
    loss: tuple[float, ...]
    bits_per_byte: tuple[float, ...]
    lr_state: tuple[str, ...]


@dataclass
class RunDirectory:
    """What is known of one run directory, and how far it was read."""

    path: Path
    record: RunRecord | None = None
    status: RunStatus | None = None
    problems: dict[str, str] = field(default_factory=dict)
    _stamps: dict[str, int] = field(default_factory=dict)
    _evals: dict[tuple[int, str], EvalRow] = field(default_factory=dict)
    _evals_read: int = 0

    def look(self) -> bool:
        """Read what changed of record and status; whether anything did."""
        record = self._changed("record", RECORD_NAME, RunRecord)
        status = self._changed("status", STATUS_NAME, RunStatus)
        return record or status

    def languages(self) -> tuple[str, ...]:
        """Languages that the run was evaluated in so far."""
        self._read_evals()
        return tuple(sorted({code for _, code in self._evals}))

    def curves(self, run_id: str, languages: Sequence[str]) -> Iterable[RunCurve]:
        """Loss curves in the given languages, or in all that were evaluated so far."""
        self._read_evals()
        by_language: dict[str, list[EvalRow]] = {}
        for row in self._evals.values():
            if not languages or row.language in languages:
                by_language.setdefault(row.language, []).append(row)
        for code, rows in sorted(by_language.items()):
            rows.sort(key=lambda row: row.step)
            yield RunCurve(
                run_id=run_id,
                language=code,
                tokens=tuple(row.tokens for row in rows),
                loss=tuple(row.loss for row in rows),
                bits_per_byte=tuple(row.bits_per_byte for row in rows),
                lr_state=tuple(row.lr_state.value for row in rows),
            )

    def _changed(self, name: str, file_name: str, kind: type[RunRecord | RunStatus]) -> bool:
        """Read one file into the field ``name`` if its time stamp moved; whether it did."""
        path = self.path / file_name
        stamp = _stamp(path)
        if stamp == self._stamps.get(name, GONE):
            return False
        self._stamps[name] = stamp
        try:
            value = kind.model_validate_json(path.read_bytes()) if stamp != GONE else None
            setattr(self, name, value)
            self.problems.pop(name, None)
        except (OSError, ValidationError) as error:
            # half a file that is being written comes whole with the next look
            self.problems[name] = f"{path}: not readable ({str(error).splitlines()[0]})"
        return True

    def _read_evals(self) -> None:
        """Take the complete lines that were added since the last time."""
        path = self.path / EVALS_NAME
        try:
            size = path.stat().st_size
            if size < self._evals_read:  # written anew
                self._evals, self._evals_read = {}, 0
            if size == self._evals_read:
                return
            with path.open("rb") as file:
                file.seek(self._evals_read)
                added = file.read()
        except OSError:
            return
        whole = added.rfind(b"\n") + 1
        self._evals_read += whole
        for line in added[:whole].splitlines():
            try:
                row = EvalRow.model_validate_json(line)
            except ValidationError:
                continue  # atlas runs check says which
            self._evals[row.step, row.language] = row


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return GONE
