"""MLflow's tracking database: the SQLite file behind ``sqlite:///mlflow.db``.

Read are the tables ``runs``, ``metrics`` (in the order of their timestamps), ``params`` and
``tags``; parameters are the configuration, tags stand in it as ``tags.<name>``. MLflow stores NaN
as a flag and infinities as the largest double; both come back as what they were.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.log import LoggedRun, log_source
from atlas_scaling.runs.importers.source import Kind, Source

STEP: Final = "step"
MAGIC: Final = b"SQLite format 3\0"
TABLES: Final = frozenset({"runs", "metrics", "params", "tags"})

METRICS: Final = """
    SELECT run_uuid, key, value, is_nan, step FROM metrics ORDER BY run_uuid, timestamp, rowid
"""


def read_mlflow(paths: Sequence[Path]) -> Source:
    """MLflow databases as a source; runs deleted in MLflow are left out, with a note.

    Raises:
        InputError: a file is no MLflow database, or is damaged.
    """
    notes: list[str] = []
    runs: list[LoggedRun] = []
    for path in paths:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise _no_database(path, "it is no SQLite file")
        try:
            with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as db:
                runs.extend(_read_runs(db, path, notes))
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise _no_database(path, str(error)) from None
    return log_source(Kind.MLFLOW, runs, line_word="metric", notes=notes)


def _no_database(path: Path, reason: str) -> InputError:
    return InputError(
        f"this is no readable MLflow database: {reason}",
        where=str(path),
        remedy="give the SQLite file of a tracking URI such as sqlite:///mlflow.db",
    )


def _read_runs(db: sqlite3.Connection, path: Path, notes: list[str]) -> Iterator[LoggedRun]:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if not tables >= TABLES:
        raise _no_database(path, f"it has no table {', '.join(sorted(TABLES - tables))}")
    runs: dict[str, LoggedRun] = {}
    deleted = 0
    for run_id, name, stage in db.execute("SELECT run_uuid, name, lifecycle_stage FROM runs"):
        if stage == "deleted":
            deleted += 1
        else:
            runs[run_id] = LoggedRun(run_id=run_id, file=str(path), name=name or None)
    if deleted:
        notes.append(f"{path}: {deleted} runs deleted in MLflow left out")
    for table, prefix in (("params", ""), ("tags", "tags.")):
        for run_id, key, value in db.execute(f"SELECT run_uuid, key, value FROM {table}"):
            if run_id in runs and value is not None:
                runs[run_id].config[f"{prefix}{key}"] = str(value)
    for place, (run_id, key, value, is_nan, step) in enumerate(db.execute(METRICS), 1):
        if run_id in runs and key != STEP:
            number = math.nan if is_nan else _infinite_again(float(value))
            runs[run_id].rows.add(place, ((key, number), (STEP, float(step))))
    yield from runs.values()


def _infinite_again(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
