"""Fitting scaling laws: exact optima, intervals, and verdicts on what the data can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from atlas_scaling.fitting.api import fit
    from atlas_scaling.fitting.comparison import Comparison, compare
    from atlas_scaling.fitting.result import Fit

__all__ = ["Comparison", "Fit", "compare", "fit"]

_HOMES: Final = {"fit": "api", "compare": "comparison", "Comparison": "comparison", "Fit": "result"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"atlas_scaling.fitting.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
