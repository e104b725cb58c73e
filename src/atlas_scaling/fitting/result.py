"""The result of a fit: a frozen value that holds its law, its data and its uncertainty.

``Fit.save`` writes it as ``fit.json`` with its arrays beside, ``Fit.load`` reads it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from atlas_scaling import laws
from atlas_scaling._version import __version__
from atlas_scaling.answers import Answer, Estimate, jsonable
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.identify import FLAT, LOST, Diagnostics
from atlas_scaling.fitting.objective import Estimator, as_inputs
from atlas_scaling.fitting.observations import Dropped, Observations
from atlas_scaling.fitting.saved import read_saved, write_saved
from atlas_scaling.fitting.untold import is_told
from atlas_scaling.laws.base import DataFacts, FloatArray, Law
from atlas_scaling.units import LossUnit, counted, format_count, plain

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


FEW_RUNS: Final = 10
"""Resampling fewer runs than this hardly varies them."""

POOR_R2: Final = 0.5
"""A law that explains less of the variance of the losses does not describe them."""


FAR: Final = 20.0
"""Times the scatter of the others. Of the 245 Chinchilla points of Epoch AI two are farther, both
among the five that they leave out; of the other 240, and of four more published tables, none."""

FAR_AT_LEAST: Final = 0.02
_FEWEST_TAIL: Final = 1.0
_ENOUGH_TAIL: Final = 20.0
"""Draws that lie outside an interval, both sides together: below the first its ends are those of
all draws; the second is 200 draws at 90 %."""

ENOUGH_ROWS: Final = 20
"""Few rows of a flexible law have hardly a scatter to measure others by."""


class FitStatus(StrEnum):
    """How a fit ended. Only ``ok`` means that every number in it may be read as it stands."""

    OK = "ok"
    WEAK = "weak"
    NOT_IDENTIFIED = "not_identified"
    NOT_CONVERGED = "not_converged"


@dataclass(frozen=True, slots=True)
class FittedParameter(Answer):
    """A parameter with its interval and what the data can tell of it.

    ``value`` is None where the data does not identify it: digits would pretend that it does.
    ``Fit.values`` has the optimum's value for drawing the curve.
    """

    value: float | None
    interval: tuple[float, float] | None
    verdict: str


@dataclass(frozen=True, eq=False)
class Fit(Answer):
    """A law fitted to data.

    Attributes:
        law: the law, with its options, ties and fixed values.
        values: parameter name -> value, in the order of ``law.parameters``.
        verdicts: parameter name -> ``identified``, ``weak: …``, ``not identified: …``, ``given``.
        estimator: what was minimised.
        objective: its value at the optimum.
        status: how it ended.
        diagnostics: starts, conditioning, bounds, spreads, errors.
        observations: the rows that entered, as arrays.
        draws: bootstrap refits, (R, m) in the order of ``law.parameters``; None without any.
        level: of all intervals.
        seed: of starts and draws.
        priors: penalties that pulled parameters, name -> (value, standard deviation).
        version: of this package.
    """

    law: Law
    values: dict[str, float]
    verdicts: dict[str, str]
    estimator: Estimator
    objective: float
    status: FitStatus
    diagnostics: Diagnostics
    observations: Observations
    draws: FloatArray | None
    level: float
    seed: int
    priors: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    version: str = __version__

    @property
    def parameters(self) -> dict[str, FittedParameter]:
        """Value, interval and verdict of each parameter."""
        return {
            name: FittedParameter(
                value if identified(self.verdicts[name]) else None,
                self.interval(name),
                self.verdicts[name],
            )
            for name, value in self.values.items()
        }

    @property
    def n_rows(self) -> int:
        """Rows fitted."""
        return self.observations.n_rows

    @property
    def n_runs(self) -> int:
        """Runs they come from."""
        return len(np.unique(self.observations.run))

    @property
    def target(self) -> str | None:
        """The language whose loss this is."""
        return self.observations.facts.target

    @property
    def data_hash(self) -> str:
        """Of the arrays that were fitted."""
        return self.observations.hash

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before using a number of this fit."""
        return _warnings(self)

    def interval(self, name: str) -> tuple[float, float] | None:
        """Percentile interval of a parameter at ``level``; None where the data gives none.

        Refits stay where they began along a direction that the data leaves open, and at a bound
        that holds: a width of theirs, or none, says nothing there.
        """
        verdict = self.verdicts[name]
        if self.draws is None or verdict.startswith(("given", "not seen", FLAT, LOST)):
            return None
        found = _percentiles(self.draws[:, list(self.values).index(name)], self.level)
        stuck = found is not None and math.isclose(*found, rel_tol=1e-6)
        return None if stuck and not identified(verdict) else found

    def predict(self, **inputs: Any) -> FloatArray:
        """Loss at inputs given by name, for example ``fit.predict(n_params=2e9, tokens=1e11)``."""
        return self.law.predict(self.values, **inputs)

    def predict_draws(self, **inputs: Any) -> FloatArray:
        """Loss at the inputs for every bootstrap draw, (R, n); one row where there are no draws."""
        x = as_inputs(inputs)
        draws = np.array([list(self.values.values())]) if self.draws is None else self.draws
        p = self.law.namespace([column[:, None] for column in draws.T])
        return np.asarray(self.law.loss(p, x), dtype=np.float64)

    def estimate(self, **inputs: Any) -> list[Estimate]:
        """Loss at the inputs with its interval (of the law, not of a single run's noise).

        The value is None where the loss rests on what the fitted rows leave open.
        """
        values = np.atleast_1d(self.predict(**inputs))
        draws = np.empty((0, len(values))) if self.draws is None else self.predict_draws(**inputs)
        return [
            Estimate(float(v), _percentiles(drawn, self.level)) if told else Estimate(None)
            for v, drawn, told in zip(values, draws.T, is_told(self, **inputs), strict=True)
        ]

    @property
    def predicted(self) -> FloatArray:
        """Fitted loss of each row."""
        x = SimpleNamespace(**self.observations.x)
        loss = self.law.loss(self.law.namespace(self.values), x)
        return np.broadcast_to(np.asarray(loss, dtype=np.float64), (self.n_rows,))

    def to_dict(self) -> dict[str, Any]:
        """What ``atlas fit --json`` prints."""
        return {
            "law": self.law.name,
            "formula": self.law.formula,
            "law_options": jsonable(self.law.options()),
            "target": self.target,
            "parameters": {name: p.to_dict() for name, p in self.parameters.items()},
            "level": self.level,
            "objective": self.objective,
            "estimator": jsonable(self.estimator),
            "priors": jsonable(self.priors),
            "n_rows": self.n_rows,
            "n_runs": self.n_runs,
            "loss_unit": self.observations.unit.value,
            "dropped": [jsonable(d) for d in self.observations.dropped],
            "notes": list(self.observations.notes),
            "status": self.status.value,
            "diagnostics": jsonable(self.diagnostics),
            "warnings": self.warnings,
            "source": f"fitted to {self.n_rows} rows of {self.n_runs} runs; "
            f"law: {self.law.source or 'own'}",
            "seed": self.seed,
            "data_hash": self.data_hash,
            "version": self.version,
        }

    def save(self, path: Path | str) -> Path:
        """Write ``path`` (JSON) and the arrays beside it (``.npz``); returns the JSON path."""
        o = self.observations
        arrays: dict[str, FloatArray] = {
            "values": np.array(list(self.values.values())),
            "loss": o.loss,
            "run": o.run.astype(np.float64),
        }
        arrays |= {f"x.{k}": v for k, v in o.x.items()}
        arrays |= {f"facet.{k}": v for k, v in o.facets.items()}
        arrays |= {} if o.weights is None else {"weights": o.weights}
        arrays |= {} if self.draws is None else {"draws": self.draws}
        facts = {"run_ids": list(o.run_ids), "facts": jsonable(o.facts)}
        return write_saved(Path(path), self.to_dict() | facts, arrays)

    @classmethod
    def load(cls, path: Path | str, *, law: Law | None = None) -> Fit:
        """Read a saved fit.

        Args:
            path: the JSON file.
            law: the law, where it is not one of the built-in ones.

        Raises:
            InputError: the file is missing, is no fit, or its arrays are gone or damaged.
        """
        path = Path(path)
        document, arrays = read_saved(path)
        try:
            fit = _restored(document, arrays, law)
            _check_shapes(fit)
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                "this saved fit is damaged",
                value=f"{type(error).__name__}: {error}",
                where=str(path),
                remedy="fit again: atlas fit … -o fit.json",
            ) from None
        return fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from atlas_scaling.fitting.show import fit_text

        yield fit_text(self)

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=100, highlight=False, color_system=None)
        with console.capture() as captured:
            console.print(self)
        return captured.get().rstrip()

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value:.5g}" for name, value in self.values.items())
        return (
            f"Fit({self.law.name}: {inside}; {self.n_rows} rows, {self.n_runs} runs, "
            f"{self.status.value})"
        )


