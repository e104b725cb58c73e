"""The loss of next-token prediction, a few rows of logits at a time.

With a small model and a vocabulary of thousands the logits are by far the largest array of a step.
Here they never exist whole: a chunk of rows at a time, ``e = exp(logits - max)`` takes the place of
the logits, and the gradients are had from it at once, in the forward pass::

    loss      = mean(log sum e + max - x . W[target])
    d loss/dx = (e W / sum e - W[target]) / M
    d loss/dW = (e' (x / sum e) - x at the rows of the targets) / M

``e`` itself is neither normalised nor corrected at the targets: passes over it are what costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import Tensor

CHUNK_ROWS: Final = 128


class _LinearCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of ``softmax(x weight')``; x is (M, d), weight (V, d), targets (M,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        grad_x = torch.empty_like(x)
        grad_weight = torch.zeros_like(weight)
        total = x.new_zeros(())
        for rows, exp_mV, sum_m1, log_m1 in _softmax_chunks(x, weight):
            total += log_m1.sum()
            torch.mm(exp_mV, weight, out=grad_x[rows]).div_(sum_m1)
            grad_weight.addmm_(exp_mV.T, x[rows] / sum_m1)
        target_Md = weight[targets]
        total -= (x * target_Md).sum()
        grad_x -= target_Md
        grad_weight.index_add_(0, targets, x, alpha=-1)
        ctx.save_for_backward(grad_x, grad_weight)
        ctx.n_rows = len(x)
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, *grad_output: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_x, grad_weight = ctx.saved_tensors
        scale = grad_output[0] / ctx.n_rows
        return grad_x * scale, grad_weight * scale, None


def linear_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy in nats of logits ``x weight'``, differentiable in both.

    Args:
        x: last hidden states, (M, d).
        weight: output embedding, (V, d).
        targets: ids, (M,), int64.
    """
    loss: Tensor = _LinearCrossEntropy.apply(x, weight, targets)  # type: ignore[no-untyped-call]
    return loss


def summed_cross_entropy(x: Tensor, weight: Tensor, targets: Tensor) -> float:
    """The sum over rows, for evaluation, in float64; no gradient."""
    target_M = (x * weight[targets]).sum(1)
    total = -float(target_M.double().sum())
    for _, _, _, log_m1 in _softmax_chunks(x, weight):
        total += float(log_m1.double().sum())
    return total


def _softmax_chunks(x: Tensor, weight: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """For each chunk of m rows: the rows, ``e`` (m, V), ``sum e`` and ``log sum e + max`` (m, 1).

    ``e`` is one buffer for all chunks: the next overwrites it.
    """
    buffer = x.new_empty(min(CHUNK_ROWS, len(x)), len(weight))
    for begin in range(0, len(x), CHUNK_ROWS):
        rows = slice(begin, begin + CHUNK_ROWS)
        chunk = x[rows]
        exp_mV = torch.mm(chunk, weight.T, out=buffer[: len(chunk)])
        max_m1 = exp_mV.amax(1, keepdim=True)
        sum_m1 = exp_mV.sub_(max_m1).exp_().sum(1, keepdim=True)
        yield rows, exp_mV, sum_m1, sum_m1.log() + max_m1
