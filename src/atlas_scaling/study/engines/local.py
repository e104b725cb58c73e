"""Runs on this machine: one long-lived worker process an accelerator, or one a core.

On cores each has one thread. Many small runs on a CPU are fastest so: no thread of one run waits
for another, and PyTorch is imported once a worker. On an accelerator a worker trains several small
runs of one kind together (``study/together.py``). A worker that dies is replaced, and its runs go
on from their checkpoints, each alone: what killed it may have been their number.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from atlas_scaling.errors import InputError
from atlas_scaling.study.engines.base import Event, EventKind, Job
from atlas_scaling.study.engines.options import LocalOptions, noted_options
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.lock import Life, last_holder
from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.study.process import LOST_PROCESS_CODE, NOT_TOGETHER_CODE, process_environment
from atlas_scaling.study.settings import Hardware
from atlas_scaling.study.together import kind_of, most_together
from atlas_scaling.study.worker import event_from_line

MAX_LOSSES_PER_RUN: Final = 2
STOP_GRACE_SECONDS: Final = 60.0
JOIN_SECONDS: Final = 0.1
ACCELERATORS: Final = "CUDA_VISIBLE_DEVICES"


def usable_cores() -> list[int]:
    """Cores that this process may run on (a container often gives fewer than the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is worked on: one core, or the accelerators in its sight, named as CUDA does."""

    core: int | None = None
    accelerator: str | None = None

    def environment(self) -> dict[str, str]:
        """What the process finds in its environment beyond ours."""
        if self.accelerator is None:
            return process_environment()
        return {**process_environment(), ACCELERATORS: self.accelerator}


def places_here(processes: int = 1) -> list[Place]:
    """One an accelerator where there are any, else one a usable core.

    Runs of several ``processes`` have as many of either; on cores they are not pinned.
    """
    if found := accelerators():
        return places_on(found, processes)
    cores = usable_cores()
    if processes > 1:
        return [Place()] * max(1, len(cores) // processes)
    return [Place(core=core) for core in cores]


def places_on(accelerators: Sequence[str], processes: int) -> list[Place]:
    """Accelerators dealt out to runs of so many ``processes``; too few for one is none.

    >>> [place.accelerator for place in places_on(["0", "1", "2", "3"], 2)]
    ['0,1', '2,3']
    """
    whole = range(0, len(accelerators) - processes + 1, processes)
    return [Place(accelerator=",".join(accelerators[i : i + processes])) for i in whole]


def accelerators() -> list[str]:
    """Those this process may use: what a scheduler (or the user) set, else all NVIDIA has here."""
    named = os.environ.get(ACCELERATORS)
    if named is not None:
        return [name for name in named.split(",") if name and name != "-1"]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(found))]


class LocalEngine:
    """Carries out runs in processes of this machine.

    Args:
        n_workers: how many; by default one a place.
        places: where they run; by default on each accelerator, or each usable core if there is
            none.
        job: the scheduler's job this process belongs to, if any.
        hardware: of each run.
        grace_seconds: how long a run in hand may take to write its checkpoint when asked to stop.
    """

    def __init__(
        self,
        n_workers: int | None = None,
        *,
        places: Sequence[Place] | None = None,
        job: str | None = None,
        hardware: Hardware | None = None,
        grace_seconds: float = STOP_GRACE_SECONDS,
    ) -> None:
        hardware = hardware or Hardware()
        self.options = LocalOptions(workers=n_workers, hardware=hardware)
        self.places = places or places_here(hardware.processes)
        if not self.places:
            raise InputError(
                "there are fewer accelerators here than processes of a run",
                value=f"processes: {hardware.processes}, accelerators: {len(accelerators())}",
                where="hardware.processes",
            )
        self.n_workers = n_workers or len(self.places)
        self._job = job
        self._grace_seconds = grace_seconds
        self._board: _Board | None = None
        self._workers: list[_Worker] = []

    def run(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        *,
        on_event: Callable[[Event], None],
    ) -> None:
        """Carry out ``runs``; see ``Engine.run``."""
        n_workers = min(self.n_workers, len(runs))
        board = self._board = _Board(list(runs), on_event, n_workers)
        study, options = StudyFolder.open(study_dir), noted_options(study_dir)

        def most_of(run: PlannedRun, place: Place) -> int:
            hardware = options.hardware_of(run.size)
            on_accelerator = place.accelerator is not None and hardware.device != "cpu"
            most = most_together(run, study.spec, hardware, on_accelerator=on_accelerator)
            return min(most, board.share_of(run))

        self._workers = [
            _Worker(study_dir, board, most_of, n, self.places[n % len(self.places)], self._job)
            for n in range(n_workers)
        ]
        try:
            for worker in self._workers:
                worker.start()
            # A join without limit would hear of Ctrl-C only when the worker has ended.
            while any(worker.is_alive() for worker in self._workers):
                for worker in self._workers:
                    worker.join(JOIN_SECONDS)
        except KeyboardInterrupt:
            self.stop()
            raise
        if board.crash is not None:
            raise board.crash

    def stop(self) -> None:
        """Make runs in hand write a checkpoint and end; from the thread that called ``run``."""
        if self._board is None:
            return
        self._board.stop()
        for worker in self._workers:
            worker.stop()
        for worker in self._workers:
            worker.join(self._grace_seconds)

    def jobs(self, study_dir: Path) -> dict[str, Job]:
        """No scheduler is involved: nothing of a study outlives the program that runs it."""
        return {}

    def cancel(self, study_dir: Path) -> int:
        """Stop the program at work on the study, as Ctrl-C would.

        By SIGTERM: shells have what a script starts in the background ignore Ctrl-C's signal.

        Raises:
            InputError: the study is at work on another machine.
        """
        holder = last_holder(study_dir)
        if holder is None or holder.life is Life.GONE:
            return 0
        if holder.life is Life.UNHEARD:
            raise InputError(
                "the study is at work on another machine",
                value=str(holder),
                remedy="press Ctrl-C there, or give this command there",
            )
        os.kill(holder.owner.pid, signal.SIGTERM)
        return 1


@dataclass
class _Board:
    """Which runs wait, which are out and which have ended; shared by the worker threads."""

    waiting: list[PlannedRun]
    on_event: Callable[[Event], None]
    n_workers: int = 1
    ended: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    losses: dict[str, int] = field(default_factory=dict)
    stopping: bool = False
    crash: BaseException | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.out: dict[str, str] = {}  # to the first of those that one worker has in its hands
        self._bases = {run.run_id for run in self.waiting}

    def take(self, most_of: Callable[[PlannedRun], int]) -> list[PlannedRun]:
        """The next run whose base has ended, with others of its kind; none when there are none.

        Waits for one. A run that was lost before comes alone.
        """
        with self.changed:
            while not self.stopping:
                self._fail_orphans()
                ready = [run for run in self.waiting if self._is_ready(run)]
                if ready:
                    alike = [run for run in ready if kind_of(run) == kind_of(ready[0])]
                    fit = [run for run in alike if run.run_id not in self.losses]
                    most = most_of(ready[0])
                    taken = fit[:most] if fit and fit[0] is ready[0] else ready[:1]
                    for run in taken:
                        self.waiting.remove(run)
                        self.out[run.run_id] = taken[0].run_id
                    return taken
                if not self.waiting:
                    return []
                self.changed.wait()
            return []

    def share_of(self, run: PlannedRun) -> int:
        """How many of the runs of its kind that could begin each free worker would get."""
        ready = sum(self._is_ready(one) and kind_of(one) == kind_of(run) for one in self.waiting)
        return -(-ready // (self.n_workers - len(set(self.out.values()))))

    def _is_ready(self, run: PlannedRun) -> bool:
        return run.base_run not in self._bases or run.base_run in self.ended

    def tell(self, event: Event) -> None:
        """Pass news on, and note an end."""
        with self.changed:
            if event.kind in (EventKind.DONE, EventKind.FAILED, EventKind.STOPPED):
                self.out.pop(event.run_id, None)
                (self.ended if event.kind is EventKind.DONE else self.failed).add(event.run_id)
                self.changed.notify_all()
            self.on_event(event)

    def lose(self, run: PlannedRun, reason: str) -> None:
        """A worker died with ``run`` in hand: hand it out again, unless it keeps happening."""
        times = self.losses[run.run_id] = self.losses.get(run.run_id, 0) + 1
        if times > MAX_LOSSES_PER_RUN:
            self.tell(Event(run.run_id, EventKind.FAILED, reason=f"lost {times} times: {reason}"))
            return
        with self.changed:
            self.out.pop(run.run_id, None)
            self.waiting.insert(0, run)
            self.changed.notify_all()
            self.on_event(Event(run.run_id, EventKind.LOST, reason=reason))

    def stop(self) -> None:
        with self.changed:
            self.stopping = True
            self.changed.notify_all()

    def _fail_orphans(self) -> None:
        """What continues a failed run cannot be carried out, nor what continues that."""
        while orphans := [run for run in self.waiting if run.base_run in self.failed]:
            for run in orphans:
                self.waiting.remove(run)
                self.failed.add(run.run_id)
                reason = f"the run it continues, {run.base_run}, did not finish"
                self.on_event(Event(run.run_id, EventKind.FAILED, reason=reason))


class _Worker(threading.Thread):
    """Keeps one worker process busy, and replaces it when it dies."""

    def __init__(
        self,
        study_dir: Path,
        board: _Board,
        most_of: Callable[[PlannedRun, Place], int],
        number: int,
        place: Place,
        job: str | None,
    ) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self._study_dir = study_dir
        self._board = board
        self._place = place
        self._most_of = most_of
        self._job = job
        name = f"worker-{number}" if job is None else f"job-{job}-worker-{number}"
        self._log = study_dir / "logs" / f"{name}.log"
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        try:
            while runs := self._board.take(lambda run: self._most_of(run, self._place)):
                self._carry_out(runs)
        except BaseException as error:
            self._board.crash = error
            self._board.stop()
        finally:
            self._close()

    def stop(self) -> None:
        """Ask the process to write a checkpoint and end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _carry_out(self, runs: list[PlannedRun]) -> None:
        process = self._living_process()
        assert process.stdin is not None
        assert process.stdout is not None
        in_hand = {run.run_id: run for run in runs}
        try:
            process.stdin.write(" ".join(in_hand) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._lost(in_hand.values())
            return
        has_failed = False
        for line in process.stdout:
            if not line.endswith("\n"):  # torn by a kill
                break
            event = event_from_line(line)
            self._board.tell(event)
            has_failed |= event.kind is EventKind.FAILED
            if event.kind in (EventKind.DONE, EventKind.FAILED, EventKind.STOPPED):
                del in_hand[event.run_id]
            if not in_hand:
                if has_failed:
                    self._close()
                return
        self._lost(in_hand.values())

    def _lost(self, runs: Iterable[PlannedRun]) -> None:
        assert self._process is not None
        code = self._process.wait()
        self._close()
        if self._board.stopping:
            return
        how = f"its worker process ended with {f'signal {-code}' if code < 0 else f'code {code}'}"
        if code == LOST_PROCESS_CODE:
            how = "one of the processes that train it died or hung"
        elif code == NOT_TOGETHER_CODE:
            how = "it could not be trained together with others, and comes again alone"
        for run in runs:
            self._board.lose(run, f"{how}; see {self._log}")

    def _living_process(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("a", encoding="utf-8") as log:
                self._process = _spawn(self._study_dir, self._place, self._job, log)
        return self._process

    def _close(self) -> None:
        if self._process is None:
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._process = None


def _spawn(study_dir: Path, place: Place, job: str | None, log: IO[str]) -> subprocess.Popen[str]:
    """A worker in its place, in a session of its own: Ctrl-C reaches it through us only."""
    command = [sys.executable, "-m", "atlas_scaling.study.worker", str(study_dir)]
    process = subprocess.Popen(
        command if job is None else [*command, job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env={**os.environ, **place.environment()},
        start_new_session=True,
    )
    if place.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {place.core})
    return process
