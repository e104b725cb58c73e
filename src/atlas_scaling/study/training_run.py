"""The parts of a run that is under way, and what is done with them at each step.

``train.py`` drives one of them, or several of one shape together.
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

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atlas_scaling.runs.record import EvalRow, RunRecord, RunState, RunStatus
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import append_evals, mend, write_record, write_status
from atlas_scaling.study.checkpoint import Place, load_checkpoint, load_weights, save_checkpoint
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
LONG_SECONDS: Final = 1.0
CHECKPOINT_SHARE: Final = 0.05
"""At most so much of the time goes into checkpoints, where one takes longer than a second."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run to be carried out.

    Attributes:
        run_dir: where its record, evaluations and checkpoints go.
        record: what ``run.json`` says; mixture, tokens and seed are taken from it.
        model_config: shape of the model.
        config: how it is trained.
        texts: training text of each language of the mixture.
        evals: evaluation text of each language to evaluate.
        init_from: run directory that it starts from: with its final weights, or where
            ``record.branch_tokens`` says so with everything its checkpoint there has.
        keep_steps: checkpoints of these steps are written, and kept.
    """

    run_dir: Path
    record: RunRecord
    model_config: ModelConfig
    config: TrainConfig
    texts: Mapping[str, PackedText]
    evals: Mapping[str, PackedText]
    init_from: Path | None = None
    keep_steps: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``tokens_per_second`` is of this process, evaluations included."""

    tokens: int
    tokens_per_second: float | None


