"""What a training step launches on an NVIDIA accelerator, recorded once and replayed.

A step of a small model is hundreds of kernels of a few microseconds each, and telling the
accelerator of one takes longer than it works on it. A CUDA graph tells it of all at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import torch
from torch import Tensor

from atlas_scaling.errors import RunError
from atlas_scaling.study.devices import Device
from atlas_scaling.study.settings import Hardware

CALLS_BEFORE: Final = 3
"""In these libraries find their kernels, compilers compile, and gradients get their place."""

_Key: TypeAlias = tuple[str, tuple[torch.Size, ...]]


@dataclass(frozen=True, slots=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    given: list[Tensor]
    result: Tensor


class Recorder:
    """Carries out functions of tensors, and where it records replays what they launched before.

    What is recorded may read and change tensors that stay where they are (weights, gradients,
    optimizer state), beside those it is given, and must not wait for the device. What it returns is
    overwritten by the next call of the same function. All recordings share memory: they are
    replayed one at a time.

    Args:
        where: an NVIDIA accelerator; None to record nothing.
    """

    def __init__(self, where: torch.device | None = None) -> None:
        self.records = where is not None
        self._calls = Counter[_Key]()
        self._graphs = dict[_Key, _Graph]()
        if where is not None:
            stream: Any = torch.cuda.Stream
            self._stream: torch.cuda.Stream = stream(where)
            self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[..., Tensor], *given: Tensor) -> Tensor:
        """``work(*given)``; functions are told apart by their names."""
        if not self.records:
            return work(*given)
        key = work.__qualname__, tuple(one.shape for one in given)
        self._calls[key] += 1
        if self._calls[key] <= CALLS_BEFORE:
            return self._beside(work, given)
        if key not in self._graphs:
            self._graphs[key] = self._record(work, given)
        recorded = self._graphs[key]
        for place, one in zip(recorded.given, given, strict=True):
            place.copy_(one)
        recorded.graph.replay()
        return recorded.result

    def _beside(self, work: Callable[..., Tensor], given: tuple[Tensor, ...]) -> Tensor:
        """On the stream that is recorded later, which has a workspace of its own for products."""
        here = torch.cuda.current_stream()
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            result = work(*given)
        here.wait_stream(self._stream)
        return result

    def _record(self, work: Callable[..., Tensor], given: tuple[Tensor, ...]) -> _Graph:
        """The device does nothing of it now."""
        places = [one.clone() for one in given]
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                result = work(*places)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RunError(
                "what a training step launches cannot be recorded on this accelerator",
                value=str(error),
                where="hardware.graphs",
                remedy="graphs: false, and tell us which accelerator it is",
            ) from error
        return _Graph(graph, places, result)


def recorder_for(hardware: Hardware, device: Device, *, n_processes: int = 1) -> Recorder:
    """One that records where that can be, and is wanted.

    It cannot where several processes exchange gradients; and with ``checkpoint_activations`` memory
    is short, and recordings hold on to theirs.
    """
    can = device.where.type == "cuda" and n_processes == 1
    return Recorder(device.where if hardware.records and can else None)
