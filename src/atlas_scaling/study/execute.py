"""Carries out planned runs of a study: text in, run directories out."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from atlas_scaling.errors import RunError
from atlas_scaling.runs.provenance import code_info
from atlas_scaling.runs.record import MixtureStage, RunRecord, RunStatus
from atlas_scaling.study.companions import companions
from atlas_scaling.study.engines.options import noted_options
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.planned_runs import PlannedRun
from atlas_scaling.study.settings import TrainConfig
from atlas_scaling.study.tokens import TokenStore
from atlas_scaling.study.train import train, train_together
from atlas_scaling.study.training_run import Assignment


def execute_run(
    study: StudyFolder,
    run_id: str,
    *,
    on_progress: Callable[[int, float | None], None],
    should_stop: Callable[[], bool],
) -> RunStatus:
    """Train ``run_id``, or go on with it from its checkpoint.

    Args:
        study: the study it belongs to.
        run_id: one of the study's planned runs.
        on_progress: called with tokens so far and tokens per second.
        should_stop: asked after every step; True writes a checkpoint and stops.

    Raises:
        RunError: its text is gone, its base has no checkpoint, or nothing can be written.
    """
    planned = study.planned(run_id)
    options = noted_options(study.path)
    hardware, nodes = options.hardware_of(planned.size), options.nodes_of(planned.size)
    assignment = _assignment(study, planned)
    with companions(study.path, run_id, processes=hardware.processes, nodes=nodes) as world:
        return train(
            assignment,
            hardware=hardware,
            world=world,
            on_progress=lambda p: on_progress(p.tokens, p.tokens_per_second),
            should_stop=should_stop,
        )


def execute_together(
    study: StudyFolder,
    run_ids: Sequence[str],
    *,
    on_progress: Callable[[str, int, float | None], None],
    should_stop: Callable[[], bool],
) -> dict[str, RunStatus]:
    """Train runs of one kind (``together.kind_of``) in one program; how each ended, by its id.

    Arguments and errors are those of ``execute_run``, an error being that of one of them.
    """
    planned = [study.planned(run_id) for run_id in run_ids]
    if not planned:
        return {}
    return train_together(
        [_assignment(study, one) for one in planned],
        hardware=noted_options(study.path).hardware_of(planned[0].size),
        on_progress=lambda run_id, p: on_progress(run_id, p.tokens, p.tokens_per_second),
        should_stop=should_stop,
    )


def _assignment(study: StudyFolder, planned: PlannedRun) -> Assignment:
    inputs = study.read_inputs()
    if inputs is None:
        raise RunError("the study has no text yet", where=str(study.path))
    store = TokenStore.open(Path(inputs.tokens_of(planned.vocabulary)))
    planned = planned.resolved(store.unique)
    config = training_of(study, planned)
    tokens_per_step = config.batch_size * study.spec.sequence_length
    evaluated = study.spec.evaluated_in(planned.vocabulary)
    return Assignment(
        study.run_dir(planned.run_id),
        make_record(study, planned, store, inputs.evaluation_text),
        study.spec.model_of(planned.size),
        config,
        texts={code: store.train(code) for code in planned.languages},
        evals={code: store.evaluation(code) for code in evaluated},
        init_from=None if planned.base_run is None else study.run_dir(planned.base_run),
        keep_steps={tokens // tokens_per_step for tokens in planned.keep_tokens},
    )


def training_of(study: StudyFolder, planned: PlannedRun) -> TrainConfig:
    """How a run is trained: as its size is, but without decay where others branch off for that."""
    config = study.spec.training_of(planned.size)
    return config.model_copy(update={"decay_fraction": 0.0}) if planned.keep_tokens else config


def make_record(
    study: StudyFolder,
    planned: PlannedRun,
    store: TokenStore,
    evaluation_text: Mapping[str, str],
) -> RunRecord:
    """What ``run.json`` says of a planned run, its mixture resolved."""
    spec = study.spec
    stages = [
        MixtureStage(fraction=stage.fraction, mixture=stage.mixture or {})
        for stage in planned.stages
    ]
    return RunRecord(
        run_id=planned.run_id,
        study=spec.name,
        group=planned.group,
        mixture=planned.mixture or {},
        stages=tuple(stages) if len(stages) > 1 else (),
        tokens=planned.tokens,
        unique_tokens={code: store.unique_tokens(code) for code in planned.languages},
        evaluation_text={
            code: evaluation_text[code]
            for code in spec.evaluated_in(planned.vocabulary)
            if code in evaluation_text
        },
        n_params=planned.n_params,
        n_params_non_embedding=planned.n_params_non_embedding,
        model=spec.model_of(planned.size).model_dump(mode="json"),
        optimizer=training_of(study, planned).model_dump(mode="json"),
        tokenizer=store.tokenizer,
        corpus_sha256=store.corpus_sha256,
        seed=planned.seed,
        base_run=planned.base_run,
        branch_tokens=planned.branch_tokens,
        code=code_info(),
        environment={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "platform": platform.platform(),
            "machine": platform.machine(),
        },
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
