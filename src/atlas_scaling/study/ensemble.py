"""Many runs of one shape in one program: their weights stacked, each product a batch of products.

``torch.func`` maps the one model over the stack, so the members are the runs they would be alone:
same weights, data, schedule, clipping; sums may be added in another order. On an accelerator a
small model alone cannot keep it busy. On CPU cores a process a run is faster
(``benchmarks/ensemble.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from atlas_scaling.study.learner import Learner, adamw, set_rate
from atlas_scaling.study.loss import linear_cross_entropy, summed_cross_entropy
from atlas_scaling.study.model import Transformer

TOKENS_AT_A_TIME: Final = 1 << 16
"""Of all members; more would not be faster (``together.py``), only take more memory."""

_MAPPED_ATTENTION: Final = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
"""PyTorch's other kernels fail under ``vmap``: on CPUs, and in float32 on accelerators."""


class Ensemble:
    """Models of one shape that are trained together, each on batches of its own.

    Weights and optimizer state become slices of a stack, also where the learners see them: these
    evaluate and write checkpoints as they would alone.

    Args:
        learners: one a member, with one configuration on one device, not compiled.
        step: that all of them have come to.
    """

    def __init__(self, learners: Sequence[Learner], *, step: int = 0) -> None:
        first = learners[0]
        self.config, self.device = first.config, first.device
        on_cpu = self.device.where.type == "cpu"
        self._attention = [SDPBackend.MATH] if on_cpu else _MAPPED_ATTENTION
        members = [dict(learner.model.named_parameters()) for learner in learners]
        self._weights = _stacked(members)
        self._recorder = first.recorder
        self.optimizer = adamw(
            self._weights.values(), self.config, recorder=self._recorder, stacked=True
        )
        self._stack_optimizers(learners, members, step)
        self._one = _Hidden(first.model)
        tokens = len(learners) * first.model.config.sequence_length
        self._at_a_time = max(1, TOKENS_AT_A_TIME // tokens)

    def step(self, batches: Tensor, *, lr: float) -> Tensor:
        """Train on one batch a member, (n, B, T + 1).

        Returns losses in nats per token and norms of the gradients before clipping, (2, n).
        """
        n, size, length = batches.shape
        nats = torch.zeros(n, device=self.device.where)
        for part in torch.split(self.device.sent(batches), self._at_a_time, dim=1):
            nats += self._recorder(self._add_gradients, part)
        set_rate(self.optimizer, lr)
        return torch.stack([nats / (size * (length - 1)), self._recorder(self._change_weights)])

    def _add_gradients(self, part: Tensor) -> Tensor:
        """Of ``part`` (n, b, T + 1), to those there are; returns its nats, (n,)."""
        tokens = self.config.batch_size * (part.shape[2] - 1)
        with self._mapping():
            hidden = torch.vmap(self._hidden)(self._weights, part[..., :-1]).flatten(1, 2)
            losses = [
                linear_cross_entropy(*member, z_loss=self.config.z_loss)
                for member in zip(
                    hidden.unbind(),
                    self._weights[_EMBEDDING].unbind(),
                    part[..., 1:].flatten(1).unbind(),
                    strict=True,
                )
            ]
            minimised, nats = (torch.stack(values) for values in zip(*losses, strict=True))
            torch.autograd.backward(minimised.sum() / tokens)
        return nats.detach()

    def _change_weights(self) -> Tensor:
        """By the gradients there are, which are then none; returns norms before clipping, (n,)."""
        norms = self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=not self._recorder.records)
        return norms

    @torch.no_grad()
    def nats(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed loss of ``targets`` (B, T) by each member, (n,), on the device."""
        where = self.device.where
        parts = zip(
            torch.split(ids.to(where), self._at_a_time),
            torch.split(targets.to(where), self._at_a_time),
            strict=True,
        )
        with self._mapping():
            sums = [self._summed(*part) for part in parts]
        return torch.stack(sums).sum(0)

    def _summed(self, ids: Tensor, targets: Tensor) -> Tensor:
        hidden = torch.vmap(self._hidden, in_dims=(0, None))(self._weights, ids).flatten(1, 2)
        members = zip(hidden.unbind(), self._weights[_EMBEDDING].unbind(), strict=True)
        return torch.stack([summed_cross_entropy(x, w, targets.flatten()) for x, w in members])

    @contextmanager
    def _mapping(self) -> Iterator[None]:
        with sdpa_kernel(self._attention), self.device.multiplying():
            yield

    def _hidden(self, weights: dict[str, Tensor], ids: Tensor) -> Tensor:
        """Last hidden states of one member, to be mapped."""
        hidden: Tensor = functional_call(self._one, weights, (ids,))
        return hidden

    def _clip(self) -> Tensor:
        """Clip each member's gradient as it would be alone; returns their norms, (n,)."""
        gradients = [w.grad for w in self._weights.values() if w.grad is not None]
        norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
        scale = (self.config.grad_clip / (norms + 1e-6)).clamp(max=1.0)  # as PyTorch clips
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))
        return norms

    def _stack_optimizers(
        self, learners: Sequence[Learner], members: Sequence[dict[str, nn.Parameter]], step: int
    ) -> None:
        taken = torch.tensor(float(step), device=self.device.where)
        for name, stacked in self._weights.items():
            own = name.removeprefix(_Hidden.PREFIX)
            state = {"step": taken.clone()}
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = torch.zeros_like(stacked)
                for number, (learner, member) in enumerate(zip(learners, members, strict=True)):
                    before = learner.optimizer.state[member[own]]
                    if moment in before:
                        state[moment][number].copy_(before[moment])
                    before[moment] = state[moment][number]
            self.optimizer.state[stacked] = state


class _Hidden(nn.Module):
    """A model without its loss: that is no function that can be mapped."""

    PREFIX: Final = "model."

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        return self.model.hidden(ids)


_EMBEDDING: Final = f"{_Hidden.PREFIX}embedding.weight"


def _stacked(members: Sequence[dict[str, nn.Parameter]]) -> dict[str, Tensor]:
    """The members' parameters by name, (n, …) each; their own become slices of them."""
    weights = {}
    for name in members[0]:
        stacked = torch.stack([member[name].detach() for member in members])
        for number, member in enumerate(members):
            member[name].data = stacked[number]
        weights[_Hidden.PREFIX + name] = stacked.requires_grad_()
    return weights
