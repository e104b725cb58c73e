"""Fits to public measurements, as Markdown tables: what docs/validation.md shows.

    python benchmarks/validation.py [chinchilla datablations regmix zhou gadre] [--data DIR]

The tables lie beside the project (``../shared/data``); where they do not, this says so and stops.
They are read with the column maps of ``docs/maps``, as ``atlas runs import`` reads them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from atlas_scaling import compare, fit, import_runs, laws
from atlas_scaling.errors import FitError, InputError
from atlas_scaling.fitting.comparison import Comparison
from atlas_scaling.fitting.identify import goodness
from atlas_scaling.fitting.objective import huber
from atlas_scaling.fitting.result import Fit
from atlas_scaling.laws import Law
from atlas_scaling.runs.importers.column_map import ColumnMap, load_map

ROOT = Path(__file__).resolve().parents[1]
MAPS = ROOT / "docs" / "maps"

DATABLATIONS = {
    "E": np.exp(0.6254804),
    "A": np.exp(6.255414),
    "B": np.exp(7.3049974),
    "alpha": 0.3526596,
    "beta": 0.3526596,
    "R_D": 15.387756,
    "R_N": 5.309743,
}
"""Muennighoff et al. 2023, utils/parametric_fit.ipynb of huggingface/datablations."""

EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8169, "alpha": 0.34781, "beta": 0.36585}
"""Besiroglu et al. 2024, the digits of their notebook."""


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a Markdown table."""
    head = list(header)
    lines = [head, ["---"] * len(head), *map(list, rows)]
    print(*("| " + " | ".join(line) + " |" for line in lines), sep="\n")
    print()


def imported(data: Path, name: str, **changes: object) -> pl.DataFrame:
    """A table through its map, with fields of the map replaced."""
    columns: ColumnMap = load_map((MAPS / name).with_suffix(".yaml"))
    if changes:
        columns = ColumnMap.model_validate(columns.model_dump() | changes)
    return import_runs(data / name, columns=columns).frame


def value(one: Fit, name: str) -> str:
    """A parameter with its interval, or that the data does not identify it."""
    p = one.parameters[name]
    if p.verdict == "given":
        return f"{one.values[name]:.5g} (given)"
    interval = "" if p.interval is None else f" ({p.interval[0]:.4g} to {p.interval[1]:.4g})"
    return f"{one.values[name]:.5g}{interval}" if p.value is not None else f"not told{interval}"


def chinchilla(data: Path) -> None:
    """Three estimators on Epoch's 240 points."""
    frame = imported(data, "chinchilla_epoch.csv")
    rows = [["published (Besiroglu et al.)", *(f"{v:.5g}" for v in EPOCH.values()), ""]]
    for name in ("lad", "huber", "lsq"):
        one = fit(frame, "chinchilla", estimator=name)
        label = {"lad": "LAD", "huber": "Huber, delta 1e-3", "lsq": "least squares"}[name]
        r2 = one.diagnostics.r2 or 0.0
        rows.append([label, *(value(one, p) for p in EPOCH), f"{r2:.4f}"])
    table(["estimator", *EPOCH, "R²"], rows)


def datablations(data: Path) -> None:
    """Repetition: the published point, its refit, everything free, and ATLAS's curve."""
    frame = imported(data, "datablations.csv")
    held = {k: v for k, v in DATABLATIONS.items() if not k.startswith("R_")}
    law = laws.DataConstrained()
    given = law.with_fixed(**held)
    fits = {
        "published E, A, B, α = β; R* refitted": fit(frame, given),
        "all free": fit(frame, law),
        "all free, α = β": fit(frame, law.tied("alpha", "beta")),
        "ATLAS S(D; U), all free": fit(frame, laws.ATLAS(variant="target")),
        "Chinchilla, blind to repetition": fit(frame, "chinchilla"),
    }
    x = {name: fits["all free"].observations.x[name] for name in law.inputs}
    loss = fits["all free"].observations.loss
    predicted = law.predict(DATABLATIONS, **x)
    objective = huber(np.log(loss / predicted), 1e-3).sum()
    r2 = goodness(loss, predicted, 1.0)[0] or 0.0
    rows = [["published point", f"{objective:.6f}", f"{r2:.4f}", "15.39", "5.31", "", "", ""]]
    for name, one in fits.items():
        r_d = value(one, "R_D") if "R_D" in one.values else ""
        if "lam" in one.values:
            interval = one.interval("lam")
            assert interval is not None
            ends = f"{1 / interval[1]:.3g} to {1 / interval[0]:.3g}"
            r_d = f"1/λ = {1 / one.values['lam']:.3g} ({ends})"
        rows.append(
            [
                name,
                f"{one.objective:.6f}",
                f"{one.diagnostics.r2:.4f}",
                r_d,
                value(one, "R_N") if "R_N" in one.values else "",
                *(value(one, p) for p in ("E", "alpha", "beta")),
            ]
        )
    table(["fit", "objective", "R²", "R*_D", "R*_N", "E", "α", "β"], rows)


