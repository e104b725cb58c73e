"""The runs of the paper as Table B.1 counts them, and where its counts and sets do not agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atlas_scaling.published.tables import PAPER

SOURCE: Final = f"{PAPER}, Table B.1"


@dataclass(frozen=True, slots=True)
class ExperimentRow:
    """A row of Table B.1: what it is called here, its tag, vocabulary and text, runs as printed."""

    label: str
    tag: str
    vocabulary: str
    text: str
    n_runs: int


EXPERIMENTS: Final = tuple(
    ExperimentRow(*row)
    for row in (
        ("mono, own vocabulary", "Mono <Lang>", "Monolingual", "Monolingual", 140),
        ("unimax", "Unimax", "Multilingual", "Multilingual", 20),
        ("mono, shared vocabulary", "Multi <Lang>", "Multilingual", "Monolingual", 70),
        ("mono, shared vocabulary, all", "Language Pairs", "Multilingual", "Monolingual", 50),
        ("pairs of ten languages", "Language Pairs", "Multilingual", "Bilingual", 90),
        ("pairs across sizes", "Language Pairs", "Multilingual", "Bilingual", 150),
        ("capacity", "Capacity", "Multilingual", "Uniform sampling", 120),
        ("continued, all", "Finetunes", "Multilingual", "Monolingual", 50),
        ("continued across sizes", "Finetunes", "Multilingual", "Monolingual", 84),
    )
)

MISMATCHES: Final = (
    "Table B.1 adds up to 774, but its factors do not follow from its own sets: 774 is a label.",
    "S_part has 11 scales where the table multiplies by 10 three times (Multi, pairs across sizes, "
    "capacity); B.7.1 says 11.",
    "The 90 runs of ten languages are ordered pairs: a 50/50 mixture has no order, so 45 models.",
    "The 15 pairs across sizes are 14 by their definition.",
    "L_eval has 48 languages in the notation, 50 in two rows, and is listed nowhere; here it is "
    "the mixture 50v0 of Table B.5.",
    "Runs that two rows name (pairs and single languages at scale 34, continued runs at scale 34) "
    "are made once here.",
    "The text says 420 languages, Table B.4 has 419.",
    "Training tokens are not stated but for a least 30,000 steps and the 1T of the Unimax "
    "checkpoint (section 6 has 1B, B.4 and B.5.2 have 1T): the compute is a floor.",
)
