"""The blocks of each section of a report, from what there is; what is not there is said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from atlas_scaling.planning.allocation_answer import Allocation
from atlas_scaling.planning.expand import Expansion
from atlas_scaling.planning.start import StartAdvice
from atlas_scaling.report import plan_tables, tables
from atlas_scaling.report.blocks import Block, Code, Facts, Missing, Notes, Paragraph
from atlas_scaling.report.figures import fits as fit_figures
from atlas_scaling.report.figures import structure
from atlas_scaling.report.figures.allocation import (
    budget_frontier,
    plan_alternatives,
    shares_in_words,
)
from atlas_scaling.report.figures.capacity import degradation, degradation_rows
from atlas_scaling.report.figures.compared import CUTS, compared_laws, profile_curves
from atlas_scaling.report.figures.losses import loss_curves
from atlas_scaling.report.figures.plans import crossover, expand_frontier, iso_loss_frontiers
from atlas_scaling.report.figures.starts import crossover_laws, scratch_against_continued
from atlas_scaling.report.figures.trajectories import fit_trajectories, optimal_trajectories
from atlas_scaling.report.figures.transfer import bts_curves, transfer_heatmap
from atlas_scaling.report.run_facts import run_facts
from atlas_scaling.report.words import MISSING, count, language_name, listed
from atlas_scaling.units import LossUnit, counted

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.profile import Profile
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.report.start_curves import StartComparison
    from atlas_scaling.runs.store import RunTable
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.measure import BtsAnswer

Plan: TypeAlias = Expansion | StartAdvice | Allocation

MOST_SIZES: Final = 8
NO_RUNS: Final = Missing("There are no runs in this report.", ("atlas report RUNS -o report.html",))


@dataclass(frozen=True, eq=False)
class Scores:
    """A transfer matrix with what only its answer knows."""

    matrix: TransferMatrix | None
    curves: Sequence[BtsAnswer] = ()
    early: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def overview(runs: RunTable | None) -> list[Block]:
    """How many runs of what size, and what each language got."""
    if runs is None or not runs.frame.height:
        return []
    known = run_facts(runs)
    groups = Counter(run.group for run in known)
    sizes = sorted({run.n_params for run in known if run.n_params is not None})
    longest = max(runs.frame["tokens"].to_list())
    facts = (
        ("Runs", ", ".join(f"{n} {group}" for group, n in groups.most_common())),
        ("Model sizes", _sizes(sizes)),
        ("Longest run", f"{count(longest)} tokens"),
        ("Evaluations", f"{runs.frame.height:,}"),
    )
    return [Facts(facts), tables.languages_table(runs.frame)]


def _sizes(sizes: Sequence[float]) -> str:
    """``156k, 361k and 1.31M``, or of many the ends."""
    words = list(dict.fromkeys(map(count, sizes)))
    if len(words) > MOST_SIZES:
        return f"{words[0]} to {words[-1]}, {len(words)} sizes"
    return listed(words, most=MOST_SIZES) if words else MISSING


def losses(runs: RunTable | None) -> list[Block]:
    """Loss curves and the table of runs."""
    if runs is None or not runs.frame.height:
        return [NO_RUNS]
    one_tokenizer = runs.frame["tokenizer"].n_unique() <= 1
    in_nats = one_tokenizer and runs.frame["loss"].count() > 0
    unit = LossUnit.NATS_PER_TOKEN if in_nats else LossUnit.BITS_PER_BYTE
    blocks: list[Block] = [loss_curves(runs.frame, unit=unit)]
    if not one_tokenizer:
        blocks.append(
            Paragraph("The runs have several tokenizers, so losses are shown in bits per byte.")
        )
    return [*blocks, tables.run_table(runs)]


def fits(
    all_fits: Sequence[Fit], profiles: Sequence[tuple[Fit, Sequence[Profile]]] = ()
) -> list[Block]:
    """Fits, what they predict and leave, their parameters."""
    if not all_fits:
        commands = (
            "atlas fit RUNS --law atlas --target LANG -o fit.json",
            "atlas report RUNS fit.json -o report.html",
        )
        return [Missing("No law was fitted.", commands)]
    unit = all_fits[0].observations.unit
    points = fit_figures.fit_points(all_fits)
    formulas = dict.fromkeys(
        f"{fit.law.title or fit.law.name}: {fit.law.formula} ({fit.law.source or 'own'})"
        for fit in all_fits
    )
    warnings = _fit_warnings(all_fits)
    blocks: list[Block] = [
        tables.fit_table(all_fits),
        fit_figures.predicted_against_measured(points, unit=unit),
        fit_figures.residuals(points),
        *([intervals] if (intervals := fit_figures.parameter_intervals(all_fits)) else []),
        tables.parameter_table(all_fits),
        *(profile_curves(fit, curves) for fit, curves in profiles),
        *map(Paragraph, formulas),
    ]
    return [*blocks, Notes(warnings)] if warnings else blocks


def held_out(comparison: Comparison | None) -> list[Block]:
    """Laws side by side on what they did not see."""
    if comparison is None:
        commands = ("atlas report RUNS --full -o report.html", "atlas compare RUNS")
        return [Missing("Laws were not compared on held-out runs.", commands)]
    blocks: list[Block] = [compared_laws(comparison), tables.compare_table(comparison)]
    notes = (*comparison.notes, *comparison.warnings, *_cuts_not_made(comparison))
    return [*blocks, Notes(notes)] if notes else blocks


def transfer(scores: Scores) -> list[Block]:
    """The matrix, its curves, and what relatedness does."""
    if scores.matrix is None:
        what = (
            "No transfer score was measured: that takes runs on two languages half and half, "
            "and on each of them alone, at one model size."
        )
        return [Missing(what, ("atlas transfer matrix RUNS",))]
    matrix = scores.matrix
    blocks: list[Block] = [
        transfer_heatmap(matrix),
        tables.transfer_table(matrix, early=scores.early),
    ]
    if scores.curves:
        blocks.append(bts_curves(scores.curves))
    shapes = (structure.relatedness(matrix), structure.symmetry(matrix))
    blocks += [figure for figure in shapes if figure is not None]
    if scores.problems:
        blocks.append(Notes(tuple(f"not measured: {problem}" for problem in scores.problems)))
    return blocks


def scaling(runs: RunTable | None, all_fits: Sequence[Fit]) -> list[Block]:
    """Best sizes by compute, and what sharing a model costs."""
    blocks: list[Block] = []
    rows, left_out = fit_trajectories(best_of_each_language(all_fits))
    if rows.height:
        source = "Of each language the law that describes its runs best"
        blocks.append(optimal_trajectories(rows, source=source, left_out=left_out))
    else:
        what = "No fit identifies α and β, so no best size can be told."
        blocks.append(Missing(what, ("atlas plan next --fit FIT",)))
    shared = None if runs is None else degradation_rows(runs.frame)
    if shared is not None and shared.height:
        blocks.append(degradation(shared))
    else:
        what = (
            "What sharing a model costs cannot be told: that takes even mixtures and runs on "
            "their languages alone, at one size and long enough to meet."
        )
        blocks.append(Missing(what, ("atlas study design demo",)))
    return blocks


def plan(
    plans: Sequence[Plan], starts: Sequence[StartComparison] = (), more_starts: int = 0
) -> list[Block]:
    """Answers of the planner, and scratch against continued where both were run.

    Args:
        plans: in any order.
        starts: what is drawn of scratch against continued.
        more_starts: how many such comparisons are not.
    """
    blocks: list[Block] = []
    allocations = [one for one in plans if isinstance(one, Allocation)]
    expansions = [one for one in plans if isinstance(one, Expansion)]
    advice = [one for one in plans if isinstance(one, StartAdvice)]
    for allocation in allocations:
        blocks += _allocation(allocation)
    for expansion in expansions:
        blocks += [plan_tables.expansion_table(expansion)]
    if expansions:
        several = len(expansions) > 1
        blocks.append(iso_loss_frontiers(expansions) if several else expand_frontier(expansions[0]))
        blocks += _rests_on(expansions[0])
    answers = [*advice, *(one.advice for one in starts)]
    if answers:
        blocks.append(plan_tables.start_table(answers))
    if advice:
        blocks.append(crossover(advice[0]))
    if starts:
        blocks.append(scratch_against_continued(starts))
    if more_starts:
        blocks.append(
            Paragraph(f"{counted(more_starts, 'comparison')} of smaller models left out.")
        )
    if starts or advice:
        blocks += [crossover_laws(starts), *_rests_on(*answers)]
    if not blocks:
        commands = (
            "atlas plan expand --from-languages 8 --to-languages 16",
            "atlas plan start --language vie_Latn --params 2e9 --tokens 100e9",
        )
        return [Missing("No plan was asked for.", commands)]
    return blocks


def _allocation(answer: Allocation) -> list[Block]:
    frontier = budget_frontier(answer)
    words = (
        f"{count(answer.n_params)} parameters on {count(answer.tokens)} tokens: "
        f"{shares_in_words(answer)}."
    )
    return [
        Paragraph(words),
        plan_tables.allocation_table(answer),
        plan_alternatives(answer),
        plan_tables.shares_table(answer),
        *([frontier] if frontier is not None else []),
        *_rests_on(answer),
    ]


def _rests_on(*answers: Plan) -> list[Block]:
    """Where answers come from and what limits them, each thing once."""
    rests = dict.fromkeys(f"Rests on: {one.source}. Law: {one.law}." for one in answers)
    warnings = dict.fromkeys(warning for one in answers for warning in one.warnings)
    blocks: list[Block] = [*map(Paragraph, rests)]
    if len(rests) > 2:
        blocks = [Code("What these answers rest on", "\n".join(rests))]
    return [*blocks, Notes(tuple(warnings))] if warnings else blocks


def best_of_each_language(all_fits: Sequence[Fit]) -> list[Fit]:
    """Of each language the fit that identifies its exponents and describes its runs best."""

    def rank(fit: Fit) -> tuple[bool, float]:
        vague = any(fit.verdicts.get(p, "").startswith("not ") for p in ("alpha", "beta"))
        return not vague, fit.diagnostics.r2 or 0.0

    best: dict[str | None, Fit] = {}
    for fit in all_fits:
        held = best.get(fit.target)
        if held is None or rank(fit) > rank(held):
            best[fit.target] = fit
    return list(best.values())


def _cuts_not_made(comparison: Comparison) -> list[str]:
    return [
        f"{CUTS.get(name, name)}: {words}"
        for name, words in comparison.cuts.items()
        if "not made" in words
    ]


def _fit_warnings(all_fits: Sequence[Fit]) -> tuple[str, ...]:
    """What the fits warn of, alike ones of several languages once; not what the tables say."""
    alike: dict[tuple[str, str], list[str]] = {}
    for fit in all_fits:
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
