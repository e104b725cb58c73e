"""The planning functions under one short name: ``atlas.plan.expand(...)``.

``planning`` holds them one subject a file; a package cannot offer a function under the name of one
of its own files, so this module does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atlas_scaling.planning.allocate import allocate
    from atlas_scaling.planning.cost import cost
    from atlas_scaling.planning.expand import expand
    from atlas_scaling.planning.start import start

__all__ = ["allocate", "cost", "expand", "start"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # each has a file of its own name
        return getattr(importlib.import_module(f"atlas_scaling.planning.{name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
