"""Checkpoints: weights, optimizer state and place in the data, in one safetensors file.

``checkpoints/last.safetensors`` is replaced whole, so that a run always has one it can go on from.
Nothing in it is executed when it is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import RunState
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import cannot_write, replace_whole
from atlas_scaling.study.model import Transformer

PLACE: Final = Path("checkpoints") / "last.safetensors"

_WEIGHT, _MEAN, _SQUARE = "weight.", "exp_avg.", "exp_avg_sq."


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run has come: steps done, and sequences drawn of each language."""

    step: int
    sequences: dict[str, int]


def save_checkpoint(
    run_dir: Path, model: Transformer, optimizer: torch.optim.AdamW, place: Place
) -> None:
    """Replace the run's checkpoint.

    Raises:
        RunError: it cannot be written; the one before is kept.
    """
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        tensors[_WEIGHT + name] = parameter.detach()
        tensors[_MEAN + name] = state["exp_avg"]
        tensors[_SQUARE + name] = state["exp_avg_sq"]
    metadata = {"step": str(place.step), "sequences": json.dumps(place.sequences)}
    path = run_dir / PLACE
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    replace_whole(path, save(tensors, metadata))


def load_checkpoint(
    run_dir: Path, model: Transformer, optimizer: torch.optim.AdamW
) -> Place | None:
    """Put model and optimizer back where the run's checkpoint was; None where there is none.

    Raises:
        RunError: the checkpoint is damaged or of another model.
    """
    path = run_dir / PLACE
    if not path.exists():
        return None
    tensors, metadata = _read(path)
    place = Place(int(metadata["step"]), json.loads(metadata["sequences"]))
    _load_weights(model, tensors, path)
    for name, parameter in model.named_parameters():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(place.step)),
            "exp_avg": tensors[_MEAN + name].clone(),
            "exp_avg_sq": tensors[_SQUARE + name].clone(),
        }
    return place


def load_weights(run_dir: Path, model: Transformer) -> None:
    """Start ``model`` from the weights another run ended with.

    Raises:
        RunError: that run has not ended or has no checkpoint, or its model has another shape.
    """
    path = run_dir / PLACE
    status = read_run(run_dir).status
    ended = status is not None and status.state is RunState.DONE
    if not (ended and path.exists()):
        raise RunError(
            "the run to continue has no checkpoint"
            if ended
            else "the run to continue has not ended",
            value=None if ended or status is None else f"{status.state}, {status.tokens} tokens",
            where=str(path if ended else run_dir),
            remedy="carry out that run first; a study does so by itself",
        )
    tensors, _ = _read(path)
    _load_weights(model, tensors, path)


def _load_weights(model: Transformer, tensors: Mapping[str, Tensor], path: Path) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            saved = tensors.get(_WEIGHT + name)
            if saved is None or saved.shape != parameter.shape:
                raise RunError(
                    "the checkpoint is of a model of another shape",
                    value=f"{name}: {None if saved is None else tuple(saved.shape)}",
                    where=str(path),
                )
            parameter.copy_(saved)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata()
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"the checkpoint cannot be read: {error}",
            where=str(path),
            remedy="remove the run's directory to train it anew",
        ) from None
