"""``atlas doctor``: what this machine has, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.doctor import Examination


def doctor(as_json: JsonFlag = False) -> None:
    """Say what this machine has for atlas, what is missing and the command that mends it."""
    from atlas_scaling.doctor import examine
    from atlas_scaling.study.cache import cache_directory

    emit(examine(cache_directory()), as_json=as_json, text=_text)


def _text(examination: Examination) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("", "found", "needed for", "mend with", box=None)
    for finding in examination.findings:
        table.add_row(
            finding.name, finding.found or "missing", finding.needed_for, finding.mend or ""
        )
    head = (
        f"atlas-scaling {examination.version}, Python {examination.python}, {examination.machine}"
    )
    ready = (
        "atlas demo can run here."
        if examination.ready_for_studies
        else ("Fits, transfer and plans work here; for training studies mend what is missing.")
    )
    return Group(Text(head), table, Text(f"\n{ready}"))
