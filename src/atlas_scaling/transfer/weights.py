"""Transfer weights from scores, as priors of an ATLAS fit, and held against fitted ones.

``tau = BTS/(2 - BTS)`` (see ``scores``) leaves out capacity and repetition, so a score says where a
fit should look for tau and roughly how far, not what it is. The paper starts its fits there too
(App. B.6; how widely it does not say).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.lookup import require_language
from atlas_scaling.transfer.matrix import Cell, TransferMatrix
from atlas_scaling.transfer.pairs import matrices_from_runs
from atlas_scaling.transfer.scores import tau_from_bts
from atlas_scaling.transfer.sides import trained_on

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit, FittedParameter

LEAST_DEVIATION: Final = 0.05
"""However narrow a score's interval: capacity and repetition, which it leaves out, are no less."""

UNKNOWN_DEVIATION: Final = 0.3
"""Of a score without interval: what the ATLAS law calls not identified (``laws.atlas``)."""

SCORING: Final = 0.5
"""Share of the time that scoring the pairs takes, for the bar; fits take the rest."""

COMPARISON: Final = "ATLAS fit (eqs. 1-3) against tau = BTS/(2 - BTS), capacity ignored"


@dataclass(frozen=True, slots=True)
class WeightComparison(Answer):
    """One source's transfer weight, fitted and implied by its score.

    Attributes:
        source: language.
        fitted: tau of the fit; None where the data does not identify it.
        fitted_interval: at the level of the answer; None where there is none.
        verdict: of the fit on it.
        implied: tau of the score; None where the score is only a bound.
        implied_interval: likewise; one end None where the score is a bound.
        agree: whether the intervals overlap; None where either is missing.
        with_prior: tau of the fit that has the implied weights as start and prior; None where it is
            not identified even so, or there is no such fit.
        with_prior_interval: likewise.
    """

    source: str
    fitted: float | None
    fitted_interval: tuple[float, float] | None
    verdict: str
    implied: float | None
    implied_interval: tuple[float | None, float | None] | None
    agree: bool | None
    with_prior: float | None = None
    with_prior_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class WeightsAnswer(Answer):
    """Transfer weights of every source of one target, both ways.

    ``prior`` says which priors a second fit had, parameter -> (value, standard deviation); ``fit``
    is the last fit (not in the JSON).
    """

    target: str
    weights: tuple[WeightComparison, ...]
    fit_status: str
    prior: dict[str, tuple[float, float]]
    fit: Fit = field(repr=False)
    level: float
    source: str
    law: str
    warnings: tuple[str, ...]


def tau_priors(
    matrix: TransferMatrix, target: str, *, sources: Sequence[str] | None = None
) -> dict[str, tuple[float, float]]:
    """Priors of an ATLAS fit of ``target``, as ``fitting.api.fit(priors=…)`` takes them.

    Args:
        matrix: scores of any provenance; those that are only bounds give no prior.
        target: a code as users write it.
        sources: those of the law; all known if None.

    Returns:
        ``tau[dan_Latn]`` -> (value, standard deviation).
    """
    from scipy.special import ndtri

    wanted = None if sources is None else {require_language(s, matrix.sources) for s in sources}
    priors = {}
    for cell in matrix.row(target):
        tau = None if cell.bts is None else tau_from_bts(cell.bts)
        if tau is None or cell.source == cell.target or not abs(tau) < float("inf"):
            continue
        if wanted is not None and cell.source not in wanted:
            continue
        interval = _implied_interval(cell)
        deviation = UNKNOWN_DEVIATION
        level = None if cell.origin is None else cell.origin.level
        if level is not None and interval is not None and None not in interval:
            width = (interval[1] or 0.0) - (interval[0] or 0.0)
            deviation = max(width / (2 * float(ndtri((1 + level) / 2))), LEAST_DEVIATION)
        priors[f"tau[{cell.source}]"] = (tau, deviation)
    return priors


def compare_weights(fit: Fit, matrix: TransferMatrix) -> WeightsAnswer:
    """Fitted transfer weights beside those that scores imply, for every source that has both.

    Args:
        fit: of ATLAS with transfer weights, of one target.
        matrix: scores at a d and model size like those of the fitted runs.

    Raises:
        InputError: the fit has no target or no transfer weight that the matrix knows of.
    """
    if fit.target is None:
        raise InputError("this fit does not say its target language", value=repr(fit.law))
    cells = {cell.source: cell for cell in matrix.row(fit.target)}
    fitted = _fitted_weights(fit.parameters)
    both = [source for source in fitted if source in cells]
    if not both:
        raise InputError(
            "the fit and the matrix have no source in common",
            value=f"fitted: {', '.join(fitted) or 'none'}; scored: {', '.join(cells) or 'none'}",
            where=fit.target,
            remedy="fit with --law atlas --sources and the languages of the pairs",
        )
    return WeightsAnswer(
        target=fit.target,
        weights=tuple(_compared(source, fitted[source], cells[source]) for source in both),
        fit_status=fit.status.value,
        prior={},
        fit=fit,
        level=fit.level,
        source="; ".join(str(origin) for origin in matrix.origins),
        law=COMPARISON,
        warnings=tuple(fit.warnings),
    )


