"""Expands a study to its runs: mixture, size, tokens, compute, and what each waits for.

Groups may name one run twice (a pair that two groups measure at one size): it is made once, and the
summary of groups says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.published.mixtures import unimax_mixture
from atlas_scaling.study.cache import key_of
from atlas_scaling.study.mixture_spec import Sampling, Stage
from atlas_scaling.study.planned_runs import (
    Design,
    GroupTotal,
    PlannedRun,
    PlannedStage,
    overall_mixture,
)
from atlas_scaling.study.schedule import Schedule
from atlas_scaling.study.settings import ModelConfig
from atlas_scaling.study.spec import (
    STUDY_VOCABULARY,
    AnyGroup,
    BilingualGroup,
    CapacityGroup,
    ContinuedGroup,
    MixtureGroup,
    MonolingualGroup,
    StudySpec,
    UnimaxGroup,
)
from atlas_scaling.units import format_count

NAMED_LANGUAGES: Final = 8
"""As many languages of a set stand in a run's name."""


def design_study(spec: StudySpec) -> Design:
    """Expand ``spec`` to its runs.

    Raises:
        InputError: two groups make runs of one name that differ, or a continued run's base is not
            in the study.
    """
    runs: dict[str, PlannedRun] = {}
    groups = []
    for index, group in enumerate(spec.groups):
        mine = list(_runs_of(spec, group))
        shared = [run for run in mine if run.run_id in runs]
        for run in shared:
            _refuse_other(runs[run.run_id], run, index)
        fresh = {run.run_id: run for run in mine if run.run_id not in runs}
        groups.append(_total(group, mine, fresh))
        runs |= fresh
    ordered = tuple(_bases_first(runs))
    return Design(
        study=spec.name,
        runs=ordered,
        groups=tuple(groups),
        n_runs=len(ordered),
        tokens=float(sum(run.own_tokens for run in ordered)),
        flops=sum(run.flops for run in ordered),
    )


def refuse_short_runs(spec: StudySpec, design: Design) -> None:
    """Before any text is fetched: what is shorter than its warmup and decay cannot be trained.

    Raises:
        InputError: a run is; the message names it.
    """
    for run in design.runs:
        if run.keep_tokens:  # looked at where its decays were planned
            continue
        try:
            Schedule.of(run.tokens, spec.sequence_length, spec.training_of(run.size))
        except InputError as error:
            raise InputError(
                error.problem, value=error.value, where=run.run_id, remedy=error.remedy
            ) from None


def _total(group: AnyGroup, mine: list[PlannedRun], fresh: dict[str, PlannedRun]) -> GroupTotal:
    return GroupTotal(
        label=group.label or group.kind,
        kind=group.kind,
        n_runs=len(mine),
        n_shared=len(mine) - len(fresh),
        tokens=float(sum(run.own_tokens for run in fresh.values())),
        flops=sum(run.flops for run in fresh.values()),
    )


@dataclass(frozen=True, slots=True)
class _Content:
    """What a group names, before size and seed: kind and name of the run, what it trains on."""

    kind: str
    name: str
    stages: tuple[PlannedStage, ...]
    languages: tuple[str, ...]
    vocabulary: str = STUDY_VOCABULARY
    base: str | None = None


def _runs_of(spec: StudySpec, group: AnyGroup) -> Iterator[PlannedRun]:
    contents = list(_contents(spec, group))
    for size in group.sizes:
        tokens, model = spec.tokens_of(group, size), spec.model_of(size)
        for seed in group.seeds:
            for content in contents:
                run = _planned(content, size, model, seed, tokens)
                yield from _with_decays(spec, run, group.decays) if group.decays else [run]


