"""Training speed on one CPU core, beside what was not chosen and a GEMM of the same minute.

    python benchmarks/train_throughput.py [--shapes 64x2 128x4 256x4] [--rounds 7]

Thousand tokens per CPU second of whole steps (forward, backward, clipping, AdamW) in float32, at a
vocabulary of 4,096 and windows of 128 tokens. The variants take turns, and a figure is the median
over rounds: on a shared machine speeds drift by a tenth from one minute to the next. Each table is
of one process, because its environment must be set before it starts (``study/process.py``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from atlas_scaling.study import model as ours
from atlas_scaling.study.engines.local import usable_cores
from atlas_scaling.study.loss import linear_cross_entropy
from atlas_scaling.study.process import process_environment
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.settings import ModelConfig
from atlas_scaling.study.tokens import PackedText

VOCABULARY, LENGTH = 4096, 128
ISSUE_TARGETS = {"64x2": 26.0, "128x4": 9.0, "256x4": 3.5}
TOKENS_A_TURN = 8192

Step = Callable[[], object]


class SwiGluBlock(nn.Module):
    """The block of Llama: RMSNorm and SwiGLU, its width chosen for about as many parameters."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.d_model
        width = round(8 * d / 3 / 32) * 32
        self.attention = ours.Block(config)
        self.attention_norm, self.feed_forward_norm = nn.RMSNorm(d), nn.RMSNorm(d)
        self.gate_up = nn.Linear(d, 2 * width, bias=False)
        self.down = nn.Linear(width, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention._attention(self.attention_norm(x), cos, sin)
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def whole_logits(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The loss as usually written: all logits at once."""
    return F.cross_entropy(x @ weight.T, targets)


def step_of(
    config: ModelConfig,
    batch_size: int,
    *,
    swiglu: bool = False,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] = linear_cross_entropy,
) -> Step:
    """One training step on random tokens: where they come from does not change its speed."""
    model = ours.Transformer(config, seed=0)
    if swiglu:
        model.blocks = nn.ModuleList(SwiGluBlock(config) for _ in range(config.n_layers))
        model.norm = nn.RMSNorm(config.d_model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    ids, targets = torch.randint(VOCABULARY, (2, batch_size, LENGTH))

    def step() -> None:
        hidden = model.hidden(ids).flatten(0, 1)
        loss(hidden, model.embedding.weight, targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def gemm_step() -> Step:
    """One product of 512 x 512 matrices."""
    left, right = torch.randn(2, 512, 512)
    return partial(torch.mm, left, right)


def sampling_step(batch_size: int) -> Step:
    """One batch of an even mixture of six languages."""
    ids = np.zeros(300_000, dtype=np.uint16)
    texts = {f"l{i}": PackedText(f"l{i}", ids, len(ids)) for i in range(6)}
    sampler = Sampler(texts, dict.fromkeys(texts, 1 / 6), sequence_length=LENGTH, seed=0)
    return partial(sampler.batch, batch_size)


def seconds_of(step: Step, times: int) -> float:
    """CPU seconds of one call; a call before is not counted."""
    step()
    begin = time.process_time()
    for _ in range(times):
        step()
    return (time.process_time() - begin) / times


def measure(shape: str, rounds: int) -> dict[str, float]:
    """Thousand tokens a second by variant; with ``GEMM``, GFLOP/s, and ``sampling``, a share."""
    d, layers = map(int, shape.split("x"))
    config = ModelConfig(
        n_layers=layers,
        d_model=d,
        n_heads=max(2, d // 32),
        vocab_size=VOCABULARY,
        sequence_length=LENGTH,
    )
    variants = {
        "batch 16": (16, step_of(config, 16)),
        "batch 4": (4, step_of(config, 4)),
        "RMSNorm, SwiGLU": (16, step_of(config, 16, swiglu=True)),
        "whole logits": (16, step_of(config, 16, loss=whole_logits)),
    }
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (size, step) in variants.items():
            tokens = size * LENGTH
            seconds = seconds_of(step, max(1, round(TOKENS_A_TURN / tokens * 64 / d)))
            taken.setdefault(name, []).append(tokens / seconds / 1e3)
        taken.setdefault("GEMM", []).append(2 * 512**3 / seconds_of(gemm_step(), 20) / 1e9)
        share = seconds_of(sampling_step(16), 50) * taken["batch 16"][-1] * 1e3 / (16 * LENGTH)
        taken.setdefault("sampling", []).append(share)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    # 6 N for the matrices, the tied one counted once, and 6 L T d for attention to the past
    flops = 6 * config.n_params + 6 * layers * LENGTH * d
    medians["of GEMM"] = medians["batch 16"] * 1e3 * flops / (medians["GEMM"] * 1e9)
    return medians


def child(shapes: list[str], rounds: int) -> None:
    """Measure in this process and print JSON."""
    torch.set_num_threads(1)
    print(json.dumps({shape: measure(shape, rounds) for shape in shapes}))


def print_table(title: str, measured: dict[str, dict[str, float]]) -> None:
    """One row a shape."""
    names = ["batch 16", "batch 4", "RMSNorm, SwiGLU", "whole logits"]
    print(f"\n{title}\n{'shape':8s}" + "".join(f"{name:>17s}" for name in names), end="")
    print(f"{'GEMM GFLOP/s':>15s}{'of GEMM':>9s}{'sampling':>10s}")
    for shape, row in measured.items():
        cells = "".join(f"{row[name]:15.1f} k" for name in names)
        target = ISSUE_TARGETS.get(shape)
        wanted = f"   (target {target:g} k)" if target else ""
        print(f"{shape:8s}{cells}{row['GEMM']:15.0f}", end="")
        print(f"{row['of GEMM']:9.0%}{row['sampling']:10.1%}{wanted}")


def main() -> None:
    """Print a table without and one with the environment that the engines give their workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=list(ISSUE_TARGETS), help="width x layers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.shapes, given.rounds)
        return
    core = usable_cores()[-1]
    command = [sys.executable, __file__, "--child", "--rounds", str(given.rounds)]
    plain = {name: process_environment()[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, core {core}")
    for title, environment in (
        ("glibc's allocator as it is", plain),
        ("told to keep its blocks (study/process.py)", process_environment()),
    ):
        done = subprocess.run(
            [*command, "--shapes", *given.shapes],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=lambda: hasattr(os, "sched_setaffinity") and os.sched_setaffinity(0, {core}),
        )
        print_table(title, json.loads(done.stdout))


if __name__ == "__main__":
    main()
