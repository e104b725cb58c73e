"""Speed and exactness of fits, beside plain SciPy in the same run.

    python benchmarks/fit_speed.py [--data ../shared/data]

The data is ``chinchilla_epoch.csv`` (240 rows with ``epoch_fit_240``), which lies beside the
project; the user-defined law runs on synthetic rows and needs no file. One core, BLAS on one
thread, CPU seconds of this process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import minimize

from atlas_scaling import laws
from atlas_scaling.fitting import fit
from atlas_scaling.fitting.bootstrap import bootstrap, resampled
from atlas_scaling.fitting.objective import Coordinates, Estimator, Problem, as_inputs, huber
from atlas_scaling.fitting.starts import search, search_each
from atlas_scaling.laws import Law, Parameter

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@dataclass
class Line:
    """One measured figure beside what the issue asks for."""

    what: str
    seconds: float
    target: float | None
    detail: str

    def __str__(self) -> str:
        wanted = "" if self.target is None else f"(target {self.target:g}) "
        return f"{self.what:58s} {self.seconds:8.3f} CPU s {wanted}{self.detail}"


def timed(call: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """The median CPU time of some calls, and what the last gave."""
    times, result = [], None
    for _ in range(repeats):
        begin = time.process_time()
        result = call()
        times.append(time.process_time() - begin)
    return float(np.median(times)), result


class EightParameters(Law):
    """A user's law: Chinchilla, a third term with its own exponent, and an interaction."""

    name = "eight"
    inputs = ("n_params", "tokens", "depth")
    parameters = (
        Parameter("E", start=(0.5, 3.0), bounds=(0.0, 10.0), transform="identity", linear=True),
        Parameter("A", start=(1.0, 1e6), bounds=(1e-9, 1e30), linear=True),
        Parameter("B", start=(1.0, 1e6), bounds=(1e-9, 1e30), linear=True),
        Parameter("G", start=(0.1, 1e2), bounds=(1e-9, 1e10), linear=True),
        Parameter("alpha", start=(0.1, 0.8), bounds=(0.0, 3.0), transform="identity"),
        Parameter("beta", start=(0.1, 0.8), bounds=(0.0, 3.0), transform="identity"),
        Parameter("gamma", start=(0.2, 1.5), bounds=(0.0, 4.0), transform="identity"),
        Parameter("k", start=(0.7, 1.3), bounds=(0.2, 3.0), transform="identity"),
    )

    def loss(self, p, x):
        size = p.A / x.n_params**p.alpha
        return p.E + (size + p.B / x.tokens**p.beta) ** p.k + p.G / x.depth**p.gamma


def chinchilla_lines(table: pl.DataFrame, reference: float) -> list[Line]:
    """The 240 rows: default fit, 4,500 starts, 1,000 refits, SciPy."""
    seconds, found = timed(lambda: fit(table, "chinchilla"), repeats=5)
    gap = found.objective / reference - 1
    lines = [Line("default fit with 200 bootstrap refits", seconds, 0.1, f"objective {gap:+.1e}")]
    seconds, found = timed(lambda: fit(table, "chinchilla", bootstrap=0, starts=4500))
    share = found.diagnostics.share_at_optimum
    gap = found.objective / reference - 1
    lines.append(
        Line(
            "4,500 starts, all descended", seconds, 2.5, f"objective {gap:+.1e}, {share:.1%} there"
        )
    )
    problem = _problem(table)
    best = search(problem, Estimator.named()).best
    unit = np.arange(table.height)
    options: dict[str, Any] = {"n": 1000, "resample": "run", "seed": 0}
    seconds, drawn = timed(
        lambda: bootstrap(problem, best, unit, estimator=Estimator.named(), **options)
    )
    sample = resampled(problem, best, unit, **options)
    cold_seconds, cold = timed(lambda: search_each(sample, Estimator.named(), 50), repeats=1)
    excess = np.max(drawn.value[:50] / cold.value - 1)
    lines.append(
        Line(
            "1,000 bootstrap refits",
            seconds,
            1.0,
            f"{drawn.failed} failed; against 50 cold searches ({cold_seconds:.2f} s): "
            f"worst {excess:+.1e}",
        )
    )
    return lines


def scipy_lines(table: pl.DataFrame, reference: float, n_starts: int = 100) -> list[Line]:
    """Multi-start as it is usually written: L-BFGS-B on log parameters from a grid."""
    log_N, log_D, log_L = (np.log(table[c].to_numpy()) for c in ("n_params", "tokens", "loss"))

    def objective(theta: np.ndarray) -> float:
        a, b, e, alpha, beta = theta
        fitted = np.logaddexp(np.logaddexp(a - alpha * log_N, b - beta * log_D), e)
        return float(huber(log_L - fitted, 1e-3).sum())

    rng = np.random.default_rng(0)
    starts = rng.uniform([0, 0, -1, 0, 0], [25, 25, 1, 2, 2], size=(n_starts, 5))
    seconds, ended = timed(
        lambda: [minimize(objective, s, method="L-BFGS-B") for s in starts], repeats=1
    )
    best = min(one.fun for one in ended) / reference - 1
    claimed = np.mean([one.success for one in ended])
    return [
        Line(
            f"SciPy L-BFGS-B, {n_starts} starts of a grid of 4,500",
            seconds,
            None,
            f"objective {best:+.1e}; {claimed:.0%} say 'success'; "
            f"4,500 starts would take {seconds * 4500 / n_starts:.0f} s",
        )
    ]


def user_law_line(n_rows: int = 400) -> Line:
    """A user-defined law of eight parameters: 1,024 starts and 1,000 resamples."""
    rng = np.random.default_rng(0)
    x = {
        "n_params": 10 ** rng.uniform(6, 10, n_rows),
        "tokens": 10 ** rng.uniform(8, 12, n_rows),
        "depth": rng.choice([2.0, 4, 8, 16, 32, 64], n_rows),
    }
    truth = [1.6, 300.0, 900.0, 2.0, 0.33, 0.35, 0.8, 0.9]
    loss = EightParameters().predict(truth, **x) * np.exp(0.005 * rng.standard_normal(n_rows))
    table = pl.DataFrame({**x, "loss": loss})
    seconds, found = timed(
        lambda: fit(table, EightParameters(), starts=1024, bootstrap=1000), repeats=1
    )
    share = found.diagnostics.share_at_optimum
    return Line(
        "user's law, 8 parameters, 400 rows, 1,024 starts, 1,000 refits",
        seconds,
        5.0,
        f"{share:.0%} of the starts at the optimum, {found.diagnostics.bootstrap_failed} failed",
    )


def _problem(table: pl.DataFrame) -> Problem:
    return Problem(
        Coordinates(laws.Chinchilla()),
        as_inputs({c: table[c].to_numpy() for c in ("n_params", "tokens")}),
        np.log(table["loss"].to_numpy()),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    folder = parser.parse_args().data
    lines = [user_law_line()]
    path = folder / "chinchilla_epoch.csv"
    if path.exists():
        table = pl.read_csv(path, infer_schema_length=None).filter(pl.col("epoch_fit_240"))
        stored = json.loads((folder / "chinchilla_reference_optimum.json").read_text())
        reference = float(stored["objective_sum_huber"])
        lines = chinchilla_lines(table, reference) + scipy_lines(table, reference) + lines
    else:
        print(f"{path} is not here: only the synthetic case runs")
    print(*lines, sep="\n")


if __name__ == "__main__":
    main()