def _contents(spec: StudySpec, group: AnyGroup) -> Iterator[_Content]:
    """Everything that a group names."""
    match group:
        case MonolingualGroup():
            own = group.vocabulary == "own"
            for code in spec.members(group.languages):
                yield _Content(
                    "monolingual-own-vocabulary" if own else "monolingual",
                    f"mono-own-{code}" if own else f"mono-{code}",
                    *_shares({code: 1.0}),
                    vocabulary=code if own else STUDY_VOCABULARY,
                )
        case BilingualGroup():
            for pair in group.pairs:
                first, second = sorted(pair)
                yield _Content(
                    "bilingual", f"pair-{first}-{second}", *_shares({first: 0.5, second: 0.5})
                )
        case CapacityGroup():
            for _, codes in group.listed() or [(None, spec.languages)]:
                yield _Content("capacity", _even_name(spec, codes), *_shares(_even(codes)))
        case UnimaxGroup():
            yield _Content("unimax", group.name, *_unimax(spec, group))
        case MixtureGroup():
            yield _Content("mixture", f"mix-{group.name}", *_mixture(spec, group))
        case ContinuedGroup():
            base = _base_name(spec, group)
            for code in group.languages:
                name = f"continued-{code}-from-{base}"
                yield _Content("continued", name, *_shares({code: 1.0}), base=base)


Stages = tuple[tuple[PlannedStage, ...], tuple[str, ...]]


def _shares(shares: Mapping[str, float]) -> Stages:
    return (PlannedStage(1.0, dict(sorted(shares.items()))),), tuple(sorted(shares))


def _rule(spec: StudySpec, sampling: Sampling, fraction: float = 1.0) -> Stages:
    codes = tuple(sorted({*spec.members(sampling.languages), *sampling.fixed}))
    written = sampling.model_dump(mode="json", exclude_none=True) | {"languages": list(codes)}
    return (PlannedStage(fraction, None, written),), codes


def _unimax(spec: StudySpec, group: UnimaxGroup) -> Stages:
    if group.rates == "text":
        rule = Sampling(rule="unimax", max_epochs=group.max_epochs, languages=group.languages)
        return _rule(spec, rule)
    if group.max_epochs is not None:
        raise InputError(
            "published rates have their own cap on epochs",
            value=f"max_epochs: {group.max_epochs:g}",
            where=f"groups, kind: unimax, name: {group.name}",
            remedy="leave max_epochs out, or take the rates from the text",
        )
    rates = unimax_mixture()
    chosen = {code: rates[code] for code in spec.members(group.languages) if code in rates}
    missing = [code for code in spec.members(group.languages) if code not in rates]
    if missing:
        raise InputError(
            "Table B.4 has no rate for a language",
            value=missing,
            where=f"groups, kind: unimax, name: {group.name}",
            remedy="leave it out of the group's languages, or take the rates from the text",
        )
    total = sum(chosen.values())
    return _shares({code: rate / total for code, rate in chosen.items()})


def _mixture(spec: StudySpec, group: MixtureGroup) -> Stages:
    if group.shares is not None:
        return _shares(group.shares)
    if group.sampling is not None:
        return _rule(spec, group.sampling)
    assert group.stages is not None
    parts = [_stage(spec, stage) for stage in group.stages]
    codes = {code for _, languages in parts for code in languages}
    return tuple(stage for stages, _ in parts for stage in stages), tuple(sorted(codes))


def _stage(spec: StudySpec, stage: Stage) -> Stages:
    if stage.sampling is not None:
        return _rule(spec, stage.sampling, stage.fraction)
    assert stage.shares is not None
    (whole,), codes = _shares(stage.shares)
    return (replace(whole, fraction=stage.fraction),), codes


def _even(codes: tuple[str, ...]) -> dict[str, float]:
    return {code: 1.0 / len(codes) for code in codes}


def _even_name(spec: StudySpec, codes: tuple[str, ...]) -> str:
    """``even6`` for all of six languages; a part of them by its name, its languages or a hash."""
    start = f"even{len(codes)}"
    if set(codes) == set(spec.languages):
        return start
    capacity = (group for group in spec.groups if isinstance(group, CapacityGroup))
    for name, named in (one for group in capacity for one in group.listed()):
        if name is not None and set(named) == set(codes):
            return f"{start}-{name}"
    if len(codes) > NAMED_LANGUAGES:  # run ids are names of directories
        return f"{start}-{key_of({'languages': sorted(codes)})[:8]}"
    return f"{start}-" + "-".join(sorted(codes))


