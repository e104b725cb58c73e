"""Where runs stand, looked at again and again while they go on.

A directory is read once; after that only what changed: ``status.json`` when its time stamp moved,
``evals.jsonl`` from the byte up to which it was read. A folder of thousands of runs costs a few
calls of ``stat`` a run and look.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, nearest
from atlas_scaling.runs.record import EvalRow, RunRecord, RunState, RunStatus
from atlas_scaling.runs.store import EVALS_NAME, RECORD_NAME, STATUS_NAME
from atlas_scaling.web.engines import EngineWatch, StudyLine

if TYPE_CHECKING:
    from atlas_scaling.study.planned_runs import PlannedRun

WAITING: Final = "waiting"
LOOK_SECONDS: Final = 1.0
"""A look this soon after another one answers with that one's."""

WALK_SECONDS: Final = 4.0
"""How often new directories are looked for."""

MOST_CURVES: Final = 40


@dataclass(frozen=True, slots=True)
class RunLine(Answer):
    """One run in the table.

    Attributes:
        run_id: its name.
        group: its kind in the study's design.
        mixture: share by language.
        n_params: model size, embeddings counted.
        tokens: trained so far.
        tokens_planned: in all.
        state: ``waiting``, ``running``, ``done``, ``stopped`` or ``failed``; of a study's run also
            ``queued`` (a scheduler has it) and ``lost`` (its process is gone).
        tokens_per_second: last said; None before the first.
        seconds_left: at that speed; None unless the run is going on.
        updated_at: when it last said something.
        reason: why it waits, stopped or failed.
        base_run: the run it continues.
        seed: of weights and data.
        host: where it runs, or last ran; None if no engine was asked.
        job: the scheduler's name for its job, or None.
    """

    run_id: str
    group: str
    mixture: dict[str, float]
    n_params: int
    tokens: int
    tokens_planned: int
    state: str
    tokens_per_second: float | None
    seconds_left: float | None
    updated_at: str | None
    reason: str | None
    base_run: str | None
    seed: int
    host: str | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class RunsPage(Answer):
    """Some of the runs that a filter leaves, and sums over all of those.

    Attributes:
        version: changes when anything here does.
        total: runs that the filter leaves.
        offset: of the first run of ``runs`` among them.
        runs: the page.
        states: how many of the total are in each state.
        tokens, tokens_planned: of the total.
        tokens_per_second: of those going on, together.
        seconds_left: for all tokens that are left, at that speed; None while nothing goes on.
        groups, sizes, languages: what the unfiltered runs have, for filters.
        studies: what the engines of the studies say.
        notes: directories that could not be read, and why.
    """

    version: int
    total: int
    offset: int
    runs: tuple[RunLine, ...]
    states: dict[str, int]
    tokens: float
    tokens_planned: float
    tokens_per_second: float
    seconds_left: float | None
    groups: tuple[str, ...]
    sizes: tuple[int, ...]
    languages: tuple[str, ...]
    studies: tuple[StudyLine, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunCurve(Answer):
    """Evaluations of one run in one language, in the order of tokens."""

    run_id: str
    language: str
    tokens: tuple[int, ...]
    loss: tuple[float, ...]
    bits_per_byte: tuple[float, ...]
    lr_state: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunDetail(Answer):
    """One run: its line, its record as it stands in ``run.json``, and the languages evaluated."""

    line: RunLine
    path: str
    record: dict[str, Any] | None
    status: dict[str, Any] | None
    languages: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class _Directory:
    """What is known of one run directory, and how far it was read."""

    path: Path
    record: RunRecord | None = None
    record_stamp: int = -1
    status: RunStatus | None = None
    status_stamp: int = -1
    evals: dict[tuple[int, str], EvalRow] = field(default_factory=dict)
    evals_read: int = 0
    problems: dict[str, str] = field(default_factory=dict)


class LiveRuns:
    """The runs of some folders, and those that a study's design still has to make.

    Args:
        folders: looked through at any depth.
        planned: runs of a design.
        engines: of the studies among the folders.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        planned: Sequence[PlannedRun] = (),
        engines: EngineWatch | None = None,
    ) -> None:
        self._folders = tuple(folders)
        self._planned = tuple(planned)
        self._engines = engines or EngineWatch(())
        self._standings: Mapping[str, Mapping[str, Any]] = {}
        self._lock = threading.Lock()
        self._known: dict[Path, _Directory] = {}
        self._lines: dict[str, RunLine] = {}
        self._by_id: dict[str, _Directory] = {}
        self._version = 0
        self._looked = self._walked = -1e9

    def page(
        self,
        *,
        offset: int = 0,
        limit: int = 100,
        states: Sequence[str] = (),
        groups: Sequence[str] = (),
        sizes: Sequence[int] = (),
        language: str | None = None,
        text: str = "",
        sort: str = "",
        descending: bool = False,
    ) -> RunsPage:
        """Runs that meet all filters, ``limit`` of them from ``offset`` on."""
        with self._lock:
            self._look()
            lines = list(self._lines.values())
            notes = (
                *(
                    f"{folder} is no longer there"
                    for folder in self._folders
                    if not folder.is_dir()
                ),
                *(said for d in self._known.values() for said in d.problems.values()),
            )
            version = self._version
        wanted = text.casefold()
        left = [
            line
            for line in lines
            if (not states or line.state in states)
            and (not groups or line.group in groups)
            and (not sizes or line.n_params in sizes)
            and (language is None or language in line.mixture)
            and wanted in line.run_id.casefold()
        ]
        if sort:
            keyed = [(_sort_key(line, sort), line) for line in left]
            known = [one for one in keyed if one[0] is not None]
            known.sort(key=itemgetter(0), reverse=descending)
            left = [line for _, line in known] + [line for key, line in keyed if key is None]
        speed = sum(x.tokens_per_second or 0.0 for x in left if x.state == RunState.RUNNING)
        tokens = float(sum(min(x.tokens, x.tokens_planned) for x in left))
        planned = float(sum(x.tokens_planned for x in left))
        return RunsPage(
            version=version,
            total=len(left),
            offset=offset,
            runs=tuple(left[offset : offset + limit]),
            states=dict(sorted(Counter(line.state for line in left).items())),
            tokens=tokens,
            tokens_planned=planned,
            tokens_per_second=speed,
            seconds_left=(planned - tokens) / speed if speed else None,
            groups=tuple(sorted({line.group for line in lines})),
            sizes=tuple(sorted({line.n_params for line in lines})),
            languages=tuple(sorted({code for line in lines for code in line.mixture})),
            studies=self._engines.studies(),
            notes=notes,
        )

    def languages(self) -> tuple[str, ...]:
        """Languages that some run trains on."""
        return self.page(limit=0).languages

    def detail(self, run_id: str) -> RunDetail:
        """Everything about one run."""
        with self._lock:
            self._look()
            line = self._line(run_id)
            directory = self._by_id.get(run_id)
            if directory is None:
                return RunDetail(line, "", None, None, (), ("this run has not begun",))
            _read_evals(directory)
            languages = tuple(sorted({code for _, code in directory.evals}))
        record, status = directory.record, directory.status
        return RunDetail(
            line=line,
            path=str(directory.path),
            record=None if record is None else record.model_dump(mode="json"),
            status=None if status is None else status.model_dump(mode="json"),
            languages=languages,
            notes=tuple(directory.problems.values()),
        )

    def curves(self, run_ids: Sequence[str], languages: Sequence[str] = ()) -> list[RunCurve]:
        """Loss curves of some runs, in the given languages or all that were evaluated."""
        with self._lock:
            self._look()
            found: list[RunCurve] = []
            for run_id in run_ids:
                self._line(run_id)
                directory = self._by_id.get(run_id)
                if directory is not None:
                    _read_evals(directory)
                    found += _curves(run_id, directory.evals, languages)
        return found[:MOST_CURVES]

    def path(self, run_id: str) -> Path:
        """The directory of a run that has begun."""
        with self._lock:
            self._look()
            self._line(run_id)
            directory = self._by_id.get(run_id)
        if directory is None:
            raise InputError("this run has not begun", value=run_id, where="run")
        return directory.path

    def records(self) -> list[tuple[Path, RunRecord]]:
        """Directories and records of all runs that have begun."""
        with self._lock:
            self._look()
            return [(d.path, d.record) for d in self._by_id.values() if d.record is not None]

    def _line(self, run_id: str) -> RunLine:
        if run_id not in self._lines:
            raise InputError(
                "there is no such run",
                value=run_id,
                where="run",
                remedy=nearest(run_id, self._lines) or "see the table of runs",
            )
        return self._lines[run_id]

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if now - self._walked >= WALK_SECONDS:
            self._walk()
            self._walked = time.monotonic()
        changed = sum([_reread(directory) for directory in self._known.values()])
        standings = self._engines.standings
        if standings is not self._standings:
            self._standings, changed = standings, True
        if changed or self._version == 0:
            begun = {d.record.run_id: d for d in self._known.values() if d.record is not None}
            self._by_id = dict(sorted(begun.items()))
            self._lines = dict(self._all_lines())
            self._version += 1
        self._looked = time.monotonic()

    def _walk(self) -> None:
        for folder in self._folders:
            for place, subfolders, names in os.walk(folder):
                if RECORD_NAME in names:
                    path = Path(place)
                    self._known.setdefault(path, _Directory(path))
                    subfolders.clear()

    def _all_lines(self) -> Iterable[tuple[str, RunLine]]:
        """In the order of the design, then by name."""
        plans = {plan.run_id: plan for plan in self._planned}
        for run_id in dict.fromkeys([*plans, *self._by_id]):
            directory = self._by_id.get(run_id)
            if directory is None:
                line = _planned_line(plans[run_id])
            elif directory.record is not None:
                line = _begun_line(directory.record, directory.status)
            else:
                continue
            yield run_id, _with_standing(line, self._standings.get(run_id))


def _planned_line(plan: PlannedRun) -> RunLine:
    return RunLine(
        run_id=plan.run_id,
        group=plan.group,
        mixture=dict(plan.mixture or {}),
        n_params=plan.n_params,
        tokens=0,
        tokens_planned=plan.tokens,
        state=WAITING,
        tokens_per_second=None,
        seconds_left=None,
        updated_at=None,
        reason=None,
        base_run=plan.base_run,
        seed=plan.seed,
    )


def _begun_line(record: RunRecord, status: RunStatus | None) -> RunLine:
    speed = None if status is None else status.tokens_per_second
    tokens = 0 if status is None else status.tokens
    goes_on = status is not None and status.state is RunState.RUNNING and bool(speed)
    return RunLine(
        run_id=record.run_id,
        group=record.group,
        mixture=dict(record.mixture),
        n_params=record.n_params,
        tokens=tokens,
        tokens_planned=record.tokens,
        state=WAITING if status is None else status.state.value,
        tokens_per_second=speed,
        seconds_left=max(record.tokens - tokens, 0) / speed if goes_on and speed else None,
        updated_at=None if status is None else status.updated_at,
        reason=None if status is None else status.reason,
        base_run=record.base_run,
        seed=record.seed,
    )


def _with_standing(line: RunLine, standing: Mapping[str, Any] | None) -> RunLine:
    """The line with what the engine says; what the run said of itself since then is newer."""
    if standing is None:
        return line
    line = replace(line, host=standing["host"], job=standing["job"])
    if standing["updated_at"] != line.updated_at:
        return line
    goes_on = standing["state"] == RunState.RUNNING
    return replace(
        line,
        state=standing["state"],
        reason=standing["reason"] or line.reason,
        seconds_left=line.seconds_left if goes_on else None,
    )


def _sort_key(line: RunLine, name: str) -> Any:
    """What is sorted by; None where it is missing, which comes last in either order."""
    if name == "progress":
        return line.tokens / line.tokens_planned
    return getattr(line, name, None)


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _reread(directory: _Directory) -> bool:
    """Read what changed of record and status; whether anything did."""
    changed = False
    for name, kind in (("record", RunRecord), ("status", RunStatus)):
        path = directory.path / (RECORD_NAME if name == "record" else STATUS_NAME)
        stamp = _stamp(path)
        if stamp == getattr(directory, f"{name}_stamp"):
            continue
        try:
            value = kind.model_validate_json(path.read_bytes()) if stamp >= 0 else None
            directory.problems.pop(name, None)
        except (OSError, ValidationError) as error:
            # half a file that is being written comes whole with the next look
            value = getattr(directory, name)
            directory.problems[name] = f"{path}: not readable ({str(error).splitlines()[0]})"
        setattr(directory, name, value)
        setattr(directory, f"{name}_stamp", stamp)
        changed = True
    return changed


def _read_evals(directory: _Directory) -> None:
    """Take the complete lines that were added since the last time."""
    path = directory.path / EVALS_NAME
    try:
        size = path.stat().st_size
        if size < directory.evals_read:  # written anew
            directory.evals, directory.evals_read = {}, 0
        if size == directory.evals_read:
            return
        with path.open("rb") as file:
            file.seek(directory.evals_read)
            added = file.read()
    except OSError:
        return
    whole = added.rfind(b"\n") + 1
    directory.evals_read += whole
    for line in added[:whole].splitlines():
        try:
            row = EvalRow.model_validate_json(line)
        except ValidationError:
            continue  # atlas runs check says which
        directory.evals[row.step, row.language] = row


def _curves(
    run_id: str, evals: dict[tuple[int, str], EvalRow], languages: Sequence[str]
) -> Iterable[RunCurve]:
    by_language: dict[str, list[EvalRow]] = {}
    for row in evals.values():
        if not languages or row.language in languages:
            by_language.setdefault(row.language, []).append(row)
    for code, rows in sorted(by_language.items()):
        rows.sort(key=lambda row: row.step)
        yield RunCurve(
            run_id=run_id,
            language=code,
            tokens=tuple(row.tokens for row in rows),
            loss=tuple(row.loss for row in rows),
            bits_per_byte=tuple(row.bits_per_byte for row in rows),
            lr_state=tuple(row.lr_state.value for row in rows),
        )
