"""What a report is made of: frozen values, no HTML.

``Report`` holds sections, a section holds blocks, and each block says by ``kind`` which macro of
``templates/blocks.html.jinja`` writes it. Figures (``report.figure.Figure``) are blocks too.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, TypeAlias

from atlas_scaling.report.figure import Figure


class Tone(StrEnum):
    """How far a statement carries; said by a sign and a word, never by colour alone."""

    TOLD = "told"
    WEAK = "weak"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Badge:
    """A table cell with a tone."""

    text: str
    tone: Tone


Cell: TypeAlias = str | Badge


@dataclass(frozen=True, slots=True)
class Column:
    """Heading of a column; numbers stand flush right."""

    label: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption. ``folded`` ones open on a click and are open on paper."""

    kind: ClassVar[str] = "table"

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False

    def csv(self) -> str:
        """As text with one header line; cells are quoted where they must be."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(column.label for column in self.columns)
        for row in self.rows:
            writer.writerow(cell.text if isinstance(cell, Badge) else cell for cell in row)
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Plain text."""

    kind: ClassVar[str] = "paragraph"

    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing the data can or cannot tell, why, and what would change it."""

    tone: Tone
    claim: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Statements in the order told, weak, untold."""

    kind: ClassVar[str] = "verdicts"

    items: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that is not in this report, and the commands that would put it there."""

    kind: ClassVar[str] = "missing"

    what: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with values, short ones."""

    kind: ClassVar[str] = "facts"

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """Warnings of an answer, each a sentence."""

    kind: ClassVar[str] = "notes"

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Text shown as it is, folded."""

    kind: ClassVar[str] = "code"

    label: str
    text: str


Block: TypeAlias = Figure | Table | Paragraph | Verdicts | Missing | Facts | Notes | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading; ``name`` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report; ``made`` is when and by which version, one line."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    made: str = ""

    def figures(self) -> dict[str, Figure]:
        """Every figure by name, in the order they stand."""
        blocks = (block for section in self.sections for block in section.blocks)
        return {block.name: block for block in blocks if isinstance(block, Figure)}

    def tables(self) -> dict[str, Table]:
        """Every table by name, in the order they stand."""
        blocks = (block for section in self.sections for block in section.blocks)
        return {block.name: block for block in blocks if isinstance(block, Table)}

    def missing(self) -> tuple[Missing, ...]:
        """What is not in it."""
        blocks = (block for section in self.sections for block in section.blocks)
        return tuple(block for block in blocks if isinstance(block, Missing))