def identified(verdict: str) -> bool:
    """Whether a verdict lets the value stand, weakly at least."""
    return not verdict.startswith(("not identified", "not seen"))


def _percentiles(values: FloatArray, level: float) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)


def _warnings(fit: Fit) -> list[str]:
    said = []
    d = fit.diagnostics
    if not d.converged:
        said.append("the solver did not reach its tolerance: treat every number as provisional")
    if d.share_at_optimum < 0.1:
        said.append(
            f"only {d.share_at_optimum:.0%} of the starts found this optimum; more starts may "
            "find a better one"
        )
    if d.r2 is not None and d.r2 < POOR_R2:
        said.append(f"R² {d.r2:.2f}: the law describes these losses poorly")
    said += _far_rows(fit)
    for name, verdict in fit.verdicts.items():
        if not identified(verdict):
            said.append(f"{name} is {verdict}")
    for reason, rows in d.guards.items():
        said.append(f"{reason} ({rows} rows)")
    lost = [name for name, verdict in fit.verdicts.items() if verdict == LOST]
    if lost:
        said.append(
            f"few runs tell {', '.join(lost)}: intervals of what rests on them are too narrow"
        )
    outside = [name for name in fit.values if _is_outside(fit, name)]
    if outside:
        said.append(
            f"outside its own interval: {', '.join(outside)}; refits go elsewhere than the fit, so "
            "the value rests on few rows: --sweep, or a larger --delta"
        )
    if fit.draws is not None and len(fit.draws) < _FEWEST_TAIL / (1 - fit.level):
        said.append(
            f"{counted(len(fit.draws), 'resample')} cannot tell a {100 * fit.level:g}% interval: "
            f"{round(_ENOUGH_TAIL / (1 - fit.level)):,} do"
        )
    if d.bootstrap_failed:
        said.append(f"{d.bootstrap_failed} bootstrap refits did not converge and are left out")
    if fit.priors:
        said.append("pulled towards given values: " + ", ".join(fit.priors))
    if fit.n_runs == 1:
        said.append("one run only: nothing here says how much runs differ")
    elif fit.n_runs < FEW_RUNS:
        said.append(
            f"{fit.n_runs} runs only: standard errors and intervals from so few are rough, and "
            f"mostly too narrow; {FEW_RUNS} or more are better"
        )
    return said


