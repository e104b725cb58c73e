"""Where runs stand, looked at again and again while they go on.

A directory is read once; after that only what changed. A folder of thousands of runs costs a few
calls of ``stat`` a run and look.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.record import RunRecord, RunState
from atlas_scaling.runs.store import RECORD_NAME
from atlas_scaling.web.engines import EngineWatch, StudyLine
from atlas_scaling.web.run_directory import RunCurve, RunDirectory
from atlas_scaling.web.run_lines import RunLine, begun_line, planned_line, sort_key, with_standing

if TYPE_CHECKING:
    from atlas_scaling.study.planned_runs import PlannedRun

LOOK_SECONDS: Final = 1.0
"""A look this soon after another one answers with that one's."""

WALK_SECONDS: Final = 4.0
"""How often new directories are looked for."""

MOST_CURVES: Final = 40


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
class RunDetail(Answer):
    """One run: its line, its record as it stands in ``run.json``, and the languages evaluated."""

    line: RunLine
    path: str
    record: dict[str, Any] | None
    status: dict[str, Any] | None
    languages: tuple[str, ...]
    notes: tuple[str, ...]


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
        self._known: dict[Path, RunDirectory] = {}
        self._lines: dict[str, RunLine] = {}
        self._by_id: dict[str, RunDirectory] = {}
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
            keyed = [(sort_key(line, sort), line) for line in left]
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
            languages = directory.languages()
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
                    found += directory.curves(run_id, languages)
        return found[:MOST_CURVES]

    def path(self, run_id: str) -> Path:
        """The directory of a run that has begun.

        Raises:
            InputError: there is no such run, or it has not begun.
        """
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
            raise unknown(
                "there is no such run",
                run_id,
                self._lines,
                where="run",
                otherwise="see the table of runs",
            )
        return self._lines[run_id]

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        if now - self._walked >= WALK_SECONDS:
            self._walk()
            self._walked = time.monotonic()
        changed = sum([directory.look() for directory in self._known.values()])
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
                    self._known.setdefault(path, RunDirectory(path))
                    subfolders.clear()

    def _all_lines(self) -> Iterable[tuple[str, RunLine]]:
        """In the order of the design, then by name."""
        plans = {plan.run_id: plan for plan in self._planned}
        for run_id in dict.fromkeys([*plans, *self._by_id]):
            directory = self._by_id.get(run_id)
            if directory is None:
                line = planned_line(plans[run_id])
            elif directory.record is not None:
                line = begun_line(directory.record, directory.status)
            else:
                continue
            yield run_id, with_standing(line, self._standings.get(run_id))
