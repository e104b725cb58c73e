"""A small study whose law is known: run directories as the trainer writes them.

``L = E + A/N^0.3 + B/D_eff^0.33``; related languages help each other (tau 0.35), others do not
(tau -0.1); the learning rate is stable to 80 % of a run and falls to its end, which lowers the loss
by 5 %. Every evaluation has log-normal noise of 0.2 %.
"""

import json
from pathlib import Path

import numpy as np

LANGUAGES = ("swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn", "por_Latn", "rus_Cyrl")
SIZES = {"s": 370_000, "m": 1_300_000, "l": 4_200_000}
RELATED = ({"swe_Latn", "dan_Latn", "nob_Latn"}, {"spa_Latn", "por_Latn"})
UNIQUE = 900_000
TOKENS = 3_000_000
N_EVALUATIONS = 12


def write_study(
    folder: Path,
    *,
    languages: tuple[str, ...] = LANGUAGES,
    sizes: tuple[str, ...] = ("s", "m", "l"),
    pairs: tuple[tuple[str, str], ...] = (
        ("dan_Latn", "swe_Latn"),
        ("dan_Latn", "nob_Latn"),
        ("por_Latn", "spa_Latn"),
        ("rus_Cyrl", "spa_Latn"),
    ),
    continued: tuple[str, ...] = ("swe_Latn",),
    seed: int = 0,
) -> Path:
    """Runs alone, in pairs, of all together and continued from that, below ``folder``."""
    rng = np.random.Generator(np.random.PCG64(seed))
    even = {code: 1 / len(languages) for code in languages}
    for size in sizes:
        runs = [("monolingual", f"mono-{code}", {code: 1.0}, None) for code in languages]
        runs += [
            ("bilingual", f"pair-{a}-{b}", {a: 0.5, b: 0.5}, None)
            for a, b in pairs
            if {a, b} <= set(languages)
        ]
        if len(languages) > 1:
            name = f"even{len(languages)}"
            runs.append(("capacity", name, even, None))
            runs += [
                ("continued", f"continued-{code}-from-{name}", {code: 1.0}, f"{name}-{size}-seed0")
                for code in continued
                if code in languages
            ]
        for group, name, mixture, base in runs:
            _write_run(folder, f"{name}-{size}-seed0", group, mixture, size, base, languages, rng)
    return folder


def loss_of(target: str, n_params: float, seen: dict[str, float]) -> float:
    """The planted law: nats per token on ``target`` after ``seen`` tokens of each language."""
    d_eff = sum(_worth(target, code) * min(D, UNIQUE * 4) for code, D in seen.items())
    return 1.4 + 60 / n_params**0.3 + 190 / max(d_eff, 2_000) ** 0.33


def _worth(target: str, source: str) -> float:
    if target == source:
        return 1.0
    return 0.35 if any({target, source} <= group for group in RELATED) else -0.1


def _write_run(folder, run_id, group, mixture, size, base, languages, rng) -> None:
    path = folder / run_id
    path.mkdir(parents=True)
    record = {
        "schema_version": 1,
        "run_id": run_id,
        "study": "planted",
        "group": group,
        "mixture": mixture,
        "tokens": TOKENS,
        "unique_tokens": dict.fromkeys(mixture, UNIQUE),
        "n_params": SIZES[size],
        "n_params_non_embedding": SIZES[size] // 2,
        "model": {"n_layers": 2},
        "optimizer": {"lr": 0.004},
        "tokenizer": {"name": "unigram", "vocab_size": 4096, "sha256": "a" * 64},
        "corpus_sha256": "b" * 64,
        "seed": 0,
        "base_run": base,
        "code": {"version": "0.1.0", "commit": None, "dirty": None},
        "environment": {"machine": "a test"},
        "created_at": "2026-11-23T10:00:00+00:00",
    }
    (path / "run.json").write_text(json.dumps(record))
    lines = []
    for tokens in np.geomspace(TOKENS / 60, TOKENS, N_EVALUATIONS).round().astype(int):
        done = tokens / TOKENS
        state = "stable" if done <= 0.8 else "decayed" if done == 1 else "decay"
        seen = {code: int(share * tokens) for code, share in mixture.items()}
        before = {} if base is None else {code: TOKENS / len(languages) for code in languages}
        for code in languages:
            counted = {c: seen.get(c, 0) + before.get(c, 0) for c in {*seen, *before}}
            loss = loss_of(code, SIZES[size], counted) * np.exp(0.002 * rng.standard_normal())
            loss *= 1 - 0.05 * max(0.0, (done - 0.8) / 0.2)
            lines.append(
                {
                    "step": int(tokens // 2048),
                    "tokens": int(tokens),
                    "tokens_by_language": seen,
                    "language": code,
                    "loss": float(loss),
                    "bits_per_byte": float(loss / 2.1),
                    "lr": 0.004 * min(1.0, (1 - done) / 0.2),
                    "lr_state": state,
                }
            )
    (path / "evals.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status = {
        "state": "done",
        "tokens": TOKENS,
        "tokens_per_second": 9000.0,
        "updated_at": "2026-11-23T10:06:00+00:00",
        "host": "box",
    }
    (path / "status.json").write_text(json.dumps(status))
