"""Scaling laws for multilingual language models: fit, transfer, plan, run studies.

>>> import atlas_scaling as atlas
>>> round(atlas.plan.expand(from_languages=8, to_languages=16).n_params_ratio.value, 2)
1.18

``atlas.fit`` and ``atlas.compare`` are the functions behind the commands of the same names,
``atlas.read_runs`` makes a table of run directories, ``atlas.import_runs`` of other tools' logs;
``atlas.laws``, ``atlas.plan`` and ``atlas.transfer`` hold the rest. Everything is imported when it
is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling._version import __version__

if TYPE_CHECKING:
    from atlas_scaling import laws, plan, transfer
    from atlas_scaling.fitting import compare, fit
    from atlas_scaling.runs.importers.importing import import_runs
    from atlas_scaling.runs.store import read_runs

__all__ = ["__version__", "compare", "fit", "import_runs", "laws", "plan", "read_runs", "transfer"]

_MODULES: Final = ("laws", "plan", "transfer")
_FUNCTIONS: Final = {
    "fit": "fitting",
    "compare": "fitting",
    "read_runs": "runs.store",
    "import_runs": "runs.importers.importing",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"atlas_scaling.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"atlas_scaling.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
