"""What must come of the fixtures' story, worked out from ``make_fixtures`` alone."""

import polars as pl

from tests.runs.importers.make_fixtures import RUN, TOKENS_PER_STEP, loss_at

CODES = {"en": "eng_Latn", "de": "deu_Latn"}
# Evaluations at 25 and 50 are of the first attempt; 75 and 100 of the one resumed from step 50.
ATTEMPT_AT = {25: 0, 50: 0, 75: 1, 100: 1}


def told() -> list[tuple[str, int, float, str, float, float]]:
    """run, step, tokens, language, loss, learning rate: sorted as an import is."""
    return [
        (
            RUN,
            step,
            float(TOKENS_PER_STEP * step),
            CODES[name],
            loss_at(name, step, attempt),
            # Logged every 10 steps as step / 2^20; at 25 the last one is that of step 20.
            (step - step % 10) * 2**-20,
        )
        for step, attempt in ATTEMPT_AT.items()
        for name in ("de", "en")
    ]


def read(frame: pl.DataFrame) -> list[tuple[str, int, float, str, float, float]]:
    return frame.select("run_id", "step", "tokens", "language", "loss", "lr").rows()
