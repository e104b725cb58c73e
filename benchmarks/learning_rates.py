"""How the rule ``fitted`` of ``study/hyperparameters.py`` was found: a study of learning rates.

    python benchmarks/learning_rates.py FOLDER [--fit-only]

Three sizes (scales -4, -2 and -1), five learning rates and two batches each: 30 runs of 1M tokens
on an even mixture of six languages, in FOLDER; about half an hour on two cores. What counts is the
mean of bits per byte over the languages after the decay. The best learning rate of a size and batch
is the lowest point of a parabola in log lr through the best one tried and its neighbours. The rule
is a plane through their logarithms, by least squares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from atlas_scaling.config import parse_config
from atlas_scaling.runs.store import read_runs
from atlas_scaling.study.hyperparameters import fitted
from atlas_scaling.study.spec import StudySpec

SCALES = {-4: 0.002, -2: 0.001, -1: 0.001}  # and the lowest learning rate of each
N_RATES, BATCHES, LENGTH = 5, (4, 16), 128

SPEC = """
name: learning-rates{scale}
languages: [swe_Latn, dan_Latn, nob_Latn, spa_Latn, por_Latn, rus_Cyrl]
corpus: {{source: embedded, parts: [chromium, homeassistant], eval_lines: 300}}
tokenizer: {{vocab_size: 4096}}
sequence_length: {length}
sizes: {{{sizes}}}
training: {{batch_size: 4, warmup_tokens: 50k, first_evaluation: 100M}}
groups: [{{kind: capacity, sizes: [{names}], tokens: 1M}}]
"""


def study_of(scale: int) -> StudySpec:
    """All learning rates and batches of one size."""
    sizes = {
        f"lr{SCALES[scale] * 2**i:g}-b{batch}": (
            f"{{scale: {scale}, lr: {SCALES[scale] * 2**i:g}, batch_size: {batch}}}"
        )
        for i in range(N_RATES)
        for batch in BATCHES
    }
    written = ", ".join(f"{name}: {size}" for name, size in sizes.items())
    text = SPEC.format(scale=scale, length=LENGTH, sizes=written, names=", ".join(sizes))
    return parse_config(text, StudySpec, name="learning rates")


def carry_out(folder: Path) -> None:
    """Train what is not trained yet."""
    from atlas_scaling.cli.output import console
    from atlas_scaling.study.cache import cache_directory
    from atlas_scaling.study.conduct import conduct_study
    from atlas_scaling.study.display import ConsoleDisplay
    from atlas_scaling.study.engines.local import LocalEngine

    for scale in SCALES:
        conduct_study(
            study_of(scale),
            folder / f"scale{scale}",
            engine=LocalEngine(),
            cache=cache_directory(),
            display=ConsoleDisplay(console(stderr=True)),
        )


def results(folder: Path) -> pl.DataFrame:
    """One row a run: N, batch, lr, bits per byte."""
    frames = [read_runs(folder / f"scale{scale}").frame for scale in SCALES]
    frame = pl.concat(frames).filter(pl.col("lr_state") == "decayed")
    lr, batch = (pl.col("run_id").str.extract(r"lr([\d.]+)-b(\d+)", i) for i in (1, 2))
    return frame.group_by("run_id", pl.col("n_params_non_embedding").alias("n")).agg(
        batch.first().cast(pl.Int64).alias("batch"),
        lr.first().cast(pl.Float64).alias("lr"),
        pl.col("bits_per_byte").mean(),
    )


def main() -> None:
    """Train, then print the losses, the best learning rates and the rule."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fit-only", action="store_true", help="read FOLDER, train nothing")
    given = parser.parse_args()
    if not given.fit_only:
        carry_out(given.folder)
    best = []
    for (n, batch), runs in sorted(results(given.folder).group_by("n", "batch")):
        lr, loss = runs.sort("lr").select("lr", "bits_per_byte").to_numpy().T
        at = min(max(1, int(loss.argmin())), len(loss) - 2)
        near = slice(at - 1, at + 2)
        a, b, _ = np.polyfit(np.log(lr[near]), loss[near], 2)
        best.append((n, batch * LENGTH, np.exp(-b / (2 * a)), loss.min()))
        tried = "  ".join(f"{x:g}: {y:.4f}" for x, y in zip(lr, loss, strict=True))
        print(f"N {n:8.0f}  batch {batch:2d}  {tried}  best lr {best[-1][2]:.4f}")
    n, tokens, lr, _ = np.array(best).T
    columns = [np.ones_like(n), np.log(n / 200_000), np.log(tokens / 512)]
    plane, residual, *_ = np.linalg.lstsq(np.stack(columns, 1), np.log(lr), rcond=None)
    spread = np.exp(np.sqrt(residual[0] / max(1, len(lr) - 3)))
    print(f"lr = {np.exp(plane[0]):.3g} (N / 200k)^{plane[1]:.2f} (B / 512)^{plane[2]:.2f}", end="")
    print(f", off by a factor of {spread:.2f} at the {len(lr)} points")
    for size, step, found, _ in best:
        print(f"N {size:8.0f}  B {step:5d}  found {found:.4f}  rule {fitted(size, step).lr:.4f}")


if __name__ == "__main__":
    main()