def _is_outside(fit: Fit, name: str) -> bool:
    interval = fit.interval(name)
    if interval is None or not identified(fit.verdicts[name]):
        return False
    slack = 1e-9 * abs(fit.values[name])
    return not interval[0] - slack <= fit.values[name] <= interval[1] + slack


def _far_rows(fit: Fit) -> list[str]:
    """Rows so far off the law that a number of theirs may be wrong: Huber's function hides them."""
    o = fit.observations
    off = np.log(o.loss) - np.log(fit.predicted)
    limit = max(FAR * fit.diagnostics.residual_scale, FAR_AT_LEAST)
    n_far = int((np.abs(off) > limit).sum())
    if not n_far or o.n_rows < ENOUGH_ROWS:
        return []
    k = int(np.argmax(np.abs(off)))
    which = f"{o.run_ids[o.run[k]]} at {format_count(o.facets['tokens'][k])} tokens"
    how = f"{plain(100 * abs(math.expm1(off[k])))} % {'above' if off[k] > 0 else 'below'}"
    return [
        f"{counted(n_far, 'row')} far off the law, farthest {which}, whose loss is {how} it: check "
        "its loss, parameters and tokens"
    ]


def _restored(document: dict[str, Any], arrays: dict[str, FloatArray], law: Law | None) -> Fit:
    """The fit of a saved document and its arrays."""
    facts = document["facts"]
    observations = Observations(
        x={k.removeprefix("x."): v for k, v in arrays.items() if k.startswith("x.")},
        loss=arrays["loss"],
        run=arrays["run"].astype(np.intp),
        run_ids=tuple(document["run_ids"]),
        weights=arrays.get("weights"),
        facets={k.removeprefix("facet."): v for k, v in arrays.items() if k.startswith("facet.")},
        facts=DataFacts(facts["target"], tuple(facts["co_sampled"]), tuple(facts["languages"])),
        unit=LossUnit(document["loss_unit"]),
        notes=tuple(document["notes"]),
        dropped=tuple(Dropped(**d) for d in document["dropped"]),
        hash=document["data_hash"],
    )
    diagnostics = dict(document["diagnostics"])
    diagnostics["at_bound"] = tuple(diagnostics["at_bound"])
    estimator = document["estimator"]
    return Fit(
        law=law or _saved_law(document),
        values=dict(zip(document["parameters"], map(float, arrays["values"]), strict=True)),
        verdicts={name: p["verdict"] for name, p in document["parameters"].items()},
        estimator=Estimator.named(
            estimator["name"], estimator["delta"] if estimator["name"] == "huber" else None
        ),
        objective=document["objective"],
        status=FitStatus(document["status"]),
        diagnostics=Diagnostics(**diagnostics),
        observations=observations,
        draws=arrays.get("draws"),
        level=document["level"],
        seed=document["seed"],
        priors={k: (v[0], v[1]) for k, v in document["priors"].items()},
        version=document["version"],
    )


