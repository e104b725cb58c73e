"""A source's rows with our fields, then one row an evaluation.

``source_rows`` reads only the mapped columns, makes numbers and text of them and fills in the
facts of the map; ``evaluations`` takes a wide row apart into its languages. Fields that a law does
not see until later stay with the source rows: an evaluation refers to its source row by ``@row``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.importers.cells import is_one_of, number, text
from atlas_scaling.runs.importers.column_map import COUNTS, MEASURES, NUMBERS, ColumnMap, Facts
from atlas_scaling.runs.importers.delimited import explain
from atlas_scaling.runs.importers.language_names import NamedColumn
from atlas_scaling.runs.importers.matching import Match
from atlas_scaling.runs.importers.source import (
    PLACE_SCHEMA,
    READ_ERRORS,
    RUN,
    SEGMENT,
    Source,
    Told,
    nobody,
)
from atlas_scaling.runs.memory import free_bytes

ROW: Final = "@row"
ONLY: Final = "@only"
KEPT: Final = "@keep:"
RUN_SEPARATOR: Final = "-"
LARGE_FILES: Final = 1 << 30
BYTES_PER_EVALUATION: Final = 300
"""Peak memory of an import by evaluation: 283 at 5 million rows of five columns."""
BYTES_PER_CELL: Final = 60

CONSTANT_IN_RUN: Final = (
    "study",
    "group",
    "seed",
    "base_run",
    "tokenizer",
    "corpus",
    "n_params",
    "n_params_non_embedding",
)
OPTIONAL_NUMBERS: Final = ("seed", "lr", "flops", "n_params_non_embedding")
_MAPPING_FACTS: Final = ("mixture", "unique_tokens")


def source_rows(source: Source, match: Match, told: Told = nobody) -> pl.DataFrame:
    """The rows of ``source``: our fields, the places, ``@row`` and ``@only`` (asked for).

    A field is null where the source says nothing of it and NaN where a number is unreadable. Wide
    columns are named ``field:column``, kept ones ``@keep:column``.

    Raises:
        InputError: the source cannot be read, or the map states facts of a run that is not in it.
    """
    try:
        n_rows = _refuse_more_than_memory(source, match, lambda share: told(0.2 * share))
        lazy = source.scan(match.needed)
        types = lazy.collect_schema()
        wanted = lazy.select(*PLACE_SCHEMA, *_fields(match, types))
        rows = _collected(wanted, n_rows, lambda share: told(0.2 + 0.8 * share))
    except READ_ERRORS as error:
        raise explain(error, source) from None
    rows = rows.with_row_index(ROW)
    if source.logged and "step" in rows.columns:
        # A metric logged without the step metric belongs to the step logged before it.
        rows = rows.with_columns(pl.col("step").forward_fill().over(RUN, SEGMENT))
    return _with_facts(_spread_over_runs(_with_run_ids(rows, match)), match.columns)


def without_unreadable(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Source rows whose unreadable numbers are missing in fields that a row can do without.

    Returns:
        The rows, and a note a field that had some.
    """
    notes = []
    for field in (f for f in OPTIONAL_NUMBERS if f in rows.columns):
        value = pl.col(field)
        usable = value.is_finite()
        if field == "seed":  # a whole number that float64 holds
            usable &= (value == value.floor()) & (value.abs() < 2.0**53)
        n_bad = rows.select((value.is_not_null() & ~usable).sum()).item()
        if n_bad:
            notes.append(f"{n_bad} cells of {field} are no usable number and were left empty")
            rows = rows.with_columns(pl.when(usable).then(value).alias(field))
    return rows, notes


def evaluations(rows: pl.DataFrame, match: Match, *, logged: bool) -> pl.DataFrame:
    """One row an evaluation: places, ``@row``, ``@only``, run, step, tokens, language, losses.

    Of a long table every row is one, with or without a loss; of a wide table, or a tracker's log,
    every filled cell.
    """
    shared = [
        name
        for name in (*PLACE_SCHEMA, ROW, ONLY, "run_id", "step", "tokens", "language", "n_params")
        if name in rows.columns
    ]
    if not match.is_wide:
        measures = [m for m in MEASURES if m in rows.columns]
        filled = pl.any_horizontal(pl.col(m).is_not_null() for m in measures)
        return rows.filter(filled | (not logged)).select(*shared, *measures)
    cells: dict[tuple[str | None, str | None], dict[str, NamedColumn]] = {}
    for measure, columns in match.measures.items():
        for one in columns:
            cells.setdefault((one.language, one.run_id), {})[measure] = one
    parts = [
        _cell(rows, shared, language, run_id, columns)
        for (language, run_id), columns in cells.items()
    ]
    return pl.concat(parts, how="diagonal").sort(ROW, maintain_order=True)


def wide_name(field: str, column: str) -> str:
    """The name of a source's column in ``source_rows`` where a field has several."""
    return f"{field}:{column}"


def _refuse_more_than_memory(source: Source, match: Match, told: Told) -> int | None:
    """A table of more evaluations than memory holds would end in a kill without a word.

    Returns:
        About how many rows a large source has; None for others.
    """
    size = sum(Path(name).stat().st_size for name in source.files) if source.count else 0
    if source.count is None or size < LARGE_FILES:
        return None
    cells = max(len(columns) for columns in match.measures.values())
    n_rows, free = source.count(told), free_bytes()
    needed = n_rows * max(cells * BYTES_PER_EVALUATION, len(match.needed) * BYTES_PER_CELL)
    if free is not None and needed > free:
        raise InputError(
            "these are more evaluations than this machine's memory holds",
            value=f"about {n_rows * cells:,} evaluations, which take {needed / 1e9:.0f} GB; "
            f"{free / 1e9:.1f} GB of memory are free",
            where=", ".join(source.files[:3]),
            remedy="a fit needs few points of a run: thin the file first, with polars "
            "scan_csv(...).filter(pl.col('step') % 1000 == 0).sink_parquet(...)",
        )
    return n_rows


