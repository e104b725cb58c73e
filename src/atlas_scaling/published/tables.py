"""Reading the small CSV files that hold published tables."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Final

PAPER: Final = "ATLAS paper (arXiv 2510.22037v2)"


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of ``data/name.csv`` by column, as printed."""
    text = (Path(__file__).parent / "data" / f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
