"""``import_runs``: anybody's logs as a run table, with an account of every row.

A source (``kinds``, and one reader a format) gives columns; a map (``column_map``) says what they
hold; then in order: numbers and facts (``rows``), rows that cannot be used (``sieve``), resumed
runs (``restarts``), repeats and tokens (``assembly``, ``clock``), mixtures (``mixtures``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.export import is_table, read_table
from atlas_scaling.runs.importers import assembly
from atlas_scaling.runs.importers.cells import as_useful, in_nats, refuse_unnamed_unit, unit_named
from atlas_scaling.runs.importers.column_map import MEASURES, ColumnMap, ImportUnit
from atlas_scaling.runs.importers.delimited import read_delimited
from atlas_scaling.runs.importers.json_lines import read_json_lines
from atlas_scaling.runs.importers.kinds import find_files
from atlas_scaling.runs.importers.language_names import LanguageNames
from atlas_scaling.runs.importers.matching import Match, guessed_columns, match_columns
from atlas_scaling.runs.importers.mixtures import BAD_MIXTURE, Mixtures
from atlas_scaling.runs.importers.mlflow import read_mlflow
from atlas_scaling.runs.importers.restarts import (
    with_appended_steps,
    with_clock_segments,
    with_overtaken_segments,
)
from atlas_scaling.runs.importers.rows import (
    ONLY,
    ROW,
    evaluations,
    source_rows,
    without_unreadable,
)
from atlas_scaling.runs.importers.sieve import Sieve, drop_unusable
from atlas_scaling.runs.importers.source import SEGMENT, Kind, Source, Told, nobody
from atlas_scaling.runs.importers.summary import Imported, ImportSummary
from atlas_scaling.runs.importers.tensorboard import read_tensorboard
from atlas_scaling.runs.importers.trainer_state import read_trainer_states
from atlas_scaling.runs.importers.wandb import read_wandb
from atlas_scaling.runs.store import RECORD_NAME, Note, read_runs

CLOCKS: Final = ("tokens", "tokens_per_step", "batch_size", "lr")
"""Fields that are joined to evaluations by step where they stand on other rows."""

_NO_MAP: Final = ColumnMap()
_READ: Final = 0.6
"""Share of an import that is reading."""


def import_runs(
    source: Path | str | Source,
    *,
    kind: Kind | str = Kind.AUTO,
    columns: ColumnMap = _NO_MAP,
    told: Told = nobody,
) -> Imported:
    """Read ``source``, a file or a folder of files of one kind, as a run table.

    Args:
        source: where the logs are, or what a reader of your own has opened.
        kind: what they are; ``auto`` goes by the names of the files.
        columns: which column or metric is what.
        told: hears the share of the work that is done, now and then.

    Raises:
        InputError: the source cannot be read, a column is missing, losses are of mixed or unclear
            units, or no row is left; with what was received, its place and a remedy.
    """
    if isinstance(source, Source):
        return _imported(source, columns, told)
    path = Path(source)
    if kind not in list(Kind):
        raise unknown("there is no such kind of source", kind, Kind, where="--kind")
    found, files = find_files(path, Kind(kind))
    if found is Kind.ATLAS or (columns == _NO_MAP and is_table(path)):
        return _own_runs(path)
    return _imported(_opened(path, found, files, lambda share: told(_READ * share)), columns, told)


def _imported(opened: Source, columns: ColumnMap, told: Told) -> Imported:
    """The rows of a source as a run table."""
    names = LanguageNames(columns)
    match = match_columns(columns, opened, names)
    rows, unreadable = without_unreadable(
        source_rows(opened, match, lambda share: told(_READ * share))
    )
    notes = [*opened.notes, *match.notes, *unreadable]
    rows = _with_restarts(rows, match, opened, notes)
    losses = _with_codes(evaluations(rows, match, logged=opened.logged), match, names)
    sieve = Sieve(_in_units(losses, rows, match, opened.kind, notes), opened)
    drop_unusable(sieve, named_runs=bool(match.run_id))
    _refuse_nothing_left(sieve, opened)
    told(0.7)
    if _restarts(match, opened) == "overlap" and "step" in rows.columns:
        assembly.drop_overtaken(sieve, rows)
    assembly.add_tokens(sieve, rows, notes)
    told(0.8)
    mixtures = Mixtures(rows, match, names)
    sieve.frame = mixtures.add_tokens_by_language(mixtures.add_mixture(sieve.frame))
    sieve.drop(pl.col(BAD_MIXTURE), _NO_SHARES)
    assembly.drop_without_tokens(sieve)
    assembly.drop_repeats(sieve, rows)
    _refuse_nothing_left(sieve, opened)
    told(0.9)
    kept = mixtures.complete(mixtures.add_unique_tokens(sieve.frame))
    frame = assembly.run_table(assembly.add_learning_rate(kept, rows), rows, opened)
    frame = frame.with_columns(as_useful(frame[c]) for c in match.columns.keep)
    notes += [*mixtures.notes, *_lacking(frame)]
    return Imported(frame, _summary(frame, sieve, opened, match, notes), match.columns)


def guess_map(source: Path | str) -> ColumnMap:
    """The map that the names of a source's columns suggest; it need not be enough to import it.

    Args:
        source: as for ``import_runs``, of a kind that its names tell.

    Raises:
        InputError: the source cannot be read, or has columns that look like losses by language but
            are of none.
    """
    found, files = find_files(Path(source), Kind.AUTO)
    opened = _opened(Path(source), found, files)
    return ColumnMap(columns=dict(guessed_columns(opened, LanguageNames(_NO_MAP))))


def _opened(path: Path, kind: Kind, files: list[Path], told: Told = nobody) -> Source:
    root = path if path.is_dir() else path.parent
    try:
        if kind is Kind.JSONL:
            return read_json_lines(files, told)
        if kind is Kind.WANDB:
            return read_wandb(files)
        if kind is Kind.TENSORBOARD:
            return read_tensorboard(files, root=root)
        if kind is Kind.TRAINER_STATE:
            return read_trainer_states(files, root=root)
        if kind is Kind.MLFLOW:
            return read_mlflow(files)
        return read_delimited(files, kind)
    except OSError as error:
        raise InputError(f"this cannot be read: {error}", value=str(path)) from None


def _restarts(match: Match, source: Source) -> str:
    return match.columns.restarts or ("overlap" if source.logged else "none")


def _with_restarts(
    rows: pl.DataFrame, match: Match, source: Source, notes: list[str]
) -> pl.DataFrame:
    """Source rows with what the restarts policy says of their steps."""
    policy = _restarts(match, source)
    if policy == "none" or "step" not in rows.columns:
        return rows
    by_file = source.logged or len(source.files) > 1 or "segment" in rows.columns
    if "segment" in rows.columns:  # in the order in which they first appear
        rows = rows.with_columns(
            pl.col(ROW).min().over("run_id", "segment").alias(SEGMENT),
        )
    if policy == "append":
        return with_appended_steps(rows, by_file=by_file)
    ticks = [c for c in rows.columns if c in CLOCKS or c.startswith("tokens_by_language:")]
    losses = [c for c in rows.columns if c.partition(":")[0] in MEASURES]
    if by_file:
        logs = pl.any_horizontal(pl.col(c).is_not_null() for c in (*losses, *ticks))
        rows, replaced = with_overtaken_segments(rows, logs)
        notes += replaced
    if ticks:
        rows = with_clock_segments(rows, pl.any_horizontal(pl.col(c).is_not_null() for c in ticks))
    return rows


def _with_codes(frame: pl.DataFrame, match: Match, names: LanguageNames) -> pl.DataFrame:
    """Evaluations whose language stood in a column, with our codes."""
    if "language" not in frame.columns or any(
        column.language for columns in match.measures.values() for column in columns
    ):
        return frame
    theirs = frame.filter(ONLY)["language"].drop_nulls().unique().sort().to_list()
    where = f"column {match.single.get('language', 'language')}"
    codes = names.codes(theirs, where=where)
    return frame.with_columns(
        pl.col("language").replace_strict(codes, default=None, return_dtype=pl.String)
    )


def _in_units(
    frame: pl.DataFrame, rows: pl.DataFrame, match: Match, kind: Kind | str, notes: list[str]
) -> pl.DataFrame:
    """Evaluations with ``loss`` in nats per token, or as ``bits_per_byte``.

    Raises:
        InputError: the unit is mixed, unknown, or cannot be what nobody named it to be.
    """
    unit = match.columns.loss_unit
    if unit is None and kind is Kind.TRAINER_STATE:
        unit = ImportUnit.NATS_PER_TOKEN  # the trainer's own cross-entropy
    if "loss_unit" in rows.columns:
        unit = unit_named(rows.filter(ONLY)["loss_unit"], unit)
    if "loss" not in frame.columns:
        return frame
    refuse_unnamed_unit(frame.filter(ONLY)["loss"], unit)
    if unit is None:
        notes.append("no unit of the loss was named: taken as nats per token")
        return frame
    if unit is ImportUnit.BITS_PER_BYTE:
        return frame.rename({"loss": "bits_per_byte"})
    return frame.with_columns(in_nats("loss", unit))


def _refuse_nothing_left(sieve: Sieve, source: Source) -> None:
    if sieve.frame.height:
        return
    dropped = sieve.tally.dropped()
    raise InputError(
        "no row can be used",
        value=[f"{d.rows} rows: {d.reason}" for d in dropped] or "the source has no rows",
        where=", ".join(dropped[0].first) if dropped else ", ".join(source.files),
        remedy=_REMEDIES.get(dropped[0].reason) if dropped else None,
    )


_NO_SHARES: Final = "shares of the mixture sum to neither 1 nor 100"
_REMEDIES: Final = {
    _NO_SHARES: "weights of another scale: mixture_unit: relative in the map; columns that are no "
    "mixture: name the one that is, --column mixture=THEIRS",
    assembly.NO_TOKENS: "say how many a step takes: --set tokens_per_step=524288",
    "loss is NaN or no number": "is this the loss column? decimals have a point: 2.43, not 2,43",
    "no loss on the row": "is this the loss column? --column loss=THEIRS",
}


def _lacking(frame: pl.DataFrame) -> list[str]:
    """What a fit, or a law, will miss."""
    notes = []
    lacking = frame["n_params"].null_count()
    if lacking:
        notes.append(f"n_params is not known of {lacking} rows: a fit needs it; --set n_params=2e9")
    if "language" not in frame.columns:
        notes.append("nothing says which language the losses are of; --set language=eng_Latn")
    lacking = frame["mixture"].null_count()
    if lacking:
        notes.append(
            f"nothing says what {lacking} rows were trained on: laws of mixtures and transfer need "
            "it; --column mixture=w_{language}, or --set mixture=eng_Latn"
        )
    return notes


def _summary(
    frame: pl.DataFrame, sieve: Sieve, source: Source, match: Match, notes: Sequence[str]
) -> ImportSummary:
    languages = frame["language"].unique().sort().to_list() if "language" in frame.columns else []
    return ImportSummary(
        kind=str(source.kind),
        files=len(source.files),
        found=sieve.found,
        kept=frame.height,
        n_runs=frame["run_id"].n_unique(),
        languages=tuple(languages),
        dropped=sieve.tally.dropped(),
        columns={
            k: v if isinstance(v, str) else " + ".join(v) for k, v in match.columns.columns.items()
        },
        notes=tuple(notes),
    )


def _own_runs(path: Path) -> Imported:
    """Directories of our own runs, or a table of theirs, which need no map."""
    notes: tuple[Note, ...] = ()
    if path.is_file() and path.name != RECORD_NAME:
        frame = read_table(path)
    else:
        table = read_runs(path if path.is_dir() else path.parent)
        frame, notes = table.frame, table.notes
    languages = frame["language"].unique().sort().to_list() if "language" in frame.columns else []
    summary = ImportSummary(
        kind=Kind.ATLAS.value,
        files=1 if path.is_file() else frame["run_id"].n_unique(),
        found=frame.height,
        kept=frame.height,
        n_runs=frame["run_id"].n_unique(),
        languages=tuple(languages),
        dropped=(),
        columns={},
        notes=tuple(f"{note.where}: {note.problem}" for note in notes),
    )
    return Imported(frame, summary, _NO_MAP)
