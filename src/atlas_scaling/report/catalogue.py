"""Every figure a report can have: its name, what it shows, and what has to be made for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from atlas_scaling.errors import unknown


class Part(StrEnum):
    """Work that a report may need."""

    FITS = "fits"
    HELD_OUT = "held-out"
    PROFILES = "profiles"
    TRANSFER = "transfer"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class Entry:
    """One figure. ``needs`` says in words what the runs, or the command, must have for it."""

    name: str
    shows: str
    needs: str
    parts: tuple[Part, ...] = ()


def _entry(name: str, shows: str, needs: str, *parts: Part) -> Entry:
    return Entry(name, shows, needs, parts)


ENTRIES: Final = (
    _entry("loss-curves", "loss over tokens, by language", "runs"),
    _entry("predicted-against-measured", "losses by the laws and as measured", "fits", Part.FITS),
    _entry("residuals", "what the laws leave, over tokens", "fits", Part.FITS),
    _entry("parameter-intervals", "parameters with their intervals", "fits", Part.FITS),
    _entry(
        "profiles-LAW-LANGUAGE",
        "profile likelihood of each parameter",
        "fits; a whole report: --full",
        *(Part.FITS, Part.PROFILES),
    ),
    _entry(
        "laws-compared",
        "laws on what they have not seen (paper, Table 1)",
        "runs; a whole report: --full",
        Part.HELD_OUT,
    ),
    _entry(
        "transfer-heatmap",
        "transfer scores, source to target (paper, Fig. 2)",
        "pairs, and each language alone",
        Part.TRANSFER,
    ),
    _entry(
        "bts-curves",
        "scores over the tokens they are taken at",
        "pairs, and each language alone",
        Part.TRANSFER,
    ),
    _entry(
        "relatedness",
        "scores by what two languages share (paper, Fig. 3)",
        "8 scores or more",
        Part.TRANSFER,
    ),
    _entry("symmetry", "scores one way against the other", "8 pairs, both ways", Part.TRANSFER),
    _entry(
        "optimal-trajectories",
        "best size and tokens over compute, by language (paper, Fig. 1)",
        "fits that identify α and β",
        Part.FITS,
    ),
    _entry(
        "degradation",
        "what sharing a model costs, over K, N and D (paper, Fig. 4)",
        "even mixtures, and each language alone",
    ),
    _entry(
        "plan-alternatives",
        "the plan beside the usual mixtures",
        "--flops",
        *(Part.FITS, Part.PLAN),
    ),
    _entry("budget-frontier", "the best plan of other budgets", "--flops", Part.FITS, Part.PLAN),
    _entry(
        "iso-loss-frontiers",
        "more languages at the same loss (paper, Fig. 5)",
        "runs on two languages or more",
    ),
    _entry(
        "scratch-against-continued",
        "from scratch against continued (paper, Fig. 6)",
        "runs that continue another, and the same language from scratch",
    ),
    _entry(
        "crossover-laws",
        "where scratch overtakes, by model size (paper, Fig. 7)",
        "as scratch-against-continued",
    ),
)
PROFILES: Final = "profiles-"


def parts_of(figure: str) -> frozenset[Part]:
    """What has to be made for a figure.

    Raises:
        InputError: no report has a figure of this name.
    """
    return frozenset(entry_of(figure).parts)


def entry_of(figure: str) -> Entry:
    """The entry of a figure.

    Raises:
        InputError: no report has a figure of this name.
    """
    for entry in ENTRIES:
        if figure == entry.name or (
            entry.name.startswith(PROFILES) and figure.startswith(PROFILES)
        ):
            return entry
    names = [entry.name for entry in ENTRIES]
    raise unknown(
        "no report has a figure of this name",
        figure,
        names,
        where="--figure",
        otherwise="see them: atlas report --list",
    )
