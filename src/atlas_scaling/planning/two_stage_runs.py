"""What staged runs of a fit have tried, and which would tell where there are too few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer
from atlas_scaling.compute import training_flops

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FIRST_STAGES: Final = (0.5, 0.8)
SMALL: Final = 0.02
"""Compute of a proposed run, where there is no fit, as a part of the run that is planned."""

TOKENS_PER_PARAMETER: Final = 20.0
LARGER: Final = 4.0
"""Size and tokens over the largest of a fit whose staged runs do not tell."""


@dataclass(frozen=True)
class StagedRun(Answer):
    """A run that could be made: ``stages`` are (part of the tokens, mixture) in order."""

    n_params: float
    tokens: float
    stages: tuple[tuple[float, Mapping[str, float]], ...]

    @property
    def flops(self) -> float:
        """``6 N D``."""
        return training_flops(self.n_params, self.tokens)

    def to_dict(self) -> dict[str, Any]:
        """Stages by name, and the FLOPs."""
        stages = [{"fraction": part, "mixture": dict(mixture)} for part, mixture in self.stages]
        return {
            "n_params": self.n_params,
            "tokens": self.tokens,
            "stages": stages,
            "flops": self.flops,
        }


@dataclass(frozen=True)
class Ranges:
    """What the runs of a fit have tried.

    Attributes:
        longest: first stage, as a part of the tokens; 0 without staged runs.
        early: lowest and highest share of the target in first stages.
        late: the same in last ones.
    """

    longest: float
    early: tuple[float, float]
    late: tuple[float, float]


def ranges_of(fit: Fit) -> Ranges:
    """Read from the last rows of staged runs; zeros where there are none."""
    x = fit.observations.x
    nothing = Ranges(0.0, (0.0, 0.0), (0.0, 0.0))
    if "target_early" not in x:
        return nothing
    own = x["target_tokens"] * x["target_early"]
    others = _early_others(x)
    before = own + others
    rows = _last_rows(fit, before > 0)
    if not len(rows):
        return nothing
    share_before = own[rows] / before[rows]
    late_own = x["target_tokens"][rows] - own[rows]
    share_late = late_own / (x["tokens"][rows] - before[rows])
    return Ranges(
        longest=float((before[rows] / x["tokens"][rows]).max()),
        early=(float(share_before.min()), float(share_before.max())),
        late=(float(share_late.min()), float(np.minimum(share_late, 1.0).max())),
    )


def _early_others(x: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    total = np.zeros_like(x["tokens"])
    if "source_early" in x:
        total = total + (x["source_tokens"] * x["source_early"]).sum(axis=0)
    if "other_early" in x:
        total = total + x["other_tokens"] * x["other_early"]
    return np.asarray(total)


def _last_rows(fit: Fit, staged: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The row with most tokens of each run that has a row in ``staged``."""
    tokens, run = fit.observations.x["tokens"], fit.observations.run
    last = [
        int(rows[np.argmax(tokens[rows])])
        for number in np.unique(run[staged])
        for rows in [np.flatnonzero((run == number) & staged)]
    ]
    return np.array(last, dtype=np.intp)


def missing_runs(languages: Sequence[str], fit: Fit | None, flops: float) -> tuple[StagedRun, ...]:
    """Staged runs of two lengths and two second mixtures, and the same text in one stage.

    The first stage is even over all languages. The last run of each pair has the overall mixture of
    its staged one: their difference is what order is worth.
    """
    target, n = languages[0], len(languages)
    even = dict.fromkeys(languages, 1 / n)
    N, D = _size(fit, flops)
    runs = []
    for first in FIRST_STAGES:
        for share in (
            (1 + 1 / n) / 2,
            1.0,
        ):  # half-way from even to the target alone, and all of it
            late = {code: (1 - share) / max(n - 1, 1) for code in languages if code != target}
            late = {target: share, **late} if n > 1 else {target: 1.0}
            late = {code: w for code, w in late.items() if w > 0}
            runs.append(StagedRun(N, D, ((first, even), (round(1 - first, 9), late))))
        overall = {
            code: first * even[code] + (1 - first) * late.get(code, 0.0) for code in languages
        }
        runs.append(StagedRun(N, D, ((1.0, overall),)))
    return tuple(runs)


def _size(fit: Fit | None, flops: float) -> tuple[float, float]:
    """Size and tokens of the proposed runs: those of the fit, else a small part of the plan."""
    if fit is not None and "n_params" in fit.observations.x:
        x = fit.observations.x
        N, D = float(np.exp(np.median(np.log(x["n_params"])))), float(np.max(x["tokens"]))
        if ranges_of(fit).longest:  # such runs are there and do not tell: larger and longer ones
            return float(np.max(x["n_params"])) * LARGER, D * LARGER
        return N, D
    N = (SMALL * flops / 6 / TOKENS_PER_PARAMETER) ** 0.5
    return N, TOKENS_PER_PARAMETER * N
