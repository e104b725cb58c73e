"""The loss of next-token prediction, a few rows of logits at a time.

With a small model and a vocabulary of thousands the logits are by far the largest array of a step.
Here they never exist whole: for each chunk of rows the gradient ``softmax(x W') - onehot(y)`` is
formed where the logits were and multiplied on at once, in the forward pass.
"""

from __future__ import annotations

from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor

CHUNK_ROWS: Final = 128


class _LinearCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of ``softmax(x weight')``; x is (M, d), weight (V, d), targets (M,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        grad_x = torch.empty_like(x)
        grad_weight = torch.zeros_like(weight)
        total = x.new_zeros(())
        for begin in range(0, len(x), CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            logits_MV = x[rows] @ weight.T
            target_M1 = targets[rows, None]
            logits_MV.sub_(logits_MV.amax(1, keepdim=True))
            target_logit = logits_MV.gather(1, target_M1)
            sum_exp_M1 = logits_MV.exp_().sum(1, keepdim=True)
            total += (sum_exp_M1.log() - target_logit).sum()
            grad_MV = logits_MV.div_(sum_exp_M1)
            grad_MV.scatter_add_(1, target_M1, grad_MV.new_full((1, 1), -1.0).expand_as(target_M1))
            torch.mm(grad_MV, weight, out=grad_x[rows])
            grad_weight.addmm_(grad_MV.T, x[rows])
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
    total = 0.0
    for begin in range(0, len(x), CHUNK_ROWS):
        rows = slice(begin, begin + CHUNK_ROWS)
        loss_M = F.cross_entropy(x[rows] @ weight.T, targets[rows], reduction="none")
        total += float(loss_M.double().sum())
    return total
