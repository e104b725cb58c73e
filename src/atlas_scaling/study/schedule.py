"""When the learning rate is what, and when a run is evaluated: functions of the step alone.

Warmup-stable-decay: ``lr(s) = lr * min(1, s / warmup) * min(1, (total + 1 - s) / (decay + 1))``
for steps ``s = 1 … total``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import LrState
from atlas_scaling.study.settings import TrainConfig


@dataclass(frozen=True, slots=True)
class Schedule:
    """Steps of a run and of its phases.

    Attributes:
        total: steps in all.
        warmup: steps until the learning rate is reached.
        decay: steps at the end over which it falls.
        tokens_per_step: tokens each step trains on.
        lr: the stable learning rate.
    """

    total: int
    warmup: int
    decay: int
    tokens_per_step: int
    lr: float

    @classmethod
    def of(cls, tokens: int, sequence_length: int, config: TrainConfig) -> Schedule:
        """The schedule of a run of ``tokens`` tokens, rounded up to whole steps.

        Raises:
            InputError: the run is shorter than its warmup and decay.
        """
        per_step = config.batch_size * sequence_length
        total = math.ceil(tokens / per_step)
        warmup = math.ceil(config.warmup_tokens / per_step)
        decay = round(config.decay_fraction * total)
        if warmup + decay >= total:
            raise InputError(
                f"a run of {total} steps has no room for {warmup} of warmup and {decay} of decay",
                value=tokens,
                where="tokens",
                remedy="train longer, or lower warmup_tokens or batch_size",
            )
        return cls(total, warmup, decay, per_step, config.lr)

    def rate(self, step: int) -> float:
        """Learning rate of step 1 … total."""
        rise = min(1.0, step / self.warmup) if self.warmup else 1.0
        fall = min(1.0, (self.total + 1 - step) / (self.decay + 1)) if self.decay else 1.0
        return self.lr * rise * fall

    def state(self, step: int) -> LrState:
        """The phase in which ``step`` leaves the run."""
        if step < self.warmup:
            return LrState.WARMUP
        if step <= self.total - self.decay:
            return LrState.STABLE
        return LrState.DECAYED if step == self.total else LrState.DECAY

    def evaluations(self, config: TrainConfig) -> list[int]:
        """Steps after which to evaluate: the shared grid, the end of the stable phase, the end.

        The grid is ``first_evaluation * 2^(k / evaluations_per_doubling)`` tokens; points in the
        decay are left out, as they compare with nothing.
        """
        stable_end = self.total - self.decay
        ratio = 2.0 ** (1.0 / config.evaluations_per_doubling)
        steps, tokens = set(), float(config.first_evaluation)
        while (step := max(1, round(tokens / self.tokens_per_step))) < stable_end:
            steps.add(step)
            tokens *= ratio
        return sorted(steps | {stable_end, self.total})
