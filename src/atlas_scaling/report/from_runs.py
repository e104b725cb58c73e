"""Builds a report of what there is; what is missing is said with the command that would add it.

The sections stand in the order of a reader's questions: what can be told, what was measured, how
well laws describe it and predict the rest, which languages help which, how size and sharing pay,
what to do, how it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from atlas_scaling.errors import InputError
from atlas_scaling.report import sections
from atlas_scaling.report.blocks import Block, Report, Section, Verdicts
from atlas_scaling.report.provenance import Provenance, made_line, provenance_blocks
from atlas_scaling.report.run_facts import as_runs, run_facts
from atlas_scaling.report.sections import Plan, Scores
from atlas_scaling.report.start_curves import start_comparisons
from atlas_scaling.report.verdicts import verdicts
from atlas_scaling.report.words import language_name, listed
from atlas_scaling.transfer.matrix import TransferMatrix
from atlas_scaling.units import counted

if TYPE_CHECKING:
    import polars as pl

    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.profile import Profile
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.store import RunTable
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer

__all__ = ["Plan", "Provenance", "build_report"]


def build_report(
    runs: RunTable | pl.DataFrame | None = None,
    *,
    fits: Sequence[Fit] = (),
    matrix: TransferMatrix | MatrixAnswer | None = None,
    bts: Sequence[BtsAnswer] | None = None,
    comparison: Comparison | None = None,
    profiles: Sequence[tuple[Fit, Sequence[Profile]]] = (),
    plans: Sequence[Plan] = (),
    provenance: Provenance | None = None,
    title: str | None = None,
) -> Report:
    """A report of everything that is given.

    Args:
        runs: run records, or the frame of an import.
        fits: of any laws and languages.
        matrix: transfer scores; of an answer on several model sizes the largest.
        bts: scores over d, for the curves; those behind ``matrix`` if not given.
        comparison: laws on held-out data.
        profiles: profile likelihoods, by fit.
        plans: answers of ``plan allocate``, ``plan expand`` and ``plan start``.
        provenance: what the records do not say of how this was made.
        title: of the report; made of the study's name if not given.

    Raises:
        InputError: the fits are of losses in several units.
    """
    units = sorted({fit.observations.unit.value for fit in fits})
    if len(units) > 1:
        raise InputError(
            "a report compares its fits, and these are of losses in several units",
            value=units,
            where="fits",
            remedy="make a report of each unit",
        )
    if runs is not None:
        runs = as_runs(runs)
    scores = _scores(matrix, bts)
    said = verdicts(runs, fits, scores.matrix, scores.warnings, comparison)
    first: Block = Verdicts(said) if said else sections.NO_RUNS
    starts, more_starts = ([], 0) if runs is None else start_comparisons(runs.frame)
    made = provenance_blocks(provenance or Provenance(), runs, fits)
    parts: tuple[tuple[str, str, Sequence[Block]], ...] = (
        ("verdicts", "What these runs can and cannot tell", [first, *sections.overview(runs)]),
        ("losses", "Loss curves", sections.losses(runs)),
        ("fits", "Laws fitted to the losses", sections.fits(fits, profiles)),
        ("held-out", "Which law predicts what it has not seen", sections.held_out(comparison)),
        ("transfer", "Which languages help which", sections.transfer(scores)),
        ("scaling", "How size and sharing pay", sections.scaling(runs, fits)),
        ("plan", "What to do next", sections.plan(plans, starts, more_starts)),
        ("made", "How this was made", made),
    )
    return Report(
        title=title or _title(runs),
        subtitle=_subtitle(runs, fits),
        sections=tuple(Section(name, heading, tuple(blocks)) for name, heading, blocks in parts),
        made=made_line(),
    )


def _scores(
    matrix: TransferMatrix | MatrixAnswer | None,
    bts: Sequence[BtsAnswer] | None,
) -> Scores:
    if matrix is None or isinstance(matrix, TransferMatrix):
        return Scores(matrix, curves=bts or ())
    largest = matrix.of_size()
    if bts is None:
        bts = largest.answers
    return Scores(
        matrix=largest.matrix(matrix.source),
        curves=bts,
        early=tuple((c.target, c.source) for c in largest.cells if c.early),
        warnings=matrix.warnings,
        problems=matrix.problems,
    )


def _title(runs: RunTable | None) -> str:
    studies = sorted({r.study for r in run_facts(runs) if r.study}) if runs is not None else []
    return f"Scaling report: {listed(studies, most=3)}" if studies else "Scaling report"


def _subtitle(runs: RunTable | None, fits: Sequence[Fit]) -> str:
    if runs is None or not runs.frame.height:
        return f"{counted(len(fits), 'fit')}, without the run records." if fits else "Empty so far."
    codes = sorted(runs.frame["language"].unique().to_list())
    names = listed([language_name(code) for code in codes], most=8)
    return f"{counted(len(run_facts(runs)), 'run')} on {counted(len(codes), 'language')}: {names}."
