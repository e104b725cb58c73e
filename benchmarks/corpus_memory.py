"""Peak memory and disk of building a corpus, and of cutting it into tokens, by size of its text.

Each size runs in a process of its own. Documents of invented words in many languages, one in twenty
a copy, come from a generator rather than from files; they are sorted, freed of copies, checked
against the evaluation text and written, and with ``--cut`` cut into tokens.

A builder fills the memory it may hold with lines (64 MB) and sorts on disk from there, so peaks of
texts that are smaller than that differ for this reason alone. ``--memory`` gives it less, so that
texts which are many times its size need not be large ones: with 1 MB, 1 GB of text is sorted in as
many runs as 64 GB are with 64 MB. The last line compares the peaks: the same of the largest text
as of the one before says that memory does not depend on the size of the text.

    python benchmarks/corpus_memory.py --megabytes 60 240 960 --memory 1 --languages 420
    python benchmarks/corpus_memory.py --megabytes 60 600 --cut
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from atlas_scaling.languages import languages
from atlas_scaling.study.cache import resumable_directory
from atlas_scaling.study.corpus import open_corpus
from atlas_scaling.study.corpus_store import SourceRecord
from atlas_scaling.study.line_sort import MEMORY_BYTES
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


def measure(
    scratch: Path, codes: list[str], n_bytes: int, *, memory: int, cut: bool
) -> dict[str, float]:
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
        memory=memory,
    )
    target = scratch / "corpus"
    with _watched(scratch) as seen:
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
        "disk_mb": seen.disk / 1e6,
        "anonymous_mb": seen.anonymous / 1e6,
        "before_mb": seen.before / 1e6,
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


class _watched:  # noqa: N801 - used as a function is
    """The most memory and disk that are taken while the block runs, looked at often.

    Attributes:
        before: this process's anonymous memory at the beginning, in bytes: Python and libraries.
        anonymous: its most: what is its own, without files that the system keeps in memory.
        disk: the most bytes that a folder takes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.disk, self._ended = folder, 0, threading.Event()
        self.before = self.anonymous = _anonymous()

    def __enter__(self) -> _watched:
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        n = 0
        while not self._ended.wait(0.1):
            self.anonymous = max(self.anonymous, _anonymous())
            n += 1
            if n % 30 == 0:
                du = subprocess.run(["du", "-sk", self.folder], capture_output=True, check=False)
                self.disk = max(self.disk, 1024 * int(du.stdout.split()[0]))


def _anonymous() -> int:
    """``RssAnon`` of this process (``man 5 proc``); 0 where there is no such file."""
    try:
        found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=float, nargs="+", default=[60, 600])
    parser.add_argument("--languages", type=int, default=420)
    parser.add_argument("--memory", type=float, default=MEMORY_BYTES / (1 << 20), help="MiB held")
    parser.add_argument("--cut", action="store_true", help="into tokens as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    codes = [entry.code for entry in languages()][: options.languages]
    if options.child:
        size = round(options.megabytes[0] * 1e6)
        memory = round(options.memory * (1 << 20))
        found = measure(Path(options.child), codes, size, memory=memory, cut=options.cut)
        print(json.dumps(found))
        return
    print(
        f"{len(codes)} languages, documents of {DOCUMENT_BYTES} bytes, "
        f"{options.memory:g} MiB of lines held"
    )
    every = []
    for size in options.megabytes:
        with tempfile.TemporaryDirectory() as scratch:
            child = [sys.executable, __file__, "--languages", str(options.languages)]
            child += ["--megabytes", str(size), "--memory", str(options.memory)]
            child += ["--child", scratch] + ["--cut"] * options.cut
            result = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(result.stdout)
        every.append(found)
        line = (
            f"{found['mb']:7,.0f} MB: build {found['build_cpu_seconds']:6.1f} CPU s, peak "
            f"{found['build_peak_mb']:4.0f} MB, of it {found['anonymous_mb']:4.0f} MB anonymous "
            f"({found['before_mb']:.0f} MB before), {found['disk_mb']:6,.0f} MB of disk, "
            f"{found['copies']:,} of {found['lines'] + found['copies']:,} documents copies"
        )
        if options.cut:
            line += (
                f"; cut {found['cut_cpu_seconds']:6.1f} CPU s, peak "
                f"{found['cut_peak_mb']:4.0f} MB, {found['tokens'] / 1e6:.0f}M tokens"
            )
        print(line, flush=True)
    for smaller, larger in pairwise(every):
        more_gb = (larger["mb"] - smaller["mb"]) / 1e3
        more_mb = larger["anonymous_mb"] - smaller["anonymous_mb"]
        print(
            f"{larger['mb'] / smaller['mb']:.1f} times the text: "
            f"{larger['build_peak_mb'] / smaller['build_peak_mb']:.2f} times the peak, "
            f"{more_mb / more_gb:+.1f} MB of anonymous memory a GB of text"
        )


if __name__ == "__main__":
    main()
