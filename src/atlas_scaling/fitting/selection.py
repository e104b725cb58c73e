"""Which rows of a table enter a fit, and why the others do not.

One fit sees one loss unit, one target language, one learning-rate state and runs from scratch,
unless the user says otherwise; every row left out is counted with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from atlas_scaling.errors import InputError, nearest, unknown
from atlas_scaling.fitting.inputs import Mixtures
from atlas_scaling.fitting.observations import Dropped
from atlas_scaling.fitting.tables import with_numbers
from atlas_scaling.laws.base import FloatArray
from atlas_scaling.units import LossUnit, counted, plain

if TYPE_CHECKING:
    import polars as pl

FEW: Final = 1e5
"""Counts of parameters and tokens that end below this may be written in another unit."""

MOST: Final = {"n_params": 1e16, "tokens": 1e18}
"""No run has more: a thousand times what any has, and a unit or a digit gone wrong beyond."""

OTHER_LANGUAGE: Final = "loss of a language other than"
"""How the reason begins for which rows of another target are left out."""

LOSS_COLUMN: Final = {
    LossUnit.NATS_PER_TOKEN: "loss",
    LossUnit.BITS_PER_BYTE: "bits_per_byte",
    LossUnit.UNIGRAM_NORMALISED: "unigram_normalised",
    LossUnit.CONTENT_ADJUSTED_BITS: "content_adjusted_bits",
}


@dataclass(frozen=True)
class Selection:
    """Which rows of a table enter a fit.

    Attributes:
        target: the language whose loss is fitted; needed where the table has several.
        unit: the loss unit; a fit never mixes two.
        lr_state: ``stable``, ``decayed`` …, or ``all``; None takes the more frequent of stable and
            decayed where the table says the state.
        continued: let runs in that continue from another run's checkpoint.
        zero_shot: let evaluations in of languages that the run was not trained on.
        weights: name of a numeric column that weighs the rows.
    """

    target: str | None = None
    unit: LossUnit = LossUnit.NATS_PER_TOKEN
    lr_state: str | None = None
    continued: bool = False
    zero_shot: bool = False
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", loss_unit(self.unit))


def loss_unit(name: LossUnit | str) -> LossUnit:
    """The loss unit called ``name``.

    Raises:
        InputError: there is no such unit.
    """
    try:
        return LossUnit(name)
    except ValueError:
        raise unknown("there is no such loss unit", name, LossUnit, where="unit") from None


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of a table that enter a fit; n rows.

    Attributes:
        frame: the rows, with their losses as ``_loss`` and their place in the table as ``_row``.
        target: the language whose loss it is; None where the table names none.
        mixtures: of these rows; None where the table says nothing of them.
        notes: what was decided about the rows, in sentences.
        dropped: rows left out, with reasons.
    """

    frame: pl.DataFrame
    target: str | None
    mixtures: Mixtures | None
    notes: tuple[str, ...]
    dropped: tuple[Dropped, ...]


def chosen_rows(frame: pl.DataFrame, selection: Selection, largest: float) -> Chosen:
    """The rows that enter; a loss above ``largest`` among them is refused.

    Raises:
        InputError: a column is missing or no numbers, the target is not clear, a loss is not
            positive, rows contradict one another, or no row is left.
    """
    if not frame.height:
        raise InputError("the table has no rows", where="data")
    if "language" not in frame.columns and "eval_domain" in frame.columns:
        frame = frame.rename({"eval_domain": "language"})
    column = LOSS_COLUMN[selection.unit]
    frame = with_numbers(frame, ("n_params", "tokens", column))
    _one_unit(frame, selection.unit)
    sieve = _Sieve(frame, column)
    target = _pick_target(sieve, selection)
    _one_tokenizer(sieve.frame, selection.unit)
    _pick_schedule(sieve, selection)
    _drop_bad_numbers(sieve)
    _drop_weightless(sieve, selection.weights)
    _drop_repeats(sieve)
    mixtures = Mixtures.of(sieve.frame)
    if target is not None and mixtures is not None and not selection.zero_shot:
        mixtures = _without_zero_shot(sieve, target, mixtures)
    _refuse_too_high(sieve, largest, selection.unit)
    if not sieve.frame.height:
        raise InputError(
            "no row is left to fit",
            value=[f"{d.rows} rows: {d.reason}" for d in sieve.dropped],
            where="data",
        )
    return Chosen(sieve.frame, target, mixtures, tuple(sieve.notes), tuple(sieve.dropped))


def weights_of(frame: pl.DataFrame, column: str | None) -> FloatArray | None:
    """Weights of the rows, (n,); None where none are named.

    Raises:
        InputError: the column is missing or no numbers.
    """
    if column is None:
        return None
    return with_numbers(frame, (column,))[column].to_numpy().astype(np.float64)


