"""Training on an accelerator: one model at a time, and many small ones together.

    python benchmarks/accelerator.py [--scales 8 16 26] [--small -2 -1 0] [--seconds 2]

First, whole steps of models of Table B.3 by scale (a vocabulary of 32,000, windows of 1,024
tokens): tokens a second, the share of the peak that ``6 N`` and attention account for, and memory;
as studies run by default, and with other ``hardware``. Then, for small models (a vocabulary of
8,192, 2,048 tokens a step), how many steps a second one alone makes, with and without ``graphs``,
and how many times the runs an hour several together are (``study/together.py``). Seconds on the
wall, everything in bfloat16; a figure is the median of five turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from atlas_scaling.study.devices import Device
from atlas_scaling.study.ensemble import Ensemble
from atlas_scaling.study.graphs import CALLS_BEFORE
from atlas_scaling.study.learner import Learner
from atlas_scaling.study.parallel import World
from atlas_scaling.study.scales import shape_of_scale
from atlas_scaling.study.settings import Hardware, ModelConfig, TrainConfig

STEP_TOKENS, LENGTH, VOCABULARY = 65_536, 1024, 32_000
SMALL_STEP_TOKENS, SMALL_LENGTH, SMALL_VOCABULARY = 2048, 256, 8192
MEMBERS = (8, 16, 32, 64)
VARIANTS: dict[str, dict[str, bool]] = {
    "as it is": {},
    "compile: false": {"compile": False},
    "deterministic: false": {"deterministic": False},
    "graphs: false": {"graphs": False},
    "compile, graphs: false": {"compile": False, "graphs": False},
}


def seconds_of(step: Callable[[], torch.Tensor], seconds: float) -> float:
    """Seconds of one call; those before what it launches is recorded are not counted."""
    for _ in range(CALLS_BEFORE + 1):
        step()
    torch.cuda.synchronize()
    taken: list[float] = []
    while len(taken) < 5:
        begin, times = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds / 5:
            step()
            times += 1
            if times % 4 == 0:
                torch.cuda.synchronize()
        torch.cuda.synchronize()
        taken.append((time.perf_counter() - begin) / times)
    return statistics.median(taken)


def config_of(scale: int, vocabulary: int, length: int) -> ModelConfig:
    """The model of a scale."""
    return ModelConfig(**shape_of_scale(scale), vocab_size=vocabulary, sequence_length=length)


def measure_large(scale: int, hardware: Hardware, micro: int, seconds: float) -> str:
    """One row: tokens a second, share of the peak, memory, seconds until the second step."""
    model = config_of(scale, VOCABULARY, LENGTH)
    config = TrainConfig(batch_size=STEP_TOKENS // LENGTH, lr=1e-4)
    hardware = hardware.model_copy(update={"micro_batch_size": micro})
    begin = time.perf_counter()
    learner = Learner(model, config, hardware=hardware, world=World(), seed=0)
    batch = torch.randint(VOCABULARY, (config.batch_size, LENGTH + 1)).to(learner.device.where)
    learner.device.forget_peak_memory()  # what is replayed later, it does not see
    float(learner.step(batch, lr=1e-4).sum())
    first = time.perf_counter() - begin
    rate = STEP_TOKENS / seconds_of(lambda: learner.step(batch, lr=1e-4), seconds)
    peak, _ = learner.device.peak_flops()
    memory = (learner.device.peak_memory() or 0) / 2**30
    share = rate * model.flops_per_token / peak
    return f"{rate / 1e3:10.0f} k{share:8.1%}{memory:8.1f} GiB{first:8.1f} s"


def measure_small(scale: int, seconds: float) -> str:
    """One row: parameters, steps a second alone, and ratios by number of members."""
    model = config_of(scale, SMALL_VOCABULARY, SMALL_LENGTH)
    config = TrainConfig(batch_size=SMALL_STEP_TOKENS // SMALL_LENGTH, lr=1e-4)
    shape = (config.batch_size, SMALL_LENGTH + 1)

    def rate(n: int, *, graphs: bool = True) -> float:
        """Steps a second, summed over ``n`` together; of one alone where n is 0."""
        hardware = Hardware(device="cuda", graphs=graphs)
        learners = [
            Learner(model, config, hardware=hardware, world=World(), seed=seed)
            for seed in range(max(n, 1))
        ]
        batches = torch.randint(SMALL_VOCABULARY, (max(n, 1), *shape))
        step: Callable[..., torch.Tensor]
        step = (
            partial(Ensemble(learners).step, batches)
            if n
            else partial(learners[0].step, batches[0])
        )
        found = max(n, 1) / seconds_of(lambda: step(lr=1e-4), seconds)
        torch.cuda.empty_cache()
        return found

    alone = rate(0)
    row = f"{scale:6d}{model.n_params / 1e6:8.2f} M{rate(0, graphs=False):16.0f}{alone:9.0f}"
    return row + "".join(f"{rate(n) / alone:9.1f}x" for n in MEMBERS)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", type=int, nargs="*", default=[8, 16, 26])
    parser.add_argument("--micro", type=int, default=16, help="windows at a time")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--small", type=int, nargs="*", default=[-2, -1, 0, 1])
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "there is no NVIDIA accelerator here\n")
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}")
    for scale in given.scales:
        n_params = config_of(scale, VOCABULARY, LENGTH).n_params
        print(f"\nscale {scale}, {n_params / 1e6:.0f}M parameters")
        print(f"{'':30s}{'tokens/s':>12s}{'of peak':>8s}{'memory':>12s}{'first':>10s}")
        for name in given.variants:
            hardware = Hardware(device="cuda", **VARIANTS[name])
            with Device.of(hardware).repeatable(asked=hardware.deterministic):
                row = measure_large(scale, hardware, given.micro, given.seconds)
            print(f"{name:30s}{row}", flush=True)
            torch.cuda.empty_cache()
    if not given.small:
        return
    print("\nsmall models: steps/s of one alone, and runs an hour of several together over that")
    members = "".join(f"{n:>10d}" for n in MEMBERS)
    print(f"{'scale':>6s}{'size':>10s}{'graphs: false':>16s}{'alone':>9s}{members}")
    for scale in given.small:
        with Device.of(Hardware(device="cuda")).repeatable():
            print(measure_small(scale, given.seconds), flush=True)


if __name__ == "__main__":
    main()
