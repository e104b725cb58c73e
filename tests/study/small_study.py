"""A real study in small: text files, a vocabulary, four runs of some seconds each."""

from pathlib import Path

import numpy as np

SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "ra", "so", "ti", "va", "zo", "fe", "gu"]

SPEC = """
name: small
languages: [swe_Latn, spa_Latn]
corpus: {{source: folder, path: {text}, eval_lines: 20}}
tokenizer: {{vocab_size: 320}}
sequence_length: 32
sizes:
  s: {{n_layers: 1, d_model: 32, n_heads: 2, lr: 0.01}}
training:
  {{batch_size: 2, warmup_tokens: 640, first_evaluation: 1280, checkpoint_seconds: 0.05}}
groups:
  - {{kind: capacity, sizes: [s], tokens: {tokens}}}
  - {{kind: monolingual, sizes: [s], tokens: {tokens}}}
  - {{kind: continued, languages: [swe], sizes: [s], tokens: {tokens}}}
"""


def write_small_study(folder: Path, *, tokens: int = 20_000) -> Path:
    """Text of two invented languages and a study on it; returns the spec's path."""
    text = folder / "text"
    text.mkdir(parents=True)
    for seed, code in enumerate(("swe_Latn", "spa_Latn")):
        generator = np.random.default_rng(seed)
        words = ["".join(generator.choice(SYLLABLES, size=3)) for _ in range(80)]
        lines = [" ".join(generator.choice(words, size=9)) + "." for _ in range(1200)]
        (text / f"{code}.txt").write_text("\n".join(lines) + "\n")
    spec = folder / "small.yaml"
    spec.write_text(SPEC.format(text=text, tokens=tokens))
    return spec
