"""Studies of runs that a plan asks for: sizes as candidates, and a YAML file of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit
    from atlas_scaling.planning.decisions import CandidateRun, Decision
    from atlas_scaling.planning.next_runs import ChosenRun, NextRuns
    from atlas_scaling.planning.two_stage_runs import StagedRun
    from atlas_scaling.study.spec import AnyGroup, MixtureGroup, StudySpec


def decision_of(
    fit: Fit,
    decide: str,
    *,
    n_params: float | None,
    tokens: float | None,
    budget: float | None,
    mixture: Mapping[str, float] | None,
    unique: Mapping[str, float] | None,
) -> Decision:
    """The decision that the options name."""
    from atlas_scaling.planning.decisions import (
        CandidateRun,
        loss_decision,
        parameter_decision,
        size_decision,
    )
    from atlas_scaling.planning.mixtures import checked_mixture

    _check_asked_of(decide, {"--params": n_params, "--tokens": tokens, "--budget": budget})
    target = fit.observations.facts.target
    if mixture is not None and target is None:
        raise InputError(
            "this fit is of no language: a mixture says nothing to it",
            value=dict(mixture),
            where="--mixture",
            remedy="leave it out, or fit with --target",
        )
    shares = {target: 1.0} if mixture is None and target is not None else mixture
    shares = {} if shares is None else checked_mixture(shares, where="--mixture")
    if decide == "loss":
        if n_params is None or tokens is None:
            raise InputError(
                "the loss of which run?",
                where="--params, --tokens",
                remedy="give its parameters and tokens, or decide something else",
            )
        return loss_decision(fit, CandidateRun(n_params, tokens, shares), unique)
    if decide == "size":
        if budget is None:
            raise InputError("the best size for which budget?", where="--budget")
        return size_decision(fit, budget, shares, unique)
    return parameter_decision(fit, decide)


def _check_asked_of(decide: str, given: Mapping[str, float | None]) -> None:
    """Refuse numbers that the decision does not ask for."""
    asked = {"loss": ("--params", "--tokens"), "size": ("--budget",)}.get(decide, ())
    unused = [name for name, value in given.items() if value is not None and name not in asked]
    if unused:
        raise InputError(
            f"the decision {decide} does not ask for this",
            value=[given[name] for name in unused],
            where=", ".join(unused),
            remedy="leave it out; --decide loss is of --params and --tokens, size of --budget",
        )


def candidates(
    fit: Fit, flops: float, sizes: Sequence[float] | None, study: Path | None
) -> list[CandidateRun]:
    """Runs to choose from: of the sizes given, of a study's sizes, or of the fit's range."""
    from atlas_scaling.planning.decisions import design_space

    if study is None:
        return design_space(fit, flops, sizes=sizes)
    from atlas_scaling.study.spec import load_study

    spec = load_study(study)
    known = sorted({float(spec.model_of(name).n_params) for name in spec.sizes})
    runs = design_space(fit, flops, sizes=known if sizes is None else sizes)
    usable = [run for run in runs if set(run.mixture) <= set(spec.languages)]
    if not usable:
        raise InputError(
            "the study has none of the languages that the fit knows",
            value=list(spec.languages),
            where=str(study),
        )
    return usable


def write_study(answer: NextRuns, study: Path | None, output: Path) -> None:
    """Write the study ``study`` with the chosen runs in place of its own.

    Raises:
        InputError: no study was given to take corpus, tokenizer and sizes from, or no run chosen.
    """
    from atlas_scaling.study.spec import load_study

    if study is None:
        raise InputError(
            "a study of these runs needs one to take its corpus and sizes from",
            where="--study",
            remedy="give --study SPEC",
        )
    if not answer.runs:
        raise InputError("no run was chosen, so there is no study to write", where=str(output))
    spec = load_study(study)
    groups = tuple(
        _group(spec, place, runs) for place, runs in enumerate(_kinds(answer.runs).values())
    )
    _write(spec, "next", groups, output)


def _kinds(runs: Sequence[ChosenRun]) -> dict[tuple[object, ...], list[ChosenRun]]:
    """Runs that differ by seed only, together."""
    kinds: dict[tuple[object, ...], list[ChosenRun]] = {}
    for run in runs:
        key = (run.n_params, run.tokens, tuple(sorted(run.mixture.items())))
        kinds.setdefault(key, []).append(run)
    return kinds


def _group(spec: StudySpec, place: int, runs: Sequence[ChosenRun]) -> MixtureGroup:
    from atlas_scaling.study.spec import MixtureGroup

    first = runs[0]
    size = min(spec.sizes, key=lambda name: abs(spec.model_of(name).n_params - first.n_params))
    return MixtureGroup(
        kind="mixture",
        name=f"next{place}",
        sizes=(size,),
        tokens=round(first.tokens),
        seeds=tuple(run.seed for run in runs),
        shares=dict(first.mixture),
    )


def write_staged_study(runs: Sequence[StagedRun], study: Path | None, output: Path) -> None:
    """Write the study ``study`` with staged runs in place of its own.

    Raises:
        InputError: no study was given to take corpus, tokenizer and sizes from, or it lacks one of
            the languages.
    """
    from atlas_scaling.study.mixture_spec import Stage
    from atlas_scaling.study.spec import MixtureGroup, load_study

    if study is None:
        raise InputError(
            "a study of these runs needs one to take its corpus and sizes from",
            where="--study",
            remedy="give --study SPEC",
        )
    spec = load_study(study)
    wanted = {code for run in runs for _, mixture in run.stages for code in mixture}
    lacking = sorted(wanted - set(spec.languages))
    if lacking:
        raise InputError(
            "the study has no text of these languages",
            value=lacking,
            where=str(study),
            remedy="add them to its languages, or name other sources",
        )
    groups = []
    for place, run in enumerate(runs):
        size = min(spec.sizes, key=lambda name: abs(spec.model_of(name).n_params - run.n_params))
        stages = tuple(Stage(fraction=part, shares=dict(mixture)) for part, mixture in run.stages)
        mixed = {"shares": stages[0].shares} if len(stages) == 1 else {"stages": stages}
        groups.append(
            MixtureGroup.model_validate(
                {
                    "kind": "mixture",
                    "name": f"staged{place}" if len(stages) > 1 else f"control{place}",
                    "sizes": (size,),
                    "tokens": round(run.tokens),
                    **mixed,
                }
            )
        )
    _write(spec, "stages", tuple(groups), output)


def _write(spec: StudySpec, suffix: str, groups: tuple[AnyGroup, ...], output: Path) -> None:
    """``spec`` with other groups, named after what they are for."""
    from atlas_scaling.config import dump_config
    from atlas_scaling.report.files import write_atomically

    named = spec.model_copy(update={"name": f"{spec.name}-{suffix}", "groups": groups})
    write_atomically(output, dump_config(named).encode())
