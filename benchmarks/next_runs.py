"""Runs chosen by ``next_runs`` beside a grid and random runs of the same compute, in simulation.

    python benchmarks/next_runs.py [--repeats 20]

A law is planted, twelve small runs of it are fitted, and the loss of a run of a hundred times their
compute is to be predicted. Three designs get the same allowance and at most the same number of
runs; each is simulated, fitted together with the small runs, and scored: the width of the 90 %
interval, its coverage, and the error of the prediction. One core; about 0.2 s a repeat.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from atlas_scaling.fitting import Fit, fit
from atlas_scaling.planning.decisions import CandidateRun, design_space, loss_decision
from atlas_scaling.planning.next_runs import next_runs

LAW = {"E": 1.7, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
NOISE = 0.003
WANTED = CandidateRun(2e9, 40e9, {})
ALLOWANCE = 5e18
MOST_RUNS = 8
BOOTSTRAP = 100


def true_loss(run: CandidateRun) -> float:
    p = LAW
    capacity, data = p["A"] / run.n_params ** p["alpha"], p["B"] / run.tokens ** p["beta"]
    return p["E"] + capacity + data


def simulated(runs: Sequence[CandidateRun], rng: np.random.Generator) -> dict[str, object]:
    noise = np.exp(NOISE * rng.standard_normal(len(runs)))
    return {
        "run_id": [f"run{i}" for i in range(len(runs))],
        "n_params": np.array([run.n_params for run in runs]),
        "tokens": np.array([run.tokens for run in runs]),
        "loss": np.array([true_loss(run) for run in runs]) * noise,
    }


def small_runs() -> list[CandidateRun]:
    return [CandidateRun(n, n * ratio, {}) for n in (1e7, 3e7, 1e8) for ratio in (5, 20, 80, 160)]


def designs(fitted: Fit, rng: np.random.Generator) -> dict[str, list[CandidateRun]]:
    """What each way of choosing would run."""
    space = design_space(fitted, ALLOWANCE)
    chosen = next_runs(fitted, loss_decision(fitted, WANTED), flops=ALLOWANCE, max_runs=MOST_RUNS)
    ours = [CandidateRun(run.n_params, run.tokens, run.mixture) for run in chosen.runs]
    shuffled = [space[i] for i in rng.permutation(len(space))]
    # a grid at 20 tokens a parameter, over a factor of 8 in size, scaled to the whole allowance
    shape = np.geomspace(1 / 8, 1, MOST_RUNS)
    largest = (0.999 * ALLOWANCE / 6 / 20 / np.square(shape).sum()) ** 0.5
    grid = [CandidateRun(float(n), 20 * float(n), {}) for n in largest * shape]
    return {"next_runs": ours, "grid": affordable(grid), "random": affordable(shuffled)}


def affordable(runs: Sequence[CandidateRun]) -> list[CandidateRun]:
    kept: list[CandidateRun] = []
    for run in runs:
        if len(kept) < MOST_RUNS and sum(r.flops for r in kept) + run.flops <= ALLOWANCE:
            kept.append(run)
    return kept


def score(runs: Sequence[CandidateRun], rng: np.random.Generator) -> tuple[float, bool, float, Fit]:
    fitted = fit(simulated(runs, rng), "chinchilla", bootstrap=BOOTSTRAP)
    decision = loss_decision(fitted, WANTED)
    low, high = np.percentile(decision.draws, [5, 95])
    truth = true_loss(WANTED)
    return high - low, bool(low <= truth <= high), abs(decision.value - truth), fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    found: dict[str, list[tuple[float, bool, float, float]]] = {}
    for seed in range(repeats):
        rng = np.random.Generator(np.random.PCG64(seed))
        width, covered, error, fitted = score(small_runs(), rng)
        found.setdefault("small runs only", []).append((width, covered, error, 0.0))
        for name, runs in designs(fitted, rng).items():
            width, covered, error, _ = score([*small_runs(), *runs], rng)
            cost = sum(run.flops for run in runs)
            found.setdefault(name, []).append((width, covered, error, cost))
    write = sys.stdout.write
    write(f"{repeats} repeats; loss of {WANTED.n_params:.0e} parameters, truth ")
    write(f"{true_loss(WANTED):.4f}; allowance {ALLOWANCE:.0e} FLOPs, at most {MOST_RUNS} runs\n")
    write(f"{'design':16} {'width':>8} {'covers':>7} {'error':>8} {'FLOPs':>9}\n")
    for name, results in found.items():
        width, covered, error, cost = (np.array(column) for column in zip(*results, strict=True))
        write(f"{name:16} {np.median(width):8.4f} {covered.mean():7.0%} ")
        write(f"{np.median(error):8.4f} {np.mean(cost):9.2g}\n")


if __name__ == "__main__":
    main()
