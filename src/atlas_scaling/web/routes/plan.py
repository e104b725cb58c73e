"""``/api/plan``: what ``atlas plan`` answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter

from atlas_scaling.accelerators import ACCELERATORS
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.result import Fit
from atlas_scaling.planning import cost as costs
from atlas_scaling.planning.allocate_targets import allocate_targets
from atlas_scaling.planning.allocation_answer import Allocation
from atlas_scaling.planning.allocation_budget import Budget
from atlas_scaling.planning.capacity_law import capacity_law_of
from atlas_scaling.planning.decisions import (
    CandidateRun,
    Decision,
    design_space,
    loss_decision,
    parameter_decision,
    size_decision,
)
from atlas_scaling.planning.expand import Expansion
from atlas_scaling.planning.expand import expand as expand_languages
from atlas_scaling.planning.export import ExportedMixture, PlannedMixture, export_mixture
from atlas_scaling.planning.mixtures import checked_mixture
from atlas_scaling.planning.next_runs import NextRuns
from atlas_scaling.planning.next_runs import next_runs as best_next_runs
from atlas_scaling.planning.start import StartAdvice
from atlas_scaling.planning.start_runs import advise_start
from atlas_scaling.planning.two_stage import TwoStagePlan, two_stages
from atlas_scaling.web import requests, snippets
from atlas_scaling.web.schemas import SCHEMAS
from atlas_scaling.web.session import Here

router = APIRouter(prefix="/api/plan", tags=["plan"])


@router.post("/allocate", responses=SCHEMAS.answer(Allocation))
def allocate(question: requests.AllocateQuestion, here: Here) -> dict[str, Any]:
    """The best model size, tokens and mixture for some languages under a budget."""
    fits = [here.files.fit(name) for name in question.fits]
    if not question.draws:
        fits = [replace(fit, draws=None) for fit in fits]
    answer = allocate_targets(
        question.targets,
        Budget(
            flops=question.flops,
            n_params=question.n_params,
            sizes=None if question.sizes is None else tuple(question.sizes),
            tokens=question.tokens,
            inference_tokens=question.served_tokens or 0.0,
        ),
        fits=fits,
        matrix=None if question.matrix is None else here.files.matrix(question.matrix),
        sources=question.sources,
        like=question.like or None,
        interference=question.interference,
        weights=question.weights or None,
        unique=question.unique or None,
        objective=question.objective,
        floors=question.floors or None,
        caps=question.caps or None,
        max_epochs=question.max_epochs,
    )
    return answer.to_dict()


@router.post("/expand", responses=SCHEMAS.answer(Expansion))
def expand(question: requests.ExpandQuestion, here: Here) -> dict[str, Any]:
    """What it costs to serve more languages at the same loss of each."""
    law = None if question.fit is None else capacity_law_of(here.files.fit(question.fit))
    return expand_languages(
        from_languages=question.from_languages,
        to_languages=question.to_languages,
        from_mixture=question.from_mixture,
        to_mixture=question.to_mixture,
        n_params=question.n_params,
        tokens=question.tokens,
        capacity_share=question.capacity_share,
        law=law,
    ).to_dict()


@router.post("/start", responses=SCHEMAS.answer(StartAdvice))
def start(question: requests.StartQuestion, here: Here) -> dict[str, Any]:
    """Train a language from scratch, or continue from a multilingual checkpoint?"""
    return advise_start(
        question.language,
        tokens=question.tokens,
        n_params=question.n_params,
        share=question.share,
        unique_tokens=question.unique_tokens,
        scratch=_run(question.scratch, here),
        continued=_run(question.continued, here),
        crossovers={_size(size): tokens for size, tokens in question.crossovers.items()},
    ).to_dict()


@router.post("/cost", responses=SCHEMAS.answer(costs.CostAnswer))
def cost(question: requests.CostQuestion) -> dict[str, Any]:
    """Accelerator-hours, wall-clock, energy and money of a training run."""
    return costs.cost(
        n_params=question.n_params,
        tokens=question.tokens,
        flops=question.flops,
        accelerators=tuple(question.accelerators or ACCELERATORS),
        devices=question.devices,
        mfu=question.mfu,
        tokens_per_second=question.tokens_per_second,
        overhead=question.overhead,
        pue=costs.PUE if question.pue is None else question.pue,
        price_per_hour=question.price_per_hour,
        currency=question.currency,
    ).to_dict()


@router.post("/next", responses=SCHEMAS.answer(NextRuns))
def next_runs(question: requests.NextQuestion, here: Here) -> dict[str, Any]:
    """Which runs to make next, to be surer of one decision for the compute they take."""
    fit = here.files.fit(question.fit)
    return best_next_runs(
        fit,
        _decision(question, fit),
        flops=question.allowance,
        candidates=design_space(fit, question.allowance, sizes=question.sizes),
        criterion="parameters" if question.all_parameters else "decision",
        unique=question.unique or None,
        max_runs=question.most_runs,
    ).to_dict()


@router.post("/schedule", responses=SCHEMAS.answer(TwoStagePlan))
def schedule(question: requests.ScheduleQuestion, here: Here) -> dict[str, Any]:
    """The best two stages for one language, or the runs that would tell."""
    return two_stages(
        None if question.fit is None else here.files.fit(question.fit),
        flops=question.flops,
        target=question.target,
        sources=question.sources,
        n_params=question.n_params,
        unique=question.unique or None,
    ).to_dict()


@router.post("/export", responses=SCHEMAS.answer(ExportedMixture))
def export(question: requests.ExportQuestion) -> dict[str, Any]:
    """A plan's mixture in the form that a trainer reads."""
    plan = PlannedMixture(
        shares=question.mixture,
        tokens=question.tokens,
        epochs=question.epochs,
        n_params=question.n_params,
    )
    return export_mixture(plan, question.to, paths=question.paths, name=question.name).to_dict()


for _kind, _code in snippets.KINDS.items():
    router.post(
        f"/{_kind}/code",
        summary="The same question as a command and as Python.",
        responses=SCHEMAS.answer(snippets.Snippets),
    )(_code)


def _decision(question: requests.NextQuestion, fit: Fit) -> Decision:
    unique = question.unique or None
    target = fit.observations.facts.target
    shares: dict[str, float] = {} if target is None else {target: 1.0}
    if question.mixture is not None:
        shares = checked_mixture(question.mixture, where="mixture")
    if question.decide == "loss":
        if question.n_params is None or question.tokens is None:
            raise InputError(
                "the loss of which run?",
                where="n_params, tokens",
                remedy="give its parameters and tokens, or decide something else",
            )
        run = CandidateRun(question.n_params, question.tokens, shares)
        return loss_decision(fit, run, unique)
    if question.decide == "size":
        if question.budget is None:
            raise InputError("the best size for which budget?", where="budget")
        return size_decision(fit, question.budget, shares, unique)
    return parameter_decision(fit, question.decide)


def _run(name: str | None, here: Here) -> Path | None:
    return None if name is None else here.runs.path(name)


def _size(text: str) -> float:
    from atlas_scaling.units import parse_count

    return parse_count(text, name="crossovers")
