"""The loss of a model on a language's evaluation text.

The text is one stream of lines, each ended by EOS. Every token is predicted once; a window sees the
token before it and nothing further back, and the first token of the text is predicted from an EOS.
The same lines are evaluated in every language, so that losses in nats per text, and bits per byte,
are of the same content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from torch import Tensor

from atlas_scaling.study.loss import widest_float
from atlas_scaling.study.parallel import World
from atlas_scaling.study.tokens import PackedText
from atlas_scaling.units import bits_per_byte

TOKENS_AT_A_TIME: Final = {"cpu": 2048}
TOKENS_ON_ACCELERATORS: Final = 32_768

SummedLoss = Callable[[Tensor, Tensor], Tensor]
"""Of ids and targets, both (B, T): nats over all targets, a scalar, or one of each model, (n,)."""


@dataclass(frozen=True, slots=True)
class Score:
    """Loss on one text: nats per token, and bits per UTF-8 byte."""

    nats_per_token: float
    bits_per_byte: float


class Evaluator:
    """Evaluation texts, cut into windows once.

    Args:
        texts: by language.
        sequence_length: tokens a window predicts.
        world: the processes that evaluate together, each some of the windows.
        device: where they do.
    """

    def __init__(
        self,
        texts: Mapping[str, PackedText],
        *,
        sequence_length: int,
        world: World | None = None,
        device: torch.device | None = None,
    ) -> None:
        self._texts = dict(sorted(texts.items()))
        self._world, self._device = world or World(), device or torch.device("cpu")
        self._sequence_length = sequence_length

    @cached_property
    def _windows(self) -> dict[str, list[tuple[Tensor, Tensor]]]:
        """When first needed: of runs that are trained together, only the first one's are."""
        length = self._sequence_length
        tokens = TOKENS_AT_A_TIME.get(self._device.type, TOKENS_ON_ACCELERATORS)
        at_a_time = max(1, tokens // length)
        return {code: _windows(text, length, at_a_time) for code, text in self._texts.items()}

    def sums(self, loss: SummedLoss) -> dict[str, Tensor]:
        """Nats over every text, of whatever shape ``loss`` has."""
        return {code: self._sum(loss, code) for code in self._windows}

    def score(self, code: str, nats: float) -> Score:
        """What ``nats`` over the text of a language are per token and per byte."""
        text = self._texts[code]
        mean = nats / text.n_tokens
        return Score(mean, bits_per_byte(mean, n_tokens=text.n_tokens, n_bytes=text.n_bytes))

    def _sum(self, loss: SummedLoss, code: str) -> Tensor:
        windows, size = self._windows[code], self._world.size
        nats = torch.zeros((), dtype=widest_float(self._device), device=self._device)
        for first in range(0, len(windows), size):
            mine = first + self._world.rank
            # FSDP wants every process in every call: one without windows left repeats the last
            summed = loss(*windows[min(mine, len(windows) - 1)])
            if mine < len(windows):
                nats = nats + summed
        return self._world.sum(nats)


def _windows(text: PackedText, length: int, at_a_time: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of (ids, targets); the last window may be shorter and then goes alone."""
    targets = torch.from_numpy(np.asarray(text.tokens, dtype=np.int64))
    eos = targets[-1:]
    ids = torch.cat([eos, targets[:-1]])
    n_whole = len(targets) // length
    whole = n_whole * length
    whole_ids, whole_targets = ids[:whole].view(-1, length), targets[:whole].view(-1, length)
    batches = [
        (
            whole_ids[begin : begin + at_a_time],
            whole_targets[begin : begin + at_a_time],
        )
        for begin in range(0, n_whole, at_a_time)
    ]
    if whole < len(targets):
        batches.append((ids[None, whole:], targets[None, whole:]))
    return batches
