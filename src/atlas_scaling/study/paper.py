"""The packaged study of the paper beside the paper's own counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from atlas_scaling.published.experiments import EXPERIMENTS, MISMATCHES
from atlas_scaling.study.planned_runs import Design, GroupTotal

NAME: Final = "paper"


def beside_published(design: Design) -> Design:
    """``design`` of the packaged study with the printed count of every row, and its mismatches."""
    printed = {row.label: row.n_runs for row in EXPERIMENTS}
    merged = [_merged([one for one in design.groups if one.label == label]) for label in printed]
    return replace(
        design,
        groups=tuple(replace(one, n_published=printed[one.label]) for one in merged),
        n_published=sum(printed.values()),
        notes=(*design.notes, *MISMATCHES),
    )


def _merged(groups: list[GroupTotal]) -> GroupTotal:
    """Groups of one row of the table as one."""
    return replace(
        groups[0],
        n_runs=sum(one.n_runs for one in groups),
        n_shared=sum(one.n_shared for one in groups),
        tokens=sum(one.tokens for one in groups),
        flops=sum(one.flops for one in groups),
    )
