"""Reads run directories into one long table: one row per (run, step, language).

The directories are the truth; this reader never writes. What it leaves out, such as the torn last
line of a killed run, is said in ``RunTable.notes``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import polars as pl
from pydantic import ValidationError

from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import EvalRow, RunRecord, RunStatus

RECORD_NAME: Final = "run.json"
EVALS_NAME: Final = "evals.jsonl"
STATUS_NAME: Final = "status.json"
SPEC_NAME: Final = "study.yaml"
"""Of the study whose runs lie in ``runs`` beside it."""

M = TypeVar("M", RunRecord, RunStatus)

_BY_LANGUAGE: Final = pl.List(pl.Struct({"language": pl.String, "value": pl.Float64}))

SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "run_id": pl.String,
    "study": pl.String,
    "group": pl.String,
    "seed": pl.Int64,
    "base_run": pl.String,
    "step": pl.Int64,
    "tokens": pl.Float64,
    "language": pl.String,
    "loss": pl.Float64,
    "bits_per_byte": pl.Float64,
    "lr": pl.Float64,
    "lr_state": pl.String,
    "n_params": pl.Float64,
    "n_params_non_embedding": pl.Float64,
    "flops": pl.Float64,
    "tokenizer": pl.String,
    "corpus": pl.String,
    "mixture": _BY_LANGUAGE,
    "tokens_by_language": _BY_LANGUAGE,
    "unique_tokens": _BY_LANGUAGE,
    "early_tokens": _BY_LANGUAGE,
}


@dataclass(frozen=True, slots=True)
class Note:
    """Something the reader left out or doubts: where, and what it did about it."""

    where: str
    problem: str


@dataclass(frozen=True, slots=True)
class RunFiles:
    """What one run directory holds, as read. ``record`` is None if ``run.json`` is unusable."""

    path: Path
    record: RunRecord | None
    rows: tuple[EvalRow, ...]
    status: RunStatus | None
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class RunTable:
    """Runs as one long polars frame (columns: ``SCHEMA``), with the reader's notes.

    ``tokens``, ``flops`` and counts are float64: N·D overflows int64. The columns by language are
    lists of ``{language, value}`` and hold only languages with a share; ``early_tokens`` are those
    of the stages before the present one. ``base_run`` is the run that a run continues; a decay that
    branches off counts its trunk's tokens and continues none.
    """

    frame: pl.DataFrame
    records: tuple[RunRecord, ...]
    notes: tuple[Note, ...] = ()

    def __repr__(self) -> str:
        n_languages = self.frame["language"].n_unique() if self.frame.height else 0
        return (
            f"RunTable({len(self.records)} runs, {self.frame.height} evaluations, "
            f"{n_languages} languages, {len(self.notes)} notes)"
        )


def read_runs(paths: Path | str | Iterable[Path | str]) -> RunTable:
    """Read every run directory at or below ``paths``.

    Args:
        paths: run directories, or folders that hold any number of them at any depth.

    Raises:
        InputError: a path does not exist or holds no run, or two directories claim one run id.
    """
    notes: list[Note] = []
    records: dict[str, RunRecord] = {}
    where: dict[str, Path] = {}
    frames = [pl.DataFrame(schema=SCHEMA)]
    for directory in find_runs(paths):
        one = read_run(directory)
        notes += one.notes
        if one.record is None:
            continue
        run_id = one.record.run_id
        if run_id in records:
            raise InputError(
                "two directories claim one run id; counting a run twice would bias every fit",
                value=run_id,
                where=f"{where[run_id]} and {directory}",
                remedy="leave one of them out",
            )
        records[run_id], where[run_id] = one.record, directory
        if one.rows:
            frames.append(_frame_of(one.record, one.rows))
    return RunTable(pl.concat(frames), tuple(records.values()), tuple(notes))


def find_runs(paths: Path | str | Iterable[Path | str]) -> list[Path]:
    """Run directories at or below ``paths``, sorted; folders inside a run are not searched.

    Raises:
        InputError: a path is no folder, or has no run at or below it.
    """
    given: Sequence[Path | str] = [paths] if isinstance(paths, str | Path) else list(paths)
    found: list[Path] = []
    for path in map(Path, given):
        if not path.is_dir():
            raise InputError(
                "there is no such folder of runs" if not path.exists() else "this is not a folder",
                value=str(path),
                remedy="give a run directory, or a folder that holds some",
            )
        below = []
        for folder, subfolders, names in os.walk(path):
            if RECORD_NAME in names:
                below.append(Path(folder))
                subfolders.clear()
        if not below:
            raise InputError(
                f"no run here: no {RECORD_NAME} at or below this folder",
                value=str(path),
                remedy="run a study first (atlas study run SPEC), or give its output folder",
            )
        found.extend(below)
    return sorted(set(found))


def read_run(path: Path) -> RunFiles:
    """Read one run directory, tolerating everything a kill or a full disk can leave behind."""
    notes: list[Note] = []
    record = _read_json(path / RECORD_NAME, RunRecord, notes)
    status = _read_json(path / STATUS_NAME, RunStatus, notes)
    rows = _read_evals(path / EVALS_NAME, notes)
    return RunFiles(path, record, tuple(rows), status, tuple(notes))


def read_status(path: Path) -> RunStatus | None:
    """The ``status.json`` of one run directory alone; None if it has none that can be read."""
    return _read_json(path / STATUS_NAME, RunStatus, [])


def value_of(frame: pl.DataFrame, column: str, language: str) -> pl.Series:
    """The value of ``language`` in a by-language column, 0 where it has none. float64, one a row.

    Args:
        frame: a ``RunTable.frame``.
        column: ``mixture``, ``tokens_by_language`` or ``unique_tokens``.
        language: a normalised code such as ``swe_Latn``.
    """
    is_it = pl.element().struct.field("language") == language
    values = pl.col(column).list.eval(
        pl.when(is_it).then(pl.element().struct.field("value")).otherwise(0.0)
    )
    return frame.select(values.list.sum().fill_null(0.0).cast(pl.Float64)).to_series()


def by_language(values: dict[str, float] | dict[str, int]) -> list[dict[str, Any]]:
    """A mapping as a by-language column holds it."""
    return [{"language": k, "value": float(v)} for k, v in sorted(values.items()) if v > 0]


def _early_tokens(record: RunRecord, tokens: int) -> dict[str, float]:
    """Tokens by language of the stages that were over when ``tokens`` had been seen."""
    early: dict[str, float] = {}
    over = 0.0
    for stage in record.stages:
        over += stage.fraction * record.tokens
        if tokens <= over:
            return early
        for code, share in stage.mixture.items():
            early[code] = early.get(code, 0.0) + share * stage.fraction * record.tokens
    return early


def _frame_of(record: RunRecord, rows: Sequence[EvalRow]) -> pl.DataFrame:
    """One run's rows. Lists by language, slow to build, are built once where rows share them."""
    seen = [(row.tokens, row.tokens_by_language) for row in rows]
    begins = [i for i in range(len(seen)) if i == 0 or seen[i] != seen[i - 1]]
    at = np.repeat(np.arange(len(begins)), np.diff([*begins, len(rows)]))
    of_run = pl.DataFrame(
        {
            "run_id": record.run_id,
            "study": record.study,
            "group": record.group,
            "seed": record.seed,
            "base_run": record.continues,
            "n_params": float(record.n_params),
            "n_params_non_embedding": float(record.n_params_non_embedding),
            "tokenizer": record.tokenizer.sha256,
            "corpus": record.corpus_sha256,
            "mixture": [by_language(record.mixture)],
            "unique_tokens": [by_language(record.unique_tokens)],
        },
        schema_overrides=SCHEMA,
    )
    of_steps = pl.DataFrame(
        {
            "tokens_by_language": [by_language(seen[i][1]) for i in begins],
            "early_tokens": [by_language(_early_tokens(record, seen[i][0])) for i in begins],
        },
        schema_overrides=SCHEMA,
    )
    of_rows = pl.DataFrame(
        {
            "step": [row.step for row in rows],
            "tokens": [float(row.tokens) for row in rows],
            "language": [row.language for row in rows],
            "loss": [row.loss for row in rows],
            "bits_per_byte": [row.bits_per_byte for row in rows],
            "lr": [row.lr for row in rows],
            "lr_state": [row.lr_state.value for row in rows],
            "flops": [training_flops(record.n_params, row.tokens) for row in rows],
        },
        schema_overrides=SCHEMA,
    )
    parts = [of_run[np.zeros(len(rows), dtype=np.intp)], of_steps[at], of_rows]
    return pl.concat(parts, how="horizontal").select(list(SCHEMA))


