"""Hugging Face ``trainer_state.json``: the log history of ``transformers.Trainer``.

Each entry of ``log_history`` is one logged row with its ``step``. The state is saved again with
every checkpoint, each time with the whole history: of the copies in one output directory
(``OUT/trainer_state.json``, ``OUT/checkpoint-500/trainer_state.json``) the furthest is read.
Losses are nats per token, ``eval_<name>_loss`` where the evaluation sets have names. Tokens are
``num_input_tokens_seen``, if the trainer was told to count them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.log import LoggedRun, flattened, log_source, numbers_in
from atlas_scaling.runs.importers.source import Kind, Source

NAME: Final = "trainer_state.json"
HISTORY: Final = "log_history"
CHECKPOINT_PREFIX: Final = "checkpoint-"


def read_trainer_states(paths: Sequence[Path], *, root: Path) -> Source:
    """The furthest state of each output directory; the run id is the directory below ``root``.

    Raises:
        InputError: a file is no trainer state.
    """
    furthest: dict[Path, tuple[int, Path, dict[str, Any]]] = {}
    for path in sorted(paths):
        state = _load(path)
        key = (int(state.get("global_step") or 0), path, state)
        output = _output_directory(path)
        if output not in furthest or key[:2] >= furthest[output][:2]:
            furthest[output] = key
    runs = [_run(path, output, root, state) for output, (_, path, state) in furthest.items()]
    left_out = len(paths) - len(runs)
    notes = [f"{left_out} earlier copies of the same histories left out"] if left_out else []
    return log_source(Kind.TRAINER_STATE, runs, line_word="entry", notes=notes)


def _output_directory(path: Path) -> Path:
    folder = path.resolve().parent
    return folder.parent if folder.name.startswith(CHECKPOINT_PREFIX) else folder


def _load(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            "this is no trainer state: it is not valid JSON",
            value=reason,
            where=str(path),
            remedy="a copy from a run that was killed while saving; use an earlier checkpoint's",
        ) from None
    if not isinstance(state, dict) or not isinstance(state.get(HISTORY), list):
        raise InputError(
            f"this is no trainer state: it has no list {HISTORY}",
            value=sorted(state) if isinstance(state, dict) else type(state).__name__,
            where=str(path),
            remedy=f"give the {NAME} that transformers.Trainer saved",
        )
    if not isinstance(state.get("global_step") or 0, int | float):
        raise InputError(
            "global_step is no number", value=state["global_step"], where=f"{path}, global_step"
        )
    return state


def _run(path: Path, output: Path, root: Path, state: dict[str, Any]) -> LoggedRun:
    root = root.resolve()
    below = output.relative_to(root).as_posix() if output.is_relative_to(root) else "."
    run = LoggedRun(run_id=output.name if below == "." else below, file=str(path))
    for number, entry in enumerate(state[HISTORY], 1):
        if isinstance(entry, dict):
            run.rows.add(number, numbers_in(entry))
    run.config.update(
        (name, value) for name, value in flattened(state) if not name.startswith(HISTORY)
    )
    return run
