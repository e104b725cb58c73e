"""The column map: which column of a table, or metric of a tracker, holds what.

A map is a short YAML file (YAML 1.2: ``no`` stays Norwegian) that lies beside the data::

    columns:
      run_id: name
      tokens: train/tokens_seen
      loss: "loss/{language}"         # a wide table: one column a language
      mixture: "w_{language}"
    scale: {tokens: 1.0e9}            # the column is in billions
    set: {n_params: 2B}               # what no column says
    languages: {avg: null}            # null leaves a column or a name out

Every field is optional: a column that bears our name, or that of a well-known trainer, is found
without a map, and the import says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from atlas_scaling.config import load_config
from atlas_scaling.errors import InputError, nearest
from atlas_scaling.runs.record import Frozen, LrState
from atlas_scaling.units import parse_count

LANGUAGE_SLOT: Final = "{language}"
RUN_SLOT: Final = "{run_id}"
MAP_SUFFIX: Final = ".map.yaml"
_MARK: Final = "# by atlas runs import; yours once you change it; "

MEASURES: Final = ("loss", "bits_per_byte")
BY_LANGUAGE: Final = ("mixture", "tokens_by_language", "unique_tokens")
COUNTS: Final = ("n_params", "n_params_non_embedding", "tokens", "flops", "tokens_per_step")
NUMBERS: Final = ("step", *COUNTS, "batch_size", "sequence_length", "lr", "seed")
TEXTS: Final = (
    "run_id",
    "study",
    "group",
    "base_run",
    "language",
    "lr_state",
    "tokenizer",
    "corpus",
)
OTHERS: Final = ("loss_unit", "segment")
FIELDS: Final = (*TEXTS, *NUMBERS, *MEASURES, *BY_LANGUAGE, *OTHERS)


class ImportUnit(StrEnum):
    """Units in which logs give a loss."""

    NATS_PER_TOKEN = "nats_per_token"
    BITS_PER_TOKEN = "bits_per_token"
    PERPLEXITY = "perplexity"
    BITS_PER_BYTE = "bits_per_byte"


def _count(value: object) -> float:
    """``2B`` and ``2e9`` as a number; what cannot be one is left to pydantic to refuse."""
    try:
        return parse_count(value)  # type: ignore[arg-type]
    except (InputError, TypeError) as error:
        raise ValueError(str(getattr(error, "problem", error))) from None


def _shares(value: object) -> object:
    """``mixture: swe_Latn`` is short for all of it."""
    return {value: 1.0} if isinstance(value, str) else value


Count = Annotated[float, BeforeValidator(_count)]
Shares = Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_shares)]


class Facts(Frozen):
    """What is true of a run and no column says; fills what is missing, never overrides.

    ``mixture`` is shares by language, or one language for all of it. ``tokens_per_step`` rebuilds
    tokens where they were not logged; so do ``batch_size`` (sequences) and ``sequence_length``.
    """

    run_id: str | None = None
    study: str | None = None
    group: str | None = None
    seed: int | None = None
    base_run: str | None = None
    language: str | None = None
    lr_state: LrState | None = None
    tokenizer: str | None = None
    corpus: str | None = None
    n_params: Count | None = None
    n_params_non_embedding: Count | None = None
    tokens: Count | None = None
    tokens_per_step: Count | None = None
    batch_size: Count | None = None
    sequence_length: Count | None = None
    mixture: Shares | None = None
    unique_tokens: dict[str, Count] | None = None

    def given(self) -> dict[str, Any]:
        """The facts that were stated."""
        return self.model_dump(mode="json", exclude_none=True)


class ColumnMap(Frozen):
    """How to read a source.

    Attributes:
        columns: our field to their column. ``{language}`` in a name of a loss, a mixture or tokens
            stands for one column a language, ``{run_id}`` in a loss for one a run. ``run_id`` may
            be a list of columns, joined by ``-``.
        loss_unit: what the loss column is in; nats per token where nothing is said, which the
            import notes.
        scale: factor for a column, such as ``{tokens: 1.0e9}`` where it is in billions.
        set: facts of all runs.
        runs: facts of single runs, by run id.
        languages: their name of a language to its code; null leaves it out.
        domains: the names are of data domains, not languages: take them as they are.
        mixture_unit: shares and percentages are told apart by their sum; ``relative`` weights are
            divided by theirs, whatever it is.
        only: column to the value, or values, of the rows to take.
        keep: further columns to carry along under their own names.
        restarts: what a step that goes back means. ``overlap``: the run was resumed and the later
            rows replace the earlier from that step on (default for trackers). ``append``: its
            step counter began again. ``none``: nothing; of equal steps the later row is kept
            (default for tables, whose rows may stand in any order).
    """

    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    loss_unit: ImportUnit | None = None
    scale: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict
    )
    set: Facts = Field(default_factory=Facts)
    runs: dict[str, Facts] = Field(default_factory=dict)
    languages: dict[str, str | None] = Field(default_factory=dict)
    domains: bool = False
    mixture_unit: Literal["relative"] | None = None
    only: dict[str, str | float | bool | tuple[str | float | bool, ...]] = Field(
        default_factory=dict
    )
    keep: tuple[str, ...] = ()
    restarts: Literal["overlap", "append", "none"] | None = None

    @model_validator(mode="after")
    def _fields_are_ours(self) -> ColumnMap:
        for name, theirs in self.columns.items():
            if name not in FIELDS:
                raise ValueError(_unknown_field(name, FIELDS))
            slots = (*MEASURES, *BY_LANGUAGE)
            if isinstance(theirs, tuple):
                if name != "run_id":
                    raise ValueError(f"{name} is one column; only run_id can be made of several")
            elif LANGUAGE_SLOT in theirs and name not in slots:
                raise ValueError(f"{name} cannot be one column a language; {', '.join(slots)} can")
            elif RUN_SLOT in theirs and name not in MEASURES:
                raise ValueError(f"{name} cannot be one column a run; {', '.join(MEASURES)} can")
        if self.loss_unit is ImportUnit.BITS_PER_BYTE and {*MEASURES} <= {*self.columns}:
            raise ValueError("loss in bits_per_byte and a column bits_per_byte: name one of them")
        scalable = (*NUMBERS, *MEASURES, "tokens_by_language", "unique_tokens")
        for name in self.scale:
            if name not in scalable:
                raise ValueError(_unknown_field(name, scalable))
        return self


def load_map(path: Path) -> ColumnMap:
    """Read a map.

    Raises:
        InputError: with the file, line and key.
    """
    return load_config(path, ColumnMap)


def save_map(columns: ColumnMap, path: Path) -> None:
    """Write a map that ``load_map`` reads back to an equal one, and ``is_unchanged`` knows."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 1000
    stream = StringIO()
    yaml.dump(columns.model_dump(mode="json", exclude_defaults=True), stream)
    text = stream.getvalue()
    path.write_text(_MARK + _digest(text) + "\n" + text, encoding="utf-8")


