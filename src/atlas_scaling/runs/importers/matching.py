"""A column map matched against what a source has: every field gets its column, or none.

What the map leaves open is looked for under our own name and under the names that well-known
trainers write (``KNOWN_NAMES``, ``KNOWN_LOSS_PATTERNS``, ``KNOWN_MIXTURE_PATTERNS``); each such
find is in the resolved map.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from atlas_scaling.errors import InputError, nearest
from atlas_scaling.runs.importers.column_map import (
    BY_LANGUAGE,
    FIELDS,
    LANGUAGE_SLOT,
    MEASURES,
    RUN_SLOT,
    ColumnMap,
    Facts,
    ImportUnit,
)
from atlas_scaling.runs.importers.language_names import (
    LanguageNames,
    NamedColumn,
    by_code,
    columns_like,
    known_columns_like,
    listed,
)
from atlas_scaling.runs.importers.source import Source

KNOWN_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "run_id": ("run", "run_name"),
    "language": ("lang",),
    "step": ("train/global_step", "trainer/global_step", "global_step", "_step", "Step"),
    "tokens": (
        "num_input_tokens_seen",
        "train/num_input_tokens_seen",  # transformers
        "throughput/total_tokens",  # OLMo
        "time/token",  # Composer
        "tokens_seen",
        "train/tokens_seen",
        "train/tokens",
        "consumed_tokens",
        "total_tokens",
    ),
    "n_params": (
        "num_params",
        "config.n_params",
        "config.num_params",
        "config.num_parameters",
        "config.model/num_parameters",  # transformers writes it to W&B
    ),
    "lr": ("learning_rate", "train/learning_rate", "train/lr"),
    "tokens_per_step": ("config.tokens_per_step",),
    "seed": ("config.seed",),
}
KNOWN_LOSSES: Final = ("eval/loss", "eval_loss", "val/loss", "val_loss", "validation/loss")
KNOWN_LOSS_PATTERNS: Final = (
    *(
        pattern.replace("eval", split)
        for split in ("eval", "val", "validation")
        for pattern in (
            f"eval_{LANGUAGE_SLOT}_loss",  # transformers, with named evaluation sets
            f"eval/{LANGUAGE_SLOT}_loss",  # the same in a tracker
            f"eval/{LANGUAGE_SLOT}/loss",
            f"eval/loss/{LANGUAGE_SLOT}",
            f"eval_loss/{LANGUAGE_SLOT}",
        )
    ),
    f"loss/{LANGUAGE_SLOT}",
    f"loss_{LANGUAGE_SLOT}",
)
KNOWN_MIXTURE_PATTERNS: Final = tuple(
    f"{prefix}{name}{separator}{LANGUAGE_SLOT}"
    for prefix in ("", "config.")
    for name in ("w", "weight", "weights", "ratio", "share", "proportion", "mixture", "mix")
    for separator in ("_", "/", ".")
)


@dataclass(frozen=True)
class Match:
    """Which column holds what.

    Attributes:
        single: our field to their column, all but the following.
        run_id: the columns a run id is made of.
        measures: ``loss`` and ``bits_per_byte`` to their columns, several where a table is wide.
        by_language: field to (language to column), where each language has its own.
        packed: field to the one column that holds all languages (or one number).
        columns: the map with everything written out.
        notes: names that were passed over.
    """

    single: Mapping[str, str]
    run_id: tuple[str, ...]
    measures: Mapping[str, tuple[NamedColumn, ...]]
    by_language: Mapping[str, Mapping[str, str]]
    packed: Mapping[str, str]
    columns: ColumnMap
    notes: tuple[str, ...]

    @property
    def needed(self) -> tuple[str, ...]:
        """All columns to read, each once."""
        return tuple(dict.fromkeys(self._needed()))

    def _needed(self) -> Iterator[str]:
        yield from self.single.values()
        yield from self.run_id
        for columns in self.measures.values():
            yield from (c.column for c in columns)
        for by_language in self.by_language.values():
            yield from by_language.values()
        yield from self.packed.values()
        yield from self.columns.only
        yield from self.columns.keep

    @property
    def is_wide(self) -> bool:
        """Whether a row may hold several evaluations."""
        return any(c.language or c.run_id for columns in self.measures.values() for c in columns)


def match_columns(columns: ColumnMap, source: Source, names: LanguageNames) -> Match:
    """Find every field's column.

    Raises:
        InputError: a named column is not there, or no loss, or nothing to tell the tokens from.
    """
    notes: list[str] = []
    chosen = {**_guessed(columns, source, names, notes), **columns.columns}
    resolved = columns.model_copy(update={"columns": dict(chosen)})
    if columns.loss_unit is ImportUnit.BITS_PER_BYTE and "loss" in chosen:
        chosen["bits_per_byte"] = chosen.pop("loss")
    if not any(measure in chosen for measure in MEASURES):
        raise InputError(
            "no column is known by name to be an evaluation loss",
            value=listed(source.columns),
            where="loss",
            remedy="say which it is: --column loss=THEIRS",
        )
    single: dict[str, str] = {}
    measures, by_language, packed = {}, {}, {}
    run_id: tuple[str, ...] = ()
    for field, theirs in chosen.items():
        if isinstance(theirs, tuple) or field == "run_id":
            run_id = (theirs,) if isinstance(theirs, str) else theirs
            for column in run_id:
                _require(column, field, source)
            continue
        where = f"columns, {field}"
        if LANGUAGE_SLOT in theirs or RUN_SLOT in theirs:
            found = columns_like(theirs, source.columns, names, where=where)
            if field in MEASURES:
                measures[field] = found
            else:
                by_language[field] = by_code(found)
            continue
        _require(theirs, field, source)
        if field in MEASURES:
            measures[field] = (NamedColumn(theirs),)
        elif field in BY_LANGUAGE:
            packed[field] = theirs
        else:
            single[field] = theirs
    for column in (*columns.only, *columns.keep):
        _require(column, "only" if column in columns.only else "keep", source)
    match = Match(single, run_id, measures, by_language, packed, resolved, tuple(notes))
    _require_tokens(match, source)
    return match


def guessed_columns(source: Source, names: LanguageNames) -> dict[str, str]:
    """What column names alone tell, without asking whether it is enough for an import."""
    return _guessed(ColumnMap(), source, names, [])


def _guessed(
    columns: ColumnMap, source: Source, names: LanguageNames, notes: list[str]
) -> dict[str, str]:
    """Columns of the fields that the map does not name."""
    stated = set(columns.columns)
    if stated & set(MEASURES):
        stated |= set(MEASURES)
    if columns.loss_unit is ImportUnit.BITS_PER_BYTE:  # then "loss" is that column
        stated.add("bits_per_byte")
    has = set(source.columns)
    found: dict[str, str] = {}
    for field in FIELDS:
        if field in stated:
            continue
        # "loss" in a tracker's log is the training loss.
        own = () if source.logged and field in MEASURES else (field,)
        candidates = (*own, *KNOWN_NAMES.get(field, ()))
        column = next((name for name in candidates if name in has), None)
        if column is None and field in BY_LANGUAGE:
            patterns = (f"{field}.{LANGUAGE_SLOT}", f"config.{field}.{LANGUAGE_SLOT}")
            column = next((p for p in patterns if _all_known(p, source, names)), None)
            if column is None and field == "mixture":
                # two at least: a mixture_id alone is a name, and no share of Indonesian
                known = (p for p in KNOWN_MIXTURE_PATTERNS if _all_known(p, source, names, least=2))
                column = next(known, None)
                if column is not None:
                    notes.append(f"mixtures taken from columns like {column}")
        if column is not None:
            found[field] = column
    if not stated & set(MEASURES) and not found.keys() & set(MEASURES):
        found |= _guessed_loss(source, names, notes)
    wide = any(LANGUAGE_SLOT in str(({**found, **columns.columns}).get(m, "")) for m in MEASURES)
    if wide:
        found.pop("language", None)
    return found


def _guessed_loss(source: Source, names: LanguageNames, notes: list[str]) -> dict[str, str]:
    for pattern in KNOWN_LOSS_PATTERNS:
        known, others = known_columns_like(pattern, source.columns, names)
        if known and others:
            # A resolved map must not stumble over what was passed over here.
            raise InputError(
                f"columns like {pattern} look like losses by language, but some are of none",
                value=others,
                where="loss",
                remedy="name the languages in the map, languages: "
                f"{{{others[0]}: swe_Latn}}; null leaves one out",
            )
        if known:
            notes.append(f"evaluation losses taken from columns like {pattern}")
            return {"loss": pattern}
    single = next((name for name in KNOWN_LOSSES if name in source.columns), None)
    if single is None:
        return {}
    notes.append(f"evaluation loss taken from {single}")
    return {"loss": single}


def _all_known(pattern: str, source: Source, names: LanguageNames, *, least: int = 1) -> bool:
    """Whether some columns match, and all of them are of languages."""
    known, others = known_columns_like(pattern, source.columns, names)
    return len(known) >= least and not others


def _require(column: str, field: str, source: Source) -> None:
    if column not in source.columns:
        raise InputError(
            "the source has no such column",
            value=column,
            where=f"columns, {field}",
            remedy="; ".join(
                filter(
                    None,
                    (nearest(column, source.columns), f"the columns are {listed(source.columns)}"),
                )
            ),
        )


def _require_tokens(match: Match, source: Source) -> None:
    columns = match.columns
    facts = [columns.set, *columns.runs.values()]

    def has(field: str) -> bool:
        return field in match.single or any(_states(fact, field) for fact in facts)

    rate = has("tokens_per_step") or (has("batch_size") and has("sequence_length"))
    if has("tokens") or "tokens_by_language" in match.by_language:
        return
    if not rate:
        raise InputError(
            "nothing says how many tokens a run had seen",
            value=listed(source.columns),
            where="tokens",
            remedy="say which column it is, --column tokens=THEIRS, "
            "or how many a step takes, --set tokens_per_step=524288",
        )
    if "step" not in match.single:
        raise InputError(
            "tokens per step need a step, and no column has it",
            where="step",
            remedy="say which column it is: --column step=THEIRS",
        )


def _states(facts: Facts, field: str) -> bool:
    return getattr(facts, field, None) is not None
