"""Fits and comparisons as a file of their own: a page, or its main figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atlas_scaling.report import sections
from atlas_scaling.report.blocks import Report, Section
from atlas_scaling.report.document import write
from atlas_scaling.report.figure import PAGE, check_page_or_figure, save_figure
from atlas_scaling.report.figures.compared import compared_laws
from atlas_scaling.report.figures.fits import fit_points, predicted_against_measured

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.result import Fit


def write_fits(fits: Sequence[Fit], path: Path) -> Path:
    """Fits as a page with parameters, residuals and profiles, or as predicted against measured.

    Raises:
        InputError: the ending is unknown, or the file cannot be written.
    """
    check_page_or_figure(path)
    if path.suffix.lower() != PAGE:
        unit = fits[0].observations.unit
        return save_figure(predicted_against_measured(fit_points(fits), unit=unit), path)
    from atlas_scaling.fitting.profile import profile

    profiled = [
        (fit, [profile(fit, p) for p, said in fit.verdicts.items() if not _has_none(said)])
        for fit in fits
    ]
    blocks = tuple(sections.fits(fits, [(fit, found) for fit, found in profiled if found]))
    title = f"{fits[0].law.title or fits[0].law.name} fitted"
    return write(Report(title, _counted(fits), (Section("fits", "Fits", blocks),)), path)


def write_comparison(comparison: Comparison, path: Path) -> Path:
    """Laws side by side as a page with the table, or as the figure of the scores.

    Raises:
        InputError: the ending is unknown, or the file cannot be written.
    """
    check_page_or_figure(path)
    if path.suffix.lower() != PAGE:
        return save_figure(compared_laws(comparison), path)
    blocks = tuple(sections.held_out(comparison))
    languages = ", ".join(t for t in comparison.targets if t) or "one unnamed target"
    subtitle = f"{comparison.n_rows} rows; {languages}"
    section = Section("laws", "Laws on what they did not see", blocks)
    return write(Report("Scaling laws compared", subtitle, (section,)), path)


def _has_none(verdict: str) -> bool:
    """A given parameter has no profile, and one that no row depends on has a flat one."""
    return verdict.startswith(("given", "not seen"))


def _counted(fits: Sequence[Fit]) -> str:
    return f"{sum(fit.n_rows for fit in fits)} rows of {max(fit.n_runs for fit in fits)} runs"
