"""What is in a folder of runs, and what is wrong with it (``atlas runs check``)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from atlas_scaling.answers import Answer
from atlas_scaling.runs.record import EvalRow, RunState
from atlas_scaling.runs.store import Note, RunFiles, find_runs, read_run


@dataclass(frozen=True, slots=True)
class RunSummary(Answer):
    """One run in a line. ``tokens`` are those of its last evaluation; ``state`` is as last said."""

    run_id: str
    path: str
    group: str | None
    languages: tuple[str, ...]
    n_params: int | None
    tokens: int
    n_evaluations: int
    final_loss: float | None
    state: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckReport(Answer):
    """All runs found, sorted by path, and how many of them have a problem."""

    runs: tuple[RunSummary, ...]
    n_runs: int
    n_with_problems: int
    states: dict[str, int]
    problems: tuple[str, ...]


def check_runs(paths: Path | str | Iterable[Path | str]) -> CheckReport:
    """Look through every run at or below ``paths`` without changing anything.

    Raises:
        InputError: a path does not exist or holds no run.
    """
    files = [read_run(path) for path in find_runs(paths)]
    summaries = tuple(_summarise(one) for one in files)
    return CheckReport(
        runs=summaries,
        n_runs=len(summaries),
        n_with_problems=sum(bool(s.problems) for s in summaries),
        states=dict(sorted(Counter(s.state for s in summaries).items())),
        problems=tuple(_between_runs(files)),
    )


def _summarise(one: RunFiles) -> RunSummary:
    record, rows = one.record, one.rows
    own = [r for r in rows if record is not None and r.language in record.mixture]
    last_step = max((r.step for r in own), default=0)
    last = [r.loss for r in own if r.step == last_step]
    return RunSummary(
        run_id=record.run_id if record else one.path.name,
        path=str(one.path),
        group=record.group if record else None,
        languages=tuple(sorted(record.mixture)) if record else (),
        n_params=record.n_params if record else None,
        tokens=max((r.tokens for r in rows), default=0),
        n_evaluations=len(rows),
        final_loss=sum(last) / len(last) if last else None,
        state=one.status.state.value if one.status else "unknown",
        problems=tuple(_problems(one)),
    )


def _problems(one: RunFiles) -> Iterable[str]:
    for note in one.notes:
        yield f"{_relative(note, one.path)}: {note.problem}"
    if one.status is not None and one.status.state is RunState.FAILED:
        yield f"failed: {one.status.reason or 'no reason was written'}"
    if one.status is not None and one.status.state is RunState.STOPPED:
        yield "stopped before its end; the study command goes on with it"
    for row in one.rows:
        if not math.isfinite(row.loss) or row.loss <= 0:
            yield f"step {row.step}, {row.language}: loss is {row.loss}"
    if one.record is not None and one.rows:
        yield from _languages_without_evaluation(one.rows, one.record.mixture)


def _languages_without_evaluation(
    rows: tuple[EvalRow, ...], mixture: dict[str, float]
) -> Iterable[str]:
    missing = sorted(set(mixture) - {row.language for row in rows})
    if missing:
        yield f"trained on but never evaluated: {', '.join(missing)}"


def _between_runs(files: list[RunFiles]) -> Iterable[str]:
    """Problems that no single run shows."""
    known = {one.record.run_id for one in files if one.record}
    paths: dict[str, list[str]] = {}
    for one in files:
        if one.record is None:
            continue
        paths.setdefault(one.record.run_id, []).append(str(one.path))
        base = one.record.base_run
        if base is not None and base not in known:
            yield f"{one.record.run_id} continues {base}, which is not here"
    for run_id, places in sorted(paths.items()):
        if len(places) > 1:
            yield f"run id {run_id} is claimed by {' and '.join(places)}"
    corpora = {one.record.corpus_sha256 for one in files if one.record}
    if len(corpora) > 1:
        yield f"{len(corpora)} corpora: compare losses only between runs of one corpus"
    tokenizers = {one.record.tokenizer.sha256 for one in files if one.record}
    if len(tokenizers) > 1:
        yield f"{len(tokenizers)} tokenizers: compare in bits per byte, not in nats per token"


def _relative(note: Note, folder: Path) -> str:
    prefix = f"{folder}/"
    return note.where.removeprefix(prefix)
