"""The columns by language: ``mixture``, ``tokens_by_language`` and ``unique_tokens``.

Each is a list of ``{language, value}``, only languages with a share, by code. Shares may come as
shares or percentages, told apart by their sum, which rounding may leave at 0.998 or 99.9; they are
divided by it. Where only one of mixture and tokens by language is known the other follows:
``D_i = w_i D``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.mixtures import ROUNDED_TOLERANCE
from atlas_scaling.runs.importers.cells import LARGEST_COUNT, is_count, number
from atlas_scaling.runs.importers.clock import fill
from atlas_scaling.runs.importers.language_names import LanguageNames
from atlas_scaling.runs.importers.matching import Match
from atlas_scaling.runs.importers.restarts import current
from atlas_scaling.runs.importers.rows import ROW, wide_name
from atlas_scaling.runs.store import SCHEMA, by_language

BAD_MIXTURE: Final = "@bad_mixture"
_SUM: Final = "@sum"

Values = dict[str, float]


class Mixtures:
    """Builds the columns by language of one import.

    Args:
        rows: source rows (``rows.source_rows``).
        match: which of their columns hold what.
        names: names of languages.
    """

    def __init__(self, rows: pl.DataFrame, match: Match, names: LanguageNames) -> None:
        self._rows = rows
        self._match = match
        self._names = names
        self.notes: list[str] = []

    def add_mixture(self, kept: pl.DataFrame) -> pl.DataFrame:
        """Evaluations with ``mixture``, null where nothing says it, and ``@bad_mixture``."""
        wide = self._match.by_language.get("mixture")
        packed = self._match.packed.get("mixture")
        used = self._rows.filter(pl.col(ROW).is_in(kept[ROW].unique().implode()))
        if wide is not None:
            used = self._shares_of(used, wide)
        elif packed is not None:
            used = used.with_columns(
                _unpacked(used["mixture"], self._codes, self._as_shares).alias("mixture"),
                pl.lit(False).alias(BAD_MIXTURE),
            )
        else:
            missing = pl.lit(None, dtype=SCHEMA["mixture"])
            used = used.with_columns(missing.alias("mixture"), pl.lit(False).alias(BAD_MIXTURE))
        used = used.with_columns(self._stated("mixture", self._as_shares))
        return kept.join(
            used.select(ROW, "mixture", BAD_MIXTURE), on=ROW, how="left", maintain_order="left"
        )

    def add_tokens_by_language(self, kept: pl.DataFrame) -> pl.DataFrame:
        """Evaluations with ``tokens_by_language``; total tokens where only the parts are known."""
        wide = self._match.by_language.get("tokens_by_language")
        packed = self._match.packed.get("tokens_by_language")
        if wide is not None:
            return self._counted(kept, wide)
        if packed is not None:
            lists = _unpacked(self._rows["tokens_by_language"], self._codes, _as_counts)
            rows = self._rows.select(ROW, lists.alias("tokens_by_language"))
            return kept.join(rows, on=ROW, how="left", maintain_order="left")
        return kept.with_columns(pl.lit(None, dtype=SCHEMA["mixture"]).alias("tokens_by_language"))

    def add_unique_tokens(self, kept: pl.DataFrame) -> pl.DataFrame:
        """Evaluations with ``unique_tokens``; a single number is that of the row's own language."""
        wide = self._match.by_language.get("unique_tokens")
        packed = self._match.packed.get("unique_tokens")
        rows = self._rows.select(ROW, "run_id")
        if wide is not None:
            columns = {lang: pl.col(wide_name("unique_tokens", c)) for lang, c in wide.items()}
            rows = self._rows.select(ROW, _listed(columns).alias("unique_tokens"))
        elif packed is not None:
            own = self._one_number()
            if own is not None:
                return self._of_own_language(kept, own)
            lists = _unpacked(self._rows["unique_tokens"], self._codes, _as_counts)
            rows = self._rows.select(ROW, lists.alias("unique_tokens"))
        else:
            missing = pl.lit(None, dtype=SCHEMA["unique_tokens"])
            rows = rows.select(ROW, missing.alias("unique_tokens"))
        joined = kept.join(rows, on=ROW, how="left", maintain_order="left")
        return joined.with_columns(self._stated("unique_tokens", _as_counts))

    def complete(self, kept: pl.DataFrame) -> pl.DataFrame:
        """``mixture`` and ``tokens_by_language``, each from the other where it is missing."""
        counted = _times(kept, "mixture", pl.col("tokens"))
        shared = _times(kept, "tokens_by_language", 1.0 / pl.col("tokens"))
        return kept.with_columns(
            pl.coalesce("mixture", shared).alias("mixture"),
            pl.coalesce("tokens_by_language", counted).alias("tokens_by_language"),
        )

    def _shares_of(self, used: pl.DataFrame, wide: Mapping[str, str]) -> pl.DataFrame:
        """Source rows with their weight columns as a mixture."""
        columns = [pl.col(wide_name("mixture", c)) for c in wide.values()]
        total = pl.sum_horizontal(columns)
        broken = pl.any_horizontal([~c.is_finite() | (c < 0) for c in columns]).fill_null(False)
        unsaid = pl.all_horizontal([c.is_null() | (c == 0) for c in columns])
        if self._match.columns.mixture_unit == "relative":
            fits = total > 0
        else:
            fits = (total - 1).abs().le(ROUNDED_TOLERANCE) | (total - 100).abs().le(
                100 * ROUNDED_TOLERANCE
            )
        shares = {
            language: pl.col(wide_name("mixture", c)) / pl.col(_SUM) for language, c in wide.items()
        }
        used = used.with_columns(
            total.alias(_SUM), (broken | (~fits & ~unsaid)).alias(BAD_MIXTURE)
        ).with_columns(
            pl.when(~unsaid & ~pl.col(BAD_MIXTURE)).then(_listed(shares)).alias("mixture")
        )
        self._note_rounding(used.filter(pl.col("mixture").is_not_null())[_SUM])
        return used

    def _note_rounding(self, sums: pl.Series) -> None:
        if self._match.columns.mixture_unit == "relative":
            return
        sums = sums / (sums > 2).replace_strict({True: 100.0, False: 1.0}, return_dtype=pl.Float64)
        off = sums.filter((sums - 1).abs() > 1e-6)
        if off.len():
            self.notes.append(
                f"mixtures of {off.len()} rows sum to between {_number(off.min())} and "
                f"{_number(off.max())}; "
                "they have been divided by their sum"
            )

    def _counted(self, kept: pl.DataFrame, wide: Mapping[str, str]) -> pl.DataFrame:
        """Tokens by language, each brought to the steps of the evaluations."""
        rows = self._rows
        parts = {}
        for language, column in wide.items():
            name = wide_name("tokens_by_language", column)
            own = kept.join(rows.select(ROW, name), on=ROW, how="left", maintain_order="left")
            values = own[name]
            if "step" in kept.columns:
                values = fill(own, current(rows), name).values
            parts[language] = values.fill_nan(None).alias(name)
        columns = {language: pl.col(values.name) for language, values in parts.items()}
        known = pl.any_horizontal(column.is_not_null() for column in columns.values())
        total = pl.when(known).then(pl.sum_horizontal(columns.values()))
        tokens = pl.coalesce("tokens", total) if "tokens" in kept.columns else total
        return (
            kept.with_columns(parts.values())
            .with_columns(_listed(columns).alias("tokens_by_language"), tokens.alias("tokens"))
            .drop(values.name for values in parts.values())
        )

    def _one_number(self) -> pl.DataFrame | None:
        """The column ``unique_tokens`` of the source rows as a number; None if it is none."""
        dtype = self._rows.schema["unique_tokens"]
        if dtype.is_nested():
            return None
        scale = self._match.columns.scale.get("unique_tokens", 1.0)
        own = self._rows.select(ROW, number("unique_tokens", dtype, count=True) * scale)
        return None if own["unique_tokens"].drop_nulls().is_nan().any() else own

    def _of_own_language(self, kept: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
        if "language" not in kept.columns:
            raise InputError(
                "unique tokens are a number a row, and nothing says of which language",
                value=self._match.packed["unique_tokens"],
                where="unique_tokens",
                remedy="say it: --set language=eng_Latn",
            )
        entry = pl.struct("language", pl.col("unique_tokens").alias("value"))
        kept = kept.join(own, on=ROW, how="left", maintain_order="left")
        known = is_count(pl.col("unique_tokens")) & (pl.col("unique_tokens") > 0)
        return kept.with_columns(pl.when(known).then(pl.concat_list(entry)).alias("unique_tokens"))

    def _stated(self, field: str, read: Callable[[Values], Values]) -> pl.Expr:
        """``field`` filled in with what the map states, by run, else for all."""
        columns = self._match.columns
        lists: dict[str | None, Any] = {}
        for run_id, facts in (*columns.runs.items(), (None, columns.set)):
            stated = getattr(facts, field)
            if stated is not None:
                lists[run_id] = by_language(read(self._codes(stated)))
        filled = pl.col(field)
        for run_id, value in lists.items():
            literal = pl.lit(pl.Series([value], dtype=SCHEMA[field])).first()
            here = filled.is_null() & ((pl.col("run_id") == run_id) if run_id is not None else True)
            filled = pl.when(here).then(literal).otherwise(filled)
        return filled.alias(field)

    def _codes(self, values: Mapping[str, float]) -> Values:
        found: Values = {}
        for name, value in values.items():
            code = self._names.code(name, where="a mapping by language")
            if code is not None:
                found[code] = found.get(code, 0.0) + float(value)
        return found

    def _as_shares(self, values: Values) -> Values:
        total = math.fsum(values.values())
        relative = self._match.columns.mixture_unit == "relative"
        near = any(abs(total - whole) <= whole * ROUNDED_TOLERANCE for whole in (1.0, 100.0))
        if not (total > 0 and (relative or near)) or min(values.values()) < 0:
            raise InputError(
                "shares must sum to 1 or to 100",
                value=values,
                where="mixture",
                remedy="for weights of another scale set mixture_unit: relative in the map",
            )
        return {language: value / total for language, value in values.items()}


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _as_counts(values: Values) -> Values:
    """Without those that are no counts: what is not known of a language is left out."""
    return {language: value for language, value in values.items() if 0 < value <= LARGEST_COUNT}


def _listed(columns: Mapping[str, pl.Expr]) -> pl.Expr:
    """Columns of languages as a list of ``{language, value}`` above zero."""
    entries = [
        pl.struct(pl.lit(language).alias("language"), value.cast(pl.Float64).alias("value"))
        for language, value in sorted(columns.items())
    ]
    value = pl.element().struct.field("value")
    known = is_count(value) & (value > 0)
    return pl.concat_list(entries).list.eval(pl.element().filter(known))


def _times(kept: pl.DataFrame, column: str, factor: pl.Expr) -> pl.Series:
    """A column by language with every value multiplied; null where it is null."""
    long = (
        kept.select(pl.int_range(pl.len()).alias("@i"), column, factor.alias("@factor"))
        .filter(pl.col(column).is_not_null() & pl.col("@factor").is_finite())
        .explode(column)
        .drop_nulls(column)
        .unnest(column)
        .with_columns(pl.col("value") * pl.col("@factor"))
        .filter(pl.col("value") > 0)
    )
    lists = long.group_by("@i", maintain_order=True).agg(
        pl.struct("language", "value").alias(column)
    )
    everyone = kept.select(pl.int_range(pl.len()).alias("@i"), pl.col(column).alias("@was"))
    joined = everyone.join(lists, on="@i", how="left", maintain_order="left")
    empty = pl.lit(pl.Series([[]], dtype=SCHEMA[column])).first()
    return joined.select(
        pl.when(pl.col("@was").is_not_null()).then(pl.coalesce(column, empty)).alias(column)
    ).to_series()


def _unpacked(
    column: pl.Series, codes: Callable[[Values], Values], read: Callable[[Values], Values]
) -> pl.Series:
    """JSON objects, or lists of ``{language, value}``, as our lists; equal cells are read once."""
    known: dict[str, Any] = {}
    lists = []
    for cell in column.to_list():
        key = cell if isinstance(cell, str) else repr(cell)
        if key not in known:
            values = None if cell in (None, "") else _cell_values(cell, column.name)
            known[key] = None if values is None else by_language(read(codes(values)))
        lists.append(known[key])
    return pl.Series(column.name, lists, dtype=SCHEMA[column.name])


def _cell_values(cell: object, field: str) -> Values:
    try:
        value = json.loads(cell) if isinstance(cell, str) else cell
        if isinstance(value, Iterable) and not isinstance(value, Mapping | str):
            value = {entry["language"]: entry["value"] for entry in value}
        if isinstance(value, Mapping):
            return {str(k): float(v) for k, v in value.items()}
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise InputError(
        f"{field} is neither a number nor a mapping from language to number",
        value=cell,
        where=field,
        remedy='write it like {"eng_Latn": 0.5, "deu_Latn": 0.5}',
    )
