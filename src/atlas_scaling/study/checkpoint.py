"""Checkpoints: one directory a step, whole or not there at all.

::

    checkpoints/step-000001200/weights-00000-of-00001.safetensors
    checkpoints/step-000001200/optimizer-00000-of-00001.safetensors

Weights have their plain names, so any tool that reads safetensors reads them. Where several
processes each hold a part of a run (FSDP) each writes its rows into a file of its own, and its
header says which; any number of processes reads them again. Nothing in them is executed when they
are read, which PyTorch's own distributed checkpoints cannot say: their index is a pickle.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import RunState
from atlas_scaling.runs.store import read_run
from atlas_scaling.runs.writer import cannot_write
from atlas_scaling.study.model import Transformer
from atlas_scaling.study.parallel import World

CHECKPOINTS: Final = "checkpoints"

_WEIGHTS, _OPTIMIZER = "weights", "optimizer"
_MEAN, _SQUARE = "exp_avg.", "exp_avg_sq."
_UNFINISHED: Final = ".unfinished-"
_NO_STEP: Final = -1
_NAME: Final = re.compile(r"step-(\d+)")
_OS_ERROR: Final = re.compile(r"(?:code:|os error) (\d+)")
_ANEW: Final = "remove the run's directory, and atlas study resume trains it anew"
_REMEDY: Final = f"remove this checkpoint to go on from the one before; or else {_ANEW}"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run has come: steps done, and sequences drawn of each language."""

    step: int
    sequences: dict[str, int]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a parameter this process holds: ``begin`` to ``end`` of ``total``."""

    begin: int
    end: int
    total: int

    @classmethod
    def of(cls, parameter: Tensor, world: World) -> Rows:
        """FSDP2 deals out rows in equal chunks, the last ones shorter or empty."""
        total = parameter.shape[0]
        if not hasattr(parameter, "to_local"):
            return cls(0, total, total)
        chunk = -(-total // world.size)
        begin = min(world.rank * chunk, total)
        return cls(begin, min(begin + chunk, total), total)


def save_checkpoint(
    run_dir: Path,
    model: Transformer,
    optimizer: torch.optim.AdamW | None,
    place: Place,
    *,
    world: World | None = None,
    keep: int = 1,
    keep_steps: Collection[int] = (),
) -> None:
    """Write the checkpoint of a step, unless it is there; then remove old ones.

    Args:
        run_dir: the run's directory.
        model: its model.
        optimizer: its state is written too; None where nothing will go on from here but weights.
        place: how far it has come.
        world: the processes that call this, each with its part.
        keep: how many of the last checkpoints are kept,
        keep_steps: and those of these steps.

    Raises:
        RunError: it cannot be written; the ones before are kept.
    """
    world = world or World()
    where = model.embedding.weight.device
    path = _path(run_dir, place.step)
    beside = path.with_name(_UNFINISHED + path.name)
    if world.agrees(path.exists(), where):
        return
    try:
        with world.in_step(where, doing="begin a checkpoint"):
            if world.writes:
                for abandoned in path.parent.glob(f"{_UNFINISHED}*"):
                    shutil.rmtree(abandoned)
                beside.mkdir(parents=True)
        with world.in_step(where, doing="write its part of a checkpoint"):
            _write_parts(beside, model, optimizer, place, world)
        if world.writes:
            beside.rename(path)
            _sync(path.parent)
            for step in sorted(_steps(run_dir))[:-keep]:
                if step not in keep_steps:
                    shutil.rmtree(_path(run_dir, step))
    except (OSError, RunError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from None
        raise


def load_checkpoint(
    run_dir: Path,
    model: Transformer,
    optimizer: torch.optim.AdamW,
    *,
    world: World | None = None,
    step: int | None = None,
    end: int | None = None,
) -> Place | None:
    """Put model and optimizer where a checkpoint was: that of ``step``, else the last.

    None where there is none. That of the run's ``end`` may hold weights alone, which leaves the
    optimizer as it is.

    Raises:
        RunError: the checkpoint is damaged or of another model, or there is none of ``step``.
    """
    world = world or World()
    if step is None:
        last = max(_steps(run_dir), default=_NO_STEP)
        (step,) = world.decide([last], model.embedding.weight.device)
        if step == _NO_STEP:
            return None
    path = _path(run_dir, step)
    place = _load_weights(path, model, world)
    files = _files(path, _OPTIMIZER)
    if not files and step == end:
        return place
    if not files:
        raise RunError("the checkpoint lacks the optimizer", where=str(path), remedy=_REMEDY)
    states: dict[str, tuple[Tensor, Rows]] = {}
    for name, parameter in model.named_parameters():
        # not read from the file: it is the number of steps that were taken
        state = {"step": torch.tensor(float(place.step), device=parameter.device)}
        for prefix in (_MEAN, _SQUARE):
            state[prefix[:-1]] = torch.zeros_like(parameter)
            states[prefix + name] = state[prefix[:-1]], Rows.of(parameter, world)
        optimizer.state[parameter] = state
    _fill(files, states)
    return place


def load_weights(run_dir: Path, model: Transformer, *, world: World | None = None) -> None:
    """Give ``model`` the weights that a run ended with.

    Raises:
        RunError: that run has not ended or has no checkpoint, or its model has another shape.
    """
    _load_weights(final_checkpoint(run_dir), model, world or World())


def final_checkpoint(run_dir: Path) -> Path:
    """The last checkpoint of a run that has ended.

    Raises:
        RunError: it has not ended, or has none.
    """
    status = read_run(run_dir).status
    ended = status is not None and status.state is RunState.DONE
    steps = _steps(run_dir)
    if not (ended and steps):
        raise RunError(
            "the run has no checkpoint" if ended else "the run has not ended",
            value=None if ended or status is None else f"{status.state}, {status.tokens} tokens",
            where=str(run_dir / CHECKPOINTS if ended else run_dir),
            remedy=_ANEW
            if ended
            else "carry it out first: atlas study run or resume; a study does so by itself",
        )
    return _path(run_dir, max(steps))


def _path(run_dir: Path, step: int) -> Path:
    return run_dir / CHECKPOINTS / f"step-{step:09d}"


def _steps(run_dir: Path) -> list[int]:
    names = (_NAME.fullmatch(path.name) for path in (run_dir / CHECKPOINTS).glob("step-*"))
    return [int(name[1]) for name in names if name is not None]


def _files(path: Path, kind: str) -> list[Path]:
    return sorted(path.glob(f"{kind}-*.safetensors"))


def _write_parts(
    folder: Path,
    model: Transformer,
    optimizer: torch.optim.AdamW | None,
    place: Place,
    world: World,
) -> None:
    """This process's part, each kind in one file; the first writes for all that are the same."""
    parameters = dict(model.named_parameters())
    rows = {name: Rows.of(parameter, world) for name, parameter in parameters.items()}
    is_whole = all(one.end - one.begin == one.total for one in rows.values())
    if is_whole and not world.writes:
        return
    part = f"{0:05d}-of-{1:05d}" if is_whole else f"{world.rank:05d}-of-{world.size:05d}"
    kinds = {_WEIGHTS: {name: _local(p.detach()) for name, p in parameters.items()}}
    if optimizer is not None:
        kinds[_OPTIMIZER] = {
            prefix + name: _local(optimizer.state[parameter][prefix[:-1]])
            for name, parameter in parameters.items()
            for prefix in (_MEAN, _SQUARE)
        }
    metadata = {"step": str(place.step), "sequences": json.dumps(place.sequences)}
    for kind, tensors in kinds.items():
        held = {name: rows[name.removeprefix(_MEAN).removeprefix(_SQUARE)] for name in tensors}
        metadata["rows"] = json.dumps({name: [r.begin, r.total] for name, r in held.items()})
        path = folder / f"{kind}-{part}.safetensors"
        _write_tensors(path, {name: t.contiguous() for name, t in tensors.items()}, metadata)


