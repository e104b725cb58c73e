"""The training loops: one run, or several of one shape together, from text to run directories.

::

    for step in 1 … total:
        loss, norm = learner.step(batch, lr(step))       forward, backward, clip, AdamW
        evaluate every language at the steps of the schedule, and append to evals.jsonl
        checkpoint every few seconds, when asked to stop, and at the end

A run that was cut off goes on from its checkpoint and gives the losses of an unbroken one, bit for
bit on one machine: model, optimizer and order of the data are all in the checkpoint. It may go on
on other hardware, on another number of devices, or together with other runs; the losses are then
the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Final

import numpy as np
import torch

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import RunState, RunStatus
from atlas_scaling.study.devices import Device
from atlas_scaling.study.ensemble import Ensemble
from atlas_scaling.study.parallel import World
from atlas_scaling.study.settings import Hardware, TrainConfig
from atlas_scaling.study.training_run import Assignment, Progress, TrainingRun

LOOK_STEPS: Final = {"cpu": 1}
LOOK_STEPS_ON_ACCELERATORS: Final = 16
"""So often losses are read: each time the accelerator has to be waited for."""


def train(
    assignment: Assignment,
    *,
    hardware: Hardware | None = None,
    world: World | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunStatus:
    """Carry out a run, or go on with it; returns how it ended.

    Args:
        assignment: the run.
        hardware: what it is carried out on, and how.
        world: the processes that call this together; the first one writes.
        on_progress: called about twice a second.
        should_stop: asked after every step (on accelerators, every few); True writes a checkpoint
            and ends the run as stopped.

    Raises:
        InputError: a text is too short, the run too short for its schedule, or there is no such
            device here.
        RunError: something cannot be written or read, the directory holds another run, or memory is
            too small for this one.
        LostProcessError: another process of the run is gone, or did not answer in time.
    """
    hardware, world = hardware or Hardware(), world or World()
    device = Device.of(hardware, index=world.local_rank)
    with (
        device.repeatable(asked=hardware.deterministic),
        world.joined(device.where.type, patience_seconds=hardware.patience_seconds),
    ):
        try:
            return _carry_out(
                lambda: TrainingRun.begin(assignment, hardware, world), on_progress, should_stop
            )
        except torch.OutOfMemoryError as error:
            raise RunError(
                f"the memory of the {device.where.type} device is too small for this run",
                value=str(error),
                where="hardware",
                remedy=_less_memory(hardware, assignment.config),
            ) from None


def _less_memory(hardware: Hardware, config: TrainConfig) -> str:
    """What of ``hardware`` has not been tried yet, the cheapest first."""
    sequences = hardware.micro_batch_size or config.batch_size
    untried = {
        f"micro_batch_size: {sequences // 2}": sequences > 1,
        "graphs: false": hardware.records,
        "checkpoint_activations: true": not hardware.checkpoint_activations,
        "sharding: shard with more processes": True,
    }
    return ", then ".join(option for option, is_left in untried.items() if is_left)


def _carry_out(
    begin: Callable[[], TrainingRun],
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> RunStatus:
    """The loop. The run is this function's own: nothing of it is left when the processes part."""
    run = begin()
    world, where = run.world, run.learner.device.where
    look_steps = LOOK_STEPS.get(where.type, LOOK_STEPS_ON_ACCELERATORS)
    while run.step < run.schedule.total:
        run.advance()
        if not (run.evaluates or run.keeps or run.step % look_steps == 0):
            continue
        trouble = run.look()
        if run.evaluates and world.agrees(trouble is None, where):
            trouble = run.evaluate()
        failed, stop, due = world.decide([trouble is not None, should_stop(), run.is_late()], where)
        if failed:
            return run.write_status(RunState.FAILED, trouble)
        run.tell(on_progress)
        if run.keeps or ((stop or due) and run.step < run.schedule.total):
            run.checkpoint()
        if stop and run.step < run.schedule.total:
            return run.write_status(RunState.STOPPED, "asked to stop")
    run.checkpoint()
    return run.write_status(RunState.DONE)


def train_together(
    assignments: Sequence[Assignment],
    *,
    hardware: Hardware | None = None,
    on_progress: Callable[[str, Progress], None] = lambda *_: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, RunStatus]:
    """Carry out runs of one shape and schedule in one program; returns how each ended, by run id.

    One that diverges ends as failed, and the others go on. Those that had come to other steps
    follow one another. Arguments and errors are those of ``train``, an error being that of one of
    them. No run may have ``keep_steps`` or be a branch. What small models do without is left out:
    compiling, and computing activations anew.
    """
    without = {"compile": False, "checkpoint_activations": False}  # neither can be mapped
    hardware = (hardware or Hardware()).model_copy(update=without)
    ended: dict[str, RunStatus] = {}
    with Device.of(hardware).repeatable(asked=hardware.deterministic):
        runs = [TrainingRun.begin(one, hardware, World()) for one in assignments]
        runs.sort(key=lambda run: run.step)
        for _, equal in groupby(runs, key=lambda run: run.step):
            ended |= _carry_out_together(list(equal), on_progress, should_stop)
    return ended


def _carry_out_together(
    runs: list[TrainingRun],
    on_progress: Callable[[str, Progress], None],
    should_stop: Callable[[], bool],
) -> dict[str, RunStatus]:
    """The loop for several. Their clocks begin with it; the first one's stands for all."""
    first, ended = runs[0], dict[str, RunStatus]()
    alive = list(enumerate(runs))
    ensemble = Ensemble([run.learner for run in runs], step=first.step)
    look_steps = LOOK_STEPS.get(ensemble.device.where.type, LOOK_STEPS_ON_ACCELERATORS)
    for run in runs:
        run.restart_clock()

    def end(run: TrainingRun, state: RunState, reason: str | None = None) -> None:
        ended[run.run_id] = run.write_status(state, reason)

    while first.step < first.schedule.total and alive:
        batches = torch.from_numpy(np.stack([run.next_batch() for run in runs]))
        seen = ensemble.step(batches, lr=first.schedule.rate(first.step))
        for number, run in alive:
            run.note(seen[:, number])
        if not (first.evaluates or first.step % look_steps == 0):
            continue
        sums = first.evaluator.sums(ensemble.nats) if first.evaluates else None
        stop, due = should_stop(), alive[0][1].is_late(together=len(alive))
        for number, run in alive:
            trouble = run.look()
            if trouble is None and sums is not None:
                trouble = run.evaluate({code: nats[number] for code, nats in sums.items()})
            if trouble is not None:
                end(run, RunState.FAILED, trouble)
                continue
            run.tell(partial(on_progress, run.run_id))
            if (stop or due) and run.step < run.schedule.total:
                run.checkpoint()
            if stop and run.step < run.schedule.total:
                end(run, RunState.STOPPED, "asked to stop")
        alive = [(number, run) for number, run in alive if run.run_id not in ended]
    for _, run in alive:
        run.checkpoint()
        end(run, RunState.DONE)
    return ended
