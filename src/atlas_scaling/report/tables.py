"""Tables of a report: runs, languages, fits, parameters, laws compared, transfer scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.report.blocks import Badge, Cell, Column, Table, Tone
from atlas_scaling.report.figures.compared import CUTS, compared_name
from atlas_scaling.report.figures.fits import ALL_DATA, law_label
from atlas_scaling.report.figures.transfer import bound, shown_value
from atlas_scaling.report.run_facts import run_facts
from atlas_scaling.report.words import (
    MISSING,
    UNIT_WORDS,
    count,
    interval,
    language_name,
    language_title,
    number,
    parameter_name,
    r_squared,
    signed,
)
from atlas_scaling.transfer.matrix import Provenance, TransferMatrix
from atlas_scaling.transfer.scores import tau_from_bts
from atlas_scaling.units import counted, plain

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.store import RunTable

MAX_RUNS: Final = 300
"""Rows of the table of runs; ``atlas runs check`` lists all."""

_STATUS: Final = {
    "ok": Badge("all parameters identified", Tone.TOLD),
    "weak": Badge("some parameters weak", Tone.WEAK),
    "not_identified": Badge("some not identified", Tone.UNTOLD),
    "not_converged": Badge("did not converge", Tone.UNTOLD),
}


def fit_table(fits: Sequence[Fit]) -> Table:
    """One row a fit: what it was fitted to and how well it describes that."""
    unit = UNIT_WORDS[fits[0].observations.unit]
    rows: list[tuple[Cell, ...]] = []
    for fit in fits:
        d = fit.diagnostics
        share = d.mean_error_reducible_percent
        rows.append(
            (
                language_title(fit.target) if fit.target else ALL_DATA,
                law_label(fit),
                f"{fit.n_rows:,}",
                f"{fit.n_runs:,}",
                r_squared(d.r2),
                number(d.mean_error, 2),
                MISSING if share is None else f"{plain(share)} %",
                _STATUS[fit.status.value],
            )
        )
    return Table(
        name="fits",
        caption=f"Fits. R² and errors are of the points that were fitted, in {unit}; they say how "
        "well a law describes these runs, not how well it predicts others.",
        columns=(
            Column("Language"),
            Column("Law"),
            Column("Evaluations", "right"),
            Column("Runs", "right"),
            Column("R²", "right"),
            Column("Mean error", "right"),
            Column("of reducible loss", "right"),
            Column("Parameters"),
        ),
        rows=tuple(rows),
    )


def parameter_table(fits: Sequence[Fit]) -> Table:
    """One row a parameter of a fit, with interval and verdict."""
    rows: list[tuple[Cell, ...]] = [
        (
            language_title(fit.target) if fit.target else ALL_DATA,
            law_label(fit),
            parameter_name(name),
            number(p.value),
            interval(p.interval),
            Badge(p.verdict, verdict_tone(p.verdict)),
        )
        for fit in fits
        for name, p in fit.parameters.items()
    ]
    return Table(
        name="parameters",
        caption=f"Parameters with {100 * fits[0].level:g}% intervals (bootstrap by run). A "
        "parameter that the runs do not identify has no value: digits would pretend that it has.",
        columns=(
            Column("Language"),
            Column("Law"),
            Column("Parameter"),
            Column("Value", "right"),
            Column("Interval", "right"),
            Column("Verdict"),
        ),
        rows=tuple(rows),
        folded=True,
    )


def compare_table(comparison: Comparison) -> Table:
    """One row a law: held-out R² of every cut and the error on the random one."""
    failed = any(row.failures for row in comparison.rows)
    rows: list[tuple[Cell, ...]] = []
    for row in comparison.rows:
        percent = row.errors_reducible_percent["r2"]
        rows.append(
            (
                compared_name(row),
                MISSING if row.n_parameters is None else str(row.n_parameters),
                *(r_squared(getattr(row, cut)) for cut in CUTS),
                number(row.errors["r2"], 2),
                MISSING if percent is None else f"{plain(percent)} %",
                *(["; ".join(row.failures)] if failed else []),
            )
        )
    return Table(
        name="laws-compared",
        caption="Held-out R² of each law (Table 1 of the paper on these runs), means over "
        f"{counted(len(comparison.targets), 'language')}. Errors are of the random fifth, in "
        f"{comparison.loss_unit.replace('_', ' ')}.",
        columns=(
            Column("Law"),
            Column("Parameters", "right"),
            *(Column(words.capitalize(), "right") for words in CUTS.values()),
            Column("Mean error", "right"),
            Column("of reducible loss", "right"),
            *([Column("Failed")] if failed else []),
        ),
        rows=tuple(rows),
    )


def verdict_tone(verdict: str) -> Tone:
    """``identified`` and ``given`` are told, ``weak: …`` is weak, all others are not told."""
    if verdict in ("identified", "given"):
        return Tone.TOLD
    return Tone.WEAK if verdict.startswith("weak") else Tone.UNTOLD


def run_table(runs: RunTable) -> Table:
    """One row a run: what it was trained on and where its loss ended."""
    last = runs.frame.sort("step").group_by("run_id", "language", maintain_order=True).last()
    ends = {(row["run_id"], row["language"]): row for row in last.iter_rows(named=True)}
    known = run_facts(runs)
    rows: list[tuple[Cell, ...]] = []
    for run in known[:MAX_RUNS]:
        own = [ends[key] for code in sorted(run.mixture) if (key := (run.run_id, code)) in ends]
        losses = [row["loss"] for row in own if row["loss"] is not None]
        rows.append(
            (
                run.run_id,
                run.group,
                count(run.n_params),
                count(max((row["tokens"] for row in own), default=None)),
                MISSING if run.seed is None else str(run.seed),
                number(sum(losses) / len(losses) if losses else None),
                (own[0]["lr_state"] if own else None) or MISSING,
                run.base_run or "",
            )
        )
    which = f"All {counted(len(known), 'run')}"
    if len(known) > MAX_RUNS:
        which = f"The first {MAX_RUNS} of {counted(len(known), 'run')}"
    return Table(
        name="runs",
        caption=f"{which}. The loss is the last one, averaged over the languages that the run was "
        "trained on, in nats per token.",
        columns=(
            Column("Run"),
            Column("Group"),
            Column("Parameters", "right"),
            Column("Tokens", "right"),
            Column("Seed", "right"),
            Column("Last loss", "right"),
            Column("Learning rate"),
            Column("Continues"),
        ),
        rows=tuple(rows),
        folded=True,
    )


def transfer_table(matrix: TransferMatrix, *, early: Iterable[tuple[str, str]] = ()) -> Table:
    """One row a cell that comes from runs, best first; bounds as bounds.

    Args:
        matrix: any; its estimates are left out.
        early: pairs (target, source) whose score is still falling steeply.
    """
    known = {Provenance.MEASURED, Provenance.CENSORED, Provenance.PUBLISHED}
    cells = [c for c in matrix if c.provenance in known and c.target != c.source]
    falling = set(early)
    rows: list[tuple[Cell, ...]] = []
    for cell in sorted(cells, key=lambda c: -(shown_value(c) or 0.0)):
        is_early = (cell.target, cell.source) in falling
        tau = None if cell.bts is None else tau_from_bts(cell.bts)
        said: Cell = cell.provenance.value
        if cell.provenance is Provenance.CENSORED:
            said = Badge("a bound", Tone.WEAK)
        elif is_early:
            said = Badge("early: still falling", Tone.WEAK)
        rows.append(
            (
                language_name(cell.source),
                language_name(cell.target),
                signed(cell.bts) if cell.bts is not None else bound(cell),
                interval(cell.interval) if cell.bts is not None else "",
                signed(tau),
                said,
            )
        )
    return Table(
        name="transfer",
        caption="Pairs that were run, most help first. τ is the worth of one token of the source "
        "in tokens of the target.",
        columns=(
            Column("Source"),
            Column("Target"),
            Column("BTS", "right"),
            Column("Interval", "right"),
            Column("τ", "right"),
            Column("Known how"),
        ),
        rows=tuple(rows),
        folded=True,
    )


def languages_table(frame: pl.DataFrame) -> Table:
    """One row a language: runs trained on it, distinct tokens, most epochs, best loss."""
    rows: list[tuple[Cell, ...]] = []
    for (code,), group in frame.sort("language").group_by("language", maintain_order=True):
        named = group.select(
            "run_id", "loss", "bits_per_byte", *(_of(code, c) for c in _BY_LANGUAGE)
        )
        trained = named.filter(pl.col("mixture") > 0)
        unique, seen = _most(trained["unique_tokens"]), _most(trained["tokens_by_language"])
        epochs = seen / unique if unique and seen else None
        rows.append(
            (
                language_title(str(code)),
                str(trained["run_id"].n_unique()),
                count(unique),
                count(seen),
                number(epochs, 2),
                number(_least(trained["loss"])),
                number(_least(trained["bits_per_byte"])),
            )
        )
    return Table(
        name="languages",
        caption="Languages. Best losses are of runs trained on the language, on its test text.",
        columns=(
            Column("Language"),
            Column("Runs on it", "right"),
            Column("Distinct tokens", "right"),
            Column("Most seen in a run", "right"),
            Column("Epochs", "right"),
            Column("Best nats/token", "right"),
            Column("Best bits/byte", "right"),
        ),
        rows=tuple(rows),
    )


_BY_LANGUAGE: Final = ("mixture", "tokens_by_language", "unique_tokens")


def _of(code: object, column: str) -> pl.Expr:
    """Value of one language in a by-language column, 0 where it has none."""
    entry = pl.element()
    value = pl.when(entry.struct.field("language") == code).then(entry.struct.field("value"))
    return pl.col(column).list.eval(value.otherwise(0.0)).list.sum().alias(column)


def _most(values: pl.Series) -> float | None:
    known = values.drop_nulls().to_list()
    return max(known) if known else None


def _least(values: pl.Series) -> float | None:
    known = values.drop_nulls().to_list()
    return min(known) if known else None