def _check_shapes(fit: Fit) -> None:
    """Refuse arrays that do not go together.

    Raises:
        ValueError: with the array and its shape.
    """
    o, m = fit.observations, len(fit.values)
    names = [parameter.name for parameter in fit.law.parameters]
    if names != list(fit.values):
        raise ValueError(f"the law has the parameters {names}, the fit {list(fit.values)}")
    by_row = {"run": o.run, "weights": o.weights, **o.facets, **o.x}
    for name, array in by_row.items():
        if array is not None and array.shape[-1:] != (o.n_rows,):
            raise ValueError(f"{name} has the shape {array.shape}, for {o.n_rows} rows")
    missing = [name for name in fit.law.inputs if name not in o.x]
    if missing:
        raise ValueError(f"the law needs the arrays {missing}")
    if o.n_rows == 0 or not 0 <= o.run.min() <= o.run.max() < o.n_runs:
        raise ValueError("there are no rows, or their runs have no names")
    if fit.draws is not None and fit.draws.shape[1:] != (m,):
        raise ValueError(f"draws have the shape {fit.draws.shape}, for {m} parameters")


def _saved_law(document: dict[str, Any]) -> Law:
    if document["law"] not in laws.names():
        raise InputError(
            "this fit is of a law that is not built in",
            value=document["law"],
            where="law",
            remedy="load it with its law: Fit.load(path, law=MyLaw())",
        )
    options = {k: _tuples(v) for k, v in document["law_options"].items()}
    return laws.get(document["law"], **options)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
