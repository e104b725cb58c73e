"""ATLAS at the size of the paper: 774 runs, 48 languages, about a million evaluations.

    python benchmarks/fit_scale.py [--evaluations 27] [--draws 200] [--workers 2]

Synthetic: a design like Table B.1 (alone, pairs, K languages, everything), losses from ATLAS laws
with noise by run and by point. Prints the time of separate and pooled fits with resampled runs,
peak memory, and how time grows with the rows.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "2")

import argparse
import resource
import time

import numpy as np
import polars as pl

from atlas_scaling.fitting.pooled import fit_each, fit_pooled
from atlas_scaling.laws import ATLAS

LANGUAGES = tuple(f"l{i:02d}_Latn" for i in range(48))
SIZES = np.geomspace(9e6, 8.4e9, 20)
E, A, B, ALPHA, BETA, LAM = 0.8, 480.0, 3000.0, 0.36, 0.38, 0.4
RUN_NOISE, POINT_NOISE = 0.004, 0.004


def mixtures(rng: np.random.Generator, n_runs: int) -> list[dict[int, float]]:
    """Alone, in pairs, K evenly, everything: in the proportions of Table B.1."""
    found: list[dict[int, float]] = []
    for i in range(n_runs):
        kind = rng.choice(4, p=[0.33, 0.32, 0.30, 0.05])
        if kind == 0:
            found.append({i % 48: 1.0})
        elif kind == 1:
            a, b = rng.choice(48, 2, replace=False)
            found.append({int(a): 0.5, int(b): 0.5})
        else:
            K = 48 if kind == 3 else int(rng.choice([4, 8, 16, 24, 32]))
            chosen = rng.choice(48, K, replace=False)
            found.append({int(c): 1.0 / K for c in chosen})
    return found


def saturated(D: np.ndarray, U: np.ndarray) -> np.ndarray:
    """S(D; U), eq. 3."""
    extra = np.maximum(D / U - 1, 0)
    return np.minimum(D, U) * (1 + (1 - np.exp(-LAM * extra)) / LAM)


def synthetic(n_runs: int, n_evaluations: int, seed: int = 0) -> pl.DataFrame:
    """Evaluations of every language in every run, as a run table."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tau = rng.normal(0.05, 0.08, (48, 48))
    unique = 10 ** rng.uniform(9, 12, 48)
    floor = E * rng.uniform(0.8, 1.4, 48)
    frames = []
    for r, mixture in enumerate(mixtures(rng, n_runs)):
        N = rng.choice(SIZES)
        D = 10 ** rng.uniform(10, 12) * np.geomspace(0.03, 1, n_evaluations)
        codes = [LANGUAGES[c] for c in mixture]
        worth = {c: saturated(w * D, unique[c]) for c, w in mixture.items()}
        own = rng.normal(0, RUN_NOISE, 48)
        loss = np.empty((n_evaluations, 48))
        for t in range(48):
            D_eff = sum((1.0 if c == t else tau[t, c]) * S for c, S in worth.items())
            D_eff = np.maximum(D_eff, 0.02 * D)
            clean = floor[t] + A / N**ALPHA + B / D_eff**BETA
            loss[:, t] = clean * np.exp(own[t] + rng.normal(0, POINT_NOISE, n_evaluations))
        by_step = [
            [
                {"language": c, "value": float(w * d)}
                for c, w in zip(codes, mixture.values(), strict=True)
            ]
            for d in D
        ]
        pool = [{"language": LANGUAGES[c], "value": float(unique[c])} for c in mixture]
        frames.append(
            pl.DataFrame(
                {
                    "run_id": [f"run {r}"] * n_evaluations,
                    "step": np.arange(n_evaluations),
                    "tokens": D,
                    "n_params": np.full(n_evaluations, N),
                    "language": [list(LANGUAGES)] * n_evaluations,
                    "loss": loss.tolist(),
                    "tokens_by_language": by_step,
                    "unique_tokens": [pool] * n_evaluations,
                }
            ).explode("language", "loss", empty_as_null=True)
        )
    return pl.concat(frames)


def peak() -> float:
    """Most memory this process and its children have held, GB."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=27)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    for n_runs in (194, 387, 774):
        table = synthetic(n_runs, chosen.evaluations)
        before = peak()
        begin = time.perf_counter(), time.process_time()
        fits = fit_each(table, ATLAS(), bootstrap=chosen.draws, workers=chosen.workers)
        wall = time.perf_counter() - begin[0]
        rows = sum(one.n_rows for one in fits.values())
        print(
            f"{n_runs} runs, {table.height} evaluations, {rows} of languages trained on: "
            f"{len(fits)} fits with {chosen.draws} draws {wall:.1f} s wall",
            flush=True,
        )
        begin = time.perf_counter(), time.process_time()
        pooled = fit_pooled(table, ATLAS(), bootstrap=chosen.draws, workers=chosen.workers)
        wall = time.perf_counter() - begin[0]
        print(
            f"  pooled, {pooled.n_rows} rows: {wall:.1f} s wall, alpha "
            f"{pooled.shared['alpha'].value:.4f} (truth {ALPHA}), beta "
            f"{pooled.shared['beta'].value:.4f} (truth {BETA}); the table and imports take "
            f"{before:.2f} GB, the peak is {peak():.2f} GB",
            flush=True,
        )


if __name__ == "__main__":
    main()
