"""Runs on Ray: one task a run, which Ray schedules, and begins again when its process dies.

A run that continues another takes the other's result as an argument, so that Ray itself keeps the
order. The tasks belong to an actor, the conductor: on a cluster that was there before
(``address``) it is detached and outlives the program that started it; where Ray is started on this
machine, the program waits. The study's folder must be on a disk that the workers see.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from atlas_scaling.errors import RunError
from atlas_scaling.study.engines.base import Event, Job, JobState
from atlas_scaling.study.engines.local import LocalEngine, places_here
from atlas_scaling.study.engines.options import RayOptions
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.follow import follow
from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.study.process import process_environment
from atlas_scaling.study.worker import StopFlag, carry_out

NAMESPACE: Final = "atlas"
STOP_SECONDS: Final = 60.0
CALLS_AT_ONCE: Final = 8
LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 30.0
_KNOCK_SECONDS: Final = 10.0


class RayEngine:
    """Hands runs to Ray; see ``Engine``."""

    def __init__(self, options: RayOptions) -> None:
        self.options = options
        self._here = options.address is None

    @property
    def n_workers(self) -> int | None:
        """Places of this machine; what a cluster has is Ray's to know."""
        return (self.options.workers or len(places_here())) if self._here else None

    def run(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        *,
        on_event: Callable[[Event], None],
    ) -> None:
        """Give ``runs`` to a conductor; wait for it only where Ray ends with this program.

        Raises:
            RunError: the cluster cannot be reached.
        """
        if not runs:
            return
        with self._connected():
            conductor_class: Any = ray.remote(_Conductor)
            conductor = conductor_class.options(
                name=_name(study_dir),
                namespace=NAMESPACE,
                lifetime=None if self._here else "detached",
                num_cpus=0,
                max_concurrency=CALLS_AT_ONCE,
                get_if_exists=True,
            ).remote(str(study_dir.resolve()), self.options)
            _answer(conductor.take.remote([run.run_id for run in runs]))
            conductor.see_out.remote()
            if self._here:
                self._wait(study_dir, runs, conductor, on_event)

    def jobs(self, study_dir: Path) -> Mapping[str, Job]:
        """What the conductor has in hand; nothing where there is none."""
        if self._here and not ray.is_initialized():
            return {}
        with self._connected():
            try:
                conductor = ray.get_actor(_name(study_dir), namespace=NAMESPACE)
                submitted: dict[str, str] = _answer(conductor.in_hand.remote())
            except (ValueError, RayActorError):  # no such actor, or it has died
                return {}
        return {
            run_id: Job(_name(study_dir), JobState.QUEUED, "in Ray's queue", at)
            for run_id, at in submitted.items()
        }

    def cancel(self, study_dir: Path) -> int:
        """Ask every task to write a checkpoint and end, and the conductor to go."""
        if self._here:
            return LocalEngine().cancel(study_dir)
        with self._connected():
            try:
                conductor = ray.get_actor(_name(study_dir), namespace=NAMESPACE)
                n_cancelled: int = _answer(conductor.cancel.remote())
            except (ValueError, RayActorError):
                return 0
        return n_cancelled

    def _wait(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        conductor: Any,
        on_event: Callable[[Event], None],
    ) -> None:
        study, ids = StudyFolder.open(study_dir), [run.run_id for run in runs]
        try:
            follow(study, ids, self, on_event=on_event)
        except KeyboardInterrupt:
            _answer(conductor.cancel.remote())
            deadline = time.monotonic() + STOP_SECONDS
            while self.jobs(study_dir) and time.monotonic() < deadline:
                time.sleep(0.2)
            raise

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Ray, joined or started here for the time of the outermost block.

        Ray prints news of its workers; standard output is for answers.
        """
        if ray.is_initialized():
            yield
            return
        with redirect_stdout(sys.stderr):
            try:
                _knock(self.options.address)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Ray's own, about its own future
                    ray.init(**self._arguments())
            except (OSError, RayError, RuntimeError, ValueError) as error:
                raise RunError(
                    f"Ray cannot be reached: {error}",
                    where=self.options.address,
                    remedy="look with: ray status; or leave the address out to start Ray here",
                ) from None
            try:
                yield
            finally:
                ray.shutdown()

    def _arguments(self) -> dict[str, Any]:
        shared = {"log_to_driver": False, "configure_logging": False, "namespace": NAMESPACE}
        if not self._here:
            return {**shared, "address": self.options.address}
        n_gpus = sum(place.accelerator is not None for place in places_here())
        return {
            **shared,
            "num_cpus": self.n_workers,
            "num_gpus": n_gpus,
            "include_dashboard": False,
        }


class _Conductor:
    """The actor that owns a study's tasks; it lives where Ray puts it."""

    def __init__(self, study_dir: str, options: RayOptions) -> None:
        self._study_dir = study_dir
        self._options = options
        self._tasks: dict[str, Any] = {}
        self._taken: dict[str, str] = {}

    def take(self, run_ids: Sequence[str]) -> None:
        """Submit a task for each run, bases first."""
        study = StudyFolder.open(Path(self._study_dir))
        options = self._options
        task = ray.remote(_carry_out).options(
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            resources=options.resources or None,
            max_retries=options.retries,
            runtime_env={"env_vars": process_environment()},
        )
        for run in (study.planned(run_id) for run_id in run_ids):
            base = self._tasks.get(run.base_run) if run.base_run is not None else None
            self._tasks[run.run_id] = task.remote(self._study_dir, run.run_id, base)
            self._taken[run.run_id] = datetime.now(UTC).isoformat(timespec="seconds")

    def see_out(self) -> None:
        """Wait for all tasks, and then end: nobody else will end a detached actor."""
        while self.in_hand():
            time.sleep(LOOK_SECONDS)
        ray.actor.exit_actor()  # type: ignore[no-untyped-call]

    def in_hand(self) -> dict[str, str]:
        """When each run that has not ended was taken, by run id."""
        if not self._tasks:
            return {}
        refs = list(self._tasks.values())
        _, open_refs = ray.wait(refs, num_returns=len(refs), timeout=0)
        left = set(open_refs)
        return {name: self._taken[name] for name, ref in self._tasks.items() if ref in left}

    def cancel(self) -> int:
        """Interrupt what runs and drop what waits; returns how many that were."""
        names = self.in_hand()
        for name in reversed(list(names)):  # what continues a run goes before it
            ray.cancel(self._tasks[name], force=False, recursive=False)
        return len(names)


def _carry_out(study_dir: str, run_id: str, base: Any = None) -> str:
    """One run, in a process of Ray's. ``base`` is waited for by Ray, and not used."""
    with StopFlag() as should_stop:  # ray.cancel interrupts as Ctrl-C does
        event = carry_out(
            StudyFolder.open(Path(study_dir)),
            run_id,
            tell=lambda event: None,
            should_stop=should_stop,
            job=f"ray-{ray.get_runtime_context().get_task_id()}",
        )
    return event.kind.value


def _knock(address: str | None) -> None:
    """See whether anybody is at ``HOST:PORT``: Ray itself tries for minutes.

    Raises:
        OSError: nobody is.
    """
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_KNOCK_SECONDS).close()


def _name(study_dir: Path) -> str:
    """The conductor's name: one a study's folder."""
    return f"atlas-{hashlib.sha256(str(study_dir.resolve()).encode()).hexdigest()[:16]}"


def _answer(ref: Any) -> Any:
    try:
        return ray.get(ref, timeout=_ANSWER_SECONDS)
    except GetTimeoutError:
        raise RunError(f"Ray gave no answer in {_ANSWER_SECONDS:.0f} s") from None