def _base_name(spec: StudySpec, group: ContinuedGroup) -> str:
    if group.base == "even":
        return _even_name(spec, spec.members(group.base_set))
    names = {
        one.name: f"mix-{one.name}" if isinstance(one, MixtureGroup) else one.name
        for one in spec.groups
        if isinstance(one, MixtureGroup | UnimaxGroup)
    }
    if group.base not in names:
        raise InputError(
            "a continued group starts from a mixture that is not in the study",
            value=group.base,
            where="groups, kind: continued, base",
            remedy=f"it is one of: {', '.join(['even', *names])}",
        )
    return names[group.base]


def _planned(
    content: _Content, size: str, model: ModelConfig, seed: int, tokens: int
) -> PlannedRun:
    return PlannedRun(
        run_id=f"{content.name}-{size}-seed{seed}",
        group=content.kind,
        size=size,
        languages=content.languages,
        mixture=overall_mixture(content.stages),
        stages=content.stages,
        tokens=tokens,
        seed=seed,
        n_params=model.n_params,
        n_params_non_embedding=model.n_params_non_embedding,
        flops=training_flops(model.n_params, tokens),
        vocabulary=content.vocabulary,
        base_run=None if content.base is None else f"{content.base}-{size}-seed{seed}",
    )


def _with_decays(
    spec: StudySpec, run: PlannedRun, decays: tuple[float, ...]
) -> Iterator[PlannedRun]:
    """A run that stays at its learning rate, and the decays that leave it.

    The one at the end of all tokens is the run itself, and has its name.
    """
    if run.mixture is None or len(run.stages) > 1 or run.base_run is not None:
        raise InputError(
            "decays can branch off from runs on one mixture that is written out, and from the "
            "beginning only",
            value=run.run_id,
            where="groups, decays",
            remedy="leave decays out of groups by rule, in stages or continued",
        )
    config = spec.training_of(run.size)
    trunk = f"{run.run_id}-stable"
    branches = []
    for part in sorted(set(decays)):
        schedule = Schedule.of(round(part * run.tokens), spec.sequence_length, config)
        begin = (schedule.total - schedule.decay) * schedule.tokens_per_step
        tokens = round(part * run.tokens)
        branches.append(
            replace(
                run,
                run_id=run.run_id if part == 1.0 else f"{run.run_id}-at{format_count(tokens)}",
                tokens=tokens,
                flops=training_flops(run.n_params, tokens - begin),
                base_run=trunk,
                branch_tokens=begin,
            )
        )
    ends = tuple(branch.branch_tokens or 0 for branch in branches)
    flops = training_flops(run.n_params, ends[-1])
    yield replace(run, run_id=trunk, tokens=ends[-1], flops=flops, keep_tokens=ends)
    yield from branches


def _refuse_other(first: PlannedRun, second: PlannedRun, index: int) -> None:
    if first != second:
        raise InputError(
            "two groups make the same run in different ways",
            value=f"{first.run_id}: {first.tokens} and {second.tokens} tokens",
            where=f"groups.{index}",
            remedy="leave it out of one of them, or give them different seeds or names",
        )


def _bases_first(runs: dict[str, PlannedRun]) -> Iterator[PlannedRun]:
    """Bases, then the longest: short runs last fill the cores evenly."""
    bases = {run.base_run for run in runs.values() if run.base_run is not None}
    missing = sorted(bases - set(runs))
    if missing:
        raise InputError(
            "a continued run starts from a run that is not in the study",
            value=missing[0],
            where="groups, kind: continued",
            remedy="add the group of its base with the same size and seed",
        )
    yield from sorted(
        runs.values(),
        key=lambda run: (run.run_id not in bases, run.base_run is not None, -run.flops),
    )
