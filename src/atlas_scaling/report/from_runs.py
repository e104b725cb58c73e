"""Builds a report of what there is, and says what is missing and which command would add it.

The sections stand in the order of a reader's questions: what can be told, what was measured, how
well laws describe it, which languages help which, what to do, how it was made.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

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
from atlas_scaling.report.score_curves import score_curves
from atlas_scaling.report.verdicts import verdicts
from atlas_scaling.report.words import count, counted, language_name, listed
from atlas_scaling.transfer.matrix import TransferMatrix
from atlas_scaling.units import LossUnit

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.store import RunTable
    from atlas_scaling.transfer.measure import BtsAnswer
    from atlas_scaling.transfer.pairs import MatrixAnswer, SizeMatrix

Plan: TypeAlias = Expansion | StartAdvice


@dataclass(frozen=True, eq=False)
class _Transfer:
    """A matrix with what only its answer knows."""

    matrix: TransferMatrix | None
    measured: SizeMatrix | None = None
    early: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def build_report(
    runs: RunTable | None = None,
    *,
    fits: Sequence[Fit] = (),
    matrix: TransferMatrix | MatrixAnswer | None = None,
    bts: Sequence[BtsAnswer] | None = None,
    plans: Sequence[Plan] = (),
    provenance: Provenance | None = None,
    title: str | None = None,
) -> Report:
    """A report of everything that is given.

    Args:
        runs: the run records.
        fits: of any laws and languages.
        matrix: transfer scores; of an answer on several model sizes the largest.
        bts: scores over d, for the curves; measured on the runs if not given.
        plans: answers of ``plan expand`` and ``plan start``.
        provenance: what the records do not say of how this was made.
        title: of the report; made of the study's name if not given.
    """
    scores = _as_transfer(matrix)
    if bts is None:
        bts = ()
        if runs is not None and scores.measured is not None:
            bts = score_curves(runs.frame, scores.measured)
    said = verdicts(runs, fits, scores.matrix, scores.warnings)
    first: Block = Verdicts(said) if said else _missing_runs()
    sections = (
        Section("verdicts", "What these runs can and cannot tell", (first, *_overview(runs))),
        Section("losses", "Loss curves", tuple(_losses(runs))),
        Section("fits", "Laws fitted to the losses", tuple(_fits(fits))),
        Section("transfer", "Which languages help which", tuple(_transfer(scores, bts))),
        Section("plan", "What to do next", tuple(_plans(plans))),
        Section("made", "How this was made", tuple(_made(provenance or Provenance(), runs, fits))),
    )
    return Report(
        title=title or _title(runs),
        subtitle=_subtitle(runs, fits),
        sections=sections,
        made=made_line(),
    )


def _as_transfer(matrix: TransferMatrix | MatrixAnswer | None) -> _Transfer:
    if matrix is None or isinstance(matrix, TransferMatrix):
        return _Transfer(matrix)
    largest = matrix.of_size()
    return _Transfer(
        matrix=largest.matrix(matrix.source),
        measured=largest,
        early=tuple((c.target, c.source) for c in largest.cells if c.early),
        warnings=matrix.warnings,
        problems=matrix.problems,
    )


def _title(runs: RunTable | None) -> str:
    studies = sorted({r.study for r in runs.records if r.study}) if runs is not None else []
    return f"Scaling report: {listed(studies, most=3)}" if studies else "Scaling report"


def _subtitle(runs: RunTable | None, fits: Sequence[Fit]) -> str:
    if runs is None or not runs.frame.height:
        return f"{counted(len(fits), 'fit')}, without the run records." if fits else "Empty so far."
    codes = sorted(runs.frame["language"].unique().to_list())
    names = listed([language_name(code) for code in codes], most=8)
    return f"{counted(len(runs.records), 'run')} on {counted(len(codes), 'language')}: {names}."


def _overview(runs: RunTable | None) -> tuple[Block, ...]:
    if runs is None or not runs.frame.height:
        return ()
    frame = runs.frame
    groups = Counter(record.group for record in runs.records)
    sizes = sorted({r.n_params for r in runs.records})
    return (
        Facts(
            (
                ("Runs", ", ".join(f"{n} {group}" for group, n in groups.most_common())),
                ("Model sizes", listed([count(n) for n in sizes], most=8)),
                ("Longest run", f"{count(frame['tokens'].max())} tokens"),  # type: ignore[arg-type]
                ("Evaluations", f"{frame.height:,}"),
            )
        ),
        tables.languages_table(frame),
    )


def _losses(runs: RunTable | None) -> list[Block]:
    if runs is None or not runs.frame.height:
        return [_missing_runs()]
    one_tokenizer = runs.frame["tokenizer"].n_unique() <= 1
    unit = LossUnit.NATS_PER_TOKEN if one_tokenizer else LossUnit.BITS_PER_BYTE
    blocks: list[Block] = [loss_curves(runs.frame, unit=unit)]
    if not one_tokenizer:
        blocks.append(
            Paragraph("The runs have several tokenizers, so losses are shown in bits per byte.")
        )
    return [*blocks, tables.run_table(runs)]


def _fits(fits: Sequence[Fit]) -> list[Block]:
    if not fits:
        return [
            Missing(
                "No law was fitted.",
                (
                    "atlas fit RUNS --law atlas --target LANG -o fit.json",
                    "atlas report RUNS fit.json -o report.html",
                ),
            )
        ]
    unit = fits[0].observations.unit
    points = fit_figures.fit_points(fits)
    formulas = dict.fromkeys(
        f"{fit.law.title or fit.law.name}: {fit.law.formula} ({fit.law.source or 'own'})"
        for fit in fits
    )
    warnings = _fit_warnings(fits)
    blocks: list[Block] = [
        tables.fit_table(fits),
        fit_figures.predicted_against_measured(points, unit=unit),
        fit_figures.residuals(points),
        fit_figures.parameter_intervals(fits),
        tables.parameter_table(fits),
        *map(Paragraph, formulas),
    ]
    return [*blocks, Notes(warnings)] if warnings else blocks


def _fit_warnings(fits: Sequence[Fit]) -> tuple[str, ...]:
    """What the fits warn of, alike ones of several languages once; not what the tables say."""
    alike: dict[tuple[str, str], list[str]] = {}
    for fit in fits:
        for warning in fit.warnings:
            if not warning.startswith(tuple(f"{name} is " for name in fit.values)):
                key = (fit_figures.law_label(fit), re.sub(r"\d+", "#", warning))
                alike.setdefault(key, []).append(
                    warning if fit.target is None else f"{language_name(fit.target)}: {warning}"
                )
    return tuple(
        f"{law}, {said[0]}" + (f"; {counted(len(said) - 1, 'other')} alike" if said[1:] else "")
        for (law, _), said in alike.items()
    )


def _transfer(scores: _Transfer, bts: Sequence[BtsAnswer]) -> list[Block]:
    blocks: list[Block] = []
    if scores.matrix is None:
        blocks.append(
            Missing(
                "No transfer score was measured: that takes runs on two languages half and half, "
                "and on each of them alone, at one model size.",
                ("atlas transfer matrix RUNS",),
            )
        )
    else:
        blocks += [
            transfer_heatmap(scores.matrix),
            tables.transfer_table(scores.matrix, early=scores.early),
        ]
    if bts:
        blocks.append(bts_curves(bts))
    if scores.problems:
        blocks.append(Notes(tuple(f"not measured: {problem}" for problem in scores.problems)))
    return blocks


def _plans(plans: Sequence[Plan]) -> list[Block]:
    if not plans:
        return [
            Missing(
                "No plan was asked for.",
                (
                    "atlas plan expand --from-languages 8 --to-languages 16",
                    "atlas plan start --language vie_Latn --params 2e9 --tokens 100e9",
                ),
            )
        ]
    blocks: list[Block] = []
    for plan in plans:
        if isinstance(plan, Expansion):
            blocks += [tables.expansion_table(plan), expand_frontier(plan)]
        else:
            blocks += [tables.start_table(plan), crossover(plan)]
        rests = f"Rests on: {plan.source}. Law: {plan.law}."
        blocks += [Paragraph(rests), *([Notes(plan.warnings)] if plan.warnings else [])]
    return blocks


def _made(provenance: Provenance, runs: RunTable | None, fits: Sequence[Fit]) -> tuple[Block, ...]:
    return provenance_blocks(provenance, runs, fits)


def _missing_runs() -> Missing:
    return Missing("There are no runs in this report.", ("atlas report RUNS -o report.html",))
