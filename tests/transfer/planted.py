"""Runs with a known truth: losses that follow a law, as rows of a run table."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from atlas_scaling.compute import training_flops
from atlas_scaling.runs.store import SCHEMA, by_language

E, B, BETA = 2.0, 60.0, 0.28
EVALUATIONS = tuple(np.linspace(1e5, 6e6, 40))


def law(d_eff: float) -> float:
    """Loss after ``d_eff`` effective tokens of the target."""
    return E + B * d_eff**-BETA


def planted_run(
    run_id: str,
    mixture: dict[str, float],
    tau: dict[tuple[str, str], float] | None = None,
    *,
    tokens: Sequence[float] = EVALUATIONS,
    seed: int = 0,
    noise: float = 0.0,
    seed_sd: float = 0.0,
    loss: Callable[[str, float], float] | None = None,
    bytes_per_token: dict[str, float] | None = None,
    **columns,
) -> pl.DataFrame:
    """Rows of one run: every language of ``mixture`` evaluated at ``tokens``.

    ``tau[target, source]`` is the planted transfer weight, 0 where it is not given; ``noise`` and
    ``seed_sd`` are of the log loss. ``loss(target, tokens)`` replaces the law. Other keywords
    replace columns of the run table.
    """
    rng = np.random.Generator(np.random.PCG64([seed, *run_id.encode()]))
    offset = seed_sd * rng.standard_normal()
    rows = []
    for step, D in enumerate(tokens, 1):
        for target, share in mixture.items():
            d_eff = D * share + sum(
                (tau or {}).get((target, source), 0.0) * D * part
                for source, part in mixture.items()
                if source != target
            )
            value = law(d_eff) if loss is None else loss(target, D)
            value *= np.exp(offset + noise * rng.standard_normal())
            per_token = (bytes_per_token or {}).get(target, 4.0)
            row = {
                "run_id": run_id,
                "study": "planted",
                "group": "monolingual" if len(mixture) == 1 else "bilingual",
                "seed": seed,
                "base_run": None,
                "step": step,
                "tokens": float(D),
                "language": target,
                "loss": value,
                "bits_per_byte": value / (per_token * np.log(2)),
                "lr": 0.004,
                "lr_state": "stable",
                "n_params": 364_928.0,
                "n_params_non_embedding": 102_784.0,
                "flops": training_flops(364_928, D),
                "tokenizer": "one tokenizer",
                "corpus": "one corpus",
                "mixture": by_language(mixture),
                "tokens_by_language": by_language({k: D * v for k, v in mixture.items()}),
                "unique_tokens": by_language(dict.fromkeys(mixture, 1e9)),
            }
            rows.append({**row, **columns})
    return pl.DataFrame(rows, schema=SCHEMA)
