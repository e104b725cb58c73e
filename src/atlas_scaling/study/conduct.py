"""Carries out a study: text, tokenizer and tokens first, then its runs on an engine.

The same call goes on where an earlier one stopped: what is in the cache is not fetched again, a run
that is done is not redone, and one that was cut off goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError, RunError
from atlas_scaling.study.corpus import build_corpus
from atlas_scaling.study.design import design_study, refuse_short_runs
from atlas_scaling.study.display import Display
from atlas_scaling.study.engines.base import Engine, Event, EventKind, Job
from atlas_scaling.study.engines.make import make_engine
from atlas_scaling.study.engines.options import (
    ENGINE_NAME,
    note_options,
    noted_options,
    refuse_unknown_sizes,
)
from atlas_scaling.study.folder import StudyFolder, StudyInputs
from atlas_scaling.study.follow import follow
from atlas_scaling.study.pace import StudyPace
from atlas_scaling.study.spec import StudySpec
from atlas_scaling.study.status import IN_HAND, RunStanding, Standing, left_to_do, standings
from atlas_scaling.study.tokenizer import train_tokenizer
from atlas_scaling.study.tokens import TokenStore, pack

TRAINING_PACKAGES: Final = ("torch", "sentencepiece", "safetensors")


@dataclass(frozen=True, slots=True)
class StudyOutcome(Answer):
    """What came of carrying out a study.

    ``n_in_hand`` runs are still a scheduler's; ``failed`` has the others that are not done, with
    the reason. ``seconds`` are of this call, the text not counted.
    """

    study: str
    path: str
    n_runs: int
    n_done: int
    n_done_before: int
    n_in_hand: int
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
    wait: bool = True,
) -> StudyOutcome:
    """Carry out ``spec`` in ``folder``, or go on with it.

    Args:
        spec: the study.
        folder: where it is, or begins.
        engine: what carries out its runs.
        cache: of corpora and tokens.
        display: what is told meanwhile.
        wait: until every run has ended; else return once all are in a scheduler's hands. Runs that
            no scheduler has are always waited for.

    Raises:
        InputError: the folder holds another study, a run is too short to be trained, a language
            has no text, the packages that training needs are not installed, the engine has options
            for a size that the study lacks, or this machine has not the device.
        SourceError: a source of text cannot be fetched.
        RunError: the engine's scheduler refuses or does not answer.
        KeyboardInterrupt: after all runs that would end with this program wrote a checkpoint.
    """
    require_training_packages()
    refuse_short_runs(spec, design_study(spec))
    _refuse_what_cannot_work(spec, engine)
    study = StudyFolder.begin(folder, spec)

    def inputs() -> StudyInputs:
        return prepare_inputs(spec, cache=cache, display=display)

    return _conduct(study, inputs, engine=engine, display=display, wait=wait)


def resume_study(
    folder: Path, *, engine: Engine, cache: Path, display: Display, wait: bool = True
) -> StudyOutcome:
    """Carry out what is lost, failed, stopped or was never begun of the study in ``folder``.

    Runs that are done or in a scheduler's hands are left alone. Arguments, result and errors are
    as of ``conduct_study``; its text is not looked at again where its tokens are still there.
    """
    require_training_packages()
    study = StudyFolder.open(folder)
    _refuse_what_cannot_work(study.spec, engine)

    def inputs() -> StudyInputs:
        known = study.read_inputs()
        if known is not None and known.are_there:
            return known
        return prepare_inputs(study.spec, cache=cache, display=display)

    return _conduct(study, inputs, engine=engine, display=display, wait=wait)


def cancel_study(folder: Path) -> int:
    """Stop what works on the study in ``folder``; returns how many jobs or programs were told to.

    Raises:
        InputError: no study began there, or what works on it is out of reach.
        RunError: the scheduler does not answer.
    """
    study = StudyFolder.open(folder)
    return make_engine(noted_options(study.path)).cancel(study.path)


def _conduct(
    study: StudyFolder,
    inputs: Callable[[], StudyInputs],
    *,
    engine: Engine,
    display: Display,
    wait: bool,
) -> StudyOutcome:
    began = time.monotonic()
    said: dict[str, str] = {}

    def on_event(event: Event) -> None:
        if event.kind is EventKind.FAILED and event.reason is not None:
            said[event.run_id] = event.reason
        display.on_event(event)

    with study.lock(display.say):
        _refuse_two_engines(study, engine)
        study.write_inputs(inputs())
        note_options(study.path, engine.options)
        began = time.monotonic()
        runs = study.design.runs
        before = frozenset(run.run_id for run in runs if study.is_done(run.run_id))
        left = left_to_do(study, engine.jobs(study.path))
        _say_what_is_left(display, len(runs), len(before), len(left))
        pace = StudyPace(runs, before, engine.n_workers)
        with display.watch(pace):
            engine.run(study.path, left, on_event=on_event)
    jobs = engine.jobs(study.path)
    if wait and any(job.in_hand for job in jobs.values()):
        open_ids = {run.run_id for run in runs} - before
        try:
            with display.watch(pace):
                follow(study, open_ids, engine, on_event=on_event)
        except KeyboardInterrupt:
            display.say("the runs go on without this program")
        jobs = engine.jobs(study.path)
    return _outcome(study, before, jobs, said, time.monotonic() - began)


def _outcome(
    study: StudyFolder,
    before: frozenset[str],
    jobs: Mapping[str, Job],
    said: Mapping[str, str],
    seconds: float,
) -> StudyOutcome:
    """``said`` has the last reason told of each run that failed: not all can be written down."""
    stand = standings(study, jobs)
    done = {one.run_id for one in stand if one.state is Standing.DONE}
    return StudyOutcome(
        study=study.spec.name,
        path=str(study.path),
        n_runs=len(stand),
        n_done=len(done),
        n_done_before=len(before),
        n_in_hand=sum(one.state in IN_HAND for one in stand),
        failed={
            one.run_id: said.get(one.run_id) or _why(one)
            for one in stand
            if one.state not in IN_HAND and one.state is not Standing.DONE
        },
        tokens=float(sum(one.tokens_planned for one in stand if one.run_id in done - before)),
        seconds=seconds,
    )


def _why(one: RunStanding) -> str:
    """Why a run is not done, as far as its folder and its job tell."""
    if one.state is Standing.WAITING:
        return f"{one.state} {one.reason or ''}".rstrip()
    return one.reason or one.state.value


def _say_what_is_left(display: Display, n_runs: int, n_done: int, n_left: int) -> None:
    if n_done:
        display.say(f"{n_done} of {n_runs} runs were done before; going on")
    if n_given := n_runs - n_done - n_left:
        display.say(f"{n_given} of {n_runs} runs are in hand already")


def _refuse_what_cannot_work(spec: StudySpec, engine: Engine) -> None:
    """Before any text: what each run would find out by itself, or pass over."""
    refuse_unknown_sizes(engine.options, spec)
    hardware = engine.options.hardware
    # With a scheduler the runs are elsewhere; auto and cpu are always here.
    if engine.options.kind == "local" and hardware.device not in ("auto", "cpu"):
        from atlas_scaling.study.devices import kind_here

        kind_here(hardware)


def _refuse_two_engines(study: StudyFolder, engine: Engine) -> None:
    """A run that one scheduler still has in hand is not given to another."""
    before = noted_options(study.path)
    if before.kind == engine.options.kind:
        return
    try:
        in_hand = sum(job.in_hand for job in make_engine(before).jobs(study.path).values())
    except RunError as error:
        raise RunError(
            f"{before.kind}, which carried this study out before, does not answer: {error.problem}",
            where=str(study.path / ENGINE_NAME),
            remedy=f"go on with --engine {before.kind}; if that scheduler is gone for good, remove "
            "this file",
        ) from None
    if in_hand:
        raise InputError(
            f"{before.kind} still has {in_hand} runs of this study in hand",
            value=f"--engine {engine.options.kind}",
            where=str(study.path),
            remedy=f"atlas study cancel {study.path}, or go on with --engine {before.kind}",
        )


def prepare_inputs(spec: StudySpec, *, cache: Path, display: Display) -> StudyInputs:
    """Fetch, clean, cut and pack the study's text, as far as the cache does not hold it.

    Paths are absolute: runs may be carried out from another folder, on another machine.
    """
    corpus = build_corpus(spec.corpus, spec.languages, cache=cache, say=display.say)

    def packed(languages: Sequence[str]) -> TokenStore:
        tokenizer = train_tokenizer(
            corpus, spec.tokenizer, languages=languages, cache=cache, say=display.say
        )
        store = pack(corpus, tokenizer, languages=languages, cache=cache, say=display.say)
        _refuse_short_text(store, spec.sequence_length)
        return store

    store = packed(spec.languages)
    own = {code: packed([code]) for code in spec.with_own_vocabulary}
    return StudyInputs(
        corpus_dir=str(corpus.path.resolve()),
        corpus_sha256=corpus.sha256,
        tokens_dir=str(store.path.resolve()),
        tokenizer_sha256=store.tokenizer.sha256,
        own_tokens_dirs={code: str(one.path.resolve()) for code, one in own.items()},
        evaluation_text=dict(corpus.evaluation_text),
    )


def _refuse_short_text(store: TokenStore, sequence_length: int) -> None:
    """Before any run: text that does not fill one window would stop its runs, one by one."""
    for code in store.languages:
        if store.unique_tokens(code) <= sequence_length:
            raise InputError(
                f"the training text of {code} is shorter than one sequence",
                value=f"{store.unique_tokens(code)} tokens",
                where="sequence_length",
                remedy=f"give it more than {sequence_length} tokens of text, leave it out, or "
                "shorten sequence_length",
            )


def require_training_packages() -> None:
    """Refuse to go on without them.

    Raises:
        InputError: the extra is not installed.
    """
    missing = [name for name in TRAINING_PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"training needs {', '.join(missing)}, which the plain install leaves out",
            remedy="pip install 'atlas-scaling[train]'; atlas doctor says what is there",
        )
