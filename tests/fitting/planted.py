"""Run tables with a planted ATLAS truth, made by hand and not by the code under test."""

import math

import numpy as np
import polars as pl

LANGUAGES = ("swe_Latn", "dan_Latn", "spa_Latn", "rus_Cyrl")
TRUTH = {"E": 1.5, "A": 60.0, "B": 180.0, "alpha": 0.3, "beta": 0.33, "lam": 0.6}
TAU = {("swe_Latn", "dan_Latn"): 0.4, ("dan_Latn", "swe_Latn"): 0.35}
NO_TRANSFER = -0.03


def worth(D, U, lam=TRUTH["lam"]):
    """S(D; U) of ATLAS, eq. 3."""
    return D if D <= U else U * (1 + (1 - math.exp(-lam * (D / U - 1))) / lam)


def planted_loss(target, mixture, N, D, unique):
    """Eqs. 1-2 with every other language a source of its own."""
    D_eff = worth(mixture[target] * D, unique)
    for source, share in mixture.items():
        if source != target:
            D_eff += TAU.get((target, source), NO_TRANSFER) * worth(share * D, unique)
    return TRUTH["E"] + TRUTH["A"] / N ** TRUTH["alpha"] + TRUTH["B"] / D_eff ** TRUTH["beta"]


def mixtures(languages=LANGUAGES):
    """Every language alone, every pair half and half, all in even shares."""
    pairs = [(a, b) for i, a in enumerate(languages) for b in languages[i + 1 :]]
    return [
        *({a: 1.0} for a in languages),
        *({a: 0.5, b: 0.5} for a, b in pairs),
        {a: 1 / len(languages) for a in languages},
    ]


def planted_runs(
    *, sizes=(4e5, 1.6e6, 6.4e6, 2.56e7), n_evals=8, noise=0.003, unique=3e6, seed=0, **columns
):
    """The columns of ``RunTable.frame`` that a fit reads; ``columns`` are constants."""
    rng = np.random.default_rng(seed)
    rows = []
    for N in sizes:
        for mixture in mixtures():
            for D in np.geomspace(5e5, 2e7, n_evals):
                rows += [
                    {
                        "run_id": f"{'-'.join(mixture)}-{N:g}",
                        "group": "monolingual" if len(mixture) == 1 else "mixed",
                        "base_run": None,
                        "step": int(D / 2048),
                        "tokens": float(D),
                        "language": target,
                        "loss": planted_loss(target, mixture, N, D, unique)
                        * math.exp(noise * rng.standard_normal()),
                        "lr_state": "stable",
                        "n_params": N,
                        "flops": 6 * N * D,
                        "tokenizer": "aa",
                        "tokens_by_language": by_language({k: w * D for k, w in mixture.items()}),
                        "unique_tokens": by_language(dict.fromkeys(mixture, unique)),
                        **columns,
                    }
                    for target in mixture
                ]
    return pl.DataFrame(rows, infer_schema_length=None)


def by_language(values):
    return [{"language": k, "value": float(v)} for k, v in values.items()]


def two_power_table(n=60, *, noise=0.01, seed=0, n_params=None, tokens=None):
    """A plain table of N, D and loss from ``1.8 + 480 / N^0.35 + 2000 / D^0.37``."""
    rng = np.random.default_rng(seed)
    N = 10 ** rng.uniform(7, 10, n) if n_params is None else np.asarray(n_params, dtype=float)
    D = 10 ** rng.uniform(8.5, 12, n) if tokens is None else np.asarray(tokens, dtype=float)
    loss = (1.8 + 480 / N**0.35 + 2000 / D**0.37) * np.exp(noise * rng.standard_normal(n))
    return pl.DataFrame({"n_params": N, "tokens": D, "loss": loss})
