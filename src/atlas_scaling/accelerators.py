"""Accelerators: what their makers say of them, and how long training takes on one.

``hours = C / (peak * MFU) / 3600``: peaks are of dense bf16, MFU is the share of the peak that
training reaches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, nearest

ACCELERATOR_MFU: Final = 0.40
"""Llama 3 (arXiv 2407.21783, Table 4) reports 38-43 % in bf16 on 8,192 to 16,384 H100. Small models
and small batches reach less."""

CPU_MFU: Final = 0.50
"""An assumption; small models on a CPU core vary widely, so measure."""


@dataclass(frozen=True, slots=True)
class Accelerator(Answer):
    """A device and what its maker says of it.

    Attributes:
        name: as ``--accelerator`` takes it.
        peak_flops: per second, dense bf16 (fp32 for a CPU core).
        power_w: of the device at full load, watts.
        memory_bytes: on the device; None where it is the host's.
        mfu: share of the peak that training is assumed to reach.
        source: data sheet.
    """

    name: str
    peak_flops: float
    power_w: float
    memory_bytes: float | None
    mfu: float
    source: str


ACCELERATORS: Final[Mapping[str, Accelerator]] = {
    device.name: device
    for device in (
        Accelerator("a100", 312e12, 400, 80e9, ACCELERATOR_MFU, "NVIDIA A100 80GB SXM data sheet"),
        Accelerator(
            "h100",
            989.4e12,
            700,
            80e9,
            ACCELERATOR_MFU,
            "NVIDIA H100 SXM data sheet (1,979 TFLOP/s are with sparsity)",
        ),
        Accelerator(
            "h200",
            989.4e12,
            700,
            141e9,
            ACCELERATOR_MFU,
            "NVIDIA H200 SXM data sheet (1,979 TFLOP/s are with sparsity)",
        ),
        Accelerator(
            "gh200",
            989.4e12,
            1000,
            96e9,
            ACCELERATOR_MFU,
            "NVIDIA GH200 data sheet; up to 1,000 W for processor, memory and GPU",
        ),
        Accelerator(
            "mi300x", 1307.4e12, 750, 192e9, ACCELERATOR_MFU, "AMD Instinct MI300X data sheet"
        ),
        Accelerator(
            "cpu-core",
            78.4e9,
            4.375,
            None,
            CPU_MFU,
            "one core of an AMD EPYC 7763 (64 cores, 2.45 GHz, 280 W): 32 fp32 FLOP a cycle, AVX2",
        ),
    )
}


def accelerator(name: str) -> Accelerator:
    """The accelerator called ``name``.

    >>> accelerator("H100").peak_flops
    989400000000000.0

    Raises:
        InputError: there is no such accelerator.
    """
    key = name.strip().lower()
    if key not in ACCELERATORS:
        raise InputError(
            "unknown accelerator",
            value=name,
            where="accelerator",
            remedy=nearest(key, ACCELERATORS)
            or f"one of {', '.join(ACCELERATORS)}; or give your own peak, power and MFU",
        )
    return ACCELERATORS[key]


def assumption(device: Accelerator) -> str:
    """What is to be said where hours rest on ``device.mfu``.

    Shares that were reached: ``benchmarks/accelerator.py``, ``docs/training.md``.
    """
    assumed = (
        f"Hours assume that {device.mfu:.0%} of the peak is reached: a run's status has what it"
    )
    if device.memory_bytes is None:  # a CPU
        return f"{assumed} reached, in tokens per second."
    return (
        f"{assumed} reached, flops_utilisation, for --mfu. On an H100 models of 125M to 1B "
        "parameters reached 30 to 45%, not compiled 18 to 33%, and small ones far less."
    )


def device_hours(flops: float, device: Accelerator, *, mfu: float | None = None) -> float:
    """Hours of one device for ``flops``, at ``mfu`` or at the share it is assumed to reach.

    >>> round(device_hours(1e21, ACCELERATORS["h100"]))
    702
    """
    return flops / (device.peak_flops * (mfu or device.mfu)) / 3600
