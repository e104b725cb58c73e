"""The training loop: one run, from its text to its run directory.

::

    for step in 1 … total:
        loss = model(batch);  loss.backward();  clip;  AdamW at lr(step)
        evaluate every language at the steps of the schedule, and append to evals.jsonl
        checkpoint every few seconds, when asked to stop, and at the end

A run that was cut off goes on from its checkpoint and gives the losses of an unbroken one, bit for
bit on one machine: model, optimizer and order of the data are all in the checkpoint.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import torch

from atlas_scaling.runs.record import EvalRow, RunRecord, RunState, RunStatus
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import append_evals, mend, write_record, write_status
from atlas_scaling.study.checkpoint import Place, load_checkpoint, load_weights, save_checkpoint
from atlas_scaling.study.evaluate import Evaluator
from atlas_scaling.study.model import Transformer
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.schedule import Schedule
from atlas_scaling.study.settings import ModelConfig, TrainConfig
from atlas_scaling.study.tokens import PackedText

PROGRESS_SECONDS: Final = 0.5
STATUS_SECONDS: Final = 5.0
DIVERGED_FACTOR: Final = 2.0


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
    on_progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunStatus:
    """Carry out a run, or go on with it; returns how it ended.

    Args:
        run_dir: where its record, evaluations and checkpoint go.
        record: what ``run.json`` says; mixture, tokens and seed are taken from it.
        model_config: shape of the model.
        config: how it is trained.
        texts: training text of each language of the mixture.
        evals: evaluation text of each language to evaluate.
        init_from: run directory whose final weights it starts from.
        on_progress: called about twice a second.
        should_stop: asked after every step; True writes a checkpoint and ends the run as stopped.

    Raises:
        InputError: a text is too short, or the run too short for its schedule.
        RunError: something cannot be written or read, or the directory holds another run.
    """
    run = _Run.begin(run_dir, record, model_config, config, texts, evals, init_from)
    while run.step < run.schedule.total:
        loss = run.advance()
        if not math.isfinite(loss) or loss > DIVERGED_FACTOR * math.log(model_config.vocab_size):
            return run.end(RunState.FAILED, f"diverged: training loss {loss:.4g}")
        if run.step in run.evaluation_steps:
            run.evaluate()
        run.tell(on_progress)
        if should_stop():
            run.checkpoint()
            return run.end(RunState.STOPPED, "asked to stop")
        if time.monotonic() - run.checkpointed_at > config.checkpoint_seconds:
            run.checkpoint()
    run.checkpoint()
    return run.end(RunState.DONE)


@dataclass
class _Run:
    """The parts of a run that is under way."""

    run_dir: Path
    config: TrainConfig
    schedule: Schedule
    model: Transformer
    optimizer: torch.optim.AdamW
    sampler: Sampler
    evaluator: Evaluator
    step: int = 0
    checkpointed_at: float = field(default_factory=time.monotonic)
    _began: float = field(default_factory=time.monotonic)
    _told: float = 0.0
    _status_written: float = 0.0

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
        evaluator = Evaluator(evals, sequence_length=length)
        model = Transformer(model_config, seed=record.seed)
        optimizer = _optimizer(model, config)
        write_record(run_dir, record)
        mend(run_dir)
        run = cls(run_dir, config, schedule, model, optimizer, sampler, evaluator)
        place = load_checkpoint(run_dir, model, optimizer)
        if place is not None:
            run.step = place.step
            sampler.restore(place.sequences)
        elif init_from is not None:
            load_weights(init_from, model)
        run.evaluation_steps = frozenset(schedule.evaluations(config))
        run._first_step = run.step
        run._written = {(row.step, row.language): row.loss for row in read_run(run_dir).rows}
        run.write_status(RunState.RUNNING)
        return run

    def __post_init__(self) -> None:
        self.evaluation_steps: frozenset[int] = frozenset()
        self._first_step = 0
        self._written: dict[tuple[int, str], float] = {}

    @property
    def tokens(self) -> int:
        return self.step * self.schedule.tokens_per_step

    def advance(self) -> float:
        """One step; returns its training loss."""
        batch = torch.from_numpy(self.sampler.batch(self.config.batch_size))  # B, T + 1
        loss = self.model(batch[:, :-1].contiguous(), batch[:, 1:].contiguous())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.step += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return float(loss.detach())

    def evaluate(self) -> None:
        """Evaluate every language; what an earlier process wrote of this step is not repeated."""
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
            for code, score in self.evaluator.scores(self.model).items()
        ]
        new = [row for row in rows if self._written.get((row.step, row.language)) != row.loss]
        if new:
            append_evals(self.run_dir, new)

    def checkpoint(self) -> None:
        place = Place(self.step, self.sampler.sequences)
        save_checkpoint(self.run_dir, self.model, self.optimizer, place)
        self.checkpointed_at = time.monotonic()

    def tell(self, on_progress: Callable[[Progress], None]) -> None:
        """Report progress and status, each as often as it is of use."""
        now = time.monotonic()
        if now - self._told > PROGRESS_SECONDS:
            on_progress(Progress(self.tokens, self._speed()))
            self._told = now
        if now - self._status_written > STATUS_SECONDS:
            self.write_status(RunState.RUNNING)

    def end(self, state: RunState, reason: str | None = None) -> RunStatus:
        return self.write_status(state, reason)

    def write_status(self, state: RunState, reason: str | None = None) -> RunStatus:
        self._status_written = time.monotonic()
        status = RunStatus(
            state=state,
            step=self.step,
            total_steps=self.schedule.total,
            tokens=self.tokens,
            tokens_per_second=self._speed(),
            reason=reason,
            updated_at=datetime.now(UTC).isoformat(timespec="seconds"),
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        write_status(self.run_dir, status)
        return status

    def _speed(self) -> float | None:
        done = (self.step - self._first_step) * self.schedule.tokens_per_step
        seconds = time.monotonic() - self._began
        return done / seconds if done and seconds > 0 else None


def _optimizer(model: Transformer, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves norms alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    norms = [p for p in model.parameters() if p.ndim < 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": norms, "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
