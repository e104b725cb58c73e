"""The planning functions under one short name: ``atlas.plan.expand(...)``.

``planning`` holds them one subject a file; a package cannot offer a function under the name of one
of its own files, so this module does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from atlas_scaling.planning.allocate import allocate
    from atlas_scaling.planning.allocate_targets import allocate_targets
    from atlas_scaling.planning.cost import cost
    from atlas_scaling.planning.expand import expand, expand_to
    from atlas_scaling.planning.export import export_mixture
    from atlas_scaling.planning.next_runs import next_runs
    from atlas_scaling.planning.start import start
    from atlas_scaling.planning.two_stage import two_stages

__all__ = [
    "allocate",
    "allocate_targets",
    "cost",
    "expand",
    "expand_to",
    "export_mixture",
    "next_runs",
    "start",
    "two_stages",
]

_FILES: Final = {"expand_to": "expand", "export_mixture": "export", "two_stages": "two_stage"}
"""Homes of functions whose file has another name."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        file = _FILES.get(name, name)
        return getattr(importlib.import_module(f"atlas_scaling.planning.{file}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
