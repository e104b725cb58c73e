"""The loss of next-token prediction, a few rows of logits at a time.

With a small model and a vocabulary of thousands the logits are by far the largest array of a step.
Here they never exist whole: a chunk of rows at a time, ``e = exp(logits - max)`` takes the place of
the logits, and the gradients follow from it at once, in the forward pass. With
``z = log sum e + max``, of which ``z_loss`` punishes the square::

    loss      = sum(z - x . W[target]) + z_loss sum z^2
    d loss/dx = a (e W / sum e) - W[target]            a = 1 + 2 z_loss z
    d loss/dW = e' (a x / sum e) - x at the rows of the targets

``e`` itself is neither normalised nor corrected at the targets: passes over it are what costs. On
accelerators the softmax takes its place, and ``sum e`` is 1: one kernel has all passes in it.

Chunks are of ``CHUNK_ELEMENTS`` logits, and of 128 rows where the vocabulary is above that share:
at 262,144 pieces a chunk is 128 MiB of float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

CHUNK_ELEMENTS: Final = 1 << 20
CHUNK_ELEMENTS_ON_ACCELERATORS: Final = 1 << 26
FEWEST_ROWS: Final = 128

_Chunk: TypeAlias = tuple[slice, Tensor, Tensor, Tensor]
"""Which m rows, ``e`` (m, V), ``sum e`` and ``z`` (m or 1, 1); these two are float32 at least."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of ``softmax(x weight')``; x is (M, d), weight (V, d), targets (M,)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, z_loss: float
    ) -> tuple[Tensor, Tensor]:
        x_Md, weight_Vd = _as_multiplied(x), _as_multiplied(weight)
        grad_x = torch.empty_like(x_Md)
        grad_weight = torch.zeros_like(weight)
        wide = torch.promote_types(x.dtype, torch.float32)
        nats, punished = x.new_zeros(2, dtype=wide)
        for rows, exp_mV, sum_m1, log_m1 in _softmax_chunks(x_Md, weight_Vd, targets):
            nats += log_m1.sum()
            scale_m1 = 1.0 / sum_m1
            if z_loss:
                punished += z_loss * log_m1.square().sum()
                scale_m1 = scale_m1 * (1.0 + 2.0 * z_loss * log_m1)
            factor_mV = exp_mV.to(x_Md.dtype)
            torch.mm(factor_mV, weight_Vd, out=grad_x[rows]).mul_(scale_m1)
            weighted = (x_Md[rows] * scale_m1).to(x_Md.dtype)
            if weighted.dtype == grad_weight.dtype:
                grad_weight.addmm_(factor_mV.T, weighted)
            else:
                grad_weight += factor_mV.T @ weighted
        target_Md = weight_Vd[targets].to(wide)
        nats -= (x_Md.to(wide) * target_Md).sum()
        grad_x = grad_x.to(wide).sub_(target_Md).to(x.dtype)
        grad_weight.index_add_(0, targets, x_Md.to(weight.dtype), alpha=-1)
        ctx.save_for_backward(grad_x, grad_weight)
        ctx.mark_non_differentiable(nats)
        return nats + punished, nats

    @staticmethod
    def backward(ctx: Any, *grad_output: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_x, grad_weight = ctx.saved_tensors
        # in place: the gradients of a large vocabulary are held once, not twice
        return grad_x.mul_(grad_output[0]), grad_weight.mul_(grad_output[0]), None, None


def linear_cross_entropy(
    x: Tensor, weight: Tensor, targets: Tensor, *, z_loss: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What to minimise, and the nats in it: cross-entropies of logits ``x weight'``, summed.

    The first is differentiable in ``x`` and ``weight``, once; it has the punishment of ``z_loss``
    in it, the second has not.

    Args:
        x: last hidden states, (M, d).
        weight: output embedding, (V, d).
        targets: ids, (M,), int64.
        z_loss: weight of the squared log-normaliser.
    """
    minimised, nats = _LinearCrossEntropy.apply(x, weight, targets, z_loss)  # type: ignore[no-untyped-call]
    return minimised, nats


def summed_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The sum over rows, for evaluation, in float64 where the device has it; no gradient."""
    wide = widest_float(x.device)
    x, weight = _as_multiplied(x), _as_multiplied(weight)
    total = -(x * weight[targets]).sum(dtype=wide)
    for _, _, _, log_m1 in _exponential_chunks(x, weight):
        total += log_m1.to(wide).sum()
    return total


def widest_float(device: torch.device) -> torch.dtype:
    """For long sums; Apple's accelerators have no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def _as_multiplied(x: Tensor) -> Tensor:
    """In the type that autocast multiplies matrices in, which it does not do by itself here."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


def _softmax_chunks(x: Tensor, weight: Tensor, targets: Tensor) -> Iterator[_Chunk]:
    """What is fastest on the device."""
    if x.device.type == "cpu":
        return _exponential_chunks(x, weight)
    return _probability_chunks(x, weight, targets)


def _exponential_chunks(x: Tensor, weight: Tensor) -> Iterator[_Chunk]:
    """``e`` is one buffer for all chunks: the next overwrites it."""
    size = _chunk_size(x, weight)
    buffer = x.new_empty(size, len(weight))
    for begin in range(0, len(x), size):
        rows = slice(begin, begin + size)
        chunk = x[rows]
        exp_mV = torch.mm(chunk, weight.T, out=buffer[: len(chunk)])
        if exp_mV.dtype in (torch.bfloat16, torch.float16):
            exp_mV = exp_mV.float()
        max_m1 = exp_mV.amax(1, keepdim=True)
        sum_m1 = exp_mV.sub_(max_m1).exp_().sum(1, keepdim=True)
        yield rows, exp_mV, sum_m1, sum_m1.log() + max_m1


def _probability_chunks(x: Tensor, weight: Tensor, targets: Tensor) -> Iterator[_Chunk]:
    """``e`` is the softmax in the type of the logits; ``z`` follows from it at the targets."""
    size = _chunk_size(x, weight)
    wide = torch.promote_types(x.dtype, torch.float32)
    one_11 = x.new_ones(1, 1, dtype=wide)
    for begin in range(0, len(x), size):
        rows = slice(begin, begin + size)
        target_m1 = targets[rows, None]
        with torch.autocast(x.device.type, enabled=False):  # it would make the softmax wide
            logits_mV = x[rows] @ weight.T
            softmax_mV = logits_mV.softmax(1)
        # as much as float32 can say of a target without any probability, rather than infinity
        at_target_m1 = softmax_mV.gather(1, target_m1).to(wide).clamp_min(torch.finfo(wide).tiny)
        z_m1 = logits_mV.gather(1, target_m1).to(wide) - at_target_m1.log()
        yield rows, softmax_mV, one_11, z_m1


def _chunk_size(x: Tensor, weight: Tensor) -> int:
    on_cpu = x.device.type == "cpu"
    elements = CHUNK_ELEMENTS if on_cpu else CHUNK_ELEMENTS_ON_ACCELERATORS
    return min(len(x), max(FEWEST_ROWS, elements // len(weight)))