def regmix(data: Path) -> None:
    """Laws of mixtures: 512 runs at 1M parameters, asked for others, and for larger models."""
    sizes = {
        size: imported(data, "regmix.parquet", only={"size": size, "split": "test"})
        for size in ("1m", "60m", "1B")
    }
    train = imported(data, "regmix.parquet")
    domains = sorted(train["language"].unique().to_list())
    candidates: dict[str, Law] = {
        "Ye: E + exp(Σ t h)": laws.ExponentialMixture(),
        "Shukor: E + 1/Σ C h^γ": laws.AdditiveMixture(scale=False),
    }
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in candidates}
    for domain in domains:
        for name, law in candidates.items():
            one = fit(train, law, target=domain, zero_shot=True, bootstrap=0)
            scores[name].append({"fitted": one.diagnostics.r2 or np.nan} | _asked(one, sizes))
    keys = ("fitted", "1m", "error", "rank 1m", "rank 60m", "rank 1B")
    rows = []
    for name, by_domain in scores.items():
        mean = [float(np.nanmean([s[k] for s in by_domain])) for k in keys]
        rows.append([name, *(f"{m:.3f}" for m in mean)])
    heads = ["R² fitted", "R² held out", "error, nats"]
    ranks = ["rank ρ 1M", "rank ρ 60M", "rank ρ 1B"]
    table(["law, mean of 13 domains", *heads, *ranks], rows)
    table(
        [
            "domain",
            *(f"{name.split(':')[0]} {k}" for name in candidates for k in ("1m", "rank 1B")),
        ],
        [
            [domain, *(f"{scores[n][i][k]:.3f}" for n in candidates for k in ("1m", "rank 1B"))]
            for i, domain in enumerate(domains)
        ],
    )


def _asked(one: Fit, sizes: dict[str, pl.DataFrame]) -> dict[str, float]:
    """R², error and ranks of one fit on mixtures that it has not seen."""
    from atlas_scaling.fitting.data import observe
    from atlas_scaling.fitting.selection import Selection

    found: dict[str, float] = {}
    for size, frame in sizes.items():
        _, o = observe(frame, one.law, Selection(target=one.target, zero_shot=True))
        predicted = one.predict(**o.x)
        found[f"rank {size}"] = float(spearmanr(predicted, o.loss).statistic)
        if size == "1m":
            r2, error, _ = goodness(o.loss, predicted, 1.0)
            found |= {"1m": np.nan if r2 is None else r2, "error": error}
    return found


def zhou(data: Path) -> None:
    """A small corpus repeated inside a large one, one model size."""
    frame = imported(data, "zhou_mix_repeat.csv")
    _compared(
        compare(
            frame,
            [
                "chinchilla",
                "data_constrained",
                "exponential_mixture",
                "additive_mixture",
                *(laws.ATLAS(variant=v) for v in ("target", "other", "full")),
            ],
        )
    )
    rows = []
    for target in ("pubmed", "wikipedia"):
        try:
            one = fit(frame, laws.ATLAS(variant="other"), target=target)
        except (InputError, FitError) as error:
            rows.append([target, error.problem, "", "", "", ""])
            continue
        cells = (value(one, p) for p in ("E", "beta", "lam", "tau_other"))
        rows.append([target, str(one.n_rows), f"{one.diagnostics.r2:.4f}", *cells])
    table(["ATLAS (other) on", "rows", "R²", "E", "β", "λ", "τ of FineWeb"], rows)


def gadre(data: Path) -> None:
    """Over-training, three corpora; German is evaluated and its share in them is not known."""
    frame = imported(data, "gadre_overtrain.csv")
    by_corpus = {
        corpus: frame.filter(pl.col("run_id").is_in(_trained_on(frame, corpus)))
        for corpus in ("c4_original", "rpj", "rw_original")
    }
    rows = []
    for corpus, part in by_corpus.items():
        for target in ("c4_val", "c4_german"):
            one = fit(part, "chinchilla", target=target, zero_shot=True)
            cells = (value(one, p) for p in ("E", "alpha", "beta"))
            r2 = one.diagnostics.r2 or 0.0
            rows.append([corpus, target, str(one.n_rows), f"{r2:.4f}", *cells, one.status.value])
    table(["trained on", "evaluated on", "rows", "R²", "E", "α", "β", "status"], rows)
    for corpus, part in by_corpus.items():
        plain = part.drop("mixture", "tokens_by_language")
        _compared(
            compare(plain, _plain(), targets=["c4_german"]), title=f"German, trained on {corpus}"
        )


def _plain() -> list[Law | str]:
    return [
        "single_power",
        "kaplan",
        "chinchilla",
        laws.Chinchilla().tied("alpha", "beta"),
        "skaling",
    ]


def _trained_on(frame: pl.DataFrame, corpus: str) -> list[str]:
    alone = pl.col("mixture").list.eval(pl.element().struct.field("language")).list.first()
    return frame.filter(alone == corpus)["run_id"].unique().to_list()


def _compared(found: Comparison, title: str = "law") -> None:
    """A comparison, R² of the cuts that could be made."""
    cuts = [c for c in ("r2", "r2_n", "r2_d", "r2_c", "r2_m") if "not made" not in found.cuts[c]]
    rows = []
    for row in found.rows:
        share = row.errors_reducible_percent["r2"]
        rows.append(
            [
                f"{row.law} ({row.variant})" if row.variant else row.law,
                *("-" if getattr(row, c) is None else f"{getattr(row, c):.3f}" for c in cuts),
                "-" if row.errors["r2"] is None else f"{row.errors['r2']:.4f}",
                "-" if share is None else f"{share:.2f}",
                "; ".join(row.failures),
            ]
        )
    heads = {"r2": "R²", "r2_n": "R²(N)", "r2_d": "R²(D)", "r2_c": "R²(C)", "r2_m": "R²(M)"}
    table([title, *(heads[c] for c in cuts), "error, nats", "% reducible", "failed"], rows)


PARTS: dict[str, Callable[[Path], None]] = {
    "chinchilla": chinchilla,
    "datablations": datablations,
    "regmix": regmix,
    "zhou": zhou,
    "gadre": gadre,
}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], default=[])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    chosen = parser.parse_args()
    if not chosen.data.is_dir():
        print(f"{chosen.data} is not here: the public measurements lie beside the project")
        sys.exit(0)
    for name in chosen.parts or PARTS:
        PARTS[name](chosen.data)


if __name__ == "__main__":
    main()
