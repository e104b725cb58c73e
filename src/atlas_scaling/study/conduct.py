"""Carries out a study: text, tokenizer and tokens first, then its runs on an engine.

The same call goes on where an earlier one stopped: what is in the cache is not fetched again, a run
that is done is not redone, and one that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import RunState
from atlas_scaling.study.corpus import build_corpus
from atlas_scaling.study.display import Display
from atlas_scaling.study.engines.base import Engine
from atlas_scaling.study.folder import StudyFolder, StudyInputs
from atlas_scaling.study.pace import StudyPace
from atlas_scaling.study.spec import StudySpec
from atlas_scaling.study.tokenizer import train_tokenizer
from atlas_scaling.study.tokens import TokenStore, pack

TRAINING_PACKAGES: Final = ("torch", "sentencepiece", "safetensors")


@dataclass(frozen=True, slots=True)
class StudyOutcome(Answer):
    """What came of carrying out a study. ``seconds`` are of this call, the text not counted."""

    study: str
    path: str
    n_runs: int
    n_done: int
    n_done_before: int
    failed: dict[str, str]
    tokens: float
    seconds: float


def conduct_study(
    spec: StudySpec,
    folder: Path,
    *,
    engine: Engine,
    cache: Path,
    display: Display,
) -> StudyOutcome:
    """Carry out ``spec`` in ``folder``, or go on with it.

    Raises:
        InputError: the folder holds another study, a language has no text, or the packages that
            training needs are not installed.
        SourceError: a source of text cannot be had.
        KeyboardInterrupt: after all runs in hand have written a checkpoint.
    """
    _require_training_packages()
    study = StudyFolder.begin(folder, spec)
    with study.lock():
        study.write_inputs(prepare_inputs(spec, cache=cache, display=display))
        runs = study.design.runs
        before = frozenset(run.run_id for run in runs if study.is_done(run.run_id))
        if before:
            display.say(f"{len(before)} of {len(runs)} runs were done before; going on")
        pace = StudyPace(runs, before, engine.n_workers)
        began = time.monotonic()
        with display.watch(pace):
            left = [run for run in runs if run.run_id not in before]
            engine.run(study.path, left, on_event=display.on_event)
        seconds = time.monotonic() - began
    statuses = {run.run_id: study.status_of(run.run_id) for run in runs}
    done = {name for name, s in statuses.items() if s is not None and s.state is RunState.DONE}
    return StudyOutcome(
        study=spec.name,
        path=str(study.path),
        n_runs=len(runs),
        n_done=len(done),
        n_done_before=len(before),
        failed={
            name: "never started" if status is None else status.reason or status.state.value
            for name, status in statuses.items()
            if name not in done
        },
        tokens=float(sum(run.tokens for run in runs if run.run_id in done - before)),
        seconds=seconds,
    )


def prepare_inputs(spec: StudySpec, *, cache: Path, display: Display) -> StudyInputs:
    """Fetch, clean, cut and pack the study's text, as far as the cache does not hold it."""
    corpus = build_corpus(spec.corpus, spec.languages, cache=cache, say=display.say)

    def packed(languages: Sequence[str]) -> TokenStore:
        tokenizer = train_tokenizer(
            corpus, spec.tokenizer, languages=languages, cache=cache, say=display.say
        )
        return pack(corpus, tokenizer, languages=languages, cache=cache, say=display.say)

    store = packed(spec.languages)
    own = {code: packed([code]) for code in spec.with_own_vocabulary}
    return StudyInputs(
        corpus_dir=str(corpus.path),
        corpus_sha256=corpus.sha256,
        tokens_dir=str(store.path),
        tokenizer_sha256=store.tokenizer.sha256,
        own_tokens_dirs={code: str(one.path) for code, one in own.items()},
    )


def _require_training_packages() -> None:
    missing = [name for name in TRAINING_PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"training needs {', '.join(missing)}, which the plain install leaves out",
            remedy="pip install 'atlas-scaling[train]'; atlas doctor says what is there",
        )
