"""How long an allocation takes: a point answer for 8 languages, an uncertain one for 48.

    python benchmarks/allocate_speed.py [--repeats 7]

All of an answer is timed: plan, own best losses, alternatives, other budgets, sensitivity and, with
draws, every draw's own plan. Laws and transfer weights are made up, a third of these negative.
CPU seconds of one thread; aims: 0.05 s for 8 languages, 2 s for 48 languages with 200 draws.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import statistics
import sys
import time

import numpy as np

from atlas_scaling.languages import normalise
from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_answer import ObjectiveKind
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.language_laws import LanguageLaw
from atlas_scaling.planning.unique_tokens import UniqueTokens
from atlas_scaling.published.mixtures import unimax_percent

BUDGET = Budget(flops=1e22)
SETTINGS = ((8, 0), (48, 0), (48, 200))


def law(code: str, others: list[str], draws: int, rng: np.random.Generator) -> LanguageLaw:
    values = {"E": 0.7, "A": 1500.0, "alpha": 0.45, "B": 9000.0, "beta": 0.45, "lam": 0.1}
    values["B"] *= float(np.exp(rng.normal(0, 0.1)))
    tau = {other: float(rng.normal(0.02, 0.05)) for other in others if other != code}
    drawn = {k: v * np.exp(0.05 * rng.standard_normal(draws)) for k, v in values.items()}
    drawn |= {f"tau[{k}]": v + 0.02 * rng.standard_normal(draws) for k, v in tau.items()}
    return LanguageLaw(code, **values, tau=tau, draws=drawn if draws else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    names = [normalise(code) for code in unimax_percent()]
    sys.stdout.write(f"{'languages':>9} {'draws':>5} {'objective':>9} {'CPU s, median':>14}\n")
    for n, draws in SETTINGS:
        rng = np.random.Generator(np.random.PCG64(0))
        codes = names[:n]
        laws = [law(code, codes, draws, rng) for code in codes]
        unique = {c: UniqueTokens(float(10 ** rng.uniform(9, 11.5)), "given") for c in codes}
        for kind in ObjectiveKind:
            seconds = []
            for _ in range(1 + (repeats if not draws else 3)):
                begun = time.process_time()
                allocate(laws, BUDGET, unique=unique, objective=kind)
                seconds.append(time.process_time() - begun)
            median = statistics.median(seconds[1:])  # the first warms up
            sys.stdout.write(f"{n:9} {draws:5} {kind.value:>9} {median:14.4f}\n")


if __name__ == "__main__":
    main()
