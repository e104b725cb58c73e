"""Runs of one shape in one program (``study/ensemble.py``) beside one at a time, on this CPU.

    python benchmarks/ensemble.py [--shapes 32x2 64x2 128x4] [--members 8]

Thousand tokens a second over all members, of whole steps at a vocabulary of 4,096 and 4 windows of
128 tokens a member. The two take turns; a figure is the median over rounds, in CPU seconds of one
thread, so that one at a time is also what a core of a process-a-run has. For accelerators there is
``accelerator.py``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from train_throughput import config_of

from atlas_scaling.study.ensemble import Ensemble
from atlas_scaling.study.learner import Learner
from atlas_scaling.study.parallel import World
from atlas_scaling.study.settings import Hardware, TrainConfig

BATCH, LENGTH = 4, 128


def seconds_of(step: Callable[[], torch.Tensor], times: int) -> float:
    """CPU seconds of one call; a call before is not counted."""
    step()
    begin = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - begin) / times


def main() -> None:
    """Print one row a shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=["32x2", "64x2", "128x4"])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    hardware = Hardware(device="cpu", precision="float32")
    print(f"torch {torch.__version__}, {given.members} members")
    print(f"{'shape':8s}{'one at a time':>16s}{'together':>12s}{'ratio':>8s}")
    for shape in given.shapes:
        model = config_of(*map(int, shape.split("x")))
        config = TrainConfig(batch_size=BATCH, lr=1e-3)
        n = given.members
        batches = torch.randint(model.vocab_size, (n, BATCH, LENGTH + 1))

        def learner(seed: int) -> Learner:
            return Learner(model, config, hardware=hardware, world=World(), seed=seed)  # noqa: B023

        ensemble = Ensemble([learner(seed) for seed in range(n)])
        alone = learner(0)
        steps = {
            "one at a time": (1, lambda: alone.step(batches[0], lr=1e-3)),  # noqa: B023
            "together": (n, lambda: ensemble.step(batches, lr=1e-3)),  # noqa: B023
        }
        taken: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(given.rounds):
            for name, (members, step) in steps.items():
                seconds = seconds_of(step, max(2, 16 // members))
                taken[name].append(members * BATCH * LENGTH / seconds / 1e3)
        before, together = (statistics.median(taken[name]) for name in steps)
        print(f"{shape:8s}{before:14.1f} k{together:10.1f} k{together / before:7.2f}x", flush=True)


if __name__ == "__main__":
    main()
