"""Whole studies of small runs on an accelerator: one run at a time, and many together.

    python benchmarks/accelerator_study.py [--alone 4] [--together 32 64] [--tokens 2M]

What a user waits for: ``atlas study run`` from its start to its end, on made-up text that is packed
before, with evaluations, checkpoints, status and the start of Python and PyTorch in it. The models
are of scale -1 (a vocabulary of 8,192, 2,048 tokens a step).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LANGUAGES = ("swe_Latn", "spa_Latn")
SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "va", "zo", "fe", "gu"]
WORDS, LINES, WORDS_A_LINE = 8000, 30_000, 12


def write_text(folder: Path) -> None:
    """Lines of made-up words with Zipf's frequencies, a file a language."""
    folder.mkdir()
    for seed, code in enumerate(LANGUAGES):
        draw = np.random.default_rng(seed)
        words = np.array(
            ["".join(draw.choice(SYLLABLES, size=draw.integers(3, 6))) for _ in range(WORDS)]
        )
        shares = 1 / np.arange(1, WORDS + 1)
        lines = draw.choice(words, size=(LINES, WORDS_A_LINE), p=shares / shares.sum())
        text = "".join(f"{' '.join(line)}.\n" for line in lines)
        (folder / f"{code}.txt").write_text(text, encoding="utf-8")


def study_of(folder: Path, n_runs: int, tokens: str) -> Path:
    """The YAML of so many seeds of one run."""
    spec = {
        "name": f"study-{n_runs}-{tokens}",
        "languages": list(LANGUAGES),
        "corpus": {"source": "folder", "path": str(folder / "text"), "eval_lines": 400},
        "tokenizer": {"vocab_size": 8192},
        "sequence_length": 256,
        "sizes": {"s": {"scale": -1, "lr": 0.003}},
        "training": {"batch_size": 8, "warmup_tokens": "2k", "first_evaluation": "20k"},
        "groups": [
            {"kind": "capacity", "sizes": ["s"], "tokens": tokens, "seeds": list(range(n_runs))}
        ],
    }
    path = folder / f"{spec['name']}.yaml"
    path.write_text(json.dumps(spec), encoding="utf-8")  # JSON is YAML
    return path


def seconds_of(folder: Path, n_runs: int, tokens: str, together: int, device: str) -> float:
    """Of the whole command."""
    hardware = f"{{device: {device}, together: {together}}}"
    spec = study_of(folder, n_runs, tokens)
    output = folder / f"{spec.stem}-{len(list(folder.iterdir()))}"
    command = [sys.executable, "-m", "atlas_scaling", "study", "run", str(spec), "-o", str(output)]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, "--json", "-O", f"hardware={hardware}"],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begin
    if done.returncode:
        sys.exit(done.stderr)
    states = [json.loads(path.read_text())["state"] for path in output.glob("runs/*/status.json")]
    if states != ["done"] * n_runs:
        sys.exit(f"not all {n_runs} runs are done: {states}")
    return seconds


def main() -> None:
    """Print one row a number of runs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--alone", type=int, default=4, help="runs of the study without together")
    parser.add_argument("--together", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--tokens", default="2M", help="of each run")
    parser.add_argument("--device", default="cuda")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        write_text(folder / "text")
        seconds_of(folder, 1, "30k", 1, given.device)  # packs the text
        print(
            f"{'runs':>6s}{'at a time':>12s}{'seconds':>10s}{'runs/h':>9s}{'ratio':>8s}", flush=True
        )
        rates = []
        for n in (1, *given.together):
            runs = given.alone if n == 1 else n
            seconds = seconds_of(folder, runs, given.tokens, n, given.device)
            rates.append(3600 * runs / seconds)
            row = f"{runs:6d}{n:12d}{seconds:10.1f}{rates[-1]:9.0f}{rates[-1] / rates[0]:7.1f}x"
            print(row, flush=True)


if __name__ == "__main__":
    main()
