"""Expands a study to its runs: mixture, size, tokens, compute, and what each waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from atlas_scaling.answers import Answer
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.study.spec import (
    ALL,
    BilingualGroup,
    CapacityGroup,
    ContinuedGroup,
    MixtureGroup,
    MonolingualGroup,
    StudySpec,
)


@dataclass(frozen=True, slots=True)
class PlannedRun(Answer):
    """One run of a study, before it is carried out. Shares of ``mixture`` sum to 1."""

    run_id: str
    group: str
    size: str
    mixture: dict[str, float]
    tokens: int
    seed: int
    n_params: int
    n_params_non_embedding: int
    flops: float
    base_run: str | None = None


@dataclass(frozen=True, slots=True)
class Design(Answer):
    """All runs of a study, every base before what continues it, and their sums."""

    study: str
    runs: tuple[PlannedRun, ...]
    n_runs: int
    tokens: float
    flops: float


def design_study(spec: StudySpec) -> Design:
    """Expand ``spec`` to its runs.

    Raises:
        InputError: two groups make the same run, or a continued run's base is not in the study.
    """
    runs: dict[str, PlannedRun] = {}
    for index, group in enumerate(spec.groups):
        for size in group.sizes:
            for seed in group.seeds:
                for kind, name, mixture, base in _mixtures(spec, group):
                    run = _planned(spec, kind, name, mixture, size, seed, group.tokens_of(size))
                    if base is not None:
                        run = _with_base(run, f"{base}-{size}-seed{seed}")
                    if run.run_id in runs:
                        raise InputError(
                            "two groups make the same run",
                            value=run.run_id,
                            where=f"groups.{index}",
                            remedy="leave it out of one of them, or give them different seeds",
                        )
                    runs[run.run_id] = run
    ordered = tuple(_bases_first(runs))
    return Design(
        study=spec.name,
        runs=ordered,
        n_runs=len(ordered),
        tokens=float(sum(run.tokens for run in ordered)),
        flops=sum(run.flops for run in ordered),
    )


def _mixtures(
    spec: StudySpec,
    group: MonolingualGroup | BilingualGroup | CapacityGroup | MixtureGroup | ContinuedGroup,
) -> Iterator[tuple[str, str, dict[str, float], str | None]]:
    """(group label, run name, mixture, name of the base run) of everything a group names."""
    match group:
        case MonolingualGroup():
            for code in spec.languages if group.languages == ALL else group.languages:
                yield "monolingual", f"mono-{code}", {code: 1.0}, None
        case BilingualGroup():
            for pair in group.pairs:
                first, second = sorted(pair)
                yield "bilingual", f"pair-{first}-{second}", {first: 0.5, second: 0.5}, None
        case CapacityGroup():
            for codes in (spec.languages,) if group.sets == ALL else group.sets:
                yield "capacity", _even_name(spec, codes), _even(codes), None
        case MixtureGroup():
            yield "mixture", f"mix-{group.name}", dict(group.shares), None
        case ContinuedGroup():
            codes = spec.languages if group.base_set == ALL else group.base_set
            base = _even_name(spec, codes)
            for code in group.languages:
                yield "continued", f"continued-{code}-from-{base}", {code: 1.0}, base


def _even(codes: tuple[str, ...]) -> dict[str, float]:
    return {code: 1.0 / len(codes) for code in sorted(codes)}


def _even_name(spec: StudySpec, codes: tuple[str, ...]) -> str:
    """``even6`` for all of six languages; a part of them is named by its languages."""
    if set(codes) == set(spec.languages):
        return f"even{len(codes)}"
    return f"even{len(codes)}-" + "-".join(sorted(codes))


def _planned(
    spec: StudySpec,
    kind: str,
    name: str,
    mixture: dict[str, float],
    size: str,
    seed: int,
    tokens: int,
) -> PlannedRun:
    model = spec.model_of(size)
    return PlannedRun(
        run_id=f"{name}-{size}-seed{seed}",
        group=kind,
        size=size,
        mixture=mixture,
        tokens=tokens,
        seed=seed,
        n_params=model.n_params,
        n_params_non_embedding=model.n_params_non_embedding,
        flops=training_flops(model.n_params, tokens),
    )


def _with_base(run: PlannedRun, base_run: str) -> PlannedRun:
    return replace(run, base_run=base_run)


def _bases_first(runs: dict[str, PlannedRun]) -> Iterator[PlannedRun]:
    """Bases, then the longest: short runs last fill the cores evenly."""
    bases = {run.base_run for run in runs.values() if run.base_run is not None}
    missing = sorted(bases - set(runs))
    if missing:
        raise InputError(
            "a continued run starts from a run that is not in the study",
            value=missing[0],
            where="groups, kind: continued",
            remedy="add a capacity group with the same languages, size and seed",
        )
    yield from sorted(
        runs.values(),
        key=lambda run: (run.run_id not in bases, run.base_run is not None, -run.flops),
    )
