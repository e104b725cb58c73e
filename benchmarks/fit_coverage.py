"""Do 90 % intervals hold the truth 90 % of the time? A simulation with planted laws.

    python benchmarks/fit_coverage.py [--repeats 200]

Runs have an error of their own and points have theirs, so that points of one run are correlated.
Well-identified cases should cover in 85 to 95 % of the repeats; badly identified ones should be
flagged (``weak`` or ``not identified``), not covered up.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from atlas_scaling import laws
from atlas_scaling.fitting.api import fit_observations
from atlas_scaling.fitting.objective import Estimator
from atlas_scaling.fitting.observations import Observations
from atlas_scaling.fitting.result import Fit
from atlas_scaling.laws import DataFacts, Law
from atlas_scaling.units import LossUnit

CHINCHILLA = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
ATLAS = CHINCHILLA | {"lam": 0.3, "tau[src]": 0.4, "tau_other": 0.1}


@dataclass(frozen=True)
class Design:
    """A law, a truth, and runs to draw.

    ``inputs`` draws the input arrays of ``n_runs`` runs with ``n_points`` evaluations each.
    """

    name: str
    law: Law
    truth: dict[str, float]
    inputs: Callable[[np.random.Generator], dict[str, np.ndarray]]
    n_runs: int
    n_points: int
    far: dict[str, np.ndarray]
    run_noise: float = 0.004
    point_noise: float = 0.004


def two_power(n_runs: int, n_points: int, n_range: float) -> Callable[..., dict[str, np.ndarray]]:
    """Runs of sizes over ``n_range``, each evaluated along its tokens."""

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        N = np.repeat(1e8 * n_range ** rng.random(n_runs), n_points)
        end = np.repeat(10 ** rng.uniform(10, 11.5, n_runs), n_points)
        share = np.tile(np.geomspace(0.05, 1.0, n_points), n_runs)
        return {"n_params": N, "tokens": end * share}

    return draw


def mixed(n_runs: int, n_points: int) -> Callable[..., dict[str, np.ndarray]]:
    """The same runs with mixtures of a target, a source and others, the target repeated."""
    plain = two_power(n_runs, n_points, 100.0)

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        x = plain(rng)
        kinds = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0.25, 0.25, 0.5]])
        shares = np.repeat(kinds[rng.integers(0, 4, n_runs)], n_points, axis=0).T
        unique = np.full(len(x["tokens"]), 5e9)
        return x | {
            "target_tokens": shares[0] * x["tokens"],
            "target_unique": unique,
            "source_tokens": shares[1:2] * x["tokens"],
            "source_unique": unique[None] * 4,
            "other_tokens": shares[2] * x["tokens"],
            "other_unique": unique * 40,
        }

    return draw


FAR = {"n_params": np.array([1e11]), "tokens": np.array([1e12])}
FAR_MIXED = FAR | {
    "target_tokens": np.array([2.5e11]),
    "target_unique": np.array([1e12]),
    "source_tokens": np.array([[2.5e11]]),
    "source_unique": np.array([[1e12]]),
    "other_tokens": np.array([5e11]),
    "other_unique": np.array([1e12]),
}

DESIGNS = [
    Design(
        "chinchilla, 60 runs, N over 100x", laws.Chinchilla(), CHINCHILLA,
        two_power(60, 6, 100.0), 60, 6, FAR,
    ),
    Design(
        "chinchilla, 200 runs of one point", laws.Chinchilla(), CHINCHILLA,
        two_power(200, 1, 100.0), 200, 1, FAR,
    ),
    Design(
        "atlas, 120 runs, N over 100x", laws.ATLAS(sources=("src",)), ATLAS,
        mixed(120, 6), 120, 6, FAR_MIXED,
    ),
    Design(
        "chinchilla, 30 runs, N over 2x (bad)", laws.Chinchilla(), CHINCHILLA,
        two_power(30, 6, 2.0), 30, 6, FAR,
    ),
]  # fmt: skip


def simulated(design: Design, seed: int) -> Fit:
    """One repeat: runs drawn, noise added, fitted with intervals by run."""
    rng = np.random.Generator(np.random.PCG64(seed))
    x = design.inputs(rng)
    loss = design.law.predict(design.truth, **x)
    run = np.repeat(np.arange(design.n_runs), design.n_points)
    error = design.run_noise * rng.standard_normal(design.n_runs)[run]
    error += design.point_noise * rng.standard_normal(len(run))
    observations = Observations(
        x=x,
        loss=loss * np.exp(error),
        run=run,
        run_ids=tuple(f"run {i}" for i in range(design.n_runs)),
        weights=None,
        facets={},
        facts=DataFacts(target="tgt"),
        unit=LossUnit.NATS_PER_TOKEN,
    )
    return fit_observations(
        observations, design.law, estimator=Estimator.named(), n_draws=200, level=0.9, seed=seed
    )


def main() -> None:
    """Print coverage and flags of each design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    for design in DESIGNS:
        fits = [simulated(design, seed) for seed in range(repeats)]
        print(f"\n{design.name}: {repeats} repeats, 90 % intervals by run")
        for name, truth in design.truth.items():
            held = np.mean([inside(one.interval(name), truth) for one in fits])
            flagged = np.mean([one.verdicts[name] != "identified" for one in fits])
            print(f"  {name:10s} covers {held:6.1%}   flagged {flagged:6.1%}")
        far = float(design.law.predict(design.truth, **design.far)[0])
        held = np.mean([inside(one.estimate(**design.far)[0].interval, far) for one in fits])
        print(f"  {'loss at N 1e11, D 1e12':10s} covers {held:6.1%}")


def inside(interval: tuple[float, float] | None, truth: float) -> bool:
    """Whether an interval holds the truth; one that is not given does not."""
    return interval is not None and interval[0] <= truth <= interval[1]


if __name__ == "__main__":
    main()
