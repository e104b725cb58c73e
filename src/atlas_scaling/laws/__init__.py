"""Scaling laws: arrays in, loss out. Each is one class in its own file.

``get("atlas", variant="other")`` makes one by name; ``laws.ATLAS`` is the class. Files are
imported when first asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from atlas_scaling.laws.additive_mixture import AdditiveMixture
    from atlas_scaling.laws.atlas import ATLAS
    from atlas_scaling.laws.base import DataFacts, Law, Parameter
    from atlas_scaling.laws.capacity import Capacity
    from atlas_scaling.laws.chinchilla import Chinchilla
    from atlas_scaling.laws.crossover import Crossover
    from atlas_scaling.laws.data_constrained import DataConstrained
    from atlas_scaling.laws.exponential_mixture import ExponentialMixture
    from atlas_scaling.laws.kaplan import Kaplan
    from atlas_scaling.laws.msl import MSL
    from atlas_scaling.laws.single_power import SinglePower
    from atlas_scaling.laws.skaling import Skaling
    from atlas_scaling.laws.two_stage import TwoStage

__all__ = [
    "ATLAS",
    "MSL",
    "AdditiveMixture",
    "Capacity",
    "Chinchilla",
    "Crossover",
    "DataConstrained",
    "DataFacts",
    "ExponentialMixture",
    "Kaplan",
    "Law",
    "Parameter",
    "SinglePower",
    "Skaling",
    "TwoStage",
    "get",
    "names",
]

_CLASSES: Final = {
    "chinchilla": "Chinchilla",
    "atlas": "ATLAS",
    "atlas_two_stage": "TwoStage",
    "data_constrained": "DataConstrained",
    "msl": "MSL",
    "capacity": "Capacity",
    "kaplan": "Kaplan",
    "skaling": "Skaling",
    "single_power": "SinglePower",
    "additive_mixture": "AdditiveMixture",
    "exponential_mixture": "ExponentialMixture",
    "crossover": "Crossover",
}
_HOMES: Final = {
    **{cls: module for module, cls in _CLASSES.items()},
    "TwoStage": "two_stage",
    "DataFacts": "base",
    "Law": "base",
    "Parameter": "base",
}


def names() -> tuple[str, ...]:
    """Names of the laws that are built in."""
    return tuple(_CLASSES)


def get(name: str, **options: Any) -> Law:
    """The law called ``name``, made with ``options``.

    >>> get("chinchilla").inputs
    ('n_params', 'tokens')

    Raises:
        InputError: there is no such law, or it has no such option.
    """
    from atlas_scaling.errors import InputError, nearest, unknown

    if name not in _CLASSES:
        raise unknown("there is no such law", name, _CLASSES, where="law")
    law_class: type[Law] = getattr(_module(_HOMES[_CLASSES[name]]), _CLASSES[name])
    known = [f.name for f in dataclasses.fields(law_class)]
    for option in options:
        if option not in known:
            raise InputError(
                f"the law {name} has no such option",
                value=option,
                where="law",
                remedy=nearest(option, known) or _options_of(known),
            )
    return law_class(**options)


def _options_of(known: list[str]) -> str:
    """What a law takes beside that which every law does."""
    from atlas_scaling.laws.base import Law

    own = [name for name in known if name not in {f.name for f in dataclasses.fields(Law)}]
    return f"one of {', '.join(own)}" if own else "leave it out: this law has none"


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _module(name: str) -> Any:
    return importlib.import_module(f"atlas_scaling.laws.{name}")
