"""Several processes that train one run together: PyTorch's DDP, or FSDP2 (``fully_shard``).

Every process draws the same batches and trains on its part of each; gradients are averaged. So a
run is the same run on any number of processes, up to the order in which numbers are added.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from atlas_scaling.errors import InputError
from atlas_scaling.study.model import Transformer


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run, and which of them this is.

    Attributes:
        rank: of this process; 0 is the one that writes.
        size: processes in all.
        local_rank: which accelerator of its machine it takes.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def of_environment(cls) -> World:
        """As ``torchrun`` says; this process alone if it says nothing."""
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        return cls(
            rank=int(os.environ["RANK"]),
            size=int(os.environ["WORLD_SIZE"]),
            local_rank=int(os.environ.get("LOCAL_RANK", os.environ["RANK"])),
        )

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes and talks."""
        return self.rank == 0

    @contextmanager
    def joined(self, kind: str) -> Iterator[None]:
        """Inside, the processes can talk to each other; ``kind`` of device they compute on."""
        if self.size == 1 or dist.is_initialized():
            yield
            return
        backend = "nccl" if kind == "cuda" else "gloo"
        dist.init_process_group(backend, rank=self.rank, world_size=self.size)
        try:
            yield
        finally:
            dist.destroy_process_group()

    def part_of(self, batch_size: int) -> slice:
        """The sequences of a batch that are this process's.

        Raises:
            InputError: they cannot be dealt out evenly.
        """
        if batch_size % self.size:
            raise InputError(
                "a batch cannot be dealt out evenly to the processes of a run",
                value=f"{batch_size} sequences, {self.size} processes",
                where="batch_size",
                remedy="take a number of processes that divides it",
            )
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def decide(self, flags: list[bool], device: torch.device) -> list[bool]:
        """What the first process decided: clocks and signals differ between them."""
        if self.size == 1:
            return flags
        said = torch.tensor(flags, dtype=torch.uint8, device=device)
        dist.broadcast(said, 0)
        return [bool(flag) for flag in said.tolist()]

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


def replicated(model: Transformer, world: World) -> nn.Module:
    """The model as DDP has it: whole in every process."""
    return model if world.size == 1 else DistributedDataParallel(model, broadcast_buffers=False)


def sharded(model: Transformer) -> nn.Module:
    """The model as FSDP2 has it: its parameters become parts, each block gathered when needed."""
    for block in model.blocks:
        fully_shard(block)
    fully_shard(model, reshard_after_forward=True)  # the loss has its gradients by then
    return model


def without_exchange(network: nn.Module, *, last: bool) -> AbstractContextManager[None]:
    """Inside, gradients stay in this process, unless it is the ``last`` part of a batch."""
    if isinstance(network, DistributedDataParallel):
        return nullcontext() if last else network.no_sync()
    if isinstance(network, FSDPModule):
        network.set_requires_gradient_sync(last)
    return nullcontext()