class _Sieve:
    """A frame that loses rows, with a count of why."""

    def __init__(self, frame: pl.DataFrame, loss_column: str) -> None:
        import polars as pl

        self.loss_column = loss_column
        self.frame = frame.with_columns(pl.col(loss_column).alias("_loss")).with_row_index("_row")
        self.dropped: list[Dropped] = []
        self.notes: list[str] = []

    def drop(self, condition: pl.Expr, reason: str) -> None:
        """Drop the rows where ``condition`` holds; missing counts as not."""
        n = self.frame.select(condition.fill_null(False).sum()).item()
        if n:
            self.frame = self.frame.filter(~condition.fill_null(False))
            self.dropped.append(Dropped(int(n), reason))

    def refuse(self, condition: pl.Expr, problem: str, *, column: str, remedy: str) -> None:
        """Refuse the table where ``condition`` holds of a row; missing counts as not.

        Raises:
            InputError: it does; says the first such row, and what it has in ``column``.
        """
        bad = self.frame.filter(condition)
        if bad.height:
            theirs = self.loss_column if column == "_loss" else column
            raise InputError(
                problem,
                value=bad[column][0],
                where=f"row {bad['_row'][0] + 1} of the table, column {theirs} "
                f"({counted(bad.height, 'row')} in all)",
                remedy=remedy,
            )


def _pick_target(sieve: _Sieve, selection: Selection) -> str | None:
    import polars as pl

    named = "language" in sieve.frame.columns and sieve.frame["language"].is_not_null().any()
    if not named:
        if selection.target is not None:
            raise InputError(
                "the table does not say which language a loss is of",
                value=selection.target,
                where="target",
                remedy="add a column language, or leave the target out",
            )
        return None
    present = sorted(sieve.frame["language"].drop_nulls().cast(pl.String).unique().to_list())
    if selection.target is None:
        if len(present) == 1:
            return str(present[0])
        raise InputError(
            "the table has losses of several languages; one fit is of one",
            value=present,
            where="target",
            remedy=f"name one: --target {present[0] if present else 'swe_Latn'}",
        )
    target = _known_as(selection.target, present)
    sieve.drop(pl.col("language").cast(pl.String) != target, f"{OTHER_LANGUAGE} {target}")
    return target


def _known_as(target: str, present: list[str]) -> str:
    if target in present:
        return target
    from atlas_scaling.languages import normalise

    try:
        code = normalise(target)
    except InputError:
        code = target
    if code in present:
        return code
    raise InputError(
        "no loss of this language in the table",
        value=target,
        where="target",
        remedy=nearest(code, present) or f"one of {', '.join(present[:12])}",
    )


def _one_unit(frame: pl.DataFrame, unit: LossUnit) -> None:
    """Refuse a table that says its losses are in another unit, or in several."""
    if "loss_unit" not in frame.columns or unit is not LossUnit.NATS_PER_TOKEN:
        return
    named = sorted(map(str, frame["loss_unit"].drop_nulls().unique().to_list()))
    if len(named) > 1:
        raise InputError(
            "losses of several units in one column; a fit never mixes units",
            value=named,
            where="column loss_unit",
            remedy=f"take the rows of one: --where loss_unit={named[0]}",
        )
    if named and named[0] not in (unit.value, "nats", "nats/token"):
        raise InputError(
            f"the table's losses are in {named[0]}",
            value=unit.value,
            where="column loss_unit",
            remedy="have them converted: atlas runs import FILE -o runs.parquet",
        )


def _one_tokenizer(frame: pl.DataFrame, unit: LossUnit) -> None:
    if unit is not LossUnit.NATS_PER_TOKEN or "tokenizer" not in frame.columns:
        return
    tokenizers = frame["tokenizer"].drop_nulls().unique().to_list()
    if len(tokenizers) > 1:
        raise InputError(
            "losses per token of different tokenizers are different units; a fit never mixes units",
            value=[str(t)[:12] for t in sorted(tokenizers)],
            where="tokenizer",
            remedy="fit bits per byte: --unit bits_per_byte",
        )


def _pick_schedule(sieve: _Sieve, selection: Selection) -> None:
    """One learning-rate state, and runs from scratch."""
    import polars as pl

    if "base_run" in sieve.frame.columns and not selection.continued:
        sieve.drop(
            pl.col("base_run").is_not_null() & (pl.col("base_run").cast(pl.String) != ""),
            "of a run that continues another (their tokens count from zero)",
        )
    if selection.lr_state == "all":
        return
    has_states = "lr_state" in sieve.frame.columns
    count = dict(sieve.frame.group_by("lr_state").len().iter_rows()) if has_states else {}
    stated = {state: n for state, n in count.items() if state not in (None, "", "unknown")}
    state = selection.lr_state
    if not stated:
        if state is None:
            return
        raise InputError(
            "the table does not say the learning-rate state of its rows",
            value=state,
            where="lr_state",
            remedy="add a column lr_state, or leave it out",
        )
    if state is None:
        settled = {s: stated.get(s, 0) for s in ("stable", "decayed")}
        state = max(settled, key=lambda s: settled[s]) if any(settled.values()) else None
    if state is None or state not in stated:
        raise InputError(
            "no row was evaluated in this learning-rate state",
            value=state or sorted(stated),
            where="lr_state",
            remedy=f"one of {', '.join(sorted(stated))}, or all",
        )
    others = ", ".join(f"{n} {s}" for s, n in sorted(stated.items()) if s != state)
    sieve.drop(
        pl.col("lr_state").fill_null("unknown") != state,
        f"learning rate not {state}{f' ({others})' if others else ''}: a fit compares one state",
    )


