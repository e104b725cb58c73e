"""What a source is, from its name, and the files it consists of."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.source import Kind
from atlas_scaling.runs.store import RECORD_NAME

SUFFIXES: Final = {
    ".csv": Kind.CSV,
    ".tsv": Kind.TSV,
    ".jsonl": Kind.JSONL,
    ".ndjson": Kind.JSONL,
    ".parquet": Kind.PARQUET,
    ".pq": Kind.PARQUET,
    ".wandb": Kind.WANDB,
    ".db": Kind.MLFLOW,
    ".sqlite": Kind.MLFLOW,
    ".sqlite3": Kind.MLFLOW,
}
TABLES: Final = frozenset({Kind.CSV, Kind.TSV, Kind.JSONL, Kind.PARQUET})
EVENTS_MARK: Final = "tfevents"
TRAINER_STATE_NAME: Final = "trainer_state.json"


def find_files(source: Path, kind: Kind) -> tuple[Kind, list[Path]]:
    """The kind of ``source`` (as given, unless that is ``auto``) and its files, sorted.

    Raises:
        InputError: there is nothing there, it is of no known kind, or of several.
    """
    if not source.exists():
        raise InputError("there is no such file or folder", value=str(source), where="SOURCE")
    if source.is_file():
        return _kind_of_file(source) if kind is Kind.AUTO else kind, [source]
    if kind is Kind.AUTO:
        kind = _kind_of_folder(source)
    files = sorted(path for path in _files_below(source) if _kind_by_name(path) is kind)
    if not files:
        raise InputError(f"no {kind.value} file at or below this folder", value=str(source))
    return kind, files


def _kind_by_name(path: Path) -> Kind | None:
    if path.name == RECORD_NAME:
        return Kind.ATLAS
    if EVENTS_MARK in path.name:
        return Kind.TENSORBOARD
    if path.name == TRAINER_STATE_NAME:
        return Kind.TRAINER_STATE
    return SUFFIXES.get(path.suffix.lower())


def _kind_of_file(path: Path) -> Kind:
    kind = _kind_by_name(path)
    if kind is None and path.suffix == ".json":
        kind = Kind.TRAINER_STATE
    if kind is None:
        raise InputError(
            "the name does not tell what this file is",
            value=str(path),
            where="SOURCE",
            remedy=f"say it: --kind {' | '.join(k for k in Kind if k is not Kind.AUTO)}",
        )
    return kind


def _kind_of_folder(folder: Path) -> Kind:
    """Run directories before trackers before tables: the former have files of the latter."""
    found = {kind for path in _files_below(folder) if (kind := _kind_by_name(path))}
    ranks: tuple[Callable[[Kind], bool], ...] = (
        lambda kind: kind is Kind.ATLAS,
        lambda kind: kind not in TABLES,
        lambda kind: True,
    )
    candidates = next((some for rank in ranks if (some := sorted(filter(rank, found)))), [])
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise InputError(
            "no log at or below this folder is of a kind that we read",
            value=str(folder),
            where="SOURCE",
            remedy="name a file and say what it is with --kind",
        )
    raise InputError(
        "this folder has logs of several kinds, perhaps of the same runs",
        value=candidates,
        where=str(folder),
        remedy=f"choose one: --kind {candidates[0]}",
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """All files; links to folders are not followed (``wandb/latest-run`` is one)."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(root) / name for name in sorted(names))
