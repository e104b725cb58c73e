"""Peak memory of building a corpus and cutting it into tokens, at two sizes of synthetic text.

Each size runs in a process of its own: JSON lines of invented words in many languages are read,
sorted, freed of copies, checked against the evaluation text and written, then cut into tokens. If
memory is bounded, ten times the text takes about the same peak.

    python benchmarks/corpus_memory.py --megabytes 60 600 --languages 420
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from atlas_scaling.languages import languages
from atlas_scaling.study.corpus import FolderSpec, build_corpus
from atlas_scaling.study.tokenizer import TokenizerSpec, train_tokenizer
from atlas_scaling.study.tokens import pack

DOCUMENT_BYTES = 3_000
LARGEST_SHARE = 0.25  # of the text is of one language, the rest is even


def write_text(folder: Path, codes: list[str], n_bytes: int) -> None:
    """Documents of words that are each language's own, some of them copies."""
    for place, code in enumerate(codes):
        share = LARGEST_SHARE if place == 0 else (1 - LARGEST_SHARE) / (len(codes) - 1)
        generator = np.random.default_rng(place)
        letters = generator.integers(97, 123, size=(5_000, 7), dtype=np.uint8)
        words = np.array([row.tobytes().decode() for row in letters])
        with (folder / f"{code}.jsonl").open("w") as file:
            for _ in range(max(20, round(share * n_bytes / DOCUMENT_BYTES))):
                text = " ".join(generator.choice(words, size=DOCUMENT_BYTES // 8))
                line = json.dumps({"text": text}) + "\n"
                file.write(line * (1 + (generator.random() < 0.05)))


def measure(folder: Path, cache: Path, codes: list[str]) -> dict[str, float]:
    """Build and cut; seconds of this process's CPU and its peak resident memory."""
    before = time.process_time()
    corpus = build_corpus(
        FolderSpec(source="folder", path=folder, eval_lines=20), codes, cache=cache
    )
    built, at_built = time.process_time(), _peak()
    tokenizer = train_tokenizer(corpus, TokenizerSpec(sample_bytes=2_000_000), cache=cache)
    trained, at_trained = time.process_time(), _peak()
    store = pack(corpus, tokenizer, cache=cache)
    return {
        "build_cpu_seconds": built - before,
        "build_peak_mb": at_built,
        "vocabulary_peak_mb": at_trained,
        "cut_cpu_seconds": time.process_time() - trained,
        "cut_peak_mb": _peak(),
        "tokens": sum(store.unique_tokens(code) for code in codes),
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[60, 600])
    parser.add_argument("--languages", type=int, default=420)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    codes = [entry.code for entry in languages()][: options.languages]
    if options.child:
        folder, cache = map(Path, options.child)
        print(json.dumps(measure(folder, cache, codes)))
        return
    print(f"{len(codes)} languages, documents of {DOCUMENT_BYTES} bytes")
    for size in options.megabytes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "text"
            folder.mkdir()
            write_text(folder, codes, round(size * 1e6))
            n_bytes = sum(file.stat().st_size for file in folder.iterdir())
            child = [sys.executable, __file__, "--languages", str(options.languages)]
            child += ["--child", str(folder), str(Path(scratch) / "cache")]
            result = subprocess.run(child, capture_output=True, text=True, check=True)
            found = json.loads(result.stdout)
        print(
            f"{n_bytes / 1e6:7.0f} MB: build {found['build_cpu_seconds']:6.1f} CPU s, peak "
            f"{found['build_peak_mb']:5.0f} MB; cut {found['cut_cpu_seconds']:6.1f} CPU s, peak "
            f"{found['cut_peak_mb']:5.0f} MB; {found['tokens'] / 1e6:.0f}M tokens",
            flush=True,
        )


if __name__ == "__main__":
    main()
