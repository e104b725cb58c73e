"""From options to an engine; each is imported when it is asked for."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

from atlas_scaling.errors import InputError
from atlas_scaling.study.engines.base import Engine
from atlas_scaling.study.engines.options import AnyOptions, RayOptions, SlurmOptions

_NEEDS: Final = {"slurm": "submitit", "ray": "ray"}


def make_engine(options: AnyOptions) -> Engine:
    """The engine that ``options`` are for.

    Raises:
        InputError: the package it works through is not installed.
    """
    package = _NEEDS.get(options.kind)
    if package is not None and find_spec(package) is None:
        raise InputError(
            f"the engine {options.kind} works through {package}, which is not installed",
            where="--engine",
            remedy=f"pip install 'atlas-scaling[{options.kind}]'",
        )
    if isinstance(options, SlurmOptions):
        from atlas_scaling.study.engines.slurm import SlurmEngine

        return SlurmEngine(options)
    if isinstance(options, RayOptions):
        from atlas_scaling.study.engines.ray import RayEngine

        return RayEngine(options)
    from atlas_scaling.study.engines.local import LocalEngine

    return LocalEngine(options.workers, hardware=options.hardware)
