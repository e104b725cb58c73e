"""Many runs of one shape in one program: their weights stacked, each product a batch of products.

``torch.func`` maps the one model over the stack, so the members are the runs they would be alone:
same weights, data, schedule, clipping; sums may be added in another order. On an accelerator a
small model alone cannot keep it busy. On CPU cores a process a run is faster
(``benchmarks/ensemble.py``), and is what engines do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.attention import SDPBackend, sdpa_kernel

from atlas_scaling.study.learner import adamw
from atlas_scaling.study.model import Transformer
from atlas_scaling.study.settings import ModelConfig, TrainConfig

_ATTENTION: Final = [
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


class Ensemble:
    """``n`` models of one shape that are trained together, each on batches of its own.

    Args:
        model_config: shape of each.
        config: how each is trained.
        seeds: of the first weights, one a member.
        device: where; a CPU unless given.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        *,
        seeds: Sequence[int],
        device: torch.device | None = None,
    ) -> None:
        self.config = config
        on_cpu = device is None or device.type == "cpu"  # whose own kernel cannot be mapped
        self._attention = [SDPBackend.MATH] if on_cpu else _ATTENTION
        alone = [_Minimised(Transformer(model_config, seed=s), config.z_loss) for s in seeds]
        self._one = alone[0].to(device)
        weights, buffers = stack_module_state([one.to(device) for one in alone])
        self._weights: dict[str, Tensor] = weights
        self._buffers: dict[str, Tensor] = buffers
        self.optimizer = adamw(weights.values(), config, stacked=True)

    def step(self, batches: Tensor, *, lr: float) -> Tensor:
        """Train on one batch a member, (n, B, T + 1).

        Returns losses in nats per token and norms of the gradients before clipping, (2, n).
        """
        with sdpa_kernel(self._attention):
            minimised, losses = torch.vmap(self._of_one)(
                self._weights, self._buffers, batches[..., :-1], batches[..., 1:]
            )
        torch.autograd.backward(minimised.sum())
        norms = self._clip()
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        return torch.stack([losses.detach(), norms])

    @torch.no_grad()
    def copy_member(self, number: int, model: Transformer) -> None:
        """Give ``model`` the weights of one member."""
        for name, parameter in model.named_parameters():
            parameter.copy_(self._weights[f"model.{name}"][number])

    def _of_one(
        self, weights: dict[str, Tensor], buffers: dict[str, Tensor], ids: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        both: tuple[Tensor, Tensor] = functional_call(self._one, (weights, buffers), (ids, targets))
        return both

    def _clip(self) -> Tensor:
        """Clip each member's gradient as it would be alone; returns their norms, (n,)."""
        gradients = [w.grad for w in self._weights.values() if w.grad is not None]
        norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
        scale = (self.config.grad_clip / (norms + 1e-6)).clamp(max=1.0)  # as PyTorch clips
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))
        return norms


class _Minimised(nn.Module):
    """What a model's training minimises, and its loss, a token; in terms that can be mapped."""

    def __init__(self, model: Transformer, z_loss: float) -> None:
        super().__init__()
        self.model, self.z_loss = model, z_loss

    def forward(self, ids: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model.logits(ids).flatten(0, 1)
        loss = F.cross_entropy(logits, targets.flatten())
        if not self.z_loss:
            return loss, loss
        return loss + self.z_loss * logits.logsumexp(1).square().mean(), loss
