"""A study so small that it trains in a second: two invented languages of a Markov kind."""

from pathlib import Path

import numpy as np

from atlas_scaling.runs.record import CodeInfo, RunRecord, TokenizerInfo
from atlas_scaling.study.settings import ModelConfig, TrainConfig
from atlas_scaling.study.tokens import PackedText

EOS = 1
MODEL = ModelConfig(n_layers=1, d_model=16, n_heads=2, vocab_size=32, sequence_length=16)
CONFIG = TrainConfig(
    batch_size=2,
    lr=0.01,
    warmup_tokens=64,
    first_evaluation=128,
    evaluations_per_doubling=2,
    checkpoint_seconds=1e-6,
)


def text(language: str, *, n_tokens: int = 2000, seed: int = 0) -> PackedText:
    """Ids that follow one another by a rule with some noise, in lines of eight."""
    generator = np.random.default_rng((seed, len(language)))
    ids = np.empty(n_tokens, dtype=np.uint16)
    ids[0] = 2
    for i in range(1, n_tokens):
        step = 3 if generator.random() < 0.8 else generator.integers(1, 28)
        ids[i] = 2 + (ids[i - 1] - 2 + step) % 30
    ids[7::8] = EOS
    return PackedText(language, ids, n_bytes=4 * n_tokens)


def record(run_id: str = "tiny", *, tokens: int = 2048, **changes) -> RunRecord:
    mixture = changes.pop("mixture", {"swe_Latn": 0.5, "spa_Latn": 0.5})
    fields = {
        "run_id": run_id,
        "group": "bilingual",
        "mixture": mixture,
        "tokens": tokens,
        "unique_tokens": dict.fromkeys(mixture, 2000),
        "n_params": MODEL.n_params,
        "n_params_non_embedding": MODEL.n_params_non_embedding,
        "model": MODEL.model_dump(),
        "optimizer": CONFIG.model_dump(),
        "tokenizer": TokenizerInfo(name="tiny", vocab_size=32, sha256="aa"),
        "corpus_sha256": "bb",
        "seed": 0,
        "code": CodeInfo(version="test"),
        "created_at": "2026-11-23T10:00:00+00:00",
    }
    return RunRecord(**{**fields, **changes})


TEXTS = {code: text(code) for code in ("swe_Latn", "spa_Latn")}
EVALS = {code: text(code, n_tokens=200, seed=1) for code in ("swe_Latn", "spa_Latn", "rus_Cyrl")}


def eval_lines(run_dir: Path) -> list[str]:
    return (run_dir / "evals.jsonl").read_text().splitlines()
