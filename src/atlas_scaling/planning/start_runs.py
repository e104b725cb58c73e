"""``start`` from the best evidence there is; own curves from run directories or CSV files.

Two runs are checked to be comparable before their curves are. Tokens are those of the target
language, counted from the run's own start: a continued run's record counts after its checkpoint
(``runs.record``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from atlas_scaling.answers import DEFAULT_LEVEL
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.languages import normalise
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.start import (
    EPOCHS_WORTH_A_WARNING,
    BaseCheckpoint,
    StartAdvice,
    check_question,
    start,
)
from atlas_scaling.planning.start_own import (
    OWN_BASE,
    fit_crossovers,
    start_from_curves,
    start_from_sizes,
)
from atlas_scaling.runs.record import LrState
from atlas_scaling.transfer.curves import MIN_POINTS, LossPoints
from atlas_scaling.transfer.sides import SIZE_TOLERANCE
from atlas_scaling.units import format_count

if TYPE_CHECKING:
    import polars as pl

COLUMNS: Final = ("tokens", "loss", "run")
COMPARABLE: Final = (LrState.STABLE, LrState.DECAYED, LrState.UNKNOWN)


@dataclass(frozen=True, eq=False)
class StartCurves:
    """Two curves, the model size they share (None if files do not say), and the checkpoint."""

    scratch: LossPoints
    continued: LossPoints
    n_params: float | None
    base: BaseCheckpoint


def advise_start(
    target: str,
    *,
    tokens: float,
    n_params: float | None = None,
    share: float = 1.0,
    unique_tokens: float | None = None,
    base_language_tokens: float | None = None,
    scratch: Path | None = None,
    continued: Path | None = None,
    crossovers: Mapping[float, float] | None = None,
) -> StartAdvice:
    """Scratch or continue: from two own curves, else own crossovers, else the published ones.

    Args:
        target: the language.
        tokens: training tokens of the run in question.
        n_params: model size; may be left out where run directories say it.
        share: of the target in ``tokens``.
        unique_tokens: distinct tokens of the target that there are.
        base_language_tokens: of the target that your checkpoint saw, for the published crossovers.
        scratch: own curve, see ``read_start_curves``.
        continued: own curve, likewise.
        crossovers: model size -> tokens of the target at one's own crossovers.

    Raises:
        InputError: evidence of two kinds is given, a curve is missing or cannot be read, or a
            number is missing or out of range.
    """
    if (scratch is None) != (continued is None):
        raise InputError(
            "a crossing takes two curves, from scratch and continued",
            value=str(scratch or continued),
            where="scratch, continued",
        )
    _check_one_evidence(scratch, crossovers, base_language_tokens)
    curves = None
    if scratch is not None and continued is not None:
        if scratch.resolve() == continued.resolve():
            raise InputError(
                "one curve does not cross itself", value=str(scratch), where="scratch, continued"
            )
        curves = read_start_curves(scratch, continued, target)
        n_params = _size_of(curves, n_params)
    if n_params is None:
        raise InputError(
            "for how many parameters?", where="n_params", remedy="give --params, such as 2B"
        )
    check_question(n_params=n_params, tokens=tokens, share=share, level=DEFAULT_LEVEL)
    if curves is not None:
        answer = start_from_curves(
            target,
            scratch=curves.scratch,
            continued=curves.continued,
            n_params=n_params,
            tokens=tokens * share,
            base=curves.base,
        )
        return _with_epochs(answer, unique_tokens)
    if crossovers:
        law = fit_crossovers(crossovers)
        answer = start_from_sizes(target, law, n_params=n_params, tokens=tokens * share)
        return _with_epochs(answer, unique_tokens)
    return start(
        target,
        n_params=n_params,
        tokens=tokens,
        share=share,
        unique_tokens=unique_tokens,
        base_language_tokens=base_language_tokens,
    )


def _size_of(curves: StartCurves, asked: float | None) -> float | None:
    """Model size of the answer.

    Raises:
        InputError: it is asked for another size than the curves are of.
    """
    if asked is None or curves.n_params is None:
        return curves.n_params if asked is None else asked
    if abs(asked / curves.n_params - 1) > SIZE_TOLERANCE:
        raise InputError(
            f"the runs have {format_count(curves.n_params)} parameters, and a crossover moves with "
            "the size",
            value=asked,
            where="n_params",
            remedy="leave the size out; for another one give crossovers at several sizes: "
            "--crossover 100M=30B --crossover 1B=130B",
        )
    return asked


def _check_one_evidence(
    scratch: Path | None,
    crossovers: Mapping[float, float] | None,
    base_language_tokens: float | None,
) -> None:
    """Refuse evidence that would be passed over without a word."""
    if scratch is not None and crossovers:
        raise InputError(
            "two curves and crossovers of several sizes are two answers",
            value=dict(crossovers),
            where="crossovers",
            remedy="give one of them",
        )
    if base_language_tokens is not None and (scratch is not None or crossovers):
        raise InputError(
            "what the checkpoint saw moves the published crossover; yours is of your checkpoint",
            value=base_language_tokens,
            where="base_language_tokens",
            remedy="leave it out",
        )


def _with_epochs(answer: StartAdvice, unique_tokens: float | None) -> StartAdvice:
    """The same, and how often the target's text would be read if that is often."""
    check_above_zero(unique_tokens=unique_tokens)
    if unique_tokens is None or answer.tokens <= EPOCHS_WORTH_A_WARNING * unique_tokens:
        return answer
    said = (
        f"{answer.tokens / unique_tokens:.0f} epochs over the {format_count(unique_tokens)} "
        "distinct tokens that you have: a crossover measured on fewer does not tell this one"
    )
    return replace(answer, warnings=(*answer.warnings, said))


