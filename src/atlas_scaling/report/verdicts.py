"""What the runs can and cannot tell, in sentences, before any number.

Each rule looks at one thing and yields at most a few ``Verdict``; a report shows them with what is
told first. Rules state what they found, why, and what would change it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import polars as pl

from atlas_scaling.report.blocks import Tone, Verdict
from atlas_scaling.report.figures.compared import CUTS, compared_name
from atlas_scaling.report.figures.fits import ALL_DATA, law_label
from atlas_scaling.report.figures.transfer import shown_value
from atlas_scaling.report.run_facts import run_facts
from atlas_scaling.report.tables import verdict_tone
from atlas_scaling.report.words import (
    count,
    language_name,
    listed,
    parameter_name,
    r_squared,
)
from atlas_scaling.transfer.matrix import MEASUREMENTS, Cell, Provenance, TransferMatrix
from atlas_scaling.units import counted, plain

if TYPE_CHECKING:
    from atlas_scaling.fitting.comparison import Comparison
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.store import RunTable

WIDE: Final = 30.0
"""A range of N or D that tells an exponent from an irreducible loss; ``fitting`` asks the same."""

_ORDER: Final = (Tone.TOLD, Tone.WEAK, Tone.UNTOLD)


def verdicts(
    runs: RunTable | None,
    fits: Sequence[Fit] = (),
    matrix: TransferMatrix | None = None,
    transfer_warnings: Sequence[str] = (),
    comparison: Comparison | None = None,
) -> tuple[Verdict, ...]:
    """Everything there is to say of these, what is told first."""
    said: list[Verdict] = []
    if runs is not None and runs.frame.height:
        said += [*_range(runs), *_seeds(runs), *_schedule(runs), *_notes(runs)]
    by_law: dict[str, list[Fit]] = defaultdict(list)
    for fit in fits:
        by_law[law_label(fit)].append(fit)
    for law, group in by_law.items():
        said += [*_description(law, group, comparison is None), *_parameters(law, group)]
    if comparison is not None:
        said += _held_out(comparison)
    if matrix is not None:
        said += _transfer(matrix, transfer_warnings)
    return tuple(sorted(said, key=lambda verdict: _ORDER.index(verdict.tone)))


def _range(runs: RunTable) -> Iterator[Verdict]:
    frame = runs.frame.filter(pl.col("tokens") > 0)
    spans = {}
    for name, unit in (("n_params", "parameters"), ("tokens", "tokens")):
        low, high = float(frame[name].min()), float(frame[name].max())  # type: ignore[arg-type]
        spans[unit] = (low, high)
    span = " and ".join(f"{count(a)} to {count(b)} {unit}" for unit, (a, b) in spans.items())
    narrow = [unit for unit, (a, b) in spans.items() if b / a < WIDE]
    yield Verdict(
        Tone.WEAK if narrow else Tone.TOLD,
        f"The runs span {span}; whatever is said beyond is extrapolation.",
        f"The range of {listed(narrow)} is below {WIDE:g}×, too short to tell an exponent from a "
        "loss that no model removes."
        if narrow
        else "",
        f"Add runs until both ranges reach {WIDE:g}×." if narrow else "",
    )


def _seeds(runs: RunTable) -> Iterator[Verdict]:
    kinds: dict[object, set[object]] = defaultdict(set)
    for run in run_facts(runs):
        kind = (tuple(sorted(run.mixture.items())), run.n_params, run.base_run)
        kinds[kind].add(run.run_id if run.seed is None else run.seed)
    if all(run.seed is None for run in run_facts(runs)):
        yield Verdict(Tone.WEAK, "Seeds are not recorded: what another one changes is not known.")
        return
    repeated = sum(len(seeds) > 1 for seeds in kinds.values())
    if repeated:
        yield Verdict(
            Tone.TOLD,
            f"What another seed changes was measured on {counted(repeated, 'kind')} of run.",
        )
    else:
        yield Verdict(
            Tone.UNTOLD,
            "What another seed would change is not known: every kind of run was made once.",
            "Intervals of scores cover the noise of evaluations only, and are too narrow by what "
            "seeds add.",
            "Run two or three kinds again with another seed (seeds: [0, 1] in the study).",
        )


def _schedule(runs: RunTable) -> Iterator[Verdict]:
    states = set(runs.frame["lr_state"].drop_nulls()) - {"unknown"}
    if not states:
        yield Verdict(
            Tone.WEAK,
            "Learning-rate states are not recorded.",
            "A decayed loss lies below a stable one by more than most effects here; points of both "
            "kinds may have been mixed.",
        )


def _notes(runs: RunTable) -> Iterator[Verdict]:
    if runs.notes:
        places = [f"{note.where}: {note.problem}" for note in runs.notes[:3]]
        more = f"; and {len(runs.notes) - 3} more" if len(runs.notes) > 3 else ""
        yield Verdict(
            Tone.WEAK,
            f"{counted(len(runs.notes), 'note')} of the reader on these records.",
            "; ".join(places) + more,
            "See all: atlas runs check RUNS.",
        )


def _description(law: str, fits: list[Fit], ask: bool) -> Iterator[Verdict]:
    known = [fit.diagnostics.r2 for fit in fits if fit.diagnostics.r2 is not None]
    shares = [
        fit.diagnostics.mean_error_reducible_percent
        for fit in fits
        if fit.diagnostics.mean_error_reducible_percent is not None
    ]
    if not known:
        return
    worst = min(range(len(known)), key=known.__getitem__)
    tone = Tone.TOLD if known[worst] >= 0.98 else Tone.WEAK if known[worst] >= 0.9 else Tone.UNTOLD
    words = {
        Tone.TOLD: "describes these losses well",
        Tone.WEAK: "describes these losses with visible misfit",
        Tone.UNTOLD: "does not describe these losses",
    }[tone]
    where = "" if len(fits) == 1 else f" (lowest of {counted(len(fits), 'language')})"
    share = f", mean error up to {plain(max(shares))} % of the reducible loss" if shares else ""
    yield Verdict(
        tone,
        f"{law} {words}: R² {r_squared(known[worst])}{where}{share}.",
        "On the points it was fitted to; how it predicts runs it has not seen is another question.",
        "Ask: atlas compare RUNS." if ask else "See what it predicts below.",
    )


def _held_out(comparison: Comparison) -> Iterator[Verdict]:
    """The best law of every cut, and how far it can be trusted there."""
    for cut, words in CUTS.items():
        known = {
            compared_name(row): score
            for row in comparison.rows
            if (score := getattr(row, cut)) is not None
        }
        if not known:
            continue
        best = max(known, key=lambda name: known[name])
        tone = Tone.TOLD if known[best] >= 0.9 else Tone.WEAK if known[best] >= 0.5 else Tone.UNTOLD
        fails = sum(score < 0 for score in known.values())
        worse = f"{fails} of {len(known)} laws do worse there than the mean of the losses."
        yield Verdict(
            tone,
            f"Held out, {words}: {best} predicts best, R² {r_squared(known[best])}.",
            worse if fails else "",
        )


def _parameters(law: str, fits: list[Fit]) -> Iterator[Verdict]:
    """Parameters of one law over all languages, sorted by what can be told of them."""
    worst: dict[str, tuple[Tone, str, str]] = {}
    for fit in fits:
        for name, verdict in fit.verdicts.items():
            group = "tau of single sources" if name.startswith("tau[") else name
            tone = verdict_tone(verdict)
            if verdict == "given":
                continue
            held = worst.get(group)
            if held is None or _ORDER.index(tone) > _ORDER.index(held[0]):
                worst[group] = (tone, verdict, fit.target or ALL_DATA)
    for tone, claim in (
        (Tone.TOLD, "these runs identify {}"),
        (Tone.WEAK, "these runs tell {} only roughly"),
        (Tone.UNTOLD, "these runs do not identify {}"),
    ):
        names = [name for name, (worst_tone, _, _) in worst.items() if worst_tone is tone]
        if not names:
            continue
        everywhere = " for every language" if len(fits) > 1 and tone is Tone.TOLD else ""
        somewhere = " for at least one language" if len(fits) > 1 and tone is not Tone.TOLD else ""
        said = listed([parameter_name(name) for name in names], most=12)
        yield Verdict(
            tone,
            f"{law}: {claim.format(said)}{everywhere}{somewhere}.",
            ""
            if tone is Tone.TOLD
            else "; ".join(_reason(name, *worst[name][1:], len(fits) > 1) for name in names[:4])
            + ".",
        )


def _reason(name: str, verdict: str, target: str, several: bool) -> str:
    """``α of Danish: standard error 94 %; the N range is 11x``."""
    of = f" ({language_name(target)})" if several else ""
    return f"{parameter_name(name)}{of}: {verdict.partition(': ')[2] or verdict}"


def _transfer(matrix: TransferMatrix, warnings: Sequence[str]) -> Iterator[Verdict]:
    cells = [c for c in matrix if c.target != c.source and c.provenance in MEASUREMENTS]
    if not cells:
        return
    clear = [c for c in cells if _is_clear(c) and not c.early]
    at = {c.origin.d for c in cells if c.origin is not None and c.origin.d is not None}
    where = f" at d = {count(at.pop())}" if len(at) == 1 else ""
    pairs = sorted(clear, key=lambda c: -(shown_value(c) or 0.0))
    told = listed([_pair(c) for c in pairs[:2]] + ([_pair(pairs[-1])] if len(pairs) > 2 else []))
    yield Verdict(
        Tone.TOLD if clear else Tone.UNTOLD,
        f"Of {counted(len(cells), 'pair')} that {'was' if len(cells) == 1 else 'were'} run, "
        f"{len(clear)} {'helps or harms' if len(clear) == 1 else 'help or harm'} beyond the "
        f"interval{where}" + (f": {told}." if clear else "."),
        "" if clear else "Every interval holds 0, there are none, or the score is early.",
    )
    censored = sum(c.provenance is Provenance.CENSORED for c in cells)
    missing = matrix.counts.get(Provenance.MISSING.value, 0)
    if missing:
        yield Verdict(
            Tone.UNTOLD,
            f"{counted(missing, 'pair')} of these languages {'was' if missing == 1 else 'were'} "
            "not run.",
            "",
            "atlas transfer sources LANG has the published estimates.",
        )
    if censored:
        yield Verdict(
            Tone.WEAK, f"{censored} of {len(cells)} scores are bounds, not values (marked so)."
        )
    yield from (Verdict(Tone.WEAK, _sentence(w)) for w in warnings if not _is_said(w))


def _is_said(warning: str) -> bool:
    """Whether another verdict has it already: bounds are counted above, seeds by ``_seeds``."""
    return " are bounds: " in warning or warning.startswith("one run a side")


def _is_clear(cell: Cell) -> bool:
    """Whether the interval, or the bound, lies on one side of 0."""
    if cell.provenance is Provenance.PUBLISHED:
        return cell.bts is not None and abs(cell.bts) > 0.05
    above = cell.lower is not None and cell.lower > 0
    below = cell.upper is not None and cell.upper < 0
    return above or below


def _pair(cell: Cell) -> str:
    word = "helps" if (shown_value(cell) or 0.0) > 0 else "harms"
    return f"{language_name(cell.source)} {word} {language_name(cell.target)}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
