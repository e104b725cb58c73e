"""The training loop: one run, from its text to its run directory.

::

    for step in 1 … total:
        loss, norm = learner.step(batch, lr(step))       forward, backward, clip, AdamW
        evaluate every language at the steps of the schedule, and append to evals.jsonl
        checkpoint every few seconds, when asked to stop, and at the end

A run that was cut off goes on from its checkpoint and gives the losses of an unbroken one, bit for
bit on one machine: model, optimizer and order of the data are all in the checkpoint. It may go on
on other hardware, or on another number of devices; the losses are then the same up to rounding.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from atlas_scaling.runs.record import EvalRow, RunRecord, RunState, RunStatus
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import append_evals, mend, write_record, write_status
from atlas_scaling.study.checkpoint import Place, load_checkpoint, load_weights, save_checkpoint
from atlas_scaling.study.devices import Device
from atlas_scaling.study.evaluate import Evaluator
from atlas_scaling.study.health import Health
from atlas_scaling.study.learner import Learner
from atlas_scaling.study.parallel import World
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.schedule import Schedule
from atlas_scaling.study.settings import Hardware, ModelConfig, TrainConfig
from atlas_scaling.study.tokens import PackedText

PROGRESS_SECONDS: Final = 0.5
STATUS_SECONDS: Final = 5.0
LOOK_STEPS: Final = {"cpu": 1}
LOOK_STEPS_ON_ACCELERATORS: Final = 16
"""So often losses are read: each time the accelerator has to be waited for."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``tokens_per_second`` is of this process, evaluations included."""

    tokens: int
    tokens_per_second: float | None


