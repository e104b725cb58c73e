"""Transfer between languages: scores from runs, matrices of them, analysis and completion.

>>> from atlas_scaling import transfer
>>> transfer.best_sources(transfer.published_matrix(), "cat_Latn", top=1).sources[0].language
'spa_Latn'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from atlas_scaling.transfer.analysis import analyze
    from atlas_scaling.transfer.completion import complete
    from atlas_scaling.transfer.matrix import TransferMatrix
    from atlas_scaling.transfer.matrix_files import load_matrix, save_matrix
    from atlas_scaling.transfer.measure import compare_points, compare_runs
    from atlas_scaling.transfer.merging import merge
    from atlas_scaling.transfer.pairs import matrices_from_runs
    from atlas_scaling.transfer.partners import suggest_partners
    from atlas_scaling.transfer.ranking import best_sources, best_targets
    from atlas_scaling.transfer.reference import published_matrix

__all__ = [
    "TransferMatrix",
    "analyze",
    "best_sources",
    "best_targets",
    "compare_points",
    "compare_runs",
    "complete",
    "load_matrix",
    "matrices_from_runs",
    "merge",
    "published_matrix",
    "save_matrix",
    "suggest_partners",
]

_HOMES: Final = {
    "TransferMatrix": "matrix",
    "analyze": "analysis",
    "best_sources": "ranking",
    "best_targets": "ranking",
    "compare_points": "measure",
    "compare_runs": "measure",
    "complete": "completion",
    "load_matrix": "matrix_files",
    "matrices_from_runs": "pairs",
    "merge": "merging",
    "published_matrix": "reference",
    "save_matrix": "matrix_files",
    "suggest_partners": "partners",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"atlas_scaling.transfer.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
