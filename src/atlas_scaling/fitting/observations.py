"""The rows of one fit as arrays: what a law needs, the losses, and which run each row is of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.laws.base import DataFacts, FloatArray
from atlas_scaling.units import LossUnit


@dataclass(frozen=True, slots=True)
class Dropped:
    """Rows that do not enter the fit."""

    rows: int
    reason: str


@dataclass(frozen=True, eq=False)
class Observations:
    """The rows of one fit as arrays; n rows.

    Attributes:
        x: input arrays by name, (n,) or (k, n).
        loss: observed loss, (n,).
        run: number of the run each row belongs to, (n,).
        run_ids: names of the runs.
        weights: weight of each row, (n,), or None for all one.
        facets: arrays that splits and reports cut by: ``n_params``, ``tokens``, ``flops``,
            ``mixture_kind`` (1 monolingual, 2 bilingual, 3 unimax, 4 other multilingual).
        facts: target and languages.
        unit: unit of the loss.
        notes: what was decided about the rows, in sentences.
        dropped: rows left out, with reasons.
        hash: of everything above that enters a fit.
    """

    x: dict[str, FloatArray]
    loss: FloatArray
    run: NDArray[np.intp]
    run_ids: tuple[str, ...]
    weights: FloatArray | None
    facets: dict[str, FloatArray]
    facts: DataFacts
    unit: LossUnit
    notes: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    hash: str = field(default="")

    def __post_init__(self) -> None:
        if not self.hash:
            object.__setattr__(self, "hash", _hash(self))

    def __repr__(self) -> str:
        return f"Observations({self.n_rows} rows of {self.n_runs} runs, {', '.join(self.x)})"

    @property
    def n_rows(self) -> int:
        """Rows that enter."""
        return len(self.loss)

    @property
    def n_runs(self) -> int:
        """Runs they come from."""
        return len(self.run_ids)

    def take(self, rows: NDArray[Any]) -> Observations:
        """The same with some of the rows; runs keep their numbers."""
        return Observations(
            x={k: v[..., rows] for k, v in self.x.items()},
            loss=self.loss[rows],
            run=self.run[rows],
            run_ids=self.run_ids,
            weights=None if self.weights is None else self.weights[rows],
            facets={k: v[rows] for k, v in self.facets.items()},
            facts=self.facts,
            unit=self.unit,
            notes=self.notes,
            dropped=self.dropped,
        )


def _hash(observations: Observations) -> str:
    digest = hashlib.sha256()
    for name in sorted(observations.x):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(observations.x[name]).tobytes())
    digest.update(observations.loss.tobytes())
    digest.update(np.ascontiguousarray(observations.run, dtype=np.int64).tobytes())
    if observations.weights is not None:
        digest.update(observations.weights.tobytes())
    digest.update(observations.unit.value.encode())
    return digest.hexdigest()[:16]
