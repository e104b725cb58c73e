"""ATLAS at the size of the paper: 774 runs, 48 languages, about a million evaluations.

    python benchmarks/fit_scale.py [--evaluations 27] [--draws 200] [--workers 2]

Synthetic: a design like Table B.1 (alone, pairs, K languages, everything), losses from ATLAS laws
with noise by run and by point. Prints wall and CPU seconds of separate and pooled fits with
resampled runs, peak memory of all processes together (pages they share counted once), and how time
grows with the rows. Rows of languages that a run was not trained on are in the table and, as the
law has no value there, in no fit.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "2")

import argparse
import resource
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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


def cpu_seconds() -> float:
    """Of this process and of the workers that have ended."""
    both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


class Memory(threading.Thread):
    """Most memory that this process and its workers hold at one time, in GB.

    Sampled from /proc (Linux), as the sum of proportional set sizes: a page that several processes
    share counts once. Not ``ru_maxrss``: a worker's begins with what its parent held when it was
    started, whatever the worker itself takes.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.ended = threading.Event()

    def __enter__(self) -> Memory:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.join()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            self.peak = max(self.peak, sum(map(self._held, self._processes())) / 1e6)

    @staticmethod
    def _processes() -> list[int]:
        found, queue = [], [os.getpid()]
        while queue:
            found.append(queue.pop())
            for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
                with suppress(OSError):
                    queue += map(int, children.read_text().split())
        return found

    @staticmethod
    def _held(process: int) -> float:
        """In kB; 0 of a process that has ended."""
        with suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return float(line.split()[1])
        return 0.0


def timed(call: Callable[..., Any], *given: Any, **options: Any) -> tuple[float, float, Any]:
    """Wall seconds, CPU seconds of all processes, and the result."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    result = call(*given, **options)
    return time.perf_counter() - wall, cpu_seconds() - cpu, result


def written(n_runs: int, n_evaluations: int, path: Path) -> None:
    """The table as a file, made in a process of its own so that its memory does not count."""
    synthetic(n_runs, n_evaluations).write_parquet(path)


def measured(path: Path, n_runs: int, draws: int, workers: int) -> str:
    """One row of the table, from reading the file to both kinds of fit."""
    options = {"bootstrap": draws, "workers": workers}
    with Memory() as memory:
        table = pl.read_parquet(path)
        each_wall, each_cpu, fits = timed(fit_each, table, ATLAS(), **options)
        rows = sum(one.n_rows for one in fits.values())
        wall, cpu, pooled = timed(fit_pooled, table, ATLAS(), **options)
    alpha, beta = (pooled.shared[name].value for name in ("alpha", "beta"))
    return (
        f"{n_runs:6d} {table.height:10d} {rows:16d} | {each_wall:22.1f} {each_cpu:6.1f} |"
        f" {wall:14.1f} {cpu:6.1f} | {each_wall + wall:16.1f} "
        f"{1e6 * (each_cpu + cpu) / rows:11.0f} | {memory.peak:7.2f}"
        f" {alpha:6.4f} {beta:6.4f}"
    )


def apart(call: Callable[..., Any], *given: Any) -> Any:
    """The result of a call in a fresh process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *given).result()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluations", type=int, default=27, help="of each run")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, nargs="*", default=[194, 387, 774])
    chosen = parser.parse_args()
    print(
        f"48 languages, {chosen.draws} draws by run, {chosen.workers} workers\n"
        "  runs       rows  of these fitted | each language: wall s  CPU s | pooled: wall s  CPU s"
        " | together: wall s  CPU us/row | peak GB  alpha   beta"
    )
    with TemporaryDirectory() as folder:
        for n_runs in chosen.runs:
            path = Path(folder) / f"{n_runs}.parquet"
            apart(written, n_runs, chosen.evaluations, path)
            print(apart(measured, path, n_runs, chosen.draws, chosen.workers), flush=True)
    print(f"planted: alpha {ALPHA}, beta {BETA}")


if __name__ == "__main__":
    main()
