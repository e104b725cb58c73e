"""Runs on a SLURM cluster, as job arrays that submitit writes and submits.

::

    STUDY/slurm/jobs.jsonl     one job a line: its id, its runs, when it was submitted
    STUDY/slurm/JOB_0_log.err  what a job printed, and submitit's own files

A job works through its runs in its allocation as ``LocalEngine`` does on a machine. Where it has
several nodes it does so on the first, and the first process of a run has ``srun`` start those on
the others (``study/companions.py``): what they do is the same on one machine and on many. Runs that
continue others are submitted after them, to begin when the jobs of their bases have ended. The
study's folder must be on a disk that the nodes see; the program that submitted is not needed
again: squeue (and sacct, where accounting is kept) tell any later process what became of its jobs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from atlas_scaling.errors import RunError
from atlas_scaling.study.engines.base import Event, Job, JobState
from atlas_scaling.study.engines.options import SlurmOptions, SlurmResources
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.study.process import step_environment

FOLDER: Final = "slurm"
JOBS_NAME: Final = "jobs.jsonl"
ARRAY_SIZE: Final = 1000  # MaxArraySize is 1001 unless a cluster says otherwise

_WAITS: Final = {"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_WORKS: Final = {
    "RUNNING",
    "CONFIGURING",
    "COMPLETING",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
    "STOPPED",
    "SUSPENDED",
}
_Said: TypeAlias = tuple[JobState, str | None]
_FORGOTTEN: Final = (JobState.ENDED, "squeue no longer knows it")
_PREEMPTED: Final = re.compile(r"PreemptTime=\d")
_ASK_SECONDS: Final = 60
_MAX_RESTARTS: Final = 20
"""Of a job that we put back because of its nodes: where srun itself is broken, this has to end."""


class SlurmEngine:
    """Hands runs to SLURM; see ``Engine``."""

    n_workers = None

    def __init__(self, options: SlurmOptions) -> None:
        self.options = options

    def run(
        self,
        study_dir: Path,
        runs: Sequence[PlannedRun],
        *,
        on_event: Callable[[Event], None],
    ) -> None:
        """Submit ``runs``, bases first, each array noted as soon as SLURM has it.

        Raises:
            RunError: SLURM is not here or refuses; what it took before is noted.
        """
        _require_slurm()
        job_of = {run_id: job.job_id for run_id, job in self.jobs(study_dir).items() if job.in_hand}
        waiting = list(runs)
        while waiting:
            later = {run.run_id for run in waiting}
            ready = [run for run in waiting if run.base_run not in later]
            waiting = [run for run in waiting if run.base_run in later]
            for resources, after, group in _groups(ready, self.options, job_of):
                packs = iter(pack(group, resources.runs_per_job))
                while chunk := list(islice(packs, ARRAY_SIZE)):
                    for run_ids, job_id in self._submit(study_dir, resources, after, chunk):
                        job_of.update(dict.fromkeys(run_ids, job_id))

    def jobs(self, study_dir: Path) -> Mapping[str, Job]:
        """The last job of every run; see ``Engine.jobs``."""
        noted = _noted(study_dir)
        if not noted:
            return {}
        states = _squeue(_job_name(study_dir))
        last = {run_id: line for line in noted for run_id in line["runs"]}
        gone = {line["job"] for line in last.values()} - set(states)
        ended = _sacct(gone) if gone else {}
        jobs = {}
        for run_id, line in last.items():
            job_id = line["job"]
            state, reason = states.get(job_id) or ended.get(job_id) or _FORGOTTEN
            log = f"{FOLDER}/{job_id}_0_log.err"
            written = log if (study_dir / log).exists() else None
            jobs[run_id] = Job(job_id, state, reason, line["submitted_at"], written)
        return jobs

    def cancel(self, study_dir: Path) -> int:
        """``scancel`` every job in hand; runs have SLURM's KillWait for their checkpoints."""
        in_hand = sorted({job.job_id for job in self.jobs(study_dir).values() if job.in_hand})
        if in_hand:
            _ask(["scancel", *in_hand])
        return len(in_hand)

    def _submit(
        self,
        study_dir: Path,
        resources: SlurmResources,
        after: str | None,
        packs: Sequence[tuple[str, ...]],
    ) -> Iterable[tuple[tuple[str, ...], str]]:
        """Submit one array, and note it."""
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        from atlas_scaling.study.engines.slurm_job import Drain

        options, where = self.options, study_dir.resolve()
        executor = SlurmExecutor(
            folder=where / FOLDER, max_num_timeout=options.max_requeues, python=options.python
        )
        drains = [
            Drain(where, run_ids, resources, grace_seconds=max(5, options.signal_seconds - 15))
            for run_ids in packs
        ]
        try:
            executor.update_parameters(**_parameters(study_dir, options, resources, after))
            submitted = executor.submit_array(drains)
        except (FailedJobError, FailedSubmissionError) as error:
            raise RunError(
                "SLURM refused the jobs",
                value=_last_line(str(error)),
                remedy="mend the options of the engine; then atlas study resume FOLDER submits "
                "what is left",
            ) from None
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pairs = [(run_ids, job.job_id) for run_ids, job in zip(packs, submitted, strict=True)]
        lines = [{"job": job, "runs": list(ids), "submitted_at": now} for ids, job in pairs]
        with (where / FOLDER / JOBS_NAME).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        return pairs


