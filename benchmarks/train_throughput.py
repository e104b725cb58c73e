"""Training speed on one CPU core, beside what was not chosen and a GEMM of the same minute.

    python benchmarks/train_throughput.py [--shapes 64x2 128x4 256x4] [--rounds 7]

Thousand tokens per CPU second of whole steps (forward, backward, clipping, AdamW) in float32, at a
vocabulary of 4,096, windows of 128 tokens, 16 of them a step. ``Llama`` is Hugging Face's model of
the same depth, width, heads and, within a percent or two, parameters, trained by the same AdamW.
``bf16`` is with bfloat16 products, ours and Llama's, on CPUs that have units for them. The variants
take turns, and a figure is the median over rounds: on a shared machine speeds drift by a tenth from
one minute to the next. Each table is of one process, because its environment must be set before it
starts (``study/process.py``).

The table after is of real runs through ``train()``: seconds until the first step of a run after the
first in a process, and the most memory the process had. The last says where a step's time goes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import CodeInfo, RunRecord, TokenizerInfo
from atlas_scaling.study import model as ours
from atlas_scaling.study.devices import Device
from atlas_scaling.study.engines.local import usable_cores
from atlas_scaling.study.learner import Learner
from atlas_scaling.study.loss import linear_cross_entropy
from atlas_scaling.study.process import process_environment
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.settings import Hardware, ModelConfig, TrainConfig
from atlas_scaling.study.tokens import PackedText
from atlas_scaling.study.train import train
from atlas_scaling.study.training_run import Assignment

VOCABULARY, LENGTH, BATCH = 4096, 128, 16
SHAPES = ["64x2", "128x4", "256x4"]
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

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        x = x + self.attention._attention(self.attention_norm(x), angles)
        gate, up = self.gate_up(self.feed_forward_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def whole_logits(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The loss as usually written: all logits at once."""
    return F.cross_entropy(x @ weight.T, targets)


