"""The loss of a model on a language's evaluation text.

The text is one stream of lines, each ended by EOS. Every token is predicted once; a window sees the
token before it and nothing further back, and the first token of the text is predicted from an EOS.
The same lines are evaluated in every language, so that losses in nats per text, and bits per byte,
are of the same content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from atlas_scaling.study.loss import summed_cross_entropy
from atlas_scaling.study.model import Transformer
from atlas_scaling.study.tokens import PackedText
from atlas_scaling.units import bits_per_byte

WINDOWS_AT_A_TIME: Final = 16


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
    """

    def __init__(self, texts: Mapping[str, PackedText], *, sequence_length: int) -> None:
        self._texts = dict(sorted(texts.items()))
        self._windows = {
            code: list(_windows(text, sequence_length)) for code, text in self._texts.items()
        }

    def scores(self, model: Transformer) -> dict[str, Score]:
        """The model's loss on every text."""
        return {code: self._score(model, code) for code in self._texts}

    @torch.no_grad()
    def _score(self, model: Transformer, code: str) -> Score:
        nats = sum(
            summed_cross_entropy(
                model.hidden(ids).flatten(0, 1), model.embedding.weight, targets.flatten()
            )
            for ids, targets in self._windows[code]
        )
        text = self._texts[code]
        loss = nats / text.n_tokens
        return Score(loss, bits_per_byte(loss, n_tokens=text.n_tokens, n_bytes=text.n_bytes))


def _windows(text: PackedText, length: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of (ids, targets); the last window may be shorter and then goes alone."""
    targets = torch.from_numpy(np.asarray(text.tokens, dtype=np.int64))
    eos = targets[-1:]
    ids = torch.cat([eos, targets[:-1]])
    n_whole = len(targets) // length
    whole = n_whole * length
    whole_ids, whole_targets = ids[:whole].view(-1, length), targets[:whole].view(-1, length)
    batches = [
        (
            whole_ids[begin : begin + WINDOWS_AT_A_TIME],
            whole_targets[begin : begin + WINDOWS_AT_A_TIME],
        )
        for begin in range(0, n_whole, WINDOWS_AT_A_TIME)
    ]
    if whole < len(targets):
        batches.append((ids[None, whole:], targets[None, whole:]))
    return batches
