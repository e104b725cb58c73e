"""How much a fit rests on Huber's delta: the same data with several, and both limits.

``delta`` says which residuals count as outliers. Where parameters move with it by more than their
intervals, the answer is the choice of delta and not the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit_prepared, prepared
from atlas_scaling.fitting.objective import Estimator
from atlas_scaling.fitting.observations import Dropped
from atlas_scaling.laws.base import Law

DELTAS: Final = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)


@dataclass(frozen=True, slots=True)
class SweptFit(Answer):
    """The optimum for one estimator.

    Attributes:
        estimator: ``huber``, or its limits ``lad`` and ``lsq``.
        delta: of ``huber``; None for the limits.
        values: parameters at the optimum; None where the data does not identify them.
        share_within: share of rows within ``delta``; None for the limits.
        r2: share of the variance of the loss explained.
    """

    estimator: str
    delta: float | None
    values: dict[str, float | None]
    share_within: float | None
    r2: float | None


@dataclass(frozen=True)
class DeltaSweep(Answer):
    """Optima from least absolute deviations to least squares.

    Attributes:
        law: name of the law.
        rows: one an estimator, delta rising.
        spread: parameter -> largest less smallest value over the rows; None where a row has none.
        n_rows: rows fitted.
        seed: of the starts.
        dropped: rows that did not enter, with the reason.
        notes: what was decided about the rows.
    """

    law: str
    rows: tuple[SweptFit, ...]
    spread: dict[str, float | None]
    n_rows: int
    seed: int
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]


def sweep_delta(
    data: Any,
    law: Law | str = "chinchilla",
    *,
    deltas: Sequence[float] = DELTAS,
    seed: int = 0,
    **options: Any,
) -> DeltaSweep:
    """Fit with every delta, and with the limits 0 (``lad``) and infinity (``lsq``).

    Args:
        data: as for ``fit``.
        law: as for ``fit``.
        deltas: of Huber's function.
        seed: of the starts.
        **options: as for ``fit``, but estimator, delta and bootstrap.

    Raises:
        InputError: no delta, or the data or an option cannot be used.
    """
    if not deltas:
        raise InputError("a sweep needs a delta", value=list(deltas), where="deltas")
    one = prepared(data, law, bootstrap=0, **options)
    estimators = [
        Estimator.named("lad"),
        *(Estimator.named("huber", delta) for delta in sorted(deltas)),
        Estimator.named("lsq"),
    ]
    rows = []
    for estimator in estimators:
        chosen = {**one.options, "estimator": estimator, "seed": seed}
        found = fit_prepared(replace(one, options=chosen))
        residual = np.abs(np.log(found.observations.loss / found.predicted))
        finite = estimator.name == "huber"
        rows.append(
            SweptFit(
                estimator=estimator.name,
                delta=estimator.delta if finite else None,
                values={name: p.value for name, p in found.parameters.items()},
                share_within=float((residual <= estimator.delta).mean()) if finite else None,
                r2=found.diagnostics.r2,
            )
        )
    return DeltaSweep(
        law=found.law.name,
        rows=tuple(rows),
        spread={name: _spread([row.values[name] for row in rows]) for name in rows[0].values},
        n_rows=found.n_rows,
        seed=seed,
        dropped=one.observations.dropped,
        notes=one.observations.notes,
    )


def _spread(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.ptp(known)) if len(known) == len(values) else None
