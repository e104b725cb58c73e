"""Where a run computes: its device, how matrices are multiplied there, and what that could reach.

With ``bfloat16`` the products of matrices take their factors rounded to bfloat16 and add up in
float32; everything else stays in float32. On accelerators that is PyTorch's autocast, on CPUs with
units for it (AMX, AVX512-BF16) oneDNN does it inside each product.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from torch import Tensor

from atlas_scaling.accelerators import ACCELERATORS
from atlas_scaling.errors import InputError
from atlas_scaling.study.settings import Hardware

COMPILED_PARAMS: Final = 100_000_000
"""From 125M to 1B compiled models made 1.4 to 1.7 times the steps on an H100 (docs/training.md)."""

_GEMM_SIZE: Final = {"cpu": 512, "mps": 2048, "cuda": 4096}
_GEMM_TIMES: Final = 5
_FILLS: Final = "fill_uninitialized_memory"  # to find bugs, at the price of one more pass


@dataclass(frozen=True, slots=True)
class Device:
    """A device and the precision of matrix products on it."""

    where: torch.device
    precision: Literal["float32", "bfloat16"]

    @classmethod
    def of(cls, hardware: Hardware, *, index: int = 0) -> Device:
        """The device that is asked for; the ``index``-th accelerator in sight.

        Raises:
            InputError: this machine has it not, or it cannot multiply in that precision.
        """
        kind = kind_here(hardware)
        precision = hardware.precision
        if precision == "auto":
            precision = "bfloat16" if kind == "cuda" else "float32"
        if precision == "bfloat16" and not _multiplies_bfloat16(kind):
            raise InputError(
                f"this {kind} device has no units for bfloat16; it would be slower than float32",
                value=hardware.precision,
                where="hardware.precision",
                remedy="leave precision out",
            )
        where = torch.device(kind, index) if kind == "cuda" else torch.device(kind)
        return cls(where, precision)

    @contextmanager
    def multiplying(self) -> Iterator[None]:
        """Matrix products inside are in this precision."""
        if self.precision == "float32" or self.where.type != "cpu":
            enabled = self.precision == "bfloat16"
            with torch.autocast(self.where.type, torch.bfloat16, enabled=enabled):
                yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def sent(self, batch: Tensor) -> Tensor:
        """``batch`` on the device; the host need not wait until it has arrived."""
        if self.where.type == "cuda" and batch.device.type == "cpu":
            batch = batch.pin_memory()
        return batch.to(self.where, non_blocking=True)

    @contextmanager
    def repeatable(self, *, asked: bool = True) -> Iterator[None]:
        """Inside, where it is ``asked`` for, the same work gives the same bits; on CPUs always.

        On NVIDIA's accelerators attention and the sums into an embedding are added up by threads
        that race, unless PyTorch is told to take its slower ways.
        """
        if not asked or self.where.type != "cuda":
            yield
            return
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # PyTorch insists on it
        before, debugging = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic
        fills = getattr(debugging, _FILLS)
        torch.use_deterministic_algorithms(True)
        setattr(debugging, _FILLS, False)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            setattr(debugging, _FILLS, fills)

    def peak_flops(self) -> tuple[float, str]:
        """FLOP/s at most, and where that is from: a data sheet, else a matrix product just now."""
        if self.where.type == "cuda" and self.precision == "bfloat16":
            name = torch.cuda.get_device_name(self.where).lower()
            known = [one for one in ACCELERATORS.values() if one.name in name]
            if known:
                best = max(known, key=lambda one: len(one.name))  # gh200 is not an h200
                return best.peak_flops, best.source
        return self._measured_flops(), "a matrix product when the run began"

    def _measured_flops(self) -> float:
        n = _GEMM_SIZE[self.where.type]
        left, right = torch.ones(2, n, n, device=self.where)
        seconds = []
        with self.multiplying(), torch.no_grad():
            for _ in range(_GEMM_TIMES + 1):  # the first one warms up
                begin = time.perf_counter()
                product = left @ right
                float(product[0, 0])  # waits for it
                seconds.append(time.perf_counter() - begin)
        return 2.0 * n**3 / min(seconds[1:])

    def forget_peak_memory(self) -> None:
        """Count the peak anew from here, where the system can."""
        if self.where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.where)
        elif sys.platform == "linux":
            try:
                Path("/proc/self/clear_refs").write_text("5")
            except OSError:
                return  # a container may forbid it: the peak is then the process's whole life's

    def peak_memory(self) -> int | None:
        """Bytes at most in use since: of an accelerator's memory, or of this process on a CPU."""
        match self.where.type:
            case "cuda":
                return int(torch.cuda.max_memory_allocated(self.where))
            case "mps":
                return int(torch.mps.driver_allocated_memory())
        if sys.platform == "linux":
            lines = Path("/proc/self/status").read_text().splitlines()
            peak = next(line for line in lines if line.startswith("VmHWM"))
            return int(peak.split()[1]) * 1024
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def compiles(hardware: Hardware, device: Device, *, n_params: int) -> bool:
    """Whether the model of a run is compiled on ``device``.

    By itself it is on an NVIDIA accelerator for a model of ``COMPILED_PARAMS`` or more, trained by
    one process, where there is what Triton needs: a C compiler, and Python's headers.
    """
    if hardware.compile != "auto":
        return hardware.compile
    is_worth_it = device.where.type == "cuda" and n_params >= COMPILED_PARAMS
    return is_worth_it and hardware.processes == 1 and _has_compiler()


def _has_compiler() -> bool:
    headers = Path(sysconfig.get_path("include"), "Python.h")
    compilers = (os.environ.get("CC"), "cc", "gcc", "clang")
    return headers.exists() and any(shutil.which(one) for one in compilers if one)


def kind_here(hardware: Hardware) -> Literal["cpu", "cuda", "mps"]:
    """The kind of device that is asked for; none is touched.

    Raises:
        InputError: this machine has it not.
    """
    kind = _best() if hardware.device == "auto" else hardware.device
    if not _is_here(kind):
        raise InputError(
            f"there is no {kind} device here, or PyTorch is built without it",
            value=hardware.device,
            where="hardware.device",
            remedy="atlas doctor shows what is there; device: auto takes the best",
        )
    return kind


def _best() -> Literal["cpu", "cuda", "mps"]:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _is_here(kind: str) -> bool:
    match kind:
        case "cuda":
            return torch.cuda.is_available()
        case "mps":
            return torch.backends.mps.is_available()
    return True


def _multiplies_bfloat16(kind: str) -> bool:
    if kind != "cpu":
        return kind == "mps" or torch.cuda.is_bf16_supported()
    flags = Path("/proc/cpuinfo")
    if not flags.exists():
        return False
    words = set(flags.read_text(errors="replace").split())
    return bool(words & {"amx_bf16", "avx512_bf16"})
