"""What this machine has for atlas, what it lacks, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from atlas_scaling._version import __version__
from atlas_scaling.answers import Answer
from atlas_scaling.study.conduct import TRAINING_PACKAGES

_EXTRAS: Final = {"train": (TRAINING_PACKAGES, "training studies")}


@dataclass(frozen=True, slots=True)
class Finding(Answer):
    """One thing looked at. ``mend`` is a command, None where nothing is missing."""

    name: str
    found: str | None
    needed_for: str
    mend: str | None


@dataclass(frozen=True, slots=True)
class Examination(Answer):
    """All findings; ``ready_for_studies`` says whether ``atlas demo`` can run here."""

    version: str
    python: str
    machine: str
    findings: tuple[Finding, ...]
    ready_for_studies: bool


def examine(cache: Path) -> Examination:
    """Look at packages, accelerators, cores and the corpus cache; nothing is changed."""
    findings = [finding for extra in _EXTRAS for finding in _extra(extra)]
    ready = all(finding.mend is None for finding in findings)
    findings += [*_engines(), _accelerator(), _cores(), _cache(cache)]
    return Examination(
        version=__version__,
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        findings=tuple(findings),
        ready_for_studies=ready,
    )


def _extra(extra: str) -> list[Finding]:
    packages, purpose = _EXTRAS[extra]
    return [
        Finding(
            name=package,
            found=(found := _installed(package)),
            needed_for=purpose,
            mend=None if found else f"pip install 'atlas-scaling[{extra}]'",
        )
        for package in packages
    ]


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _engines() -> list[Finding]:
    """The engines beyond this machine: the package each works through, and its cluster."""
    sbatch = "sbatch found" if shutil.which("sbatch") else "no sbatch on the PATH"
    return [
        _engine("slurm", "submitit", sbatch),
        _engine("ray", "ray", "started here, or joined by address"),
    ]


def _engine(kind: str, package: str, cluster: str) -> Finding:
    installed = _installed(package)
    return Finding(
        name=f"engine {kind}",
        found=None if installed is None else f"{package} {installed}, {cluster}",
        needed_for=f"atlas study run SPEC --engine {kind}",
        mend=None if installed else f"pip install 'atlas-scaling[{kind}]'",
    )


def _accelerator() -> Finding:
    purpose = "models above about 10M parameters"
    if _installed("torch") is None:
        return Finding("accelerator", None, purpose, None)
    import torch

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
        return Finding(
            "accelerator", f"{torch.cuda.device_count()} x {', '.join(names)}", purpose, None
        )
    if torch.backends.mps.is_available():
        return Finding("accelerator", "Apple GPU", purpose, None)
    return Finding("accelerator", "none, CPU only", purpose, None)


def _cores() -> Finding:
    from atlas_scaling.study.engines.local import usable_cores

    return Finding("usable cores", str(len(usable_cores())), "runs at a time without one", None)


def _cache(cache: Path) -> Finding:
    below = cache if cache.exists() else next(p for p in cache.parents if p.exists())
    free = shutil.disk_usage(below).free / 1e9
    state = "exists" if cache.exists() else "empty, is made when needed"
    return Finding("corpus cache", f"{cache}: {state}, {free:.0f} GB free", "real text", None)