def read_start_curves(scratch: Path, continued: Path, target: str) -> StartCurves:
    """Read both curves.

    Args:
        scratch: a run directory, a folder of runs that differ by seed, or a CSV file with the
            columns ``tokens`` and ``loss`` (and ``run``, where there are several).
        continued: the same for the continued runs.
        target: the language whose loss is read from run directories.

    Raises:
        InputError: nothing there, no evaluation of the target, sizes or tokenizers that differ, or
            no learning-rate state in which both were evaluated often enough.
    """
    code = normalise(target)
    if scratch.is_file() or continued.is_file():
        return StartCurves(_from_csv(scratch), _from_csv(continued), None, OWN_BASE)
    frames = [_rows(path, code) for path in (scratch, continued)]
    _check_roles(*frames)
    n_params = _common(frames, "n_params", "model size")
    if n_params is None:
        raise InputError(
            "the runs do not say their model size", value=str(scratch), where="scratch, continued"
        )
    _common(frames, "tokenizer", "tokenizer")
    state = _common_state(frames)
    curves = [
        _points(frame, code, state, name)
        for frame, name in zip(frames, ("from scratch", "continued"), strict=True)
    ]
    bases = sorted(base for base in frames[1]["base_run"].unique().to_list() if base)
    base = BaseCheckpoint(f"the end of {', '.join(bases)}") if bases else OWN_BASE
    return StartCurves(curves[0], curves[1], float(n_params), base)


def _rows(path: Path, code: str) -> pl.DataFrame:
    import polars as pl

    from atlas_scaling.runs.store import read_runs, value_of

    frame = read_runs(path).frame
    frame = frame.with_columns(value_of(frame, "tokens_by_language", code).alias("own_tokens"))
    rows = frame.filter(pl.col("language") == code, pl.col("own_tokens") > 0)
    if rows.is_empty():
        raise InputError(
            "no run here was trained and evaluated on the target",
            value=code,
            where=str(path),
            remedy=f"evaluated were {', '.join(sorted(frame['language'].unique()))}",
        )
    return rows


def _check_roles(scratch: pl.DataFrame, continued: pl.DataFrame) -> None:
    """Refuse the two in the wrong places, or one run in both."""
    bases = scratch["base_run"].drop_nulls()
    if len(bases):
        raise InputError(
            f"this run continues {bases[0]}, so it is not from scratch",
            value=scratch.filter(scratch["base_run"].is_not_null())["run_id"][0],
            where="scratch",
            remedy="give the run from nothing as scratch, the one from a checkpoint as continued",
        )
    both = set(scratch["run_id"]) & set(continued["run_id"])
    if both:
        raise InputError("a run is on both sides", value=sorted(both), where="scratch, continued")


def _common(frames: list[pl.DataFrame], column: str, what: str) -> float | None:
    """The one value of a column; None where nothing says it."""
    known = {value for frame in frames for value in frame[column].drop_nulls().to_list()}
    values = sorted(known)
    if len(values) > 1:
        raise InputError(
            f"the runs differ in {what}, so their losses do not compare",
            value=values,
            where="scratch, continued",
            remedy=f"compare runs of one {what}",
        )
    return values[0] if values else None


def _common_state(frames: list[pl.DataFrame]) -> LrState:
    """Stable is compared with stable: a decay lowers a loss by more than a crossover's gap."""
    counts = [dict(frame["lr_state"].value_counts().iter_rows()) for frame in frames]
    for state in COMPARABLE:
        if min(count.get(state.value, 0) for count in counts) >= MIN_POINTS:
            return state
    raise InputError(
        f"the two have no learning-rate state with {MIN_POINTS} evaluations in common",
        value=counts,
        where="scratch, continued",
        remedy="evaluate both more often while the learning rate is stable",
    )


def _points(frame: pl.DataFrame, code: str, state: LrState, name: str) -> LossPoints:
    import polars as pl

    rows = frame.filter(pl.col("lr_state") == state.value)
    runs = np.unique(rows["run_id"].to_numpy(), return_inverse=True)[1]
    return LossPoints.of(
        rows["own_tokens"].to_numpy(),
        rows["loss"].to_numpy(),
        run=runs.astype(np.int64),
        name=f"{name} on {code} ({', '.join(sorted(rows['run_id'].unique()))})",
    )


def _from_csv(path: Path) -> LossPoints:
    import polars as pl

    if not path.is_file():
        raise InputError(
            "give two run directories or two CSV files", value=str(path), where="curves"
        )
    try:
        frame = pl.read_csv(path)
        for column in frame.columns:
            if column not in COLUMNS:
                raise unknown("unknown column", column, COLUMNS, where=str(path))
        tokens, loss = frame["tokens"].cast(pl.Float64), frame["loss"].cast(pl.Float64)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"this is no curve: {reason}",
            value=str(path),
            remedy="a CSV file with the columns tokens and loss",
        ) from None
    run = None
    if "run" in frame.columns:
        names = frame["run"].cast(pl.String).to_numpy()
        run = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return LossPoints.of(tokens.to_numpy(), loss.to_numpy(), run=run, name=str(path))