def in_chunks(x: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """The loss as we have it."""
    return linear_cross_entropy(x, weight, targets)[0] / len(targets)


def step_of(
    config: ModelConfig,
    batch_size: int,
    *,
    swiglu: bool = False,
    loss: Callable[[Tensor, Tensor, Tensor], Tensor] = in_chunks,
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


def llama_step(config: ModelConfig, batch_size: int) -> Step | None:
    """The same with Hugging Face's Llama; None where transformers is not installed."""
    try:
        from transformers import LlamaConfig, LlamaForCausalLM
    except ImportError:
        return None
    d = config.d_model
    llama = LlamaForCausalLM(
        LlamaConfig(
            hidden_size=d,
            intermediate_size=round(8 * d / 3 / 32) * 32,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            vocab_size=config.vocab_size,
            max_position_embeddings=LENGTH,
            tie_word_embeddings=True,
            use_cache=False,
        )
    )
    optimizer = torch.optim.AdamW(llama.parameters(), lr=1e-3, fused=True)
    ids = torch.randint(VOCABULARY, (batch_size, LENGTH))

    def step() -> None:
        llama(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(llama.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def with_bfloat16(step: Step | None) -> Step | None:
    """A step whose products are in bfloat16; None where this CPU has no units for it."""
    try:
        device = Device.of(Hardware(device="cpu", precision="bfloat16"))
    except InputError:
        return None

    def in_bfloat16() -> None:
        with device.multiplying():
            step()

    return in_bfloat16 if step else None


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
    config = config_of(d, layers)
    mine, llama = step_of(config, BATCH), llama_step(config, BATCH)
    asked = {
        "ours": (BATCH, mine),
        "Llama": (BATCH, llama),
        "ours, bf16": (BATCH, with_bfloat16(mine)),
        "Llama, bf16": (BATCH, with_bfloat16(llama)),
        "batch 4": (4, step_of(config, 4)),
        "SwiGLU": (BATCH, step_of(config, BATCH, swiglu=True)),
        "whole logits": (BATCH, step_of(config, BATCH, loss=whole_logits)),
    }
    variants = {name: one for name, one in asked.items() if one[1] is not None}
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, (size, step) in variants.items():
            tokens = size * LENGTH
            seconds = seconds_of(step, max(1, round(TOKENS_A_TURN / tokens * 64 / d)))
            taken.setdefault(name, []).append(tokens / seconds / 1e3)
        taken.setdefault("GEMM", []).append(2 * 512**3 / seconds_of(gemm_step(), 20) / 1e9)
        share = seconds_of(sampling_step(BATCH), 50) * taken["ours"][-1] * 1e3 / (BATCH * LENGTH)
        taken.setdefault("sampling", []).append(share)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    medians["of GEMM"] = medians["ours"] * 1e3 * config.flops_per_token / (medians["GEMM"] * 1e9)
    if llama:
        medians["of Llama"] = medians["ours"] / medians["Llama"]
    return medians


def measure_runs(shape: str) -> dict[str, Any]:
    """Start-up and memory of runs through ``train()``, after a first one in this process."""
    d, layers = map(int, shape.split("x"))
    model = config_of(d, layers)
    training = TrainConfig(batch_size=BATCH, lr=1e-3, warmup_tokens=0, decay_fraction=0.0)
    ids = (np.arange(300_000) % VOCABULARY).astype(np.uint16)
    texts = {f"l{i}": PackedText(f"l{i}", ids, len(ids)) for i in range(6)}
    starts, memory = [], 0
    for number in range(4):
        record = RunRecord(
            run_id="start",
            group="benchmark",
            mixture=dict.fromkeys(texts, 1 / 6),
            tokens=8 * BATCH * LENGTH,
            unique_tokens=dict.fromkeys(texts, len(ids)),
            n_params=model.n_params,
            n_params_non_embedding=model.n_params_non_embedding,
            model=model.model_dump(),
            optimizer=training.model_dump(),
            tokenizer=TokenizerInfo(name="none", vocab_size=VOCABULARY, sha256="none"),
            corpus_sha256="none",
            seed=number,
            code=CodeInfo(version="benchmark"),
            created_at="now",
        )
        first_step: list[float] = []
        step = Learner.step

        def noting(*args: Any, first: list[float] = first_step, **options: Any) -> Tensor:
            first.append(time.perf_counter())
            return step(*args, **options)  # noqa: B023 - called in this turn

        Learner.step = noting  # type: ignore[method-assign]
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            evals = {"l0": PackedText("l0", ids[:4096], 4096)}
            status = train(Assignment(Path(folder), record, model, training, texts, evals))
        Learner.step = step  # type: ignore[method-assign]
        starts.append(first_step[0] - begin)
        memory = status.peak_memory_bytes or 0
    return {"start": statistics.median(starts[1:]), "memory": memory / 2**20}


KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("attention",),
    "GELU": ("gelu",),
    "loss": ("exp_", "amax", "sub_", "log", "index"),
    "norms": ("layer_norm",),
    "AdamW, clipping": ("_fused_adamw_", "norm", "_foreach"),
}
"""Of PyTorch's operations, by what their names contain; the first that fits counts."""


def shares_of_step(shape: str) -> dict[str, float]:
    """Which share of a step's time each kind of operation takes itself."""
    d, layers = map(int, shape.split("x"))
    step = step_of(config_of(d, layers), BATCH)
    for _ in range(2):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(max(4, 1024 // d)):
            step()
    seconds = dict.fromkeys([*KINDS, "rest"], 0.0)
    for event in profile.key_averages():
        fits = (kind for kind, words in KINDS.items() if any(word in event.key for word in words))
        seconds[next(fits, "rest")] += event.self_cpu_time_total
    return {kind: value / sum(seconds.values()) for kind, value in seconds.items()}


def config_of(d: int, layers: int) -> ModelConfig:
    """The model of a shape."""
    return ModelConfig(
        n_layers=layers,
        d_model=d,
        n_heads=max(2, d // 32),
        vocab_size=VOCABULARY,
        sequence_length=LENGTH,
    )


def child(shapes: list[str], rounds: int) -> None:
    """Measure in this process and print JSON; without rounds, start-up, memory and shares."""
    torch.set_num_threads(1)
    measured = {
        s: measure(s, rounds) if rounds else {**measure_runs(s), "shares": shares_of_step(s)}
        for s in shapes
    }
    print(json.dumps(measured))


def print_table(title: str, measured: dict[str, dict[str, float]]) -> None:
    """One row a shape."""
    shares = ("GEMM", "of GEMM", "of Llama", "sampling")
    names = [name for name in next(iter(measured.values())) if name not in shares]
    print(f"\n{title}\n{'shape':8s}" + "".join(f"{name:>14s}" for name in names), end="")
    print(f"{'GEMM GFLOP/s':>15s}{'of GEMM':>9s}{'of Llama':>10s}{'sampling':>10s}")
    for shape, row in measured.items():
        cells = "".join(f"{row[name]:12.1f} k" for name in names)
        print(f"{shape:8s}{cells}{row['GEMM']:15.0f}{row['of GEMM']:9.0%}", end="")
        print(f"{row.get('of Llama', float('nan')):9.2f}x{row['sampling']:10.2%}")


def main() -> None:
    """Print a table without and one with the environment that the engines give their workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="width x layers")
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
        environments = {**os.environ, **environment}
    done = subprocess.run(
        [*command[:-1], "0", "--shapes", *given.shapes],
        env=environments,
        stdout=subprocess.PIPE,
        check=True,
    )
    print("\nruns after the first of a process\nshape     until the first step   most memory")
    measured = json.loads(done.stdout)
    for shape, row in measured.items():
        print(f"{shape:8s}{row['start']:20.2f} s{row['memory']:10.0f} MiB")
    print("\na step's time" + "".join(f"{kind:>17s}" for kind in (*KINDS, "rest")))
    for shape, row in measured.items():
        print(f"{shape:13s}" + "".join(f"{share:17.0%}" for share in row["shares"].values()))


if __name__ == "__main__":
    main()
