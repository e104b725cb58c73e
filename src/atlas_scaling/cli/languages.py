"""``atlas languages``: which languages the table has, and which code stands for one.

Mounted without a name (``add_typer(languages.app)``), so that the noun is the command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from atlas_scaling.cli.output import JsonFlag, emit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from atlas_scaling.languages import Language

app = typer.Typer()


@app.command("languages", epilog="Example: atlas languages norwegian")
def list_languages(
    text: Annotated[
        str,
        typer.Argument(metavar="[SEARCH]", help="A name, code, family or branch; all if left out."),
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Languages by name, code, family or branch, with every code that means them."""
    from atlas_scaling.errors import InputError
    from atlas_scaling.languages import search

    found = search(text)
    if not found:
        raise InputError(
            "no language of the table has this in its name, code, family or branch",
            value=text,
            where="SEARCH",
            remedy="try a shorter part of the name, or the family: atlas languages bantu",
        )
    emit(found, as_json=as_json, text=_text)


def _text(found: Sequence[Language]) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table("code", "name", "family", "branch", "ISO 639", "MADLAD", box=None)
    for entry in found:
        table.add_row(
            entry.code,
            entry.name,
            entry.family,
            entry.branch,
            " ".join(filter(None, (entry.iso639_1, entry.iso639_3))),
            entry.madlad or "",
        )
    count = "1 language" if len(found) == 1 else f"{len(found)} languages"
    return Group(table, Text(f"\n{count}."))
