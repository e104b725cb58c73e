"""How far a study is and when it will be done, from the events of its engine.

Time left is estimated from measured speed: tokens per second of each model size, once seen; for a
size not seen yet, the nearest size's speed scaled by FLOPs per token.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.planned_runs import PlannedRun

_RUNNING = (EventKind.STARTED, EventKind.PROGRESS)
_ENDED = (EventKind.DONE, EventKind.FAILED, EventKind.STOPPED)


@dataclass(frozen=True, slots=True)
class RunPace:
    """Where one run stands. ``kind`` is its last event, None before the first."""

    run: PlannedRun
    kind: EventKind | None = None
    tokens: int = 0
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the study stands. ``seconds_left`` is None until a speed has been measured."""

    n_runs: int
    n_done: int
    n_failed: int
    running: tuple[RunPace, ...]
    tokens_done: int
    tokens_total: int
    tokens_per_second: float
    seconds_left: float | None


@dataclass
class StudyPace:
    """Takes events from any thread, and gives snapshots.

    Attributes:
        runs: all runs of the study.
        done: ids of those that had ended before.
        n_workers: how many run at a time; None for as many as do now.
        clock: seconds; another one in tests.
    """

    runs: Sequence[PlannedRun]
    done: frozenset[str]
    n_workers: int | None
    clock: Callable[[], float] = time.monotonic
    _state: dict[str, RunPace] = field(init=False)
    _speed_by_size: dict[str, float] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._state = {
            run.run_id: RunPace(run, EventKind.DONE, run.tokens)
            if run.run_id in self.done
            else RunPace(run)
            for run in self.runs
        }

    def take(self, event: Event) -> RunPace:
        """Note an event; returns where its run stands now."""
        with self._lock:
            before = self._state[event.run_id]
            speed = event.tokens_per_second
            if speed is not None and speed > 0:
                self._speed_by_size[before.run.size] = speed
            tokens = before.run.tokens if event.kind is EventKind.DONE else event.tokens
            now = replace(
                before,
                kind=event.kind,
                tokens=tokens or before.tokens,
                tokens_per_second=speed if event.kind is EventKind.PROGRESS else None,
            )
            self._state[event.run_id] = now
            return now

    def snapshot(self) -> Snapshot:
        """Where the study stands now."""
        with self._lock:
            states = list(self._state.values())
            running = tuple(s for s in states if s.kind in _RUNNING)
            return Snapshot(
                n_runs=len(states),
                n_done=sum(s.kind is EventKind.DONE for s in states),
                n_failed=sum(s.kind is EventKind.FAILED for s in states),
                running=running,
                tokens_done=sum(s.tokens for s in states),
                tokens_total=sum(s.run.tokens for s in states),
                tokens_per_second=sum(s.tokens_per_second or 0.0 for s in running),
                seconds_left=self._seconds_left(states),
            )

    def _seconds_left(self, states: list[RunPace]) -> float | None:
        if not self._speed_by_size:
            return None
        left = [
            (s.run.tokens - s.tokens) / self._speed_of(s.run)
            for s in states
            if s.kind not in _ENDED
        ]
        # One worker may train several together.
        at_a_time = max(self.n_workers or 1, sum(s.kind in _RUNNING for s in states))
        # No schedule beats the longest run, nor the even spread over the workers.
        return max(sum(left) / at_a_time, max(left, default=0.0))

    def _speed_of(self, run: PlannedRun) -> float:
        if run.size in self._speed_by_size:
            return self._speed_by_size[run.size]
        flops = {s.run.size: s.run.flops / s.run.tokens for s in self._state.values()}
        mine = flops[run.size]
        size = min(self._speed_by_size, key=lambda other: abs(flops[other] / mine - 1.0))
        return self._speed_by_size[size] * flops[size] / mine
