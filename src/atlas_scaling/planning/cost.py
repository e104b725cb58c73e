"""What training costs: accelerator-hours, wall-clock, energy, money.

``hours = C / (peak * MFU) / 3600`` of one accelerator, ``C = 6 N D``; or from measured tokens per
second, which is better: utilisation differs by model, code and cluster more than peaks do.
``energy = hours * power * PUE``. Prices change weekly, so there is none unless it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from atlas_scaling.accelerators import ACCELERATORS, Accelerator, accelerator
from atlas_scaling.answers import Answer
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.units import format_count, plain

PUE: Final = 1.56
"""Power of the data centre over that of the machines: the mean of the Uptime Institute's Global
Data Center Survey 2024. Host processors and network are not in it."""

FAR_FROM_6ND: Final = 2.0
"""Attention over long contexts or recomputed activations seldom add more than this factor."""

TRAINING_BYTES_PER_PARAMETER: Final = 16.0
"""bf16 weights and gradients, fp32 weights and two Adam moments (Rajbhandari et al. 2020, ZeRO);
activations come on top."""


@dataclass(frozen=True)
class Cost(Answer):
    """The cost on one kind of accelerator.

    Attributes:
        accelerator: its name.
        devices: how many work at once.
        accelerator_hours: of all of them together.
        wall_clock_hours: from start to end.
        energy_kwh: with the data centre's overhead.
        money: in ``currency``; None without a price.
        tokens_per_second: of all devices; None if tokens are not known.
        mfu: assumed, or implied by the measured throughput; None if neither can be told.
        least_devices: that hold weights, gradients and optimiser states; None if not known.
    """

    accelerator: str
    devices: int
    accelerator_hours: float
    wall_clock_hours: float
    energy_kwh: float
    money: float | None
    tokens_per_second: float | None
    mfu: float | None
    least_devices: int | None


@dataclass(frozen=True)
class CostAnswer(Answer):
    """The cost of one training run, on one or more kinds of accelerator side by side."""

    n_params: float | None
    tokens: float | None
    flops: float
    options: tuple[Cost, ...]
    currency: str | None
    pue: float
    source: str
    law: str
    warnings: tuple[str, ...] = field(default=())


def chosen_accelerators(
    names: Sequence[str] | None,
    *,
    peak_flops: float | None = None,
    power_w: float | None = None,
    memory_bytes: float | None = None,
) -> tuple[Accelerator, ...]:
    """The accelerators named, all of the table without names; one may be given other numbers.

    Raises:
        InputError: an unknown name, other numbers for none or several, or one not above zero.
    """
    chosen = tuple(accelerator(name) for name in names or ACCELERATORS)
    given = {"peak_flops": peak_flops, "power_w": power_w, "memory_bytes": memory_bytes}
    own = {name: value for name, value in given.items() if value is not None}
    if not own:
        return chosen
    check_above_zero(**own)
    if len(chosen) != 1:
        raise InputError(
            "numbers of one's own are of one kind of accelerator",
            value=own,
            where="accelerators",
            remedy="name the one that is nearest",
        )
    said = ", ".join(f"{name} {value:.4g}" for name, value in own.items())
    changed = replace(chosen[0], **own, source=f"{chosen[0].source}; as given: {said}")  # type: ignore[arg-type]
    return (changed,)


def cost(
    *,
    n_params: float | None = None,
    tokens: float | None = None,
    flops: float | None = None,
    accelerators: Sequence[str | Accelerator] = tuple(ACCELERATORS),
    devices: int = 1,
    mfu: float | None = None,
    tokens_per_second: float | None = None,
    overhead: float = 0.0,
    pue: float = PUE,
    price_per_hour: float | None = None,
    currency: str = "USD",
) -> CostAnswer:
    """What a training run costs.

    Args:
        n_params: model size, embeddings counted.
        tokens: all training tokens.
        flops: of training; ``6 N D`` if not given.
        accelerators: names or values of one's own; all known ones if not given.
        devices: accelerators that work at once.
        mfu: share of the peak reached, in place of the table's assumption.
        tokens_per_second: measured, of all devices together, in place of the peak and MFU.
        overhead: share of time on top, for evaluation, restarts and waiting.
        pue: data centre's power over the machines'.
        price_per_hour: of one accelerator.
        currency: of the price.

    >>> answer = cost(n_params=2e9, tokens=400e9, accelerators=["h100"], devices=64)
    >>> round(answer.options[0].accelerator_hours), round(answer.options[0].wall_clock_hours, 1)
    (3369, 52.6)

    Raises:
        InputError: not enough to know the compute, or a number out of range.
    """
    check_above_zero(
        n_params=n_params,
        tokens=tokens,
        flops=flops,
        devices=devices,
        tokens_per_second=tokens_per_second,
        price_per_hour=price_per_hour,
    )
    _check_shares(mfu, overhead, pue)
    if tokens_per_second is not None and tokens is None:
        raise InputError(
            "a measured throughput needs the number of tokens",
            value=tokens_per_second,
            where="tokens",
        )
    flops = _compute(n_params, tokens) if flops is None else flops
    chosen = [accelerator(one) if isinstance(one, str) else one for one in accelerators]
    _check_of_one("measured throughput", tokens_per_second, chosen)
    _check_of_one("price", price_per_hour, chosen)
    options = tuple(
        _option(
            one if mfu is None else replace(one, mfu=mfu),
            flops=flops,
            n_params=n_params,
            tokens=tokens,
            devices=devices,
            tokens_per_second=tokens_per_second,
            overhead=overhead,
            pue=pue,
            price_per_hour=price_per_hour,
        )
        for one in chosen
    )
    return CostAnswer(
        n_params=n_params,
        tokens=tokens,
        flops=flops,
        options=options,
        currency=None if price_per_hour is None else currency,
        pue=pue,
        source="; ".join(one.source for one in chosen),
        law="C = 6 N D; hours = C / (peak x MFU)"
        if tokens_per_second is None
        else "hours = tokens / measured tokens per second",
        warnings=(
            *_of_compute(flops, n_params, tokens),
            *_warnings(options, mfu, tokens_per_second),
        ),
    )


def _compute(n_params: float | None, tokens: float | None) -> float:
    if n_params is None or tokens is None:
        raise InputError(
            "the compute is not known",
            where="n_params, tokens, flops",
            remedy="give parameters and tokens, or FLOPs",
        )
    return training_flops(n_params, tokens)


def _check_of_one(what: str, given: float | None, chosen: Sequence[Accelerator]) -> None:
    if given is not None and len(chosen) > 1:
        raise InputError(
            f"a {what} is of one kind of accelerator",
            value=[one.name for one in chosen],
            where="accelerators",
            remedy="name the one",
        )


def _option(
    device: Accelerator,
    *,
    flops: float,
    n_params: float | None,
    tokens: float | None,
    devices: int,
    tokens_per_second: float | None,
    overhead: float,
    pue: float,
    price_per_hour: float | None,
) -> Cost:
    seconds = flops / (device.peak_flops * device.mfu * devices)
    mfu = device.mfu
    if tokens_per_second is not None and tokens is not None:
        seconds = tokens / tokens_per_second
        mfu = flops / seconds / (devices * device.peak_flops)
    wall_clock = seconds * (1 + overhead) / 3600
    hours = wall_clock * devices
    least_devices = None
    if n_params is not None and device.memory_bytes is not None:
        least_devices = math.ceil(n_params * TRAINING_BYTES_PER_PARAMETER / device.memory_bytes)
    return Cost(
        accelerator=device.name,
        devices=devices,
        accelerator_hours=hours,
        wall_clock_hours=wall_clock,
        energy_kwh=hours * device.power_w * pue / 1000,
        money=None if price_per_hour is None else hours * price_per_hour,
        tokens_per_second=None if tokens is None else tokens / seconds,
        mfu=mfu,
        least_devices=least_devices,
    )


def _check_shares(mfu: float | None, overhead: float, pue: float) -> None:
    if mfu is not None and not 0 < mfu <= 1:
        raise InputError("a share of the peak lies above 0 and up to 1", value=mfu, where="mfu")
    if not 0 <= overhead < math.inf:
        raise InputError("an overhead is 0 or more", value=overhead, where="overhead")
    if not 1 <= pue < math.inf:
        raise InputError(
            "a data centre draws at least what its machines do", value=pue, where="pue"
        )


def _of_compute(flops: float, n_params: float | None, tokens: float | None) -> list[str]:
    """A count of one's own may be better than 6 N D; one far from it is worth a second look."""
    if n_params is None or tokens is None:
        return []
    ratio = flops / training_flops(n_params, tokens)
    if 1 / FAR_FROM_6ND <= ratio <= FAR_FROM_6ND:
        return []
    return [
        f"the compute given is {plain(ratio)} times 6 N D of the parameters and tokens given: the "
        "hours are those of the compute"
    ]


def _warnings(
    options: Sequence[Cost], mfu: float | None, tokens_per_second: float | None
) -> list[str]:
    said = []
    if mfu is None and tokens_per_second is None:
        said.append(
            "utilisation is assumed: measure tokens per second of your model on your machines"
        )
    if tokens_per_second is not None and (options[0].mfu or 0) > 1:
        said.append(
            f"the measured throughput is {options[0].mfu:.1f} times the peak of "
            f"{options[0].accelerator}: one of them is wrong"
        )
    for option in options:
        least = option.least_devices
        if least is not None and least > option.devices:
            said.append(
                f"{option.accelerator}: weights and optimiser states alone fill {least} devices, "
                f"{format_count(option.devices)} given"
            )
    return said
