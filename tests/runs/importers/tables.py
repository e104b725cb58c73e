"""Helpers of the tests that import small tables."""

from pathlib import Path
from typing import Any

from atlas_scaling.runs.importers.column_map import ColumnMap
from atlas_scaling.runs.importers.importing import import_runs
from atlas_scaling.runs.importers.summary import Imported


def import_text(tmp_path: Path, text: str, name: str = "runs.csv", **columns: Any) -> Imported:
    """Import a table given as text; ``columns`` are fields of a column map."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return import_runs(path, columns=ColumnMap.model_validate(columns))


def dropped(imported: Imported) -> dict[str, int]:
    return {d.reason: d.rows for d in imported.summary.dropped}


def mixture(imported: Imported, row: int = 0, column: str = "mixture") -> dict[str, float] | None:
    cell = imported.frame[column].to_list()[row]
    return None if cell is None else {entry["language"]: entry["value"] for entry in cell}