def is_unchanged(path: Path) -> bool:
    """Whether a map is as an import wrote it, and nobody has made it their own since."""
    first, _, text = path.read_text(encoding="utf-8", errors="replace").partition("\n")
    return first == _MARK + _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def map_beside(source: Path) -> Path:
    """Where the map of ``source`` lies: ``runs.csv`` has ``runs.map.yaml`` beside it."""
    return source.with_name(source.stem + MAP_SUFFIX)


def with_options(
    columns: ColumnMap, *, column: Iterable[str] = (), facts: Iterable[str] = ()
) -> ColumnMap:
    """``columns`` with what stands on a command line.

    Args:
        columns: what to start from.
        column: ``ours=theirs``, as in ``tokens=train/tokens_seen``.
        facts: ``field=value``, as in ``n_params=2B`` or ``mixture={eng_Latn: 0.5, deu_Latn: 0.5}``;
            the map's ``loss_unit`` too.

    Raises:
        InputError: no such field, or a value that does not fit it.
    """
    data = columns.model_dump(exclude_defaults=True)
    data["columns"] = {**columns.columns, **_pairs(column, "--column", FIELDS)}
    stated = _pairs(facts, "--set", (*Facts.model_fields, "loss_unit"))
    if "loss_unit" in stated:
        data["loss_unit"] = stated.pop("loss_unit")
    data["set"] = {**columns.set.given(), **{k: _value(v) for k, v in stated.items()}}
    try:
        return ColumnMap.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--set" if first["loc"][:1] in (("set",), ("loss_unit",)) else "--column"
        raise InputError(
            first["msg"].removeprefix("Value error, "),
            value=first["input"],
            where=".".join([option, *map(str, first["loc"][1:])]),
        ) from None


def _pairs(options: Iterable[str], flag: str, known: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not separator or not value:
            raise InputError(
                f"{flag} takes NAME=VALUE", value=option, where=flag, remedy=f"{flag} tokens=D"
            )
        if name not in known:
            raise InputError(_unknown_field(name, known), value=option, where=flag)
        pairs[name] = value
    return pairs


def _value(text: str) -> Any:
    """Text as it is, unless it is a YAML mapping."""
    if not text.startswith("{"):
        return text
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        raise InputError(
            "this is no mapping",
            value=text,
            where="--set",
            remedy="write it like {eng_Latn: 0.5, deu_Latn: 0.5}",
        ) from None


def _unknown_field(name: str, known: tuple[str, ...]) -> str:
    hint = nearest(name, known) or f"the fields are {', '.join(known)}"
    return f"there is no field {name!r}: {hint}"
