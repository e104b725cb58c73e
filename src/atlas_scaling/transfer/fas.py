"""FAS: what continuing a multilingual checkpoint on one language does to the others.

The checkpoint has loss ``L0_t`` on language t, a constant. Continued on s alone for d tokens it
has ``L_{s->t}(d)``. Then, over [0, d_max]::

    FAS(s -> t)    = 1/d_max * integral of (L0_t - L_{s->t}(d)) dd     mean gain, > 0 helps
    delta_{s -> t} = L0_t - L_{s->t}(d_max)                            baseline deviation
    g_l            = FAS(l -> l)                                       adaptation gain

(ATLAS, App. B.6, read as: the baseline is the constant before continuing.) The integral is
trapezoidal between evaluations; between d = 0, where the gain is 0, and the first of them it is a
straight line too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import LrState
from atlas_scaling.transfer.sides import trained_on
from atlas_scaling.units import format_count

Floats = NDArray[np.float64]
_PER_TOKEN: Final = (
    "bits per byte are not recorded: gains are in nats per token, which does not compare targets"
)
LossColumn = Literal["bits_per_byte", "loss"]

FAS_DEFINITION: Final = (
    "FAS(s -> t) = mean over [0, d_max] of (L0_t - L_{s->t}(d)) (ATLAS, App. B.6)"
)


@dataclass(frozen=True, slots=True)
class FasScore(Answer):
    """One pair.

    Attributes:
        target: language that was evaluated.
        source: language that was continued on.
        fas: mean gain over [0, d_max] in the unit of the table, mean over seeds.
        deviation: gain at d_max, likewise.
        interval: of ``fas`` over seeds; None where there is one.
        n_runs: how many seeds.
    """

    target: str
    source: str
    fas: float
    deviation: float
    interval: tuple[float, float] | None
    n_runs: int


@dataclass(frozen=True, slots=True)
class FasTable(Answer):
    """Scores of one model size and one base mixture.

    Attributes:
        n_params: model size, embeddings counted.
        base: what the checkpoint was trained on.
        d_max: tokens continued for, the same for every source.
        unit: of the losses, ``bits_per_byte`` or ``loss`` (nats per token).
        gains: adaptation gain of each source on itself.
        scores: every pair, targets within sources.
    """

    n_params: float | None
    base: tuple[str, ...]
    d_max: float
    unit: LossColumn
    gains: dict[str, float]
    scores: tuple[FasScore, ...]


@dataclass(frozen=True, slots=True)
class FasAnswer(Answer):
    """Every table that the runs give, largest model first, and the runs that could not be used."""

    tables: tuple[FasTable, ...]
    problems: tuple[str, ...]
    level: float
    source: str
    law: str
    warnings: tuple[str, ...]


def mean_gain(tokens: Floats, loss: Floats, baseline: float, d_max: float) -> tuple[float, float]:
    """FAS and baseline deviation of one curve.

    Args:
        tokens: tokens continued for, rising and above 0, shape ``(n,)``; the last >= ``d_max``.
        loss: loss there, same shape.
        baseline: loss before continuing.
        d_max: how far to go.

    >>> mean_gain(np.array([1.0, 2.0]), np.array([2.0, 2.0]), 3.0, 2.0)
    (0.75, 1.0)
    """
    d, gain = np.append(0.0, tokens), np.append(0.0, baseline - loss)
    gain_at_end = float(np.interp(d_max, d, gain))
    inside = d < d_max
    knots, gains = np.append(d[inside], d_max), np.append(gain[inside], gain_at_end)
    area = np.sum(np.diff(knots) * (gains[1:] + gains[:-1]) / 2)
    return float(area / d_max), gain_at_end


def fas_from_runs(
    frame: pl.DataFrame,
    *,
    d_max: float | None = None,
    loss: LossColumn | None = None,
    level: float = DEFAULT_LEVEL,
    name: str = "runs",
) -> FasAnswer:
    """FAS of every run that was continued on one language.

    Args:
        frame: rows of a run table; the continued runs and, unless they were evaluated before their
            first step, the runs that they continue.
        d_max: tokens to go; the shortest continued run of a table if None.
        loss: unit of the losses; bits per byte, which make targets comparable, where the runs have
            them.
        level: of the intervals over seeds.
        name: what the answer calls the runs.

    Raises:
        InputError: no continued run can be used; says why for each.
    """
    problems: list[str] = []
    warnings: dict[str, None] = {}
    if loss is None:
        loss = "bits_per_byte" if frame["bits_per_byte"].is_not_null().any() else "loss"
        if loss == "loss":
            warnings[_PER_TOKEN] = None
    frame = frame.filter(pl.col(loss).is_finite())
    groups: dict[tuple[float | None, tuple[str, ...]], list[_Continued]] = {}
    for run in _continued_runs(frame, loss, problems, warnings):
        groups.setdefault((run.n_params, run.base), []).append(run)
    tables = [
        _table(n_params, base, runs, d_max, loss, level, problems)
        for (n_params, base), runs in sorted(groups.items(), key=lambda item: -(item[0][0] or 0))
    ]
    tables = [table for table in tables if table.scores]
    if not tables:
        raise InputError(
            "no finetuning score can be measured on these runs",
            value="; ".join(problems) or "no run that continues another on one language",
            where=name,
            remedy="continue a multilingual run on one language at a time",
        )
    if all(score.n_runs == 1 for table in tables for score in table.scores):
        warnings["one seed of each run, hence no interval"] = None
    return FasAnswer(tuple(tables), tuple(problems), level, name, FAS_DEFINITION, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Continued:
    """One continued run: for each target its baseline and its curve."""

    run_id: str
    source: str
    base: tuple[str, ...]
    n_params: float | None
    baselines: Mapping[str, float]
    curves: Mapping[str, tuple[Floats, Floats]]

    @property
    def last(self) -> float:
        return min(float(tokens[-1]) for tokens, _ in self.curves.values())


def _continued_runs(
    frame: pl.DataFrame, loss: LossColumn, problems: list[str], warnings: dict[str, None]
) -> Iterator[_Continued]:
    bases = {str(run_id): rows for (run_id,), rows in frame.group_by("run_id")}
    continued = frame.filter(pl.col("base_run").is_not_null())
    for (run_id, base_run), rows in continued.group_by("run_id", "base_run", maintain_order=True):
        shares = trained_on(rows)
        if len(shares) != 1:
            problems.append(f"{run_id}: continued on {len(shares)} languages, not on one")
            continue
        base = bases.get(str(base_run))
        baseline = _baseline(rows, base, loss)
        if not baseline:
            problems.append(f"{run_id}: no evaluation before its first step, and no {base_run}")
            continue
        curves = _curves(rows, loss, baseline)
        if not curves:
            problems.append(f"{run_id}: no evaluation after its first step")
            continue
        _compare_states(str(run_id), rows, base, warnings)
        size = rows["n_params"][0]
        yield _Continued(
            run_id=str(run_id),
            source=next(iter(shares)),
            base=(str(base_run),) if base is None else tuple(sorted(trained_on(base))),
            n_params=None if size is None else float(size),
            baselines=baseline,
            curves=curves,
        )


def _baseline(rows: pl.DataFrame, base: pl.DataFrame | None, loss: LossColumn) -> dict[str, float]:
    """Loss on each language before the first step, from the run itself or from its base."""
    before = rows.filter(pl.col("tokens") == 0)
    if before.is_empty() and base is not None:
        before = base.filter(pl.col("tokens") == pl.col("tokens").max())
    return dict(before.select("language", loss).iter_rows())


def _curves(
    rows: pl.DataFrame, loss: LossColumn, baseline: Mapping[str, float]
) -> dict[str, tuple[Floats, Floats]]:
    after = rows.filter(pl.col("tokens") > 0, pl.col("language").is_in(list(baseline)))
    return {
        str(target): (of.sort("tokens")["tokens"].to_numpy(), of.sort("tokens")[loss].to_numpy())
        for (target,), of in after.group_by("language", maintain_order=True)
    }


def _compare_states(
    run_id: str, rows: pl.DataFrame, base: pl.DataFrame | None, warnings: dict[str, None]
) -> None:
    """Says when the learning rate was in another state before continuing than after."""
    if base is None or not rows.filter(pl.col("tokens") == 0).is_empty():
        return
    before, after = (of.sort("tokens")["lr_state"][-1] for of in (base, rows))
    if before != after and LrState.UNKNOWN.value not in (before, after):
        warnings[
            f"{run_id}: the checkpoint was {before}, the continued run ends {after}; part of the "
            "score is the learning rate"
        ] = None


def _table(
    n_params: float | None,
    base: tuple[str, ...],
    runs: Sequence[_Continued],
    d_max: float | None,
    loss: LossColumn,
    level: float,
    problems: list[str],
) -> FasTable:
    d = min(run.last for run in runs) if d_max is None else d_max
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in runs:
        if run.last < d:
            problems.append(f"{run.run_id}: ends at {format_count(run.last)}, before d_max")
            continue
        for target, (tokens, losses) in run.curves.items():
            value = mean_gain(tokens, losses, run.baselines[target], d)
            found.setdefault((run.source, target), []).append(value)
    scores = tuple(
        _score(source, target, np.array(values), level)
        for (source, target), values in sorted(found.items())
    )
    gains = {score.source: score.fas for score in scores if score.source == score.target}
    return FasTable(n_params, base, d, loss, gains, scores)


def _score(source: str, target: str, values_SG: Floats, level: float) -> FasScore:
    """Mean over seeds; ``values_SG`` is seeds x (mean gain, gain at the end)."""
    from scipy.special import stdtrit

    n = len(values_SG)
    fas, deviation = values_SG.mean(axis=0)
    interval = None
    if n > 1:
        half = stdtrit(n - 1, (1 + level) / 2) * values_SG[:, 0].std(ddof=1) / np.sqrt(n)
        interval = float(fas - half), float(fas + half)
    return FasScore(target, source, float(fas), float(deviation), interval, n)
