"""Catalan and Spanish by laws written out here, Portuguese beside them: a question to plan."""

import numpy as np

from atlas_scaling.planning.allocate import allocate
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.language_laws import LanguageLaw
from atlas_scaling.planning.unique_tokens import UniqueTokens

BUDGET = Budget(flops=1e21)


def law(code, *, draws=0, seed=0, **changes):
    values = {"E": 0.7, "A": 1500.0, "alpha": 0.45, "B": 9000.0, "beta": 0.45, "lam": 0.1}
    values |= {k: v for k, v in changes.items() if k in values}
    rest = {k: v for k, v in changes.items() if k not in values}
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = {k: v * np.exp(0.05 * rng.standard_normal(draws)) for k, v in values.items()}
    tau = rest.get("tau", {})
    drawn |= {f"tau[{c}]": t + 0.05 * rng.standard_normal(draws) for c, t in tau.items()}
    return LanguageLaw(code, **values, **rest, draws=drawn if draws else {})


CAT = law("cat_Latn", tau={"spa_Latn": 0.3, "por_Latn": 0.2})
SPA = law("spa_Latn", B=8000.0, E=0.72, tau={"cat_Latn": 0.25, "por_Latn": 0.3})
UNIQUE = {
    "cat_Latn": UniqueTokens(5e9, "given"),
    "spa_Latn": UniqueTokens(200e9, "given"),
    "por_Latn": UniqueTokens(100e9, "given"),
}
SOURCES = ("spa_Latn", "por_Latn")


def plan(laws=(CAT,), budget=BUDGET, **question):
    return allocate(laws, budget, **({"sources": SOURCES, "unique": UNIQUE} | question))
