"""The two sides of a score, picked from run records and checked to be comparable.

A side is one or more runs of one mixture, one model size and one learning-rate state, differing by
seed at most. Stable is compared with stable and decayed with decayed: how much a decay lowers a
loss is more than what most languages do to each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import LrState
from atlas_scaling.transfer.curves import MIN_POINTS, LossPoints
from atlas_scaling.units import NATS_PER_BIT, LossUnit, format_count

TOKENS: Final = "tokens"
BYTES: Final = "bytes"
MISMATCH: Final = " against "
"""Between two learning-rate states that were compared although they differ."""

SIZE_TOLERANCE: Final = 0.01
SHARE_TOLERANCE: Final = 0.01
_COMPARABLE_STATES: Final = (LrState.STABLE, LrState.DECAYED, LrState.UNKNOWN)


@dataclass(frozen=True)
class Unit:
    """What text is counted in.

    Attributes:
        name: ``tokens``, ``bytes``, or any other, such as content-matched sentences.
        per_token: units in one token of each language. For tokens it is not looked at; for bytes
            it is taken from the runs' own losses where it is not given.
    """

    name: str = TOKENS
    per_token: Mapping[str, float] | None = None


@dataclass(frozen=True, eq=False)
class Side:
    """Runs of one mixture, as a score needs them.

    Attributes:
        points: losses on the target over text in the unit asked for.
        mixture: shares of the text in that unit, sum 1.
        lr_state: of every point.
        units_per_token: of the whole mixture; text in units over this is tokens.
        unique_tokens: of the target in the runs' corpus; None if not recorded.
    """

    points: LossPoints
    mixture: Mapping[str, float]
    lr_state: LrState
    units_per_token: float
    unique_tokens: float | None


@dataclass(frozen=True, eq=False)
class Sides:
    """Two sides that can be compared, and what is doubtful about it.

    Attributes:
        mono: runs on the target alone.
        pair: runs on the target and others.
        n_params: model size of both, embeddings counted; None if not recorded.
        loss_unit: of the losses of both.
        warnings: what was taken for granted.
    """

    mono: Side
    pair: Side
    n_params: float | None
    loss_unit: LossUnit
    warnings: tuple[str, ...]

    @property
    def lr_state(self) -> str:
        """Of both sides, or both states where they differ."""
        states = dict.fromkeys([self.mono.lr_state.value, self.pair.lr_state.value])
        return MISMATCH.join(states)


def pick_sides(
    mono: pl.DataFrame,
    pair: pl.DataFrame,
    target: str,
    *,
    unit: Unit | None = None,
    allow_lr_mismatch: bool = False,
) -> Sides:
    """The monolingual side and the other one, both about ``target``.

    Args:
        mono: rows of a run table, of runs on the target alone.
        pair: rows of runs on the target and others, in one mixture.
        target: code of the language that is scored.
        unit: what text is counted in; tokens if not given.
        allow_lr_mismatch: compare different learning-rate states; a warning then says so.

    Raises:
        InputError: the two cannot be compared; says why and what would make it so.
    """
    unit = Unit() if unit is None else unit
    rows = (_rows_on(mono, target, "monolingual runs"), _rows_on(pair, target, "runs on both"))
    mixtures = (_mixture_of(mono, _MONO), _mixture_of(pair, _PAIR))
    _check_roles(*mixtures, target)
    _check_from_scratch(rows)
    warnings: list[str] = []
    n_params = _common_size(rows, warnings)
    _check_corpus(rows, warnings)
    loss_unit = _common_loss_unit(rows, unit, warnings)
    states = _choose_states(rows, allow_lr_mismatch, warnings)
    alone, both = (
        _side(
            frame.filter(_in_state(state), pl.col("tokens") > 0),
            target,
            mixture,
            _units_per_token(all_rows, mixture, unit),
            state,
            loss_unit,
            name,
        )
        for frame, all_rows, mixture, state, name in zip(
            rows, (mono, pair), mixtures, states, _NAMES, strict=True
        )
    )
    return Sides(alone, both, n_params, loss_unit, tuple(warnings))


def trained_on(run: pl.DataFrame) -> dict[str, float]:
    """Shares of the tokens that one run was trained on so far; empty if it does not say.

    What was counted is preferred to what was planned.
    """
    last = run.row(int(run["tokens"].arg_max() or 0), named=True)
    counted = last["tokens_by_language"] or last["mixture"] or []
    total = sum(item["value"] for item in counted)
    return {i["language"]: i["value"] / total for i in counted if i["value"] > 0}


def _side(
    rows: pl.DataFrame,
    target: str,
    mixture: Mapping[str, float],
    per_token: Mapping[str, float],
    state: LrState,
    loss_unit: LossUnit,
    name: str,
) -> Side:
    text_per_token = sum(share * per_token[code] for code, share in mixture.items())
    column = "loss" if loss_unit is LossUnit.NATS_PER_TOKEN else "bits_per_byte"
    runs = np.unique(rows["run_id"].to_numpy(), return_inverse=True)[1]
    unique = rows["unique_tokens"][0]
    return Side(
        points=LossPoints.of(
            rows["tokens"].to_numpy() * text_per_token,
            rows[column].to_numpy(),
            run=runs.astype(np.int64),
            name=f"{name} ({', '.join(_run_ids(rows))})",
        ),
        mixture={c: share * per_token[c] / text_per_token for c, share in mixture.items()},
        lr_state=state,
        units_per_token=text_per_token,
        unique_tokens=None
        if unique is None
        else next((i["value"] for i in unique if i["language"] == target), None),
    )


def _in_state(state: LrState) -> pl.Expr:
    return pl.col("lr_state").fill_null(LrState.UNKNOWN.value) == state.value


_MONO: Final = "the monolingual side"
_PAIR: Final = "the side of both languages"
_NAMES: Final = (_MONO, _PAIR)


def _rows_on(frame: pl.DataFrame, target: str, what: str) -> pl.DataFrame:
    if frame.is_empty():
        raise InputError(f"there are no evaluations in the {what}", value=target)
    rows = frame.filter(pl.col("language") == target)
    if rows.is_empty():
        raise InputError(
            f"the {what} were never evaluated on the target",
            value=target,
            where=", ".join(_run_ids(frame)),
            remedy=f"they were on {', '.join(sorted(frame['language'].unique()))}",
        )
    return rows


def _mixture_of(frame: pl.DataFrame, name: str) -> dict[str, float]:
    """Shares of the tokens trained on, the same in every run of the side."""
    found: dict[str, dict[str, float]] = {}
    for run_id, run in frame.group_by("run_id", maintain_order=True):
        shares = trained_on(run)
        if not shares:
            raise InputError(
                "this run does not say what it was trained on",
                value=run_id[0],
                where=name,
                remedy="record its mixture or its tokens by language",
            )
        found[str(run_id[0])] = shares
    first, mixture = next(iter(found.items()))
    for other, shares in found.items():
        if any(
            abs(shares.get(code, 0.0) - mixture.get(code, 0.0)) > SHARE_TOLERANCE
            for code in {*shares, *mixture}
        ):
            raise InputError(
                "runs of one side must have one mixture",
                value=f"{first}: {_shares(mixture)}; {other}: {_shares(shares)}",
                where=name,
                remedy="several runs of a side may differ by seed only",
            )
    return mixture


def _check_roles(mono: dict[str, float], pair: dict[str, float], target: str) -> None:
    if set(mono) != {target}:
        raise InputError(
            f"this is no monolingual run of {target}",
            value=_shares(mono),
            where=_MONO,
            remedy="give the run on the target alone first, the run on both second",
        )
    if target not in pair or len(pair) < 2:
        raise InputError(
            f"this run is not on {target} and another language",
            value=_shares(pair),
            where=_PAIR,
            remedy="give the run on the target alone first, the run on both second",
        )


def _check_from_scratch(rows: Sequence[pl.DataFrame]) -> None:
    for frame, name in zip(rows, _NAMES, strict=True):
        continued = frame.filter(pl.col("base_run").is_not_null())
        if not continued.is_empty():
            raise InputError(
                "a continued run cannot give a BTS: its tokens do not count from nothing",
                value=continued["run_id"][0],
                where=name,
                remedy="compare runs from scratch; continued runs give a FAS",
            )


def _common_size(rows: Sequence[pl.DataFrame], warnings: list[str]) -> float | None:
    sizes = sorted({float(n) for frame in rows for n in frame["n_params"].drop_nulls().unique()})
    if not sizes:
        warnings.append("model sizes are not recorded; they are taken to be the same")
        return None
    if sizes[-1] > sizes[0] * (1 + SIZE_TOLERANCE):
        raise InputError(
            "the runs differ in model size",
            value=[format_count(n) for n in sizes],
            where=", ".join(_run_ids(*rows)),
            remedy="compare runs of one size",
        )
    return sizes[0]


def _check_corpus(rows: Sequence[pl.DataFrame], warnings: list[str]) -> None:
    """One evaluation text in all runs."""
    corpora = {c for frame in rows for c in frame["corpus"].unique().to_list()}
    known = sorted(c for c in corpora if c)
    if len(known) > 1:
        raise InputError(
            "the runs were evaluated on text of different corpora; their losses do not compare",
            value=[c[:12] for c in known],
            where=", ".join(_run_ids(*rows)),
            remedy="evaluate both on one test set",
        )
    if len(corpora) > len(known):
        warnings.append(
            "some runs do not say which evaluation text they used; it is taken to be the same"
        )


def _common_loss_unit(rows: Sequence[pl.DataFrame], unit: Unit, warnings: list[str]) -> LossUnit:
    tokenizers = {t for frame in rows for t in frame["tokenizer"].unique().to_list()}
    known = sorted(t for t in tokenizers if t)
    if len(known) <= 1:
        if len(tokenizers) > len(known):
            warnings.append("some runs do not say their tokenizer; it is taken to be the same")
        return LossUnit.NATS_PER_TOKEN
    if unit.name != BYTES or unit.per_token is not None:
        raise InputError(
            "the runs have different tokenizers: their tokens and their losses per token "
            "do not compare",
            value=[t[:12] for t in known],
            where=", ".join(_run_ids(*rows)),
            remedy="count text in bytes (--unit bytes); losses are then taken in bits per byte",
        )
    return LossUnit.BITS_PER_BYTE


def _choose_states(
    rows: Sequence[pl.DataFrame], allow_mismatch: bool, warnings: list[str]
) -> tuple[LrState, LrState]:
    """The learning-rate state of each side: a common one, if any has points enough."""
    counts = [_points_by_state(frame) for frame in rows]
    for state in _COMPARABLE_STATES:
        if min(count.get(state, 0) for count in counts) >= MIN_POINTS:
            if state is LrState.UNKNOWN:
                warnings.append("learning-rate states are not recorded and could not be compared")
            return state, state
    if max(max(count.values()) for count in counts) < MIN_POINTS or any(
        sum(count.values()) < MIN_POINTS for count in counts
    ):
        raise InputError(
            f"a curve needs {MIN_POINTS} or more evaluations of the target",
            value={name: sum(c.values()) for name, c in zip(_NAMES, counts, strict=True)},
            where=", ".join(_run_ids(*rows)),
            remedy="evaluate more often, or give several runs of different lengths",
        )
    said = "; ".join(f"{n}: {_said(c)}" for n, c in zip(_NAMES, counts, strict=True))
    if not allow_mismatch:
        raise InputError(
            f"the sides have no learning-rate state with {MIN_POINTS} evaluations in common",
            value=said,
            where=", ".join(_run_ids(*rows)),
            remedy="compare stable with stable or decayed with decayed; "
            "--allow-lr-mismatch compares them all the same and says so",
        )
    first, second = (max(c, key=lambda state: (c[state], state.value)) for c in counts)
    warnings.append(
        f"different learning-rate states are compared, {first} with {second}: the decay itself "
        "moves the score, often by more than the language does"
    )
    return first, second


def _points_by_state(frame: pl.DataFrame) -> dict[LrState, int]:
    """Different token counts above 0 in each state."""
    counted = (
        frame.filter(pl.col("tokens") > 0)
        .with_columns(pl.col("lr_state").fill_null(LrState.UNKNOWN.value))
        .group_by("lr_state")
        .agg(pl.col("tokens").n_unique())
    )
    found = {LrState(state): int(n) for state, n in counted.iter_rows()}
    return found or {LrState.UNKNOWN: 0}


def _units_per_token(
    frame: pl.DataFrame, mixture: Mapping[str, float], unit: Unit
) -> dict[str, float]:
    """Units of text in one token of each language of the mixture."""
    if unit.name == TOKENS:
        return dict.fromkeys(mixture, 1.0)
    if unit.per_token is not None:
        missing = sorted(set(mixture) - set(unit.per_token))
        known = dict(unit.per_token)
    elif unit.name == BYTES:
        # loss = bits per byte * ln 2 * bytes per token, on the evaluation text.
        ratio = pl.col("loss") / (pl.col("bits_per_byte") * NATS_PER_BIT)
        measured = frame.group_by("language").agg(ratio.median())
        known = {code: x for code, x in measured.iter_rows() if x is not None and math.isfinite(x)}
        missing = sorted(set(mixture) - set(known))
    else:
        known, missing = {}, sorted(mixture)
    if missing:
        raise InputError(
            f"how many {unit.name} a token has is not known",
            value=missing,
            where="unit",
            remedy="give it: --per-token swe_Latn=4.1 for each language",
        )
    wrong = {code: known[code] for code in mixture if not known[code] > 0}
    if wrong:
        raise InputError(f"{unit.name} per token must be above zero", value=wrong, where="unit")
    return {code: float(known[code]) for code in mixture}


def _run_ids(*frames: pl.DataFrame) -> list[str]:
    return sorted({str(run) for frame in frames for run in frame["run_id"].unique()})


def _shares(mixture: Mapping[str, float]) -> str:
    return ", ".join(f"{code} {share:.0%}" for code, share in sorted(mixture.items()))


def _said(counts: Mapping[LrState, int]) -> str:
    return ", ".join(f"{n} {state.value}" for state, n in counts.items())