@dataclass
class TrainingRun:
    """A run under way: its parts, and how far it is."""

    assignment: Assignment
    hardware: Hardware
    world: World
    schedule: Schedule
    learner: Learner
    sampler: Sampler
    evaluator: Evaluator
    health: Health
    step: int = 0
    _checkpointed_at: float = field(default_factory=time.monotonic)
    _checkpoint_took: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _aside: float = 0.0  # seconds of evaluations and checkpoints
    _told: float = 0.0
    _status_written: float = 0.0
    _unseen: list[Tensor] = field(default_factory=list)  # losses and norms not looked at yet

    @classmethod
    def begin(cls, assignment: Assignment, hardware: Hardware, world: World) -> TrainingRun:
        """Everything read and built, and the run where its last checkpoint left it.

        Raises:
            InputError: a text is too short, the run too short for its schedule, or there is no
                such device here.
            RunError: something cannot be written or read, or the directory holds another run.
        """
        run_dir, record, config = assignment.run_dir, assignment.record, assignment.config
        length = assignment.model_config.sequence_length
        schedule = Schedule.of(record.tokens, length, config)
        sampler = Sampler(
            assignment.texts,
            record.schedule,
            sequence_length=length,
            seed=record.seed,
            total=schedule.total * config.batch_size,
        )
        learner = Learner(
            assignment.model_config, config, hardware=hardware, world=world, seed=record.seed
        )
        where = learner.device.where
        evaluator = Evaluator(assignment.evals, sequence_length=length, world=world, device=where)
        health = Health(math.log(assignment.model_config.vocab_size))
        if world.writes:
            write_record(run_dir, record)
            mend(run_dir)
        run = cls(assignment, hardware, world, schedule, learner, sampler, evaluator, health)
        run._find_place()
        run._evaluation_steps = frozenset(schedule.evaluations(config))
        run._first_step = run.step
        run._written = {(row.step, row.language): row.loss for row in read_run(run_dir).rows}
        run._peak_flops, run._peak_source = learner.device.peak_flops()
        learner.device.forget_peak_memory()
        run.restart_clock()
        run.write_status(RunState.RUNNING)
        return run

    def __post_init__(self) -> None:
        self._evaluation_steps: frozenset[int] = frozenset()
        self._first_step = 0
        self._written: dict[tuple[int, str], float] = {}
        self._peak_flops: float = math.nan
        self._peak_source = ""

    def _find_place(self) -> None:
        """Go on from the run's own checkpoint, else begin as its record says."""
        model, optimizer, world = self.learner.model, self.learner.optimizer, self.world
        record, init_from = self.assignment.record, self.assignment.init_from
        run_dir, end = self.assignment.run_dir, self.schedule.total
        place = load_checkpoint(run_dir, model, optimizer, world=world, end=end)
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
    def run_id(self) -> str:
        """Its name in the study."""
        return self.assignment.record.run_id

    @property
    def tokens(self) -> int:
        """Trained on so far, repetitions included."""
        return self.step * self.schedule.tokens_per_step

    @property
    def evaluates(self) -> bool:
        """Whether there is an evaluation after this step."""
        return self.step in self._evaluation_steps

    @property
    def keeps(self) -> bool:
        """Whether the checkpoint of this step is kept."""
        return self.step in self.assignment.keep_steps

    def is_late(self, *, together: int = 1) -> bool:
        """Whether the last checkpoint was too long ago.

        Where they take long to write, for as many runs as are trained ``together``, they are
        written less often than asked for.
        """
        took = together * self._checkpoint_took
        patience = self.assignment.config.checkpoint_seconds
        if took > LONG_SECONDS:
            patience = max(patience, took / CHECKPOINT_SHARE)
        return time.monotonic() - self._checkpointed_at > patience

    def restart_clock(self) -> None:
        """What comes now counts in speeds, and what was before does not."""
        self._began = self._checkpointed_at = time.monotonic()
        self._aside = 0.0

    def advance(self) -> None:
        """One step. Its loss and norm are looked at later: reading them waits for the device."""
        batch = torch.from_numpy(self.next_batch())
        self.note(self.learner.step(batch, lr=self.schedule.rate(self.step)))

    def next_batch(self) -> NDArray[np.int64]:
        """This process's part of the next step's batch, (B, T + 1); the step counts from here."""
        self.step += 1
        return self.sampler.batch(self.assignment.config.batch_size, rows=self.learner.part)

    def note(self, loss_and_norm: Tensor) -> None:
        """Keep a step's loss and norm, (2,), for the next look."""
        self._unseen.append(loss_and_norm)

    def look(self) -> str | None:
        """Read the losses since the last look; returns what is wrong with them, if anything is."""
        first = self.step - len(self._unseen) + 1
        seen = torch.stack(self._unseen).tolist()
        self._unseen.clear()
        for step, (loss, norm) in enumerate(seen, first):
            if trouble := self.health.trouble(step, loss, norm):
                return trouble
        return None

    def evaluate(self, sums: Mapping[str, Tensor] | None = None) -> str | None:
        """Evaluate every language; what an earlier process wrote of this step is not repeated.

        Args:
            sums: nats over each language's text, where they are known.

        Returns what is wrong with the losses, if anything is; they are not written then.
        """
        begin = time.monotonic()
        sums = self.evaluator.sums(self.learner.nats) if sums is None else sums
        scores = {code: self.evaluator.score(code, float(nats)) for code, nats in sums.items()}
        self._aside += time.monotonic() - begin
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
            for code, score in scores.items()
        ]
        for row in rows:
            if not math.isfinite(row.loss):
                return f"diverged: loss {row.loss} on {row.language} at step {self.step}"
        new = [row for row in rows if self._written.get((row.step, row.language)) != row.loss]
        if new and self.world.writes:
            append_evals(self.assignment.run_dir, new)
        return None

    def checkpoint(self) -> None:
        """Write one. At the end it has weights alone: nothing goes on from there but weights."""
        begin = time.monotonic()
        goes_on = self.step < self.schedule.total or self.keeps
        save_checkpoint(
            self.assignment.run_dir,
            self.learner.model,
            self.learner.optimizer if goes_on else None,
            Place(self.step, self.sampler.sequences),
            world=self.world,
            keep=self.hardware.keep_checkpoints,
            keep_steps=self.assignment.keep_steps,
        )
        self._checkpointed_at = time.monotonic()
        self._checkpoint_took = self._checkpointed_at - begin
        self._aside += self._checkpoint_took

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

    def write_status(self, state: RunState, reason: str | None = None) -> RunStatus:
        """Say in ``status.json`` how far the run is, or how it ended."""
        self._status_written = time.monotonic()
        peak_flops = self._peak_flops * self.world.size
        flops = self.assignment.model_config.flops_per_token
        speed = self._speed(aside=self._aside)
        status = RunStatus(
            state=state,
            step=self.step,
            total_steps=self.schedule.total,
            tokens=self.tokens,
            tokens_by_language=self.sampler.tokens,
            epochs=self.sampler.epochs,
            tokens_per_second=self._speed(),
            flops_utilisation=None if speed is None else speed * flops / peak_flops,
            peak_flops=peak_flops,
            peak_flops_source=self._peak_source,
            peak_memory_bytes=self.learner.device.peak_memory(),
            reason=reason,
            updated_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        if self.world.writes:
            write_status(self.assignment.run_dir, status)
        return status

    def _speed(self, *, aside: float = 0.0) -> float | None:
        """Tokens per second of this process's steps; ``aside`` are seconds to leave out."""
        done = (self.step - self._first_step) * self.schedule.tokens_per_step
        seconds = time.monotonic() - self._began - aside
        return done / seconds if done and seconds > 0 else None
