"""A planner's answer as a file of its own: a page (``.html``) or its pictures (``.svg``, ``.png``).

A page has tables, figures, what the answer rests on and its warnings; a picture has the figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.planning.allocation_answer import Allocation
from atlas_scaling.planning.cost import CostAnswer
from atlas_scaling.planning.expand import Expansion
from atlas_scaling.planning.next_runs import NextRuns
from atlas_scaling.planning.start import StartAdvice
from atlas_scaling.planning.two_stage import TwoStagePlan
from atlas_scaling.report import sections
from atlas_scaling.report.blocks import Block, Notes, Paragraph, Report, Section
from atlas_scaling.report.figure import PAGE, Figure, Panel, check_page_or_figure, save_figure
from atlas_scaling.report.figures.allocation import plan_shares
from atlas_scaling.report.figures.runs_to_make import cost_bars, interval_left, stage_mixtures

if TYPE_CHECKING:
    from collections.abc import Sequence

    PlanAnswer = Expansion | StartAdvice | Allocation | NextRuns | CostAnswer | TwoStagePlan

_TITLES: Final = {
    Expansion: "More languages at the same loss",
    StartAdvice: "From scratch, or from a checkpoint?",
    Allocation: "Model size, tokens and mixture",
    NextRuns: "What to run next",
    CostAnswer: "What it costs to train",
    TwoStagePlan: "A mixture in two stages",
}


def save_plan(answer: PlanAnswer, path: Path, *, command: str = "") -> Path:
    """Write an answer to ``path``.

    Args:
        answer: of any ``atlas plan`` command.
        path: ``.html`` for a page, ``.svg`` or ``.png`` for its pictures, ``.csv`` for the numbers.
        command: that made it, for the page.

    Raises:
        InputError: the ending is none of these, or the file cannot be written.
    """
    check_page_or_figure(path, where="--output")
    blocks = _blocks(answer)
    title = _TITLES[type(answer)]
    if path.suffix.lower() == PAGE:
        from atlas_scaling.report.document import write

        return write(Report(title, command, (Section("plan", title, tuple(blocks)),)), path)
    return save_figure(_joined(title, [b for b in blocks if isinstance(b, Figure)]), path)


def _blocks(answer: PlanAnswer) -> list[Block]:
    drawn = _drawn(answer)
    if drawn is not None:
        rests: list[Block] = [Paragraph(f"Rests on: {answer.source}. Law: {answer.law}.")]
        notes: list[Block] = [Notes(tuple(answer.warnings))] if answer.warnings else []
        return [drawn, *rests, *notes]
    if isinstance(answer, Allocation):
        first, *others = sections.plan([answer])
        return [first, plan_shares(answer), *others]
    assert isinstance(answer, Expansion | StartAdvice)
    return sections.plan([answer])


def _drawn(answer: PlanAnswer) -> Figure | None:
    """The one figure of an answer that reports have no section for."""
    if isinstance(answer, NextRuns):
        return interval_left(answer)
    if isinstance(answer, TwoStagePlan):
        return stage_mixtures(answer)
    return cost_bars(answer) if isinstance(answer, CostAnswer) else None


def _joined(title: str, figures: Sequence[Figure]) -> Figure:
    """Several figures as one, panel beside panel."""
    if len(figures) == 1:
        return figures[0]
    return Figure(
        name="plan",
        title=title,
        caption=" ".join(f.caption for f in figures),
        alt=" ".join(f.alt for f in figures),
        data=pl.concat(
            [f.data.select(pl.lit(f.name).alias("figure"), pl.all()) for f in figures],
            how="diagonal_relaxed",
        ),
        panels=tuple(Panel(p.title or f.title, p.chart) for f in figures for p in f.panels),
        columns=2,
    )
