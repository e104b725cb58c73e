"""Cells of a source as numbers, text and units: polars expressions, so that tables stay lazy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.importers.column_map import ImportUnit
from atlas_scaling.units import NATS_PER_BIT

NO_NUMBER: Final = ("", "na", "n/a", "none", "null", "-", "--", ".", "?")
"""What a cell of numbers has where there is none."""

LARGEST_NATS: Final = 20.0
"""Guessing evenly among 2^28 tokens costs 19.4 nats: above lies divergence, or another unit."""
LARGEST_COUNT: Final = 1e30
"""No count of tokens or parameters comes near; above lies a broken cell."""

_COUNT_SUFFIXES: Final = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_COUNT: Final = r"^([+-]?[0-9][0-9_,]*\.?[0-9]*(?:e[+-]?[0-9]+)?)\s*([kmbgt]?)$"
_UNIT_NAMES: Final = {
    "nats": ImportUnit.NATS_PER_TOKEN,
    "nats/token": ImportUnit.NATS_PER_TOKEN,
    "bits": ImportUnit.BITS_PER_TOKEN,
    "bits/token": ImportUnit.BITS_PER_TOKEN,
    "ppl": ImportUnit.PERPLEXITY,
    "bpb": ImportUnit.BITS_PER_BYTE,
    "bits/byte": ImportUnit.BITS_PER_BYTE,
    **{unit.value: unit for unit in ImportUnit},
}


def number(column: str, dtype: pl.DataType, *, count: bool = False) -> pl.Expr:
    """A cell as float64: null where it is empty, NaN where it is no number.

    Args:
        column: its name.
        dtype: its type; text is read as a number.
        count: accept ``2B``, ``400M`` and ``1_000_000`` too.
    """
    if dtype.is_numeric():
        return pl.col(column).cast(pl.Float64)
    text = _text(column)
    value = text.cast(pl.Float64, strict=False)
    if count:
        short = text.str.to_lowercase()
        digits = short.str.extract(_COUNT, 1).str.replace_all("[_,]", "")
        factor = short.str.extract(_COUNT, 2).replace_strict(
            _COUNT_SUFFIXES, default=None, return_dtype=pl.Float64
        )
        value = pl.coalesce(value, digits.cast(pl.Float64, strict=False) * factor)
    unreadable = value.fill_null(float("nan"))
    return pl.when(_is_missing(text)).then(None).otherwise(unreadable).alias(column)


def is_count(value: pl.Expr) -> pl.Expr:
    """Whether a number can be a count: zero or above, and not absurd. Null where it is missing."""
    return value.is_between(0.0, LARGEST_COUNT)


def text(column: str) -> pl.Expr:
    """A cell as text without spaces around it; null where it is empty.

    Nothing else is missing: ``na`` is Nauruan and ``nan`` is Min Nan.
    """
    value = _text(column)
    return pl.when(value != "").then(value).alias(column)


def is_one_of(column: str, wanted: str | float | bool | Sequence[str | float | bool]) -> pl.Expr:
    """Whether a cell equals a value, or one of several; numbers compare as numbers."""
    values = [wanted] if isinstance(wanted, str | float | bool) else list(wanted)
    value = _text(column)
    numbers = [float(v) for v in values if isinstance(v, float) and not isinstance(v, bool)]
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    truths = [str(v).lower() for v in values if isinstance(v, bool)]
    return (
        value.is_in(texts)
        | value.str.to_lowercase().is_in(truths)
        | value.cast(pl.Float64, strict=False).is_in(numbers)
    ).fill_null(False)


def in_nats(column: str, unit: ImportUnit) -> pl.Expr:
    """A loss in nats per token; bits per byte stay what they are."""
    if unit is ImportUnit.BITS_PER_TOKEN:
        return pl.col(column) * NATS_PER_BIT
    if unit is ImportUnit.PERPLEXITY:
        # log of a negative perplexity would be NaN and hide what is wrong with it.
        return pl.when(pl.col(column) > 0).then(pl.col(column).log()).otherwise(pl.col(column))
    return pl.col(column)


def unit_named(names: pl.Series, stated: ImportUnit | None) -> ImportUnit | None:
    """The one unit that a column of unit names has, or ``stated`` where it is empty.

    Raises:
        InputError: it names several units, an unknown one, or another than the map.
    """
    units = {}
    for name in names.drop_nulls().unique().sort().to_list():
        unit = _UNIT_NAMES.get(str(name).lower().replace(" per ", "/").replace(" ", "_"))
        if unit is None:
            raise unknown(
                "unknown unit of a loss",
                name,
                _UNIT_NAMES,
                where="column of loss_unit",
                otherwise=f"one of {', '.join(ImportUnit)}",
            )
        units[unit] = name
    if stated is not None:
        units.setdefault(stated, stated.value)
    if len(units) > 1:
        raise InputError(
            "losses of several units in one column; a fit never mixes units",
            value=sorted(units.values()),
            where="loss",
            remedy="import them apart: take the rows of one unit with only in the map",
        )
    return next(iter(units), None)


def refuse_unnamed_unit(loss: pl.Series, unit: ImportUnit | None) -> None:
    """Nothing said what the losses are in, and they cannot be nats per token.

    Raises:
        InputError: a loss is higher than nats per token can be.
    """
    if unit is not None:
        return
    high = loss.filter((loss > LARGEST_NATS) & loss.is_finite())
    if high.len():
        raise InputError(
            "no unit is named, and this is too high for a loss in nats per token",
            value=high[0],
            where=f"loss ({high.len()} of {loss.len()} rows)",
            remedy=f"name it, --set loss_unit={ImportUnit.PERPLEXITY} or in the map: "
            + " | ".join(ImportUnit),
        )


def as_useful(column: pl.Series) -> pl.Series:
    """A kept column of text as numbers or truth values, where all of it is."""
    if column.dtype != pl.String:
        return column
    present = column.drop_nulls()
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == column.null_count():
        return numbers
    lower = column.str.to_lowercase()
    truths: Mapping[str, bool] = {"true": True, "false": False}
    if present.len() and lower.drop_nulls().is_in(list(truths)).all():
        return lower.replace_strict(truths, return_dtype=pl.Boolean)
    return column


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.String).str.strip_chars()


def _is_missing(value: pl.Expr) -> pl.Expr:
    return value.is_null() | value.str.to_lowercase().is_in(NO_NUMBER)
