"""Runs, curves and scores whose truth is planted."""

import numpy as np
import polars as pl
from scipy.optimize import brentq

from atlas_scaling.runs.store import by_language
from atlas_scaling.transfer.curves import LossPoints
from atlas_scaling.transfer.matrix import Cell, Provenance, TransferMatrix

MATRIX = TransferMatrix.from_cells(
    [
        Cell("cat_Latn", "spa_Latn", 0.4, provenance=Provenance.MEASURED),
        Cell("cat_Latn", "fra_Latn", 0.2, provenance=Provenance.ESTIMATED),
        Cell("cat_Latn", "rus_Cyrl", -0.4, provenance=Provenance.MEASURED),
        Cell("cat_Latn", "jpn_Jpan"),
    ]
)


def planted(law, *, n=60, seed=0, repeated=True):
    """Runs on Swedish and Danish with known parameters."""
    rng = np.random.Generator(np.random.PCG64(seed))
    N = 10 ** rng.uniform(7, 9, n)
    D = 10 ** rng.uniform(9, 11, n)
    share = rng.choice([0.2, 0.5, 0.8, 1.0], n)
    unique = np.full(n, 1e9 if repeated else 1e15)
    values = {
        "E": 1.5,
        "A": 400.0,
        "B": 900.0,
        "alpha": 0.34,
        "beta": 0.3,
        "lam": 0.2,
        "tau[dan_Latn]": 0.4,
    }
    loss = law.predict(
        values,
        n_params=N,
        tokens=D,
        target_tokens=D * share,
        target_unique=unique,
        source_tokens=(D * (1 - share))[None],
        source_unique=unique[None],
    )
    rows = {
        "run_id": [f"run{i}" for i in range(n)],
        "language": ["swe_Latn"] * n,
        "n_params": N,
        "tokens": D,
        "loss": loss * np.exp(0.001 * rng.standard_normal(n)),
        "mixture": [by_language({"swe_Latn": w, "dan_Latn": 1 - w}) for w in share],
        "unique_tokens": [by_language({"swe_Latn": u, "dan_Latn": u}) for u in unique],
    }
    return values, pl.DataFrame(rows)


def scratch_loss(tokens):
    return 0.9 + 1.2 * (tokens / 1e9) ** -0.3


def continued_loss(tokens):
    return 0.98 + ((tokens + 3e9) / 1e9) ** -0.3


TRUE = brentq(lambda d: scratch_loss(d) - continued_loss(d), 1e9, 1e12)
"""32.1e9: planted."""


def curves(last, *, noise=0.003, n=25, seed=0, first=1e9):
    rng = np.random.Generator(np.random.PCG64(seed))
    tokens = np.geomspace(first, last, n)
    pair = []
    for loss, name in ((scratch_loss, "from scratch"), (continued_loss, "continued")):
        noisy = loss(tokens) * np.exp(noise * rng.standard_normal(n))
        pair.append(LossPoints.of(tokens, noisy, name=name))
    return pair
