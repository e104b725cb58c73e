"""A report of what lies on disk: folders of runs, saved fits, or both.

What a reader would do by hand with the other commands is done here where it is missing: Chinchilla
and ATLAS fitted to each language, transfer measured on the pairs, the published cost of more
languages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from atlas_scaling.errors import FitError, InputError
from atlas_scaling.planning.expand import expand
from atlas_scaling.report.from_runs import Plan, build_report
from atlas_scaling.report.provenance import Provenance

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.profile import Profile
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.report.blocks import Report
    from atlas_scaling.runs.store import RunTable
    from atlas_scaling.transfer.pairs import MatrixAnswer

LAWS: Final = ("chinchilla", "atlas")
MAX_TARGETS: Final = 12
"""Languages that are fitted unless some are named; more take minutes and are no longer read."""

MAX_PROFILED: Final = 4
SPEC_NAME: Final = "study.yaml"


def report_from_paths(
    paths: Sequence[Path],
    *,
    targets: Sequence[str] = (),
    seed: int = 0,
    full: bool = False,
    command: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Report:
    """A report of run directories and saved fits.

    Args:
        paths: folders of runs, and ``.json`` files that ``atlas fit -o`` wrote.
        targets: languages to fit, as users write them; the ones with most runs if not given. Not
            looked at where saved fits are given.
        seed: of fits.
        full: compare all laws on held-out data and profile the parameters too; takes minutes.
        command: shown as how the report was made.
        say: told what is being done.

    Raises:
        InputError: nothing is given, a path is no runs and no fit, or a language is unknown.
    """
    tell = say or (lambda text: None)
    if not paths:
        raise InputError("a report of what?", where="RUNS", remedy="give a folder of runs or a fit")
    fit_files = [path for path in paths if path.suffix == ".json"]
    folders = [path for path in paths if path.suffix != ".json"]
    runs = None
    if folders:
        from atlas_scaling.runs.store import read_runs

        runs = read_runs(folders)
        tell(f"read {runs!r}")
    fits = _load(fit_files) if fit_files else _fit(runs, targets, seed, tell)
    return build_report(
        runs,
        fits=fits,
        matrix=_measure(runs, tell),
        comparison=_compare(runs, targets, seed, tell) if full else None,
        profiles=_profiles(fits, tell) if full else (),
        plans=_plans(runs),
        provenance=Provenance(command=command, spec=_spec_near(folders)),
    )


def _load(files: Sequence[Path]) -> list[Fit]:
    from atlas_scaling.fitting.result import Fit

    return [Fit.load(path) for path in files]


def _fit(
    runs: RunTable | None, targets: Sequence[str], seed: int, tell: Callable[[str], None]
) -> list[Fit]:
    """Every law on every target that the runs allow."""
    if runs is None:
        return []
    from atlas_scaling.fitting.api import fit
    from atlas_scaling.languages import normalise

    fits = []
    for target in map(normalise, targets) if targets else _most_run(runs):
        tell(f"fitting {' and '.join(LAWS)} to {target}")
        for law in LAWS:
            try:
                fits.append(fit(runs, law, target=target, seed=seed))
            except (FitError, InputError) as error:
                tell(f"{law} was not fitted to {target}: {error.problem}")
    return fits


def _most_run(runs: RunTable) -> list[str]:
    counts: dict[str, int] = {}
    for record in runs.records:
        for code in record.mixture:
            counts[code] = counts.get(code, 0) + 1
    return sorted(counts, key=lambda code: (-counts[code], code))[:MAX_TARGETS]


def _measure(runs: RunTable | None, tell: Callable[[str], None]) -> MatrixAnswer | None:
    if runs is None or not runs.frame.height:
        return None
    from atlas_scaling.transfer.pairs import matrices_from_runs

    try:
        return matrices_from_runs(runs.frame)
    except InputError as error:
        tell(f"no transfer score: {error.problem}")
        return None


def _compare(
    runs: RunTable | None, targets: Sequence[str], seed: int, tell: Callable[[str], None]
) -> Comparison | None:
    if runs is None:
        return None
    from atlas_scaling.fitting.comparison import compare

    tell("comparing laws on held-out evaluations")
    try:
        return compare(runs, targets=list(targets) or None, seed=seed)
    except InputError as error:
        tell(f"laws were not compared: {error.problem}")
        return None


def _profiles(fits: Sequence[Fit], tell: Callable[[str], None]) -> list[tuple[Fit, list[Profile]]]:
    """Profiles of every fitted parameter, of the first fits only: a page of each law is enough."""
    from atlas_scaling.fitting.profile import profile

    made = []
    for fit in fits[:MAX_PROFILED]:
        tell(f"profiling the parameters of {fit.law.name}, {fit.target}")
        names = [name for name, verdict in fit.verdicts.items() if verdict != "given"]
        made.append((fit, [profile(fit, name) for name in names]))
    return made


def _plans(runs: RunTable | None) -> list[Plan]:
    """The published cost of two and four times the languages of the largest mixture."""
    if runs is None:
        return []
    K = max((len(record.mixture) for record in runs.records), default=0)
    return [expand(from_languages=K, to_languages=r * K) for r in (2, 4)] if K > 1 else []


def _spec_near(folders: Sequence[Path]) -> str | None:
    """The study's YAML, in a folder of runs or beside it."""
    for folder in folders:
        for place in (folder / SPEC_NAME, folder.resolve().parent / SPEC_NAME):
            if place.is_file():
                return place.read_text(encoding="utf-8", errors="replace")
    return None
