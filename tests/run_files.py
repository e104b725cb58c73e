"""Writes run directories by hand, byte for byte, for tests of readers."""

import json
from pathlib import Path

RECORD = {
    "schema_version": 1,
    "run_id": "mono-swe_Latn-s-seed0",
    "study": "planted",
    "group": "monolingual",
    "mixture": {"swe_Latn": 1.0},
    "tokens": 4096,
    "unique_tokens": {"swe_Latn": 300000},
    "n_params": 364_928,
    "n_params_non_embedding": 102_784,
    "model": {"n_layers": 2},
    "optimizer": {"lr": 0.004},
    "tokenizer": {"name": "unigram", "vocab_size": 4096, "sha256": "aa"},
    "corpus_sha256": "bb",
    "seed": 0,
    "base_run": None,
    "code": {"version": "0.1.0", "commit": None, "dirty": None},
    "environment": {},
    "created_at": "2026-11-23T10:00:00+00:00",
}


def eval_line(step: int, tokens: int, language: str, loss: float, **changes) -> str:
    row = {
        "step": step,
        "tokens": tokens,
        "tokens_by_language": {"swe_Latn": tokens},
        "language": language,
        "loss": loss,
        "bits_per_byte": loss / 2,
        "lr": 0.004,
        "lr_state": "stable",
    }
    return json.dumps({**row, **changes})


def write_run(folder: Path, lines: list[str], *, state: str | None = "done", **changes) -> Path:
    """A run directory with these lines in ``evals.jsonl``; ``changes`` go into ``run.json``."""
    record = {**RECORD, **changes}
    path = folder / record["run_id"]
    path.mkdir(parents=True)
    (path / "run.json").write_text(json.dumps(record))
    (path / "evals.jsonl").write_text("".join(line + "\n" for line in lines))
    if state is not None:
        status = {"state": state, "step": 2, "updated_at": "2026-11-23T10:00:00+00:00"}
        (path / "status.json").write_text(json.dumps(status))
    return path
