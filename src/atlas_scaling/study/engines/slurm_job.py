"""What a SLURM job does: works through its list of runs, and is requeued before its time is up."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Final

from submitit import JobEnvironment
from submitit.core.utils import DelayedSubmission

from atlas_scaling.errors import RunError
from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.engines.local import (
    LocalEngine,
    Place,
    accelerators,
    places_on,
    usable_cores,
)
from atlas_scaling.study.engines.options import SlurmResources
from atlas_scaling.study.engines.slurm import requeue_if_a_node_is_lost, requeue_if_preempted
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.process import interrupt

_TOLD: Final = frozenset(EventKind) - {EventKind.PROGRESS}


class Drain:
    """The callable that submitit pickles, and calls on a node with ``()``.

    Args:
        study_dir: the study, as the node sees it.
        run_ids: runs to carry out; those that are done by then are passed over.
        resources: of the job.
        grace_seconds: for checkpoints, before the job is requeued.
    """

    def __init__(
        self,
        study_dir: Path,
        run_ids: tuple[str, ...],
        resources: SlurmResources,
        *,
        grace_seconds: float,
    ) -> None:
        self._study_dir = study_dir
        self._run_ids = run_ids
        self._resources = resources
        self._grace_seconds = grace_seconds
        self._engine: LocalEngine | None = None

    def __call__(self) -> None:
        """Carry out the runs.

        Raises:
            RunError: some did not end well, so that SLURM shows the job as failed too.
        """
        # scancel and pre-emption: checkpoints, and no new run. submitit would only note the signal.
        signal.signal(signal.SIGTERM, interrupt)
        study = StudyFolder.open(self._study_dir)
        left = [run for run in study.design.runs if run.run_id in self._run_ids]
        left = [run for run in left if not study.is_done(run.run_id)]
        job_id = JobEnvironment().job_id
        engine = self._engine = LocalEngine(
            self._resources.workers,
            places=_places(self._resources),
            hardware=self._resources.hardware,
            job=job_id,
            grace_seconds=self._grace_seconds,
        )
        try:
            engine.run(study.path, left, on_event=_print)
        except KeyboardInterrupt:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a requeue sends another
            what = "pre-empted and requeued" if requeue_if_preempted(job_id) else "told to end"
            # Where srun is told to end too, the processes of other nodes end before they can write.
            single = self._resources.nodes == 1
            wrote = "checkpoints are written" if single else "runs go on from their checkpoints"
            sys.exit(f"{what} by SLURM; {wrote}")
        missing = [run_id for run_id in self._run_ids if not study.is_done(run_id)]
        nodes = self._resources.nodes
        if missing and nodes > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if requeue_if_a_node_is_lost(job_id, nodes):
                sys.exit("a node of this job does not answer: requeued by SLURM")
        if missing:
            raise RunError("not all runs of this job are done", value=missing)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit requeues after its signal: the same list, once checkpoints are written."""
        if self._engine is not None:
            self._engine.stop()
        return DelayedSubmission(
            Drain(
                self._study_dir,
                self._run_ids,
                self._resources,
                grace_seconds=self._grace_seconds,
            )
        )


def _places(resources: SlurmResources) -> list[Place]:
    """One a GPU of the node, else one a CPU; one only for a run that has several nodes.

    Workers are pinned only where SLURM has bound the job to cores: else all jobs of a node would
    pin theirs to the first ones.
    """
    processes = resources.processes_a_node
    if resources.gpus:
        places = places_on(accelerators(), processes) or [Place()]
        return places if resources.nodes == 1 else places[:1]
    if resources.nodes > 1:
        return [Place()]
    cores = usable_cores()
    if processes > 1:
        return [Place()] * max(1, resources.cpus // processes)
    if len(cores) == resources.cpus:
        return [Place(core=core) for core in cores]
    return [Place()] * resources.cpus


def _print(event: Event) -> None:
    if event.kind in _TOLD:
        reason = "" if event.reason is None else f": {event.reason}"
        print(f"{event.run_id}: {event.kind.value}{reason}", flush=True)
