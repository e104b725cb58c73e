"""Which runs of a study are trained together in one program, and how many (``ensemble.py``).

How many it is by itself was measured on an H100 (``benchmarks/accelerator.py``): runs of up to ten
million parameters gain until a step of all of them has some 65,000 tokens, and then no more.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.study.settings import Hardware
from atlas_scaling.study.spec import StudySpec

MOST_PARAMS: Final = 10_000_000
TOKENS_A_STEP: Final = 1 << 16
MOST_RUNS: Final = 64


def kind_of(run: PlannedRun) -> Hashable:
    """Runs of one kind have one shape and schedule, and may be trained together.

    Where others branch off, or it is a branch itself, a run is of a kind of its own.
    """
    if run.keep_tokens or run.branch_tokens is not None:
        return run.run_id
    return run.size, run.tokens, run.vocabulary


def most_together(
    run: PlannedRun, spec: StudySpec, hardware: Hardware, *, on_accelerator: bool
) -> int:
    """How many runs of the kind of ``run`` one program trains at most."""
    if hardware.together != "auto":
        return hardware.together
    if hardware.processes > 1 or not on_accelerator or run.n_params > MOST_PARAMS:
        return 1
    tokens = spec.training_of(run.size).batch_size * spec.sequence_length
    return min(MOST_RUNS, max(1, TOKENS_A_STEP // tokens))
