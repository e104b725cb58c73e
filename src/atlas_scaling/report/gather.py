"""A report of what lies on disk: folders of runs, run tables, saved fits, or several of these.

What a reader would do by hand with the other commands is done here where it is missing: Chinchilla
and ATLAS fitted to each language, transfer measured on the pairs, the published cost of more
languages, and where a budget is given the best plan for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.errors import FitError, InputError
from atlas_scaling.planning.expand import expand
from atlas_scaling.report.catalogue import PROFILES, Part, parts_of
from atlas_scaling.report.from_runs import Plan, build_report
from atlas_scaling.report.provenance import Provenance
from atlas_scaling.report.run_facts import ALL_TEXT, as_runs, run_facts
from atlas_scaling.report.words import is_language
from atlas_scaling.runs.store import SPEC_NAME, RunTable, read_runs
from atlas_scaling.units import LossUnit

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.profile import Profile
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.report.blocks import Report
    from atlas_scaling.transfer.pairs import MatrixAnswer

Say = Callable[[str, float | None], None]
"""Takes what is being done and the share of the whole that is done before it; None for a remark."""

LAWS: Final = ("chinchilla", "atlas")
MAX_TARGETS: Final = 12
"""Languages that are fitted unless some are named; more take minutes and are no longer read."""

MAX_PROFILED: Final = 4
TABLES: Final = frozenset({".parquet", ".csv"})
_USUAL: Final = frozenset({Part.FITS, Part.TRANSFER})
_FULL: Final = frozenset({Part.HELD_OUT, Part.PROFILES})
_FIT, _PLAN, _TRANSFER, _PAGE, _PROFILE, _HELD_OUT = 2.0, 2.0, 3.0, 5.0, 5.0, 8.0
"""About how long each kind of work takes beside the others; held-out laws for each target."""


def report_from_paths(
    paths: Sequence[Path],
    *,
    targets: Sequence[str] = (),
    flops: float | None = None,
    seed: int = 0,
    full: bool = False,
    figure: str | None = None,
    command: str | None = None,
    say: Say | None = None,
) -> Report:
    """A report of run directories, run tables and saved fits.

    Args:
        paths: folders of runs, tables that ``atlas runs import`` or ``export`` wrote, and fits that
            ``atlas fit -o`` wrote or folders of such.
        targets: languages to fit and to plan for, as users write them; the ones with most runs if
            not given. Where saved fits are given, only planned for.
        flops: a budget to plan for.
        seed: of fits.
        full: compare all laws on held-out data and profile the parameters too; takes minutes.
        figure: make only what this figure needs.
        command: shown as how the report was made.
        say: told what is being done, and the share done before it.

    Raises:
        InputError: nothing is given, a path is no runs and no fit, a language is unknown, or no
            report has such a figure.
    """
    if not paths:
        raise InputError(
            "a report of what?",
            where="RUNS",
            remedy="give a folder of runs, a run table or a saved fit",
        )
    parts = _USUAL | (_FULL if full else frozenset()) if figure is None else parts_of(figure)
    given = _sorted_out(paths)
    runs = _read(given)
    fits = [_load(path) for path in given.fits]
    to_fit = _targets(runs, targets) if runs is not None and not fits else []
    work = _Work(
        say or (lambda text, share: None),
        {
            Part.FITS: _FIT * len(LAWS) * len(to_fit),
            Part.HELD_OUT: _HELD_OUT * max(1, len(to_fit)),
            Part.PROFILES: _PROFILE * MAX_PROFILED,
            Part.TRANSFER: _TRANSFER,
            Part.PLAN: _PLAN if flops is not None else 0.0,
        },
        parts,
    )
    if Part.FITS in parts:
        fits += _fit(runs, to_fit, seed, work)
    held_out, profiled = Part.HELD_OUT in parts, Part.PROFILES in parts
    comparison = _compare(runs, targets, seed, work) if held_out else None
    profiles = _profiles(_chosen(fits, figure), work) if profiled else ()
    matrix = _measure(runs, work) if Part.TRANSFER in parts else None
    plans = [*_allocations(fits, targets, flops, work), *_expansions(runs)]
    more = {"Not done": "; ".join(work.remarks)} if work.remarks else {}
    work.begin("writing", _PAGE)
    return build_report(
        runs,
        fits=fits,
        matrix=matrix,
        comparison=comparison,
        profiles=profiles,
        plans=plans,
        provenance=Provenance(command=command, spec=_spec_near(given.folders), more=more),
    )


class _Work:
    """Says what is being done, and how much of all of it is done."""

    def __init__(self, say: Say, costs: Mapping[Part, float], parts: frozenset[Part]) -> None:
        self._say = say
        self._total = _PAGE + sum(cost for part, cost in costs.items() if part in parts)
        self._done = self._begun = 0.0
        self.remarks: list[str] = []

    def begin(self, text: str, cost: float) -> None:
        """What was begun before is done; now comes ``text``."""
        self._done, self._begun = self._done + self._begun, cost
        self._say(text, min(1.0, self._done / self._total))

    def remark(self, text: str) -> None:
        """Something that was found out, such as what could not be done."""
        self.remarks.append(text)
        self._say(text, None)


@dataclass(frozen=True)
class _Given:
    """The paths by what they are."""

    folders: tuple[Path, ...]
    tables: tuple[Path, ...]
    fits: tuple[Path, ...]


def _sorted_out(paths: Sequence[Path]) -> _Given:
    tables = tuple(p for p in paths if p.suffix.lower() in TABLES and not p.is_dir())
    fits = [p for p in paths if p.suffix == ".json" and not p.is_dir()]
    folders = []
    for path in paths:
        if path in tables or path in fits:
            continue
        inside = sorted(path.glob("*.json")) if path.is_dir() else []
        saved = [file for file in inside if file.with_suffix(".npz").is_file()]
        fits += saved
        if not saved:
            folders.append(path)
    return _Given(tuple(folders), tables, tuple(fits))


def _read(given: _Given) -> RunTable | None:
    """Everything that was given of runs, in one table."""
    from atlas_scaling.runs.export import read_table

    runs = read_runs(given.folders) if given.folders else None
    frames = [as_runs(read_table(path)).frame for path in given.tables]
    if runs is not None:
        frames.append(runs.frame)
    if not frames:
        return None
    frame = pl.concat(frames, how="diagonal_relaxed")
    return RunTable(frame, ()) if runs is None else replace(runs, frame=frame)


def _load(path: Path) -> Fit:
    from atlas_scaling.fitting.result import Fit

    return Fit.load(path)


def _fit(runs: RunTable | None, targets: Sequence[str], seed: int, work: _Work) -> list[Fit]:
    """Every law on every target that the runs allow; Chinchilla on the language alone."""
    if runs is None:
        return []
    from atlas_scaling.fitting.api import fit

    unit = LossUnit.NATS_PER_TOKEN if runs.frame["loss"].count() else LossUnit.BITS_PER_BYTE
    alone = runs.frame.filter(pl.col("mixture").list.len().fill_null(1) == 1)
    fits = []
    for target in targets:
        for law in LAWS:
            work.begin(f"fitting {law} to {target}", _FIT)
            own = alone.filter(pl.col("language") == target)
            frame = own if law == "chinchilla" and own.height else runs.frame
            try:
                fits.append(fit(frame, law, target=target, seed=seed, unit=unit))
            except (FitError, InputError) as error:
                work.remark(f"{law} was not fitted to {target}: {error.problem}")
    return fits


def _targets(runs: RunTable, named: Sequence[str]) -> list[str]:
    """The named languages, else those that most runs were evaluated and trained on."""
    from atlas_scaling.languages import normalise

    evaluated = set(runs.frame["language"].unique())
    if named:
        return [code if code in evaluated else normalise(code) for code in named]
    counts = dict.fromkeys(sorted(evaluated), 0)
    for run in run_facts(runs):
        for code in set(run.mixture) & evaluated:
            counts[code] += 1
    trained = {code: n for code, n in counts.items() if n} or counts
    return sorted(trained, key=lambda code: (-trained[code], code))[:MAX_TARGETS]


def _measure(runs: RunTable | None, work: _Work) -> MatrixAnswer | None:
    if runs is None or not runs.frame.height or runs.frame["mixture"].null_count():
        return None
    from atlas_scaling.transfer.pairs import matrices_from_runs

    work.begin("measuring transfer", _TRANSFER)
    try:
        return matrices_from_runs(runs.frame)
    except InputError as error:
        work.remark(f"no transfer score: {error.problem}")
        return None


def _compare(
    runs: RunTable | None, targets: Sequence[str], seed: int, work: _Work
) -> Comparison | None:
    if runs is None:
        return None
    from atlas_scaling.fitting.comparison import compare

    n_targets = len(_targets(runs, targets))
    work.begin("comparing laws on held-out evaluations", _HELD_OUT * n_targets)
    try:
        return compare(runs, targets=list(targets) or None, seed=seed)
    except InputError as error:
        work.remark(f"laws were not compared: {error.problem}")
        return None


def _profiles(fits: Sequence[Fit], work: _Work) -> list[tuple[Fit, list[Profile]]]:
    """Profiles of every fitted parameter."""
    from atlas_scaling.fitting.profile import profile

    made = []
    for fit in fits:
        work.begin(f"profiling the parameters of {fit.law.name}, {fit.target}", _PROFILE)
        names = [name for name, verdict in fit.verdicts.items() if verdict != "given"]
        made.append((fit, [profile(fit, name) for name in names]))
    return made


def _chosen(fits: Sequence[Fit], figure: str | None) -> Sequence[Fit]:
    """The fits to profile: the first few, or the one that a figure is of."""
    if figure is None or not figure.startswith(PROFILES):
        return fits[:MAX_PROFILED]
    return [fit for fit in fits if figure == f"{PROFILES}{fit.law.name}-{fit.target}"]


def _expansions(runs: RunTable | None) -> list[Plan]:
    """The published cost of two and four times the languages of the largest mixture.

    Mixtures of domains that are no languages say nothing of K.
    """
    if runs is None:
        return []
    mixtures = [run.mixture for run in run_facts(runs) if all(map(is_language, run.mixture))]
    K = max(map(len, mixtures), default=0)
    return [expand(from_languages=K, to_languages=r * K) for r in (2, 4)] if K > 1 else []


def _allocations(
    fits: Sequence[Fit], targets: Sequence[str], flops: float | None, work: _Work
) -> list[Plan]:
    """The best plan of a budget, by the best fit of each target; published laws where none is."""
    if flops is None:
        return []
    from atlas_scaling.languages import normalise
    from atlas_scaling.planning.allocate_targets import allocate_targets
    from atlas_scaling.planning.allocation_budget import Budget
    from atlas_scaling.report.sections import best_of_each_language

    # A plan chooses a mixture, of which Chinchilla knows nothing.
    of_mixtures = [fit for fit in fits if fit.law.name.startswith("atlas")]
    best = best_of_each_language(of_mixtures or fits)
    best = [fit for fit in best if fit.target not in (None, ALL_TEXT)]
    wanted = [normalise(code) for code in targets] or [str(fit.target) for fit in best]
    work.begin(f"planning for {flops:g} FLOPs", _PLAN)
    try:
        own = [fit for fit in best if fit.target in wanted]
        return [allocate_targets(wanted, Budget(flops=flops), fits=own)]
    except InputError as error:
        work.remark(f"no plan for {flops:g} FLOPs: {error.problem}")
        return []


def _spec_near(folders: Sequence[Path]) -> str | None:
    """The study's YAML, in a folder of runs or beside it."""
    for folder in folders:
        for place in (folder / SPEC_NAME, folder.resolve().parent / SPEC_NAME):
            if place.is_file():
                return place.read_text(encoding="utf-8", errors="replace")
    return None