def requeue_if_preempted(job_id: str) -> bool:
    """Put a running job back into the queue where another is about to take its place.

    SLURM does so itself where it gives no time for checkpoints (``GraceTime``). Where it does, a
    job that uses that time to end is taken at its word, and not begun again. False too where SLURM
    cannot be asked from the node, as in some containers: ``resume`` goes on then.
    """
    try:
        told = _ask(["scontrol", "--oneliner", "show", "job", job_id])
        if "JobState=RUNNING" not in told or not _PREEMPTED.search(told):
            return False
    except RunError:
        return False
    return _requeue(job_id)


def requeue_if_a_node_is_lost(job_id: str, nodes: int) -> bool:
    """Put a running job back into the queue where not all of its nodes can start a program.

    SLURM does so itself once it has found a node down, which may take minutes (``SlurmdTimeout``);
    a run over several nodes hears of it at once, and each attempt to begin again fails.
    """
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if shutil.which("srun") is None or restarts >= _MAX_RESTARTS:
        return False
    step = ["--overlap", "--overcommit", f"--nodes={nodes}", f"--ntasks={nodes}"]
    try:
        _ask(["srun", *step, "true"], environment=step_environment())
        return False
    except RunError:
        pass
    return _requeue(job_id)


def _requeue(job_id: str) -> bool:
    """Put a job back into the queue; False where SLURM does not, or cannot be asked."""
    try:
        _ask(["scontrol", "requeue", job_id])
    except RunError:
        return False
    return True


