"""The main job from end to end: a small study on real text, its fits, scores, plans and report.

What ``atlas demo`` runs. Everything it does can be done with the other commands one by one; the
files in its folder are theirs.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from atlas_scaling.answers import Answer
from atlas_scaling.config import dump_config
from atlas_scaling.errors import FitError, InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.fitting.result import Fit, FitStatus
from atlas_scaling.languages import language
from atlas_scaling.laws import ATLAS, Chinchilla
from atlas_scaling.laws.base import Law
from atlas_scaling.planning.expand import Expansion, expand
from atlas_scaling.planning.start import StartAdvice, start
from atlas_scaling.report.document import write
from atlas_scaling.report.from_runs import build_report
from atlas_scaling.report.provenance import Provenance
from atlas_scaling.runs.store import RunTable, read_runs
from atlas_scaling.study.conduct import StudyOutcome, conduct_study
from atlas_scaling.study.display import Display
from atlas_scaling.study.engines.base import Engine
from atlas_scaling.study.spec import StudySpec
from atlas_scaling.transfer.matrix_files import save_matrix
from atlas_scaling.transfer.pairs import MatrixAnswer, MatrixCell, matrices_from_runs
from atlas_scaling.units import format_count

LAWS: Final[tuple[tuple[str, Law], ...]] = (
    ("atlas-target", ATLAS(variant="target")),
    ("atlas-other", ATLAS(variant="other")),
    ("atlas-full", ATLAS(variant="full")),
)

PARTS_OF_D: Final = (1.0, 0.5, 0.25)
MOST_BOUNDS: Final = 0.2
"""Of a matrix to read from; a pair that never caught up is a bound, and tells less than a value."""


@dataclass(frozen=True, slots=True)
class FitSummary(Answer):
    """One fit in a line. ``unidentified`` are parameters that the runs cannot tell."""

    law: str
    target: str
    status: FitStatus
    r2: float | None
    n_rows: int
    n_runs: int
    identified: tuple[str, ...]
    unidentified: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoOutcome(Answer):
    """What the demo made and found. ``fits`` and ``transfer`` are also files in ``path``."""

    path: str
    report: str
    study: StudyOutcome
    fits: tuple[FitSummary, ...]
    transfer: tuple[MatrixCell, ...]
    transfer_at_tokens: float | None
    learnt: tuple[str, ...]
    next: tuple[str, ...]


def run_demo(
    spec: StudySpec, folder: Path, *, engine: Engine, cache: Path, display: Display
) -> DemoOutcome:
    """Carry out ``spec``, then fit, score, plan and report; or go on where a call stopped.

    Raises:
        InputError, SourceError: as ``conduct_study``.
        InputError: no run was done, so that there is nothing to report.
    """
    study = conduct_study(spec, folder, engine=engine, cache=cache, display=display)
    runs = read_runs(folder / "runs")
    display.say("fitting Chinchilla and three variants of ATLAS to every language")
    fits = fit_all(runs, spec.languages, folder / "fits")
    display.say("measuring transfer between the pairs")
    matrix = _measured(runs, folder / "transfer.csv", display.say)
    plans = published_plans(spec)
    display.say("writing the report")
    report = build_report(
        runs,
        fits=[one for _, one in fits],
        matrix=matrix,
        plans=plans,
        provenance=Provenance(
            command=f"atlas demo --output {folder}",
            spec=dump_config(spec),
            wall_seconds=None if study.n_done_before else study.seconds,
            machine=f"{platform.system()} {platform.machine()}, {engine.n_workers} workers",
        ),
    )
    written = write(report, folder / "report.html")
    cells, d = ((), None) if matrix is None else (matrix.of_size().cells, matrix.of_size().d)
    outcome = DemoOutcome(
        path=str(folder),
        report=str(written),
        study=study,
        fits=tuple(_summary(name, one) for name, one in fits),
        transfer=cells,
        transfer_at_tokens=d,
        learnt=(*_learnt_transfer(cells, d), *_learnt_fits(fits), *_learnt_plans(plans)),
        next=(
            f"atlas transfer matrix {folder}/runs",
            f"atlas fit {folder}/runs --law atlas --target {spec.languages[0]}",
            "atlas plan expand --from-languages 8 --to-languages 16",
            "atlas study design demo --json   # then a study of your own: one YAML file",
        ),
    )
    (folder / "demo.json").write_text(json.dumps(outcome.to_dict(), indent=2) + "\n", "utf-8")
    return outcome


def fit_all(runs: RunTable, languages: Sequence[str], folder: Path) -> list[tuple[str, Fit]]:
    """Chinchilla on each language's own runs and ATLAS on all; saved in ``folder``.

    A fit that the runs do not allow (too few rows) is left out.
    """
    folder.mkdir(exist_ok=True)
    alone = runs.frame.filter(pl.col("group") == "monolingual")
    done: list[tuple[str, Fit]] = []
    for target in languages:
        wanted: list[tuple[str, Law, pl.DataFrame]] = [("chinchilla", Chinchilla(), alone)]
        wanted += [(name, law, runs.frame) for name, law in LAWS]
        for name, law, frame in wanted:
            try:
                one = fit(frame, law, target=target)
            except (FitError, InputError):
                continue
            one.save(folder / f"{name}-{target}.json")
            done.append((name, one))
    return done


def published_plans(spec: StudySpec) -> tuple[Expansion, StartAdvice]:
    """Two answers from the published study, for the languages of this one."""
    K = len(spec.languages)
    return (
        expand(from_languages=K, to_languages=2 * K),
        start(spec.languages[-1], n_params=2e9, tokens=100e9),
    )


def _measured(runs: RunTable, path: Path, say: Callable[[str], None]) -> MatrixAnswer | None:
    """The matrix at the default d, or at a half or a quarter of it if too many cells are bounds."""
    answer = None
    for part in PARTS_OF_D:
        at = None if answer is None else answer.of_size().d * part
        try:
            measured = matrices_from_runs(runs.frame, at=at, name="runs of the demo")
        except InputError as error:
            say(f"no transfer score: {error.problem}")
            break
        if answer is None or _share_of_bounds(measured) <= MOST_BOUNDS:
            answer = measured
        if _share_of_bounds(answer) <= MOST_BOUNDS:
            break
    if answer is not None:
        save_matrix(answer.of_size().matrix(answer.source), path)
    return answer


def _share_of_bounds(answer: MatrixAnswer) -> float:
    cells = answer.of_size().cells
    return sum(cell.bts is None for cell in cells) / len(cells)


def _summary(name: str, one: Fit) -> FitSummary:
    parameters = one.parameters
    return FitSummary(
        law=name,
        target=one.target or "",
        status=one.status,
        r2=one.diagnostics.r2,
        n_rows=one.n_rows,
        n_runs=one.n_runs,
        identified=tuple(k for k, p in parameters.items() if p.value is not None),
        unidentified=tuple(k for k, p in parameters.items() if p.value is None),
    )


def _learnt_transfer(cells: Sequence[MatrixCell], d: float | None) -> list[str]:
    """The best and the worst pair of those that have settled, and how many have not."""
    values = [cell for cell in cells if cell.bts is not None]
    settled = [cell for cell in values if not cell.early] or values
    known = sorted(settled, key=lambda cell: cell.bts or 0.0)
    lines = []
    if known and d is not None:
        best, worst = known[-1], known[0]
        lines.append(
            f"Transfer, against {format_count(d)} tokens of one language alone: best "
            f"{_pair(best)}, BTS {_with_interval(best)}; worst {_pair(worst)}, "
            f"{_with_interval(worst)}. Above 0 helps, below 0 costs."
        )
    censored = len(cells) - len(values)
    if censored:
        lines.append(f"{censored} of {len(cells)} pairs have a bound only; see the report.")
    early = sum(c.early for c in cells)
    if early:
        lines.append(
            f"{early} of {len(cells)} scores are still falling: early in training any second "
            "language seems to help, because what is short is optimiser steps, not text."
        )
    return lines


def _learnt_fits(fits: Sequence[tuple[str, Fit]]) -> list[str]:
    """R² of each law, and what so small a study cannot tell."""
    lines = []
    by_law: dict[str, list[Fit]] = {}
    for name, one in fits:
        by_law.setdefault(name, []).append(one)
    for name, ones in by_law.items():
        r2 = [one.diagnostics.r2 for one in ones if one.diagnostics.r2 is not None]
        span = f"R² {min(r2):.3f} to {max(r2):.3f} over {len(r2)} languages" if r2 else "no R²"
        sound = sum(one.status is FitStatus.OK for one in ones)
        lines.append(f"{name}: {span}; {sound} of {len(ones)} fits are identified throughout.")
    unsure = sorted(
        {
            k.partition("[")[0]
            for _, one in fits
            for k, p in one.parameters.items()
            if p.value is None
        }
    )
    if unsure:
        lines.append(
            f"So small a study cannot tell {', '.join(unsure)} of at least one language: they are "
            "given as verdicts, not as digits. Good R² on seen sizes is no proof about larger ones."
        )
    return lines


def _learnt_plans(plans: tuple[Expansion, StartAdvice]) -> list[str]:
    expansion, advice = plans
    return [
        f"Published study: from {expansion.from_languages:g} to {expansion.to_languages:g} "
        f"languages takes {expansion.n_params_ratio.value:.2f} times the parameters and "
        f"{expansion.tokens_ratio.value:.2f} times the tokens; for 100B tokens of "
        f"{_name(advice.language)} at 2B parameters: {advice.recommendation.value}."
    ]


def _pair(cell: MatrixCell) -> str:
    return f"{_name(cell.source)} to {_name(cell.target)}"


def _name(code: str) -> str:
    return language(code).name


def _with_interval(cell: MatrixCell) -> str:
    if cell.lower is None or cell.upper is None:
        return f"{cell.bts:+.2f}"
    return f"{cell.bts:+.2f}, {cell.lower:+.2f} to {cell.upper:+.2f}"
