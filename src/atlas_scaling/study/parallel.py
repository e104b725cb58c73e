"""Several processes that train one run together: PyTorch's DDP, or FSDP2 (``fully_shard``).

Every process draws the same batches and trains on its part of each; gradients are averaged. So a
run is the same run on any number of processes, up to the order in which numbers are added.

What is done next is decided by the first process alone (``World.decide``): clocks, signals and
what a shared disk shows differ between them, and processes that take different ways wait for one
another for ever. Each wait has a limit; beyond it, or when one of them dies, the others raise
``LostProcessError``, and the run can go on from its last checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from atlas_scaling.errors import InputError, RunError
from atlas_scaling.study.model import Transformer

_KEPT: Final[list[object]] = []
"""Groups of processes in which something went wrong; such a process does not live long."""

_GLOO_SAYS: Final = ("gloo", "Connection closed by peer", "Connection reset by peer")


class LostProcessError(RunError):
    """Another process of the run is gone, or did not answer in time."""


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
    def joined(self, kind: str, *, patience_seconds: float) -> Iterator[None]:
        """Inside, the processes can talk to each other.

        What they train must be gone when they leave: DDP's part in C++ holds their group, and
        where it is the last to do so it waits for the group's threads without letting go of
        Python's lock, which these need to end (seen once in thousands of runs, on a busy machine).

        Args:
            kind: of device they compute on.
            patience_seconds: how long one waits for another.

        Raises:
            LostProcessError: one of them is gone or did not answer.
        """
        if self.size == 1 or dist.is_initialized():
            yield
            return
        try:
            dist.init_process_group(
                "nccl" if kind == "cuda" else "gloo",
                rank=self.rank,
                world_size=self.size,
                timeout=timedelta(seconds=patience_seconds),
            )
            yield
        except BaseException as error:
            _KEPT.append(dist.group.WORLD)  # the error's frames may keep what was trained
            if not (isinstance(error, RuntimeError) and _is_of_another(error)):
                raise
            raise LostProcessError(
                f"process {self.rank} of {self.size} of this run lost the others",
                value=str(error).splitlines()[0],
                remedy="look for the first of them that failed; the run goes on from its last "
                "checkpoint when it is begun again",
            ) from error
        finally:
            if dist.is_initialized():
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

    def decide(self, numbers: list[int], device: torch.device) -> list[int]:
        """What the first process says, in every process."""
        if self.size == 1:
            return numbers
        said = torch.tensor(numbers, dtype=torch.int64, device=device)
        dist.broadcast(said, 0)
        return [int(number) for number in said.tolist()]

    def agrees(self, flag: bool, device: torch.device) -> bool:
        """Whether the first process says so."""
        return bool(self.decide([flag], device)[0])

    @contextmanager
    def in_step(self, device: torch.device, *, doing: str) -> Iterator[None]:
        """All processes leave this block when all are through it, or each with an error.

        Raises:
            RunError: another process could not write what it had to.
        """
        failed: OSError | None = None
        try:
            yield
        except OSError as error:
            failed = error
        n_failed = self.sum(torch.tensor(int(failed is not None), device=device))
        if failed is not None:
            raise failed
        if n_failed.item():
            raise RunError(
                f"another process of this run could not {doing}",
                remedy="what it printed says why (logs/ of the study); mostly the disk is full",
            )


def _is_of_another(error: RuntimeError) -> bool:
    """Whether a process was let down by another: gloo has no type of error for that."""
    if isinstance(error, dist.DistError):
        return True
    return type(error) is RuntimeError and any(word in str(error) for word in _GLOO_SAYS)


def replicated(model: Transformer, world: World) -> nn.Module:
    """The model as DDP has it: whole in every process."""
    if world.size == 1:
        return model
    # Rotary angles are the same in all: not to be sent at every step. PyTorch 2.13 renamed the
    # argument.
    words = signature(DistributedDataParallel).parameters
    word = "forward_sync_buffers" if "forward_sync_buffers" in words else "broadcast_buffers"
    options: dict[str, Any] = {word: False}
    return DistributedDataParallel(model, **options)


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
