"""A model and its optimizer on their devices: one training step, however it is carried out."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from atlas_scaling.study.devices import Device
from atlas_scaling.study.model import Transformer
from atlas_scaling.study.parallel import World, replicated, sharded, without_exchange
from atlas_scaling.study.settings import Hardware, ModelConfig, TrainConfig


class Learner:
    """The model of a run, and how a batch changes it.

    Args:
        model_config: shape of the model.
        config: how it is trained.
        hardware: what on, and how.
        world: the processes that train it.
        seed: of the first weights, which are the same on all devices.

    Raises:
        InputError: there is no such device, or the batch cannot be dealt out.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        *,
        hardware: Hardware,
        world: World,
        seed: int,
    ) -> None:
        self.config, self.world = config, world
        self.part = world.part_of(config.batch_size)
        self.device = Device.of(hardware, index=world.local_rank)
        self.model = Transformer(model_config, seed=seed).to(self.device.where)
        self.model.checkpoint_activations = hardware.checkpoint_activations
        if hardware.compile:
            for block in self.model.blocks:
                block.compile()
            self.model.compiles_loss = True
        shards = world.size > 1 and hardware.sharding == "shard"
        self.network: nn.Module = sharded(self.model) if shards else replicated(self.model, world)
        self.optimizer = adamw(self.model.parameters(), config)
        self._micro = hardware.micro_batch_size or config.batch_size

    def step(self, batch: Tensor, *, lr: float) -> Tensor:
        """Train on this process's part (B, T + 1) of a batch.

        Returns the whole batch's loss in nats per token and the norm of its gradient before
        clipping, (2,), on the device: reading them waits for it.
        """
        batch = batch.to(self.device.where, non_blocking=True)
        parts = torch.split(batch, self._micro)
        tokens = self.config.batch_size * (batch.shape[1] - 1)
        nats = torch.zeros((), device=self.device.where)
        for number, part in enumerate(parts):
            ids, targets = part[:, :-1].contiguous(), part[:, 1:].contiguous()
            is_last = number == len(parts) - 1
            with without_exchange(self.network, last=is_last), self.device.multiplying():
                minimised, part_nats = self.network(ids, targets, z_loss=self.config.z_loss)
                # gradients are averaged over the processes, and sums are wanted
                (minimised * (self.world.size / tokens)).backward()
            nats += part_nats.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad()
        return torch.stack([self.world.sum(nats) / tokens, whole(norm)])

    @torch.no_grad()
    def nats(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed loss of ``targets`` (B, T), a scalar on the device."""
        with self.device.multiplying():
            summed: Tensor = self.network(ids.to(self.device.where), targets.to(self.device.where))[
                0
            ]
        return summed


def adamw(
    parameters: Iterable[Tensor], config: TrainConfig, *, stacked: bool = False
) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves norms alone; ``stacked`` ones have an axis in front."""
    given = list(parameters)
    matrices = [p for p in given if p.ndim >= 2 + stacked]
    norms = [p for p in given if p.ndim < 2 + stacked]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": norms, "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def whole(value: Tensor) -> Tensor:
    """A number that FSDP holds in parts, added up."""
    full = getattr(value, "full_tensor", None)
    return value if full is None else full()