def pack(runs: Sequence[PlannedRun], runs_per_job: int) -> list[tuple[str, ...]]:
    """Run ids of each job, ``runs_per_job`` at most, with about the same FLOPs in all.

    >>> from types import SimpleNamespace as Run
    >>> runs = [Run(run_id=name, flops=flops) for name, flops in zip("abcde", (5, 4, 3, 2, 1))]
    >>> pack(runs, 2)
    [('a',), ('b', 'e'), ('c', 'd')]
    """
    n_jobs = -(-len(runs) // runs_per_job)
    packs: list[list[PlannedRun]] = [[] for _ in range(n_jobs)]
    for run in sorted(runs, key=lambda run: -run.flops):
        open_ones = [one for one in packs if len(one) < runs_per_job]
        min(open_ones, key=lambda one: sum(other.flops for other in one)).append(run)
    return [tuple(run.run_id for run in one) for one in packs]


def _groups(
    runs: Sequence[PlannedRun], options: SlurmOptions, job_of: Mapping[str, str]
) -> Iterable[tuple[SlurmResources, str | None, list[PlannedRun]]]:
    """Runs that can be one array: the same resources, and the same job to wait for."""
    groups: dict[tuple[str, str | None], list[PlannedRun]] = {}
    for run in runs:
        after = None if run.base_run is None else job_of.get(run.base_run)
        resources = options.resources_of(run.size).model_dump_json()
        groups.setdefault((resources, after), []).append(run)
    for (resources, after), group in groups.items():
        yield SlurmResources.model_validate_json(resources), after, group


def _parameters(
    study_dir: Path, options: SlurmOptions, resources: SlurmResources, after: str | None
) -> dict[str, Any]:
    """What submitit writes into the batch script."""
    parameters = {
        "job_name": _job_name(study_dir),
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "time": resources.time,
        "nodes": resources.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": resources.cpus,
        "gpus_per_node": resources.gpus or None,
        "mem": resources.mem,
        "signal_delay_s": options.signal_seconds,
        "array_parallelism": options.max_jobs,
        "setup": list(options.setup) or None,
        # Since SLURM 22.05 a step does not take its job's cpus by itself.
        "srun_args": [f"--cpus-per-task={resources.cpus}", "--nodes=1", "--ntasks=1"],
        "additional_parameters": {"requeue": True, **resources.extra},
        # "any", not "ok": a job with ten runs of which one failed did end well for the others.
        # The run itself looks whether its base is done.
        "dependency": None if after is None else f"afterany:{after}",
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _job_name(study_dir: Path) -> str:
    return f"atlas-{StudyFolder.open(study_dir).spec.name}"


def _noted(study_dir: Path) -> list[dict[str, Any]]:
    """Jobs in the order they were submitted; a line torn by a kill is left out."""
    path = study_dir / FOLDER / JOBS_NAME
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def _squeue(name: str) -> dict[str, _Said]:
    """State and reason of every job of this name that SLURM still has in memory."""
    form = ["--noheader", "--array", "--states=all", "--format=%i|%T|%r"]
    states: dict[str, _Said] = {}
    for line in _ask(["squeue", *form, f"--name={name}"]).splitlines():
        if line.count("|") < 2:
            continue
        job_ids, word, reason = line.strip().split("|", 2)
        states.update(dict.fromkeys(_each(job_ids), _said(word, reason)))
    return states


def _sacct(job_ids: Iterable[str]) -> dict[str, _Said]:
    """How jobs ended that squeue has forgotten, where the cluster keeps accounts.

    Arrays are asked for whole: tasks cancelled before they began have one line, found by that only.
    """
    form = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State"]
    whole = sorted({job_id.partition("_")[0] for job_id in job_ids})
    try:
        text = _ask(["sacct", *form, f"--jobs={','.join(whole)}"])
    except RunError:
        return {}
    pairs = [line.split("|", 1) for line in text.splitlines() if "|" in line]
    return {job_id: _said(word, "") for job_ids, word in pairs for job_id in _each(job_ids)}


def _said(word: str, reason: str) -> _Said:
    """What SLURM's word for a state means to us."""
    if word in _WAITS:
        return JobState.QUEUED, reason if word == "PENDING" else f"{word}, {reason}"
    if word in _WORKS:
        return JobState.RUNNING, None
    cancelled = word.startswith("CANCELLED")  # sacct adds by whom
    return JobState.CANCELLED if cancelled else JobState.ENDED, word


def _each(job_ids: str) -> Iterator[str]:
    """The tasks of an array that one line is about, such as ``4_[2-3,7%4]``.

    >>> list(_each("4_[2-3,7%4]")), list(_each("4_1")), list(_each("5"))
    (['4_2', '4_3', '4_7'], ['4_1'], ['5'])
    """
    from submitit.slurm.slurm import read_job_id

    for main, *tasks in read_job_id(job_ids):
        if not tasks:
            yield main
        else:
            yield from (f"{main}_{n}" for n in range(int(tasks[0]), int(tasks[-1]) + 1))


def _ask(command: list[str], *, environment: dict[str, str] | None = None) -> str:
    """What one of SLURM's programs prints."""
    _require_slurm(command[0])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_ASK_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise RunError(f"{command[0]} gave no answer in {_ASK_SECONDS} s") from None
    if done.returncode:
        raise RunError(f"{command[0]} failed", value=_last_line(done.stderr))
    return done.stdout


def _require_slurm(program: str = "sbatch") -> None:
    if shutil.which(program) is None:
        raise RunError(
            f"{program} is not on the PATH: this is no machine of a SLURM cluster",
            remedy="give the command on a login node",
        )


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "").strip()