def weights_from_runs(
    frame: pl.DataFrame,
    target: str,
    *,
    scores: TransferMatrix | None = None,
    prior: bool = False,
    at: float | None = None,
    bootstrap: int = 200,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    name: str = "runs",
    tell: Callable[[float], None] = lambda _: None,
) -> WeightsAnswer:
    """Both on the same runs: scores of the largest model's pairs, and an ATLAS fit of all sizes.

    Args:
        frame: rows of a run table.
        target: a code as users write it.
        scores: to hold the fit against; measured on the same runs if None.
        prior: fit a second time with the implied weights as start and prior (``tau_priors``).
        at: d of the scores; see ``pairs.matrices_from_runs``.
        bootstrap: refits behind the intervals of the fit.
        level: of all intervals.
        seed: of the draws.
        name: what the answer calls the runs.
        tell: is told the share that is done.

    Raises:
        InputError: no pair with the target can be scored, the runs cannot be fitted, or every score
            is a bound and gives no prior.
        FitError: the fit gives no result.
    """
    from atlas_scaling.fitting.api import fit
    from atlas_scaling.laws.atlas import ATLAS

    if scores is None:
        measured = matrices_from_runs(
            frame, at=at, level=level, seed=seed, name=name, tell=lambda x: tell(x * SCORING)
        )
        scores = measured.of_size().matrix(name)
    code = require_language(target, scores.targets, what="target")
    sources = tuple(
        cell.source for cell in scores.row(code) if cell.source in _co_trained(frame, code)
    )
    if not sources:
        raise InputError("no pair with this target was run", value=target, where=name)
    law = ATLAS(sources=sources)
    options: dict[str, Any] = {
        "target": code,
        "bootstrap": bootstrap,
        "level": level,
        "seed": seed,
    }
    priors = tau_priors(scores, code, sources=sources) if prior else {}
    if prior and not priors:
        raise InputError(
            "every score of this target is a bound, which gives no prior",
            value=code,
            where="--prior",
            remedy="take the scores at a smaller d (--at), or train the pairs longer",
        )
    tell(SCORING)
    answer = compare_weights(fit(frame, law, **options), scores)
    if not prior:
        return answer
    tell((1 + SCORING) / 2)
    return _with_prior(answer, fit(frame, law, priors=priors, **options), priors)


def _co_trained(frame: pl.DataFrame, target: str) -> set[str]:
    """Languages that some run from scratch has together with the target."""
    found: set[str] = set()
    for _, rows in frame.filter(pl.col("base_run").is_null()).group_by("run_id"):
        shares = trained_on(rows)
        if target in shares:
            found |= set(shares)
    return found - {target}


def _with_prior(
    answer: WeightsAnswer, second: Fit, priors: dict[str, tuple[float, float]]
) -> WeightsAnswer:
    fitted = _fitted_weights(second.parameters)
    weights = tuple(
        replace(
            one,
            with_prior=fitted[one.source].value,
            with_prior_interval=fitted[one.source].interval,
        )
        for one in answer.weights
    )
    without = [w.source for w in weights if f"tau[{w.source}]" not in priors]
    said = [f"no prior for {', '.join(without)}: its score is only a bound"] if without else []
    if second.draws is not None:
        said.append(
            "intervals with prior resample the runs, not the prior: they are as wide as the data "
            "make them, once the prior is believed"
        )
    return replace(
        answer,
        weights=weights,
        prior=priors,
        fit=second,
        warnings=(*answer.warnings, *said),
    )


def _fitted_weights(parameters: Mapping[str, FittedParameter]) -> dict[str, FittedParameter]:
    """``tau[...]`` parameters by language."""
    return {
        name.removeprefix("tau[").removesuffix("]"): parameter
        for name, parameter in parameters.items()
        if name.startswith("tau[")
    }


def _compared(source: str, fitted: FittedParameter, cell: Cell) -> WeightComparison:
    implied = _implied_interval(cell)
    agree = None
    if fitted.interval is not None and implied is not None:
        low, high = implied
        below = low is not None and fitted.interval[1] < low
        above = high is not None and fitted.interval[0] > high
        agree = not (below or above)
    return WeightComparison(
        source=source,
        fitted=fitted.value,
        fitted_interval=fitted.interval,
        verdict=fitted.verdict,
        implied=None if cell.bts is None else tau_from_bts(cell.bts),
        implied_interval=implied,
        agree=agree,
    )


def _implied_interval(cell: Cell) -> tuple[float | None, float | None] | None:
    """The interval of tau that a score's interval, or bound, gives; tau rises with the score."""
    if cell.interval is None:
        return None
    low, high = (None if end is None else tau_from_bts(end) for end in cell.interval)
    return low, (None if high == float("inf") else high)