def _read_json(path: Path, model: type[M], notes: list[Note]) -> M | None:
    if not path.exists():
        if model is RunRecord:
            notes.append(Note(str(path), "missing; the run is left out"))
        return None
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        notes.append(Note(str(path), f"not readable ({_first_reason(error)}); left out"))
        return None


def _read_evals(path: Path, notes: list[Note]) -> list[EvalRow]:
    """One row per (step, language); of repeated lines the last is kept."""
    data = path.read_bytes() if path.exists() else b""
    if not data:
        notes.append(Note(str(path), "missing or empty: the run has no evaluation yet"))
        return []
    lines = data.split(b"\n")
    torn = lines.pop()
    if torn:
        notes.append(Note(f"{path}:{len(lines) + 1}", "torn last line, dropped"))
    kept: dict[tuple[int, str], EvalRow] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = EvalRow.model_validate_json(line)
        except ValidationError as error:
            reason = _first_reason(error)
            notes.append(Note(f"{path}:{number}", f"not readable ({reason}); dropped"))
            continue
        before = kept.get((row.step, row.language))
        if before is not None and before.loss != row.loss:
            notes.append(
                Note(
                    f"{path}:{number}",
                    f"step {row.step} of {row.language} was already {before.loss:.6g}, "
                    f"now {row.loss:.6g}; the later one is kept",
                )
            )
        kept[row.step, row.language] = row
    return sorted(kept.values(), key=lambda row: (row.step, row.language))


def _first_reason(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else str(first["msg"])
