"""How a report was made: spec, versions, seeds, hashes, machine, time. Taken from the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import polars as pl

from atlas_scaling._version import __version__
from atlas_scaling.report.blocks import Block, Code, Facts
from atlas_scaling.report.figures.fits import ALL_DATA, law_label
from atlas_scaling.report.words import count, listed, number
from atlas_scaling.runs.provenance import code_info

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.runs.record import CodeInfo
    from atlas_scaling.runs.store import RunTable


@dataclass(frozen=True)
class Provenance:
    """What only the caller knows; everything else stands in the records.

    Attributes:
        command: that made the report.
        spec: the study's YAML.
        wall_seconds: of the study, or None.
        machine: in words, or None.
        more: other names with values, such as package versions.
    """

    command: str | None = None
    spec: str | None = None
    wall_seconds: float | None = None
    machine: str | None = None
    more: dict[str, str] = field(default_factory=dict)


def provenance_blocks(
    provenance: Provenance, runs: RunTable | None, fits: Sequence[Fit] = ()
) -> tuple[Block, ...]:
    """Facts and, where there is one, the spec."""
    facts = [("Report by", f"atlas-scaling {_version(code_info())}")]
    if provenance.command:
        facts.append(("Command", provenance.command))
    if runs is not None and runs.records:
        facts += _run_facts(runs)
    if provenance.machine:
        facts.append(("Machine", provenance.machine))
    if provenance.wall_seconds is not None:
        facts.append(("Wall time of the study", _duration(provenance.wall_seconds)))
    if fits:
        seeds = sorted({str(fit.seed) for fit in fits})
        draws = sorted({0 if fit.draws is None else len(fit.draws) for fit in fits})
        facts += [
            ("Seeds of fits", listed(seeds)),
            ("Bootstrap refits", listed([str(n) for n in draws])),
        ]
    facts += list(provenance.more.items())
    blocks: list[Block] = [Facts(tuple(facts))]
    if provenance.spec:
        blocks.append(Code("The study as it was run (YAML)", provenance.spec))
    if fits:
        hashes = (f"{fit.data_hash}  {law_label(fit)}, {fit.target or ALL_DATA}" for fit in fits)
        blocks.append(Code("Hashes of the data of each fit", "\n".join(hashes)))
    return tuple(blocks)


def made_line() -> str:
    """One line for the foot of a page."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"Made by atlas-scaling {__version__} on {now}."


def _run_facts(runs: RunTable) -> list[tuple[str, str]]:
    records = runs.records
    ends = runs.frame.group_by("run_id").agg(pl.col("tokens").max(), pl.col("flops").max())
    tokens, flops = float(ends["tokens"].sum()), float(ends["flops"].sum())
    tokenizers = {
        f"{r.tokenizer.name} {r.tokenizer.vocab_size:,}, {r.tokenizer.sha256[:12]}" for r in records
    }
    created = sorted(r.created_at for r in records)
    environment: dict[str, set[str]] = {}
    for record in records:
        for name, value in record.environment.items():
            environment.setdefault(name, set()).add(value)
    facts = [
        ("Runs", f"{len(records)} ({ends.height} with evaluations)"),
        ("Trained in all", f"{count(tokens)} tokens, {number(flops, 3)} FLOPs (6 N D)"),
        ("First and last run begun", listed(list(dict.fromkeys([created[0], created[-1]])))),
        ("Runs made by", listed(sorted({f"atlas-scaling {_version(r.code)}" for r in records}))),
        ("Seeds of runs", listed(sorted({str(r.seed) for r in records}))),
        ("Corpus (SHA-256)", listed(sorted({r.corpus_sha256 for r in records}))),
        ("Tokenizer", listed(sorted(tokenizers))),
    ]
    return facts + [
        (f"Runs: {name}", listed(sorted(values))) for name, values in sorted(environment.items())
    ]


def _version(code: CodeInfo) -> str:
    commit = f", commit {code.commit[:12]}" if code.commit else ""
    return f"{code.version}{commit}{' with changes' if code.dirty else ''}"


def _duration(seconds: float) -> str:
    """``9 min 41 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join(f"{n} {unit}" for n, unit in parts if n) or "0 s"