def _collected(lazy: pl.LazyFrame, n_rows: int | None, told: Told) -> pl.DataFrame:
    """The rows; of a large source in batches, of which ``told`` hears."""
    if n_rows is None:
        return lazy.collect(engine="streaming")
    batches, read = [], 0
    for batch in lazy.collect_batches(maintain_order=True):
        batches.append(batch)
        read += batch.height
        told(min(1.0, read / max(n_rows, 1)))
    return pl.concat(batches) if batches else lazy.collect()


def _cell(
    rows: pl.DataFrame,
    shared: list[str],
    language: str | None,
    run_id: str | None,
    columns: Mapping[str, NamedColumn],
) -> pl.DataFrame:
    """The filled cells of one language, or run, of a wide table."""
    values = {m: pl.col(wide_name(m, one.column)) for m, one in columns.items()}
    stated = {"language": language, "run_id": run_id}
    return (
        rows.lazy()
        .filter(pl.any_horizontal(value.is_not_null() for value in values.values()))
        .select(
            *(name for name in shared if stated.get(name) is None),
            *(pl.lit(value).alias(name) for name, value in stated.items() if value is not None),
            *(value.alias(measure) for measure, value in values.items()),
        )
        .collect()
    )


def _fields(match: Match, types: Mapping[str, pl.DataType]) -> Iterator[pl.Expr]:
    scale = match.columns.scale
    for field, column in match.single.items():
        yield _field(field, column, types, scale).alias(field)
    for i, column in enumerate(match.run_id):
        yield text(column).alias(f"@run_id:{i}")
    for field, columns in match.measures.items():
        for one in columns:
            name = wide_name(field, one.column) if match.is_wide else field
            yield _field(field, one.column, types, scale).alias(name)
    for field, by_language in match.by_language.items():
        for column in by_language.values():
            yield _field(field, column, types, scale).alias(wide_name(field, column))
    for field, column in match.packed.items():
        yield pl.col(column).alias(field)
    for column in match.columns.keep:
        yield pl.col(column).alias(f"{KEPT}{column}")
    wanted = [is_one_of(column, value) for column, value in match.columns.only.items()]
    yield (pl.all_horizontal(wanted) if wanted else pl.lit(True)).alias(ONLY)


def _field(
    field: str, column: str, types: Mapping[str, pl.DataType], scale: Mapping[str, float]
) -> pl.Expr:
    if field not in (*NUMBERS, *MEASURES, "mixture", "tokens_by_language", "unique_tokens"):
        return text(column)
    count = field in (*COUNTS, "tokens_by_language", "unique_tokens")
    return number(column, types[column], count=count) * scale.get(field, 1.0)


def _with_run_ids(rows: pl.DataFrame, match: Match) -> pl.DataFrame:
    """``run_id`` from its columns, else from the files; null where each row is a run of its own."""
    parts = [f"@run_id:{i}" for i in range(len(match.run_id))]
    if parts:
        run_id = pl.concat_str(parts, separator=RUN_SEPARATOR, ignore_nulls=False)
    elif match.columns.set.run_id is not None:
        run_id = pl.lit(match.columns.set.run_id)
    elif "step" in rows.columns:
        run_id = pl.col(RUN)
    else:
        run_id = pl.lit(None, dtype=pl.String)
    return rows.with_columns(run_id.alias("run_id")).drop(parts)


def _spread_over_runs(rows: pl.DataFrame) -> pl.DataFrame:
    """What is constant in a run, and perhaps logged once, on all its rows."""
    if rows["run_id"].null_count() == rows.height:
        return rows
    return rows.with_columns(
        pl.col(field).fill_null(pl.col(field).drop_nulls().first().over("run_id"))
        for field in CONSTANT_IN_RUN
        if field in rows.columns and rows[field].null_count()
    )


def _with_facts(rows: pl.DataFrame, columns: ColumnMap) -> pl.DataFrame:
    known = set(rows["run_id"].drop_nulls().unique().to_list())
    for run_id in columns.runs:
        if run_id not in known:
            raise unknown(
                "the map states facts of a run that the source does not have",
                run_id,
                known,
                where=f"runs, {run_id}",
                otherwise=f"the runs are {', '.join(sorted(known)[:10])}",
            )
    facts: dict[str, pl.Expr] = {}
    for field in Facts.model_fields:
        value = _stated(field, columns)
        if value is not None and field not in (*_MAPPING_FACTS, "run_id"):
            own = [pl.col(field)] if field in rows.columns else []
            facts[field] = pl.coalesce(*own, value)
    return rows.with_columns(**facts)


def _stated(field: str, columns: ColumnMap) -> pl.Expr | None:
    """What the map states of a field: by run, else for all; None where it says nothing."""
    dtype = pl.Float64 if field in NUMBERS else pl.String
    by_run: dict[str, Any] = {
        run_id: facts.given()[field]
        for run_id, facts in columns.runs.items()
        if field in facts.given()
    }
    for_all = columns.set.given().get(field)
    if not by_run:
        return None if for_all is None else pl.lit(for_all, dtype=dtype)
    return pl.col("run_id").replace_strict(by_run, default=for_all, return_dtype=dtype)
