"""Scratch against continued in a folder of runs: the two curves and the answer, by language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.planning.crossing import Crossing, crossing
from atlas_scaling.planning.start import BaseCheckpoint, StartAdvice
from atlas_scaling.planning.start_own import start_from_curves
from atlas_scaling.runs.store import value_of
from atlas_scaling.transfer.curves import MIN_POINTS, LossPoints

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST: Final = 12
"""More pictures of two curves are no longer looked at, and each costs some tenths of a second."""

_STATES: Final = ("stable", "decayed", "unknown")


@dataclass(frozen=True, eq=False)
class StartComparison:
    """A language at one model size, from scratch and continued on it alone."""

    language: str
    n_params: float
    crossing: Crossing
    advice: StartAdvice


def start_comparisons(frame: pl.DataFrame) -> tuple[list[StartComparison], int]:
    """Every language and size with both kinds of run and enough evaluations in one state.

    Args:
        frame: a ``RunTable.frame``.

    Returns:
        At most ``MOST`` of them, the largest models first, and how many candidates were left out.
    """
    pairs = sorted(_both_kinds(frame), key=lambda pair: (-pair[1], pair[0]))
    found = (_compared(*pair) for pair in pairs[:MOST])
    return [one for one in found if one is not None], max(0, len(pairs) - MOST)


def _both_kinds(frame: pl.DataFrame) -> Iterator[tuple[str, float, pl.DataFrame]]:
    """Language, size and rows of everything run on the language alone, from scratch and not."""
    single = frame.filter(pl.col("mixture").list.len() == 1, pl.col("tokens") > 0)
    for code in single["language"].unique().sort().to_list():
        own = single.filter(pl.col("language") == code)
        own = own.with_columns(value_of(own, "tokens_by_language", code).alias("own_tokens"))
        own = own.filter(pl.col("own_tokens") > 0)
        for (n_params,), rows in own.group_by("n_params", maintain_order=True):
            if 0 < rows["base_run"].null_count() < rows.height:
                yield code, float(str(n_params)), rows


def _compared(code: str, n_params: float, rows: pl.DataFrame) -> StartComparison | None:
    kinds = [
        rows.filter(pl.col("base_run").is_null()),
        rows.filter(pl.col("base_run").is_not_null()),
    ]
    state = next(
        (s for s in _STATES if all(_n_points(kind, s) >= MIN_POINTS for kind in kinds)), None
    )
    if state is None or rows["tokenizer"].n_unique() > 1:
        return None
    scratch, continued = (
        _points(kind.filter(pl.col("lr_state").fill_null("unknown") == state), name)
        for kind, name in zip(kinds, ("from scratch", "continued"), strict=True)
    )
    bases: Sequence[str] = sorted(kinds[1]["base_run"].unique().to_list())
    base = BaseCheckpoint(f"the end of {', '.join(bases)}")
    longest = float(scratch.tokens[-1])
    try:
        return StartComparison(
            language=code,
            n_params=n_params,
            crossing=crossing(scratch, continued),
            advice=start_from_curves(
                code,
                scratch=scratch,
                continued=continued,
                n_params=n_params,
                tokens=longest,
                base=base,
            ),
        )
    except InputError:
        return None  # the two have no tokens in common, or one of them only rises


def _n_points(rows: pl.DataFrame, state: str) -> int:
    return int(
        rows.filter(pl.col("lr_state").fill_null("unknown") == state)["own_tokens"].n_unique()
    )


def _points(rows: pl.DataFrame, name: str) -> LossPoints:
    runs = np.unique(rows["run_id"].to_numpy(), return_inverse=True)[1]
    ids = ", ".join(sorted(rows["run_id"].unique()))
    return LossPoints.of(
        rows["own_tokens"].to_numpy(),
        rows["loss"].to_numpy(),
        run=runs.astype(np.int64),
        name=f"{name} ({ids})",
    )
