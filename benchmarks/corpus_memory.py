"""Peak memory and disk of building a corpus, and of cutting it into tokens, by size of its text.

Each size runs in a process of its own. Documents of invented words in many languages, one in twenty
a copy, come from a generator rather than from files; they are sorted, freed of copies, checked
against the evaluation text and written, and with ``--cut`` cut into tokens. If memory is bounded,
ten times the text takes about the same peak.

    python benchmarks/corpus_memory.py --megabytes 1000 10000 --languages 420
    python benchmarks/corpus_memory.py --megabytes 60 600 --cut
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from atlas_scaling.languages import languages
from atlas_scaling.study.cache import resumable_directory
from atlas_scaling.study.corpus import open_corpus
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.say import silent
from atlas_scaling.study.streamed_corpus import Intake, build_streamed
from atlas_scaling.study.tokenizer import TokenizerSpec, train_tokenizer
from atlas_scaling.study.tokens import pack

DOCUMENT_BYTES = 3_000
LARGEST_SHARE = 0.25  # of the text is of one language, the rest is even
COPIES = 0.05


def documents(place: int, n_languages: int, n_bytes: int) -> Iterator[str]:
    """Documents of words that are each language's own, some of them copies."""
    share = LARGEST_SHARE if place == 0 else (1 - LARGEST_SHARE) / (n_languages - 1)
    draw = np.random.default_rng(place)
    letters = draw.integers(97, 123, size=(5_000, 7), dtype=np.uint8)
    words = [row.tobytes().decode() for row in letters]
    for _ in range(max(20, round(share * n_bytes / DOCUMENT_BYTES / (1 + COPIES)))):
        text = " ".join([words[i] for i in draw.integers(0, len(words), DOCUMENT_BYTES // 8)])
        yield text
        if draw.random() < COPIES:
            yield text


def measure(scratch: Path, codes: list[str], n_bytes: int, *, cut: bool) -> dict[str, float]:
    """Build, and cut if asked to; seconds of this process's CPU, peak memory and disk."""
    place = {code: i for i, code in enumerate(codes)}
    intake = Intake(
        source="generated",
        place=lambda code: code,
        documents=lambda code: documents(place[code], len(codes), n_bytes),
        evaluation=lambda _: None,
        eval_lines=20,
        seed=0,
        contamination="report",
        records=[SourceRecord(name="generated", licence="none")],
    )
    target = scratch / "corpus"
    with _disk(scratch) as disk:
        before = time.process_time()
        with resumable_directory(target, silent) as building:
            build_streamed(building, intake, codes, {}, silent)
        found = {"build_cpu_seconds": time.process_time() - before, "build_peak_mb": _peak()}
    corpus = open_corpus(target)
    records = corpus.manifest.languages.values()
    found |= {
        "mb": sum(record.train.bytes + record.evaluation.bytes for record in records) / 1e6,
        "lines": sum(record.train.lines for record in records),
        "copies": sum(record.dropped.get("duplicate", 0) for record in records),
        "disk_mb": disk.most / 1e6,
    }
    if cut:
        tokenizer = train_tokenizer(corpus, TokenizerSpec(sample_bytes=2_000_000), cache=scratch)
        trained = time.process_time()
        store = pack(corpus, tokenizer, cache=scratch)
        found |= {
            "cut_cpu_seconds": time.process_time() - trained,
            "cut_peak_mb": _peak(),
            "tokens": sum(store.unique.values()),
        }
    return found


class _disk:  # noqa: N801 - used as a function is
    """The most that a folder takes on disk while the block runs, looked at every few seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.most, self._ended = folder, 0, threading.Event()

    def __enter__(self) -> _disk:
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._ended.wait(3.0):
            seen = subprocess.run(["du", "-sk", self.folder], capture_output=True, check=False)
            self.most = max(self.most, 1024 * int(seen.stdout.split()[0]))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[60, 600])
    parser.add_argument("--languages", type=int, default=420)
    parser.add_argument("--cut", action="store_true", help="into tokens as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    codes = [entry.code for entry in languages()][: options.languages]
    if options.child:
        size = round(options.megabytes[0] * 1e6)
        print(json.dumps(measure(Path(options.child), codes, size, cut=options.cut)))
        return
    print(f"{len(codes)} languages, documents of {DOCUMENT_BYTES} bytes")
    for size in options.megabytes:
        with tempfile.TemporaryDirectory() as scratch:
            child = [sys.executable, __file__, "--languages", str(options.languages)]
            child += ["--megabytes", str(size), "--child", scratch] + ["--cut"] * options.cut
            result = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(result.stdout)
        line = (
            f"{found['mb']:7,.0f} MB: build {found['build_cpu_seconds']:6.1f} CPU s, peak "
            f"{found['build_peak_mb']:4.0f} MB, {found['disk_mb']:6,.0f} MB of disk, "
            f"{found['copies']:,} of {found['lines'] + found['copies']:,} documents copies"
        )
        if options.cut:
            line += (
                f"; cut {found['cut_cpu_seconds']:6.1f} CPU s, peak "
                f"{found['cut_peak_mb']:4.0f} MB, {found['tokens'] / 1e6:.0f}M tokens"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