def _write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """To the disk, from where they are in memory: no second copy of them is made."""
    path.touch()
    rights = path.stat().st_mode  # a new file's; ``save_file`` puts one in place for its owner only
    try:
        save_file(tensors, path, metadata)
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None
    path.chmod(rights)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _load_weights(path: Path, model: Transformer, world: World) -> Place:
    files = _files(path, _WEIGHTS)
    if not files:
        remedy = _REMEDY if path.exists() else _ANEW
        raise RunError("there is no such checkpoint", where=str(path), remedy=remedy)
    wanted = {
        name: (parameter.detach(), Rows.of(parameter, world))
        for name, parameter in model.named_parameters()
    }
    _fill(files, wanted)
    metadata = _open(files[0])[1]
    return Place(int(metadata["step"]), json.loads(metadata["sequences"]))


def _fill(files: list[Path], wanted: dict[str, tuple[Tensor, Rows]]) -> None:
    """Copy the rows that ``wanted`` asks for out of all files that have some of them."""
    missing = {name: rows.end - rows.begin for name, (_, rows) in wanted.items()}
    for path in files:
        file, metadata = _open(path)
        with file:
            held = json.loads(metadata["rows"])
            for name in file.keys():  # noqa: SIM118 - it is no dict
                if name not in wanted:
                    continue
                target, rows = wanted[name]
                saved, (begin, total) = file.get_slice(name), held[name]
                shape = (total, *saved.get_shape()[1:])
                if shape != tuple(target.shape):
                    raise _of_another_shape(name, shape, path)
                low, high = max(begin, rows.begin), min(begin + saved.get_shape()[0], rows.end)
                if low < high:
                    part = saved[low - begin : high - begin]
                    _local(target)[low - rows.begin : high - rows.begin].copy_(part)
                    missing[name] -= high - low
    for name, n_rows in missing.items():
        if n_rows:
            raise _of_another_shape(name, None, files[0])


def _of_another_shape(name: str, shape: tuple[int, ...] | None, path: Path) -> RunError:
    return RunError(
        "the checkpoint is of a model of another shape", value=f"{name}: {shape}", where=str(path)
    )


def _open(path: Path) -> tuple[Any, dict[str, str]]:
    try:
        file: Any = safe_open(path, framework="pt")
        return file, file.metadata()
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"the checkpoint cannot be read: {error}",
            where=str(path),
            remedy=_REMEDY,
        ) from None


def _local(tensor: Tensor) -> Tensor:
    """The rows that this process holds."""
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else to_local()


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
