"""All laws side by side on held-out data: Table 1 of the ATLAS paper on the user's own runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from atlas_scaling import laws
from atlas_scaling.answers import Answer
from atlas_scaling.errors import FitError, InputError
from atlas_scaling.fitting.api import enough_rows
from atlas_scaling.fitting.data import observe, targets_of
from atlas_scaling.fitting.identify import goodness
from atlas_scaling.fitting.objective import Coordinates, Estimator, Problem, as_inputs
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.selection import OTHER_LANGUAGE, Selection, loss_unit
from atlas_scaling.fitting.splits import FEWEST, SPLITS, Split, splits
from atlas_scaling.fitting.starts import search_each
from atlas_scaling.fitting.tables import read, with_our_codes
from atlas_scaling.fitting.workers import one_thread, spread_over
from atlas_scaling.laws.base import FloatArray, Law
from atlas_scaling.units import LossUnit, counted

if TYPE_CHECKING:
    import polars as pl

MANY_DOMAINS: Final = 12
"""Above this many domains a law of every share is not fitted unless it is asked for."""


@dataclass(frozen=True, slots=True)
class Score(Answer):
    """One law on one held-out cut of one target.

    Attributes:
        r2: share of the held-out variance of the loss explained; below 0 is worse than its mean.
        error: mean absolute error, in the loss unit.
        error_reducible_percent: the same in per cent of the reducible loss.
        n_fitted: rows the law saw.
        n_held_out: rows it was asked for.
        failure: why there is no score, or None.
        no_cut: the failure is the cut's, for any law.
    """

    r2: float | None = None
    error: float | None = None
    error_reducible_percent: float | None = None
    n_fitted: int = 0
    n_held_out: int = 0
    failure: str | None = None
    no_cut: bool = False


@dataclass(frozen=True, slots=True)
class ComparedLaw(Answer):
    """One row of the table: a law, averaged over targets.

    Attributes:
        law: its name.
        variant: which ablation or option, or None.
        formula: of the law.
        n_parameters: free parameters (of the first target that could be fitted).
        r2: … and ``r2_n``, ``r2_d``, ``r2_c``, ``r2_m``: means over the targets with a score.
        errors: cut -> mean absolute error over targets, in the loss unit.
        errors_reducible_percent: cut -> the same in per cent of the reducible loss.
        n_targets: targets with at least one score.
        failures: why this law has no score, each reason once.
        by_target: target -> cut -> score.
    """

    law: str
    variant: str | None
    formula: str
    n_parameters: int | None
    r2: float | None
    r2_n: float | None
    r2_d: float | None
    r2_c: float | None
    r2_m: float | None
    errors: dict[str, float | None]
    errors_reducible_percent: dict[str, float | None]
    n_targets: int
    failures: tuple[str, ...]
    by_target: dict[str, dict[str, Score]]


@dataclass(frozen=True)
class Comparison(Answer):
    """Laws on held-out data.

    Attributes:
        rows: one a law, in the order asked for.
        targets: languages the scores are averaged over; one unnamed where the data names none.
        loss_unit: unit of the errors.
        n_rows: rows of all targets.
        seed: of the random cut and the starts.
        cuts: cut -> rows held out over all targets, and why there are none.
        notes: what was decided about the rows.
        warnings: what to know before reading the table.
        source: where the cuts come from.
    """

    rows: tuple[ComparedLaw, ...]
    targets: tuple[str, ...]
    loss_unit: str
    n_rows: int
    seed: int
    cuts: dict[str, str]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    source: str = "cuts: ATLAS, arXiv 2510.22037v2, appendix B.3 and Table 1; fitted to these runs"


def default_laws() -> list[Law]:
    """Every law of the loss and every ablation of ATLAS."""
    return [
        laws.get("single_power"),
        laws.get("kaplan"),
        laws.get("chinchilla"),
        laws.get("chinchilla").tied("alpha", "beta"),
        laws.get("skaling"),
        laws.get("data_constrained"),
        laws.get("msl"),
        laws.get("capacity"),
        laws.get("exponential_mixture"),
        laws.get("additive_mixture"),
        laws.get("atlas", variant="target"),
        laws.get("atlas", variant="other"),
        laws.get("atlas", variant="full"),
    ]


def compare(
    data: Any,
    candidates: Sequence[Law | str] | None = None,
    *,
    targets: Sequence[str] | None = None,
    estimator: str = "huber",
    delta: float | None = None,
    seed: int = 0,
    unit: LossUnit | str = LossUnit.NATS_PER_TOKEN,
    lr_state: str | None = None,
    continued: bool = False,
    workers: int = 1,
    done: Callable[[float], None] | None = None,
) -> Comparison:
    """Fit laws on part of the data and score them on the rest, for each held-out cut.

    All laws see the same rows: those of runs that were trained on the target.

    Args:
        data: as for ``fit``.
        candidates: laws or their names; None for all of them and every ablation of ATLAS.
        targets: languages to average over; None for all that the data has.
        estimator: as for ``fit``.
        delta: as for ``fit``.
        seed: of the random cut and the starts.
        unit: as for ``fit``.
        lr_state: as for ``fit``.
        continued: as for ``fit``.
        workers: processes to share the work; more than one pays from some seconds of work on.
        done: is told the share of the work that is done, now and then.

    Raises:
        InputError: the data or an option cannot be used for any law, or no law has a score.
    """
    frame = with_our_codes(read(data))
    chosen = [laws.get(c) if isinstance(c, str) else c for c in candidates or default_laws()]
    asked = candidates is not None
    named: list[str | None] = [*targets] if targets else [*targets_of(frame)]
    measured = Estimator.named(estimator, delta)
    exam = _Exam.of(
        frame,
        (
            Selection(target=target, unit=loss_unit(unit), lr_state=lr_state, continued=continued)
            for target in named
        ),
        seed,
    )
    calls = [(target, i) for target in exam.cuts for i in range(len(chosen))]
    scored = spread_over(
        _scores,
        ((chosen[i], *exam.cuts[target]) for target, i in calls),
        workers=workers,
        common=(frame, measured, seed, asked),
        done=done,
        n=len(calls),
    )
    table: list[dict[str, dict[str, Score]]] = [{} for _ in chosen]
    n_parameters: list[int | None] = [None] * len(chosen)
    for (target, i), (scores, n_free) in zip(calls, scored, strict=True):
        table[i][target] = scores
        n_parameters[i] = n_parameters[i] or n_free
    rows = [_row(*parts) for parts in zip(chosen, table, n_parameters, strict=True)]
    cuts = _described({target: cuts for target, (_, cuts) in exam.cuts.items()})
    _check_scored(rows, cuts, exam.n_rows)
    return Comparison(
        rows=tuple(rows),
        targets=tuple(dict.fromkeys(t for scores in table for t in scores)),
        loss_unit=loss_unit(unit).value,
        n_rows=exam.n_rows,
        seed=seed,
        cuts=cuts,
        notes=exam.notes,
        warnings=tuple(_warnings(rows)),
    )


@dataclass(frozen=True, eq=False)
class _Exam:
    """What every law is asked: by target which rows enter, and how they are cut."""

    cuts: dict[str, tuple[Selection, list[Split]]]
    n_rows: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, frame: pl.DataFrame, selections: Iterable[Selection], seed: int) -> _Exam:
        cuts: dict[str, tuple[Selection, list[Split]]] = {}
        dropped: dict[str, list[str]] = {}
        notes = dict[str, None]()
        n_rows = 0
        for selection in selections:
            _, base = observe(frame, laws.get("chinchilla"), selection)
            target = base.facts.target or ""
            if target in cuts:  # named twice, by two codes perhaps
                continue
            n_rows += base.n_rows
            notes.update(dict.fromkeys(base.notes))
            for one in base.dropped:
                if not one.reason.startswith(OTHER_LANGUAGE):
                    left_out = f"left out: {counted(one.rows, 'row')}, {one.reason}"
                    dropped.setdefault(left_out, []).append(target)
            cuts[target] = selection, splits(base, seed)
        said = (f"{what} ({', '.join(of)})" if any(of) else what for what, of in dropped.items())
        return cls(cuts, n_rows, (*said, *notes))


def _check_scored(rows: Sequence[ComparedLaw], cuts: Mapping[str, str], n_rows: int) -> None:
    """A table without a single score is no answer.

    Raises:
        InputError: no law has one.
    """
    if any(row.n_targets or any(e is not None for e in row.errors.values()) for row in rows):
        return
    raise InputError(
        "no law could be scored on held-out rows",
        value=[*_warnings(rows), *(f"{name}: {said}" for name, said in cuts.items())],
        where=f"data, {counted(n_rows, 'row')}",
        remedy="a law needs more rows than parameters after a fifth is held out, and a cut holds "
        f"out {FEWEST} or more: from about 30 rows on a comparison tells something",
    )


def _scores(
    frame: Any,
    estimator: Estimator,
    seed: int,
    asked: bool,
    law: Law,
    selection: Selection,
    cuts: list[Split],
) -> tuple[dict[str, Score], int | None]:
    """Scores of one law for one target by cut, and its number of free parameters."""
    try:
        law, observations = observe(frame, law, selection)
        n_domains = len(getattr(law, "domains", None) or ())
        if n_domains > MANY_DOMAINS and not asked:
            raise InputError(f"{n_domains} domains: fitted only when the law is named")
        coordinates = Coordinates(law)
        return _fitted(observations, coordinates, cuts, estimator, seed), coordinates.n_free
    except (InputError, FitError) as error:
        return {cut.name: Score(failure=error.problem) for cut in cuts}, None


def _fitted(
    observations: Observations,
    coordinates: Coordinates,
    cuts: list[Split],
    estimator: Estimator,
    seed: int,
) -> dict[str, Score]:
    """Fit all cuts at once: a cut is a row of weights that are zero where it holds out."""
    enough_rows(observations, coordinates)
    usable = [cut for cut in cuts if cut.missing is None]
    kept = np.array([~cut.held_out for cut in usable], dtype=np.float64)
    problem = Problem(
        coordinates,
        as_inputs(dict(observations.x)),
        np.log(observations.loss),
        weights=observations.weights,
        counts=kept,
    )
    with one_thread():
        best = search_each(problem, estimator, len(usable), seed=seed) if usable else None
    scores = {cut.name: Score(failure=cut.missing, no_cut=True) for cut in cuts if cut.missing}
    for i, cut in enumerate(usable):
        n_fitted = int(kept[i].sum())
        if n_fitted <= coordinates.n_free:
            few = f"{n_fitted} rows left for {coordinates.n_free} parameters"
            scores[cut.name] = Score(failure=few)
        else:
            assert best is not None
            natural = coordinates.natural(best.theta[i])
            scores[cut.name] = _score(observations, coordinates.law, natural, cut)
    return {name: scores[name] for name in SPLITS}


def _score(observations: Observations, law: Law, natural: FloatArray, cut: Split) -> Score:
    held = observations.take(np.flatnonzero(cut.held_out))
    x = as_inputs(dict(held.x))
    p = law.namespace(natural)
    with np.errstate(all="ignore"):
        predicted = np.broadcast_to(np.asarray(law.loss(p, x), dtype=np.float64), held.loss.shape)
        reducible = law.reducible(p, x)
    n_fitted = int((~cut.held_out).sum())
    if not np.isfinite(predicted).all():
        failure = "no finite prediction for some held-out rows"
        return Score(n_fitted=n_fitted, n_held_out=held.n_rows, failure=failure)
    r2, error, share = goodness(held.loss, predicted, reducible, held.weights)
    return Score(r2, error, share, n_fitted, held.n_rows)


def _row(law: Law, by_target: dict[str, dict[str, Score]], n_parameters: int | None) -> ComparedLaw:
    mean = {
        field: {
            name: _mean([getattr(scores[name], field) for scores in by_target.values()])
            for name in SPLITS
        }
        for field in ("r2", "error", "error_reducible_percent")
    }
    everything = [score for scores in by_target.values() for score in scores.values()]
    failures = dict.fromkeys(s.failure for s in everything if s.failure and not s.no_cut)
    scored = [
        t for t, scores in by_target.items() if any(s.r2 is not None for s in scores.values())
    ]
    return ComparedLaw(
        law=law.name,
        variant=_variant(law),
        formula=law.formula,
        n_parameters=n_parameters,
        **mean["r2"],
        errors=mean["error"],
        errors_reducible_percent=mean["error_reducible_percent"],
        n_targets=len(scored),
        failures=tuple(f for f in failures if f),
        by_target=by_target,
    )


def _variant(law: Law) -> str | None:
    """What sets this law apart from its plain form, in a few words."""
    parts = [str(v) for k, v in law.options().items() if k in ("variant", "over")]
    if law.name == "atlas" and not parts:
        parts = ["full"]
    parts += ["=".join(tie) for tie in law.ties]
    parts += [f"{name}={value:g}" for name, value in law.fixed]
    return ", ".join(parts) or None


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _described(made: Mapping[str, list[Split]]) -> dict[str, str]:
    """How many rows each cut holds out over all targets, and of which there is none."""
    said = {}
    for name, *cuts in zip(SPLITS, *made.values(), strict=True):
        held = sum(int(cut.held_out.sum()) for cut in cuts if cut.missing is None)
        said[name] = f"{held} rows held out"
        for reason in dict.fromkeys(cut.missing for cut in cuts if cut.missing):
            of = [target for target, cut in zip(made, cuts, strict=True) if cut.missing == reason]
            named = "" if len(of) == len(made) else f" for {', '.join(of)}"
            said[name] += f"; not made{named}: {reason}"
    return said


def _warnings(rows: Sequence[ComparedLaw]) -> list[str]:
    said = []
    most = max((row.n_targets for row in rows), default=0)
    for row in rows:
        name = f"{row.law} ({row.variant})" if row.variant else row.law
        said += [f"{name}: {failure}" for failure in row.failures]
        if 0 < row.n_targets < most:
            said.append(
                f"{name}: its means are over {row.n_targets} of the {most} languages that other "
                "laws have scores of, so compare language by language"
            )
    return said
