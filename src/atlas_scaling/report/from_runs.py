"""Builds a report of runs, fits, transfer scores and plans; says what is missing and how to get it.

``build_report`` takes what there is. ``report_of_runs`` makes the rest first: fits of every
language, the transfer matrix and score curves of the runs, and published plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from atlas_scaling.errors import FitError, InputError
from atlas_scaling.planning.expand import Expansion
from atlas_scaling.planning.start import StartAdvice
from atlas_scaling.report import tables
from atlas_scaling.report.blocks import (
    Block,
    Facts,
    Missing,
    Notes,
    Paragraph,
    Report,
    Section,
    Verdicts,
)
from atlas_scaling.report.figures import fits as fit_figures
from atlas_scaling.report.figures.losses import loss_curves
from atlas_scaling.report.figures.plans import crossover, expand_frontier
from atlas_scaling.report.figures.transfer import bts_curves, transfer_heatmap
from atlas_scaling.report.provenance import Provenance, made_line, provenance_blocks
from atlas_scaling.report.verdicts import verdicts
from atlas_scaling.report.words import count, counted, language_name, listed
from atlas_scaling.units import LossUnit

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.store import RunTable
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer

Plan: TypeAlias = Expansion | StartAdvice
