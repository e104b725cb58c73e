"""A model and its optimizer on their devices: one training step, however it is carried out."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from atlas_scaling.study.devices import Device, compiles
from atlas_scaling.study.graphs import Recorder, recorder_for
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
        if compiles(hardware, self.device, n_params=model_config.n_params):
            for block in self.model.blocks:
                block.compile()
        shards = world.size > 1 and hardware.sharding == "shard"
        self.network: nn.Module = sharded(self.model) if shards else replicated(self.model, world)
        self.recorder = recorder_for(hardware, self.device, n_processes=world.size)
        self.optimizer = adamw(self.model.parameters(), config, recorder=self.recorder)
        self._micro = hardware.micro_batch_size or config.batch_size

    def step(self, batch: Tensor, *, lr: float) -> Tensor:
        """Train on this process's part (B, T + 1) of a batch.

        Returns the whole batch's loss in nats per token and the norm of its gradient before
        clipping, (2,), on the device: reading them waits for it.
        """
        parts = torch.split(self.device.sent(batch), self._micro)
        nats = torch.zeros((), device=self.device.where)
        for number, part in enumerate(parts):
            with without_exchange(self.network, last=number == len(parts) - 1):
                nats += self.recorder(self._add_gradients, part)
        set_rate(self.optimizer, lr)
        norm = self.recorder(self._change_weights)
        return torch.stack([self.world.sum(nats) / self._tokens_of(batch), norm])

    def _tokens_of(self, part: Tensor) -> int:
        return self.config.batch_size * (part.shape[1] - 1)

    def _add_gradients(self, part: Tensor) -> Tensor:
        """Of ``part`` (b, T + 1), to those there are; returns its nats."""
        ids, targets = part[:, :-1].contiguous(), part[:, 1:].contiguous()
        with self.device.multiplying():
            minimised, nats = self.network(ids, targets, z_loss=self.config.z_loss)
            # gradients are averaged over the processes, and sums are wanted
            (minimised * (self.world.size / self._tokens_of(part))).backward()
        summed: Tensor = nats.detach()
        return summed

    def _change_weights(self) -> Tensor:
        """By the gradients there are, which are then none; returns their norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=not self.recorder.records)
        return whole(norm)

    @torch.no_grad()
    def nats(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Summed loss of ``targets`` (B, T), a scalar on the device."""
        with self.device.multiplying():
            summed: Tensor = self.network(ids.to(self.device.where), targets.to(self.device.where))[
                0
            ]
        return summed


def adamw(
    parameters: Iterable[Tensor],
    config: TrainConfig,
    *,
    recorder: Recorder,
    stacked: bool = False,
) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves norms alone; ``stacked`` ones have an axis in front.

    Where its steps are recorded, the learning rate is on the device, to be changed in place.
    """
    given = list(parameters)
    matrices = [p for p in given if p.ndim >= 2 + stacked]
    norms = [p for p in given if p.ndim < 2 + stacked]
    lr = torch.tensor(config.lr, device=given[0].device) if recorder.records else config.lr
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": norms, "weight_decay": 0.0},
        ],
        lr=lr,
        betas=(config.beta1, config.beta2),
        fused=True,
        capturable=recorder.records,
    )


def set_rate(optimizer: torch.optim.AdamW, lr: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def whole(value: Tensor) -> Tensor:
    """A number that FSDP holds in parts, added up."""
    full = getattr(value, "full_tensor", None)
    return value if full is None else full()