def train(
    run_dir: Path,
    record: RunRecord,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    texts: Mapping[str, PackedText],
    evals: Mapping[str, PackedText],
    init_from: Path | None = None,
    hardware: Hardware | None = None,
    world: World | None = None,
    keep_steps: Collection[int] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunStatus:
    """Carry out a run, or go on with it; returns how it ended.

    Args:
        run_dir: where its record, evaluations and checkpoints go.
        record: what ``run.json`` says; mixture, tokens and seed are taken from it.
        model_config: shape of the model.
        config: how it is trained.
        texts: training text of each language of the mixture.
        evals: evaluation text of each language to evaluate.
        init_from: run directory that it starts from: with its final weights, or where
            ``record.branch_tokens`` says so with everything its checkpoint there has.
        hardware: what it is carried out on, and how.
        world: the processes that call this together; the first one writes.
        keep_steps: checkpoints of these steps are written, and kept.
        on_progress: called about twice a second.
        should_stop: asked after every step (on accelerators, every few); True writes a checkpoint
            and ends the run as stopped.

    Raises:
        InputError: a text is too short, the run too short for its schedule, or there is no such
            device here.
        RunError: something cannot be written or read, or the directory holds another run.
        LostProcessError: another process of the run is gone, or did not answer in time.
    """
    hardware, world = hardware or Hardware(), world or World()
    where = Device.of(hardware, index=world.local_rank).where
    look_steps = LOOK_STEPS.get(where.type, LOOK_STEPS_ON_ACCELERATORS)
    with world.joined(where.type, patience_seconds=hardware.patience_seconds):
        return _carry_out(
            lambda: _Run.begin(
                run_dir, record, model_config, config, texts, evals, init_from, hardware, world
            ),
            look_steps,
            keep_steps,
            on_progress,
            should_stop,
        )


def _carry_out(
    begin: Callable[[], _Run],
    look_steps: int,
    keep_steps: Collection[int],
    on_progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
) -> RunStatus:
    """The loop. The run is this function's own: nothing of it is left when the processes part."""
    run = begin()
    world, where = run.world, run.learner.device.where
    while run.step < run.schedule.total:
        run.advance()
        evaluate, keep = run.step in run.evaluation_steps, run.step in keep_steps
        if not (evaluate or keep or run.step % look_steps == 0):
            continue
        trouble = run.look()
        if evaluate and world.agrees(trouble is None, where):
            trouble = run.evaluate()
        failed, stop, due = world.decide([trouble is not None, should_stop(), run.is_late], where)
        if failed:
            return run.end(RunState.FAILED, trouble)
        run.tell(on_progress)
        if keep or ((stop or due) and run.step < run.schedule.total):
            run.checkpoint(keep_steps)
        if stop and run.step < run.schedule.total:
            return run.end(RunState.STOPPED, "asked to stop")
    run.checkpoint(keep_steps)
    return run.end(RunState.DONE)


@dataclass
class _Run:
    """The parts of a run that is under way."""

    run_dir: Path
    config: TrainConfig
    hardware: Hardware
    world: World
    schedule: Schedule
    learner: Learner
    sampler: Sampler
    evaluator: Evaluator
    health: Health
    flops_per_token: float
    step: int = 0
    checkpointed_at: float = field(default_factory=time.monotonic)
    _began: float = field(default_factory=time.monotonic)
    _aside: float = 0.0  # seconds of evaluations and checkpoints
    _told: float = 0.0
    _status_written: float = 0.0
    _unseen: list[Tensor] = field(default_factory=list)  # losses and norms not looked at yet

    @classmethod
    def begin(
        cls,
        run_dir: Path,
        record: RunRecord,
        model_config: ModelConfig,
        config: TrainConfig,
        texts: Mapping[str, PackedText],
        evals: Mapping[str, PackedText],
        init_from: Path | None,
        hardware: Hardware,
        world: World,
    ) -> _Run:
        length = model_config.sequence_length
        schedule = Schedule.of(record.tokens, length, config)
        sampler = Sampler(
            texts,
            record.schedule,
            sequence_length=length,
            seed=record.seed,
            total=schedule.total * config.batch_size,
        )
        learner = Learner(model_config, config, hardware=hardware, world=world, seed=record.seed)
        where = learner.device.where
        evaluator = Evaluator(evals, sequence_length=length, world=world, device=where)
        health = Health(math.log(model_config.vocab_size))
        if world.writes:
            write_record(run_dir, record)
            mend(run_dir)
        flops = model_config.flops_per_token
        run = cls(
            run_dir, config, hardware, world, schedule, learner, sampler, evaluator, health, flops
        )
        run._find_place(record, init_from)
        run.evaluation_steps = frozenset(schedule.evaluations(config))
        run._first_step = run.step
        run._written = {(row.step, row.language): row.loss for row in read_run(run_dir).rows}
        run._peak_flops, run._peak_source = learner.device.peak_flops()
        learner.device.forget_peak_memory()
        run._began = time.monotonic()
        run.write_status(RunState.RUNNING)
        return run

    def __post_init__(self) -> None:
        self.evaluation_steps: frozenset[int] = frozenset()
        self._first_step = 0
        self._written: dict[tuple[int, str], float] = {}
        self._peak_flops: float = math.nan
        self._peak_source = ""

    def _find_place(self, record: RunRecord, init_from: Path | None) -> None:
        """Go on from the run's own checkpoint, else begin as its record says."""
        model, optimizer, world = self.learner.model, self.learner.optimizer, self.world
        place = load_checkpoint(self.run_dir, model, optimizer, world=world)
        if place is None and init_from is not None:
            if record.branch_tokens is None:
                load_weights(init_from, model, world=world)
            else:
                step = record.branch_tokens // self.schedule.tokens_per_step
                place = load_checkpoint(init_from, model, optimizer, world=world, step=step)
        if place is not None:
            self.step = place.step
            self.sampler.restore(place.sequences)

    @property
    def tokens(self) -> int:
        return self.step * self.schedule.tokens_per_step

    @property
    def is_late(self) -> bool:
        """Whether the last checkpoint was too long ago."""
        return time.monotonic() - self.checkpointed_at > self.config.checkpoint_seconds

    def advance(self) -> None:
        """One step. Its loss and norm are looked at later: reading them waits for the device."""
        batch = self.sampler.batch(self.config.batch_size, rows=self.learner.part)  # B, T + 1
        self.step += 1
        lr = self.schedule.rate(self.step)
        self._unseen.append(self.learner.step(torch.from_numpy(batch), lr=lr))

    def look(self) -> str | None:
        """Read the losses since the last look; returns what is wrong with them, if anything is."""
        first = self.step - len(self._unseen) + 1
        seen = torch.stack(self._unseen).tolist()
        self._unseen.clear()
        for step, (loss, norm) in enumerate(seen, first):
            if trouble := self.health.trouble(step, loss, norm):
                return trouble
        return None

    def evaluate(self) -> str | None:
        """Evaluate every language; what an earlier process wrote of this step is not repeated.

        Returns what is wrong with the losses, if anything is; they are not written then.
        """
        begin = time.monotonic()
        rows = [
            EvalRow(
                step=self.step,
                tokens=self.tokens,
                tokens_by_language=self.sampler.tokens,
                language=code,
                loss=score.nats_per_token,
                bits_per_byte=score.bits_per_byte,
                lr=self.schedule.rate(self.step),
                lr_state=self.schedule.state(self.step),
            )
            for code, score in self.evaluator.scores(self.learner.nats).items()
        ]
        self._aside += time.monotonic() - begin
        for row in rows:
            if not math.isfinite(row.loss):
                return f"diverged: loss {row.loss} on {row.language} at step {self.step}"
        new = [row for row in rows if self._written.get((row.step, row.language)) != row.loss]
        if new and self.world.writes:
            append_evals(self.run_dir, new)
        return None

    def checkpoint(self, keep_steps: Collection[int]) -> None:
        """Write one. At the end it has weights alone: nothing goes on from there but weights."""
        begin = time.monotonic()
        goes_on = self.step < self.schedule.total or self.step in keep_steps
        save_checkpoint(
            self.run_dir,
            self.learner.model,
            self.learner.optimizer if goes_on else None,
            Place(self.step, self.sampler.sequences),
            world=self.world,
            keep=self.hardware.keep_checkpoints,
            keep_steps=keep_steps,
        )
        self.checkpointed_at = time.monotonic()
        self._aside += self.checkpointed_at - begin

    def tell(self, on_progress: Callable[[Progress], None]) -> None:
        """Report progress and status, each as often as it is of use."""
        now = time.monotonic()
        if not self.world.writes:
            return
        if now - self._told > PROGRESS_SECONDS:
            on_progress(Progress(self.tokens, self._speed()))
            self._told = now
        if now - self._status_written > STATUS_SECONDS:
            self.write_status(RunState.RUNNING)

    def end(self, state: RunState, reason: str | None = None) -> RunStatus:
        return self.write_status(state, reason)

    def write_status(self, state: RunState, reason: str | None = None) -> RunStatus:
        self._status_written = time.monotonic()
        peak_flops = self._peak_flops * self.world.size
        speed = self._speed(aside=self._aside)
        status = RunStatus(
            state=state,
            step=self.step,
            total_steps=self.schedule.total,
            tokens=self.tokens,
            tokens_by_language=self.sampler.tokens,
            epochs=self.sampler.epochs,
            tokens_per_second=self._speed(),
            flops_utilisation=None if speed is None else speed * self.flops_per_token / peak_flops,
            peak_flops=peak_flops,
            peak_flops_source=self._peak_source,
            peak_memory_bytes=self.learner.device.peak_memory(),
            reason=reason,
            updated_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        if self.world.writes:
            write_status(self.run_dir, status)
        return status

    def _speed(self, *, aside: float = 0.0) -> float | None:
        """Tokens per second of this process's steps; ``aside`` are seconds to leave out."""
        done = (self.step - self._first_step) * self.schedule.tokens_per_step
        seconds = time.monotonic() - self._began - aside
        return done / seconds if done and seconds > 0 else None