def _drop_bad_numbers(sieve: _Sieve) -> None:
    """Drop what is missing, refuse what cannot be, doubt what may be meant otherwise."""
    import polars as pl

    column, loss = sieve.loss_column, pl.col("_loss")
    sieve.drop(
        loss.is_null() | loss.is_nan() | loss.is_infinite(), f"{column} missing or not finite"
    )
    for name in MOST:
        value = pl.col(name)
        sieve.drop(
            value.is_null() | value.is_nan() | value.is_infinite(), f"{name} missing or not finite"
        )
    sieve.drop(pl.col("tokens") == 0, "before any training (tokens = 0)")
    for name, what in (("_loss", column), ("n_params", "n_params"), ("tokens", "tokens")):
        sieve.refuse(
            pl.col(name) <= 0,
            f"{what} must be above zero",
            column=name,
            remedy="losses are nats per token or bits per byte, counts are plain numbers",
        )
    for name, limit in MOST.items():
        sieve.refuse(
            pl.col(name) > limit,
            f"no run has that many {'parameters' if name == 'n_params' else name}",
            column=name,
            remedy=f"write a plain count, at most {limit:g}, or leave out: "
            f"--where '{name}<={limit:g}'",
        )
        most = sieve.frame[name].max()
        if isinstance(most, int | float) and most < FEW:
            sieve.notes.append(
                f"{name} goes up to {plain(most, 3)}: counts, or thousands or millions?"
            )


def _refuse_too_high(sieve: _Sieve, largest: float, unit: LossUnit) -> None:
    """Of the rows that enter: a model may be this bad on a language that it never saw."""
    import polars as pl

    column = sieve.loss_column
    sieve.refuse(
        pl.col("_loss") > largest,
        f"no loss in {unit.value} is that high: another unit, or a run that diverged",
        column="_loss",
        remedy=f"convert it (atlas runs import), or leave out: --where '{column}<{largest:g}'",
    )


def _drop_weightless(sieve: _Sieve, column: str | None) -> None:
    """Rows of weight 0 do not enter; what is no weight is an error."""
    import polars as pl

    weights = weights_of(sieve.frame, column)
    if weights is None:
        return
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            "a weight must be a number, zero or above",
            value=float(weights[row]),
            where=f"row {sieve.frame['_row'][row] + 1} of the table, column {column}",
        )
    sieve.drop(pl.lit(pl.Series(weights == 0)), f"{column} is 0")


def _drop_repeats(sieve: _Sieve) -> None:
    """Equal rows count once; rows that contradict one another are an error."""
    import polars as pl

    frame = sieve.frame
    if "run_id" not in frame.columns:
        plain = [c for c, t in frame.schema.items() if c != "_row" and not t.is_nested()]
        sieve.frame = frame.unique(subset=plain, keep="first", maintain_order=True)
        if sieve.frame.height < frame.height:
            n = frame.height - sieve.frame.height
            sieve.dropped.append(Dropped(n, "equal to another row, and no column run_id"))
        return
    by_step = "step" in frame.columns and not frame["step"].has_nulls()
    key = ["run_id", "step" if by_step else "tokens"]
    twice = frame.group_by(key).agg(
        pl.len().alias("n"), pl.col("_loss").n_unique().alias("losses"), pl.col("_row").first()
    )
    contradicting = twice.filter(pl.col("losses") > 1).sort("_row")
    if contradicting.height:
        first = contradicting.row(0, named=True)
        raise InputError(
            "one run has two different losses at one point",
            value={k: first[k] for k in key},
            where=f"{contradicting.height} points of column {', '.join(key)}",
            remedy="keep one row per run, step and language; runs need different run ids",
        )
    repeats = int((twice["n"] - 1).sum())
    if repeats:
        sieve.frame = frame.unique(subset=key, keep="first", maintain_order=True)
        sieve.dropped.append(Dropped(repeats, "the same evaluation again"))


def _without_zero_shot(sieve: _Sieve, target: str, mixtures: Mixtures) -> Mixtures:
    """Drop the rows of runs that were not trained on the target; mixtures of those left."""
    if target not in mixtures.languages:
        return mixtures
    seen = mixtures.shares(target) > 0
    n = int((~seen).sum())
    if not n:
        return mixtures
    sieve.frame = sieve.frame.filter(seen)
    sieve.dropped.append(Dropped(n, f"of a run not trained on {target}"))
    return mixtures.of_rows(seen)
