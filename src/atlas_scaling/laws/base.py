"""What a scaling law is here: named parameters and one plain NumPy function of arrays.

A law is a frozen dataclass that derives from ``Law`` and says four things: its ``name``, its
``parameters``, the ``inputs`` it needs, and ``loss(p, x)``. That is all a user's own law says too::

    class Interaction(Law):
        name = "interaction"
        source = "our notebook, cell 12"
        inputs = ("n_params", "tokens")
        parameters = (
            Parameter("E", start=(0.5, 3.0), bounds=(1e-3, 10.0), linear=True),
            Parameter("G", start=(1.0, 1e6), bounds=(1e-6, 1e30), linear=True),
            Parameter("gamma", start=(0.05, 0.5), bounds=(0.0, 2.0), transform="identity"),
        )

        def loss(self, p, x):
            return p.E + p.G / (x.n_params * x.tokens) ** p.gamma

``p.E`` broadcasts against the arrays of ``x``: inside a fit it is a column of many candidate values
at once and carries derivatives, so write NumPy arithmetic and no ``float(...)`` or ``if``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError, unknown

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number that a fit looks for.

    Attributes:
        name: as the formula uses it. ``tau[dan_Latn]`` reaches the formula as
            ``p.tau["dan_Latn"]``.
        start: where multi-starts look, low and high, in the parameter's own unit.
        bounds: what the fit may not leave; reaching one is reported, never hidden.
        transform: the coordinate the solver moves in: ``log`` (positive by construction) or
            ``identity``.
        linear: the loss is linear in it when all others are held, so that starts can solve for it.
        tolerance: standard error beyond which a value counts as not identified: a share of the
            value where it cannot be negative, absolute where it can.
        learns_from: the inputs whose spread determines it; verdicts name them.
        symbol: how papers print it.
        unit: unit of the value; empty for a pure number.
        description: one line for tables and verdicts.
    """

    name: str
    start: tuple[float, float]
    bounds: tuple[float, float]
    transform: Literal["log", "identity"] = "log"
    linear: bool = False
    tolerance: float = 1.0
    learns_from: tuple[str, ...] = ()
    symbol: str = ""
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        (low, high), (first, last) = self.bounds, self.start
        if not low <= first < last <= high:
            raise InputError(
                f"parameter {self.name}: bounds must hold the start range, low before high",
                value={"start": self.start, "bounds": self.bounds},
                where=self.name,
            )
        if self.transform == "log" and low <= 0:
            raise InputError(
                f"parameter {self.name} moves in its logarithm, so its bounds must be above zero",
                value=self.bounds,
                where=self.name,
                remedy='raise the lower bound, or say transform="identity"',
            )

    def inward(self, value: float) -> float:
        """``value`` in the solver's coordinate."""
        return math.log(value) if self.transform == "log" else value

    @property
    def group(self) -> str:
        """The name without its label: ``tau`` of ``tau[dan_Latn]``."""
        return self.name.partition("[")[0]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What a law may ask about the data before it is fitted: languages, by code.

    Attributes:
        target: the language whose loss is fitted; None where the data names none.
        co_sampled: the other languages, most co-sampled with the target first.
        languages: every language of the mixtures, sorted.
    """

    target: str | None = None
    co_sampled: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Law:
    """Base of every law. Fields of subclasses are its options, and are saved with a fit.

    Attributes:
        ties: groups of parameter names that are one number in the fit.
        fixed: parameters that are given and not fitted, as (name, value).
        limits: bounds that replace a parameter's own, as (name, low, high).
    """

    ties: tuple[tuple[str, ...], ...] = field(default=(), kw_only=True)
    fixed: tuple[tuple[str, float], ...] = field(default=(), kw_only=True)
    limits: tuple[tuple[str, float, float], ...] = field(default=(), kw_only=True)

    zero_shot: ClassVar[bool] = False
    """Whether it predicts languages that a run was not trained on."""

    largest: ClassVar[float] = 20.0
    """What it predicts is never above: guessing among 2^28 tokens costs 19.4 nats."""

    name: ClassVar[str]
    title: ClassVar[str] = ""
    formula: ClassVar[str] = ""
    source: ClassVar[str] = ""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters, in the order of every array of this law."""
        raise NotImplementedError(f"{type(self).__name__} names no parameters")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the arrays that ``loss`` reads from ``x``."""
        raise NotImplementedError(f"{type(self).__name__} names no inputs")

    def loss(self, p: Any, x: Any) -> Any:
        """The law itself: the loss at parameters ``p`` and inputs ``x``, shape ``(..., n)``."""
        raise NotImplementedError(f"{type(self).__name__} has no formula")

    def derivatives(self, p: Any, x: Any) -> tuple[Any, Mapping[str, Any]] | None:
        """The loss and its derivative by each parameter, by name, where a law knows a short way.

        Fits need none: they differentiate ``loss`` exactly by themselves. Columns of ``p`` are
        (B, 1), results (B, n) or broadcastable.
        """
        return None

    def reducible(self, p: Any, x: Any) -> Any:
        """The part of the loss that more parameters or data would remove; all of it without E."""
        return self.loss(p, x) - getattr(p, "E", 0.0)

    def guards(self, p: Any, x: Any) -> Mapping[str, NDArray[np.bool_]]:
        """Rows, by reason, where a safeguard inside ``loss`` decided the value. Usually none."""
        return {}

    def evidence(self, x: Any) -> Mapping[str, str]:
        """What the inputs can tell of a parameter, by its name, where it is too little."""
        return {}

    def adapted(self, facts: DataFacts) -> Law:
        """This law with the options that only data can settle filled in (ATLAS: its sources)."""
        return self

    def tied(self, *names: str) -> Law:
        """This law with ``names`` held equal, for example ``law.tied("alpha", "beta")``.

        Raises:
            InputError: there is no such parameter, or fewer than two are named.
        """
        self._check_names(names)
        if len(set(names)) < 2:
            raise InputError("a tie needs two parameters at least", value=names, where="tied")
        return dataclasses.replace(self, ties=(*self.ties, tuple(names)))

    def with_fixed(self, **values: float) -> Law:
        """This law with parameters held at given values, for example ``law.with_fixed(E=1.7)``.

        Raises:
            InputError: there is no such parameter, or the value is outside its bounds.
        """
        self._check_names(values)
        for name, value in values.items():
            low, high = self.parameter(name).bounds
            if not low <= value <= high:
                raise InputError(
                    f"{name} cannot be held there: outside its bounds",
                    value=value,
                    where=name,
                    remedy=f"a value from {low:g} to {high:g}",
                )
        kept = tuple((k, v) for k, v in self.fixed if k not in values)
        return dataclasses.replace(self, fixed=(*kept, *((k, float(v)) for k, v in values.items())))

    def within(self, **bounds: tuple[float, float]) -> Law:
        """This law with other bounds, for example ``law.within(alpha=(0.1, 0.6))``.

        Raises:
            InputError: there is no such parameter, or the bounds cannot be.
        """
        self._check_names(bounds)
        for name, (low, high) in bounds.items():
            _limited(self.parameter(name), low, high)  # refuses what cannot be
        kept = tuple(limit for limit in self.limits if limit[0] not in bounds)
        new = tuple((name, float(low), float(high)) for name, (low, high) in bounds.items())
        return dataclasses.replace(self, limits=(*kept, *new))

    def limited_parameters(self) -> tuple[Parameter, ...]:
        """``parameters`` with the bounds of ``limits`` in the place of their own."""
        limits = {name: (low, high) for name, low, high in self.limits}
        return tuple(
            _limited(p, *limits[p.name]) if p.name in limits else p for p in self.parameters
        )

    def parameter(self, name: str) -> Parameter:
        """The parameter called ``name``.

        Raises:
            InputError: there is none.
        """
        self._check_names([name])
        return next(p for p in self.parameters if p.name == name)

    def options(self) -> dict[str, Any]:
        """The options this law was made with, as JSON takes them; defaults are left out."""
        return {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if getattr(self, f.name) != f.default
        }

    def predict(
        self, values: Mapping[str, float] | Sequence[float] | FloatArray, /, **inputs: Any
    ) -> FloatArray:
        """Loss at parameter ``values`` for arrays given by name.

        >>> from atlas_scaling.laws import Chinchilla
        >>> published = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
        >>> float(Chinchilla().predict(published, n_params=70e9, tokens=1.4e12).round(3))
        1.973

        Raises:
            InputError: an input or the value of a parameter is missing, or a parameter is unknown.
        """
        missing = [name for name in self.inputs if name not in inputs]
        if missing:
            raise InputError(
                f"the law {self.name} needs more inputs",
                value=sorted(inputs),
                where=", ".join(missing),
                remedy=f"give {', '.join(self.inputs)}",
            )
        x = SimpleNamespace(**{k: np.asarray(v, dtype=np.float64) for k, v in inputs.items()})
        return np.asarray(self.loss(self.namespace(values), x), dtype=np.float64)

    def namespace(
        self, values: Mapping[str, float] | Sequence[Any] | FloatArray
    ) -> SimpleNamespace:
        """``p`` of the formula from values by name, or in the order of ``parameters``.

        Raises:
            InputError: a value is missing, or its parameter is unknown.
        """
        names = [parameter.name for parameter in self.parameters]
        if isinstance(values, Mapping):
            self._check_names(values)
            missing = [name for name in names if name not in values]
            if missing:
                raise InputError(
                    f"the law {self.name} has parameters without a value",
                    value=missing,
                    where="parameters",
                )
            return grouped(names, [values[name] for name in names])
        return grouped(names, values)

    def _check_names(self, names: Iterable[str]) -> None:
        known = [parameter.name for parameter in self.parameters]
        for name in names:
            if name not in known:
                raise unknown(
                    f"the law {self.name} has no such parameter", name, known, where="parameters"
                )


def _limited(parameter: Parameter, low: float, high: float) -> Parameter:
    """``parameter`` with other bounds; its start range is what is left of it inside them."""
    if not low < high:
        raise InputError(
            f"limits of {parameter.name}: the lower one comes first",
            value=(low, high),
            where=parameter.name,
            remedy=f"{high:g}:{low:g}",
        )
    first, last = max(parameter.start[0], low), min(parameter.start[1], high)
    start = (first, last) if first < last else (low, high)
    return dataclasses.replace(parameter, bounds=(low, high), start=start)


def grouped(names: Sequence[str], values: Iterable[Any]) -> SimpleNamespace:
    """A namespace in which ``tau[a]`` and ``tau[b]`` become ``tau``, a dict by label."""
    space: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        group, bracket, label = name.partition("[")
        if bracket:
            space.setdefault(group, {})[label.removesuffix("]")] = value
        else:
            space[name] = value
    return SimpleNamespace(**space)
