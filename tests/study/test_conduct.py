"""What is told at the end of a study; engines at work are in ``test_local_engine.py``."""

import errno
import os
import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from atlas_scaling.study import conduct
from atlas_scaling.study.display import ConsoleDisplay
from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.engines.options import LocalOptions
from atlas_scaling.study.folder import StudyFolder, StudyInputs
from tests.study.trial import spec

RUN, OTHER = "mono-swe_Latn-s-seed0", "mono-dan_Latn-s-seed0"
CONTINUED = """  - {kind: capacity, sizes: [s], tokens: 100k}
  - {kind: continued, languages: [swe], sizes: [s], tokens: 100k}
"""
BASE, NEXT = "even4-s-seed0", "continued-swe_Latn-from-even4-s-seed0"


class Scripted:
    """An engine that tells what it is told to, and writes nothing."""

    options, n_workers = LocalOptions(), 1

    def __init__(self, *events: Event) -> None:
        self.events = events

    def run(self, study_dir, runs, *, on_event):
        for event in self.events:
            on_event(event)

    def jobs(self, study_dir):
        return {}


@pytest.fixture
def finish(tmp_path, monkeypatch):
    """How a study ends whose engine tells these events, and what was said meanwhile."""
    inputs = StudyInputs(corpus_dir="c", corpus_sha256="aa", tokens_dir="t", tokenizer_sha256="bb")
    monkeypatch.setattr(conduct, "require_training_packages", lambda: None)
    monkeypatch.setattr(conduct, "prepare_inputs", lambda *_, **__: inputs)

    def call(*events, to=None):
        console = Console(file=to or StringIO(), width=200, force_terminal=to is not None)
        outcome = conduct.conduct_study(
            spec(CONTINUED),
            tmp_path / "study",
            engine=Scripted(*events),
            cache=tmp_path,
            display=ConsoleDisplay(console),
        )
        return outcome.failed, "" if to else console.file.getvalue()

    return call


def test_a_failure_that_could_not_be_written_down_keeps_its_reason(finish):
    failed, said = finish(Event(RUN, EventKind.FAILED, reason="the disk is full"))
    assert failed[RUN] == "the disk is full"
    assert f"{RUN}: FAILED: the disk is full" in said


def test_what_never_began_is_said_to_wait_and_for_what(finish):
    failed, _ = finish()
    assert (failed[OTHER], failed[NEXT]) == ("waiting", f"waiting for {BASE}")


def test_a_run_that_comes_again_is_said_to_with_the_reason(finish):
    _, said = finish(Event(RUN, EventKind.LOST, reason="it comes again alone"))
    assert f"{RUN}: goes on from its last checkpoint: it comes again alone" in said


class Closed(StringIO):
    """A terminal that was closed."""

    def write(self, text):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_study_goes_on_when_its_terminal_is_closed(finish):
    events = [Event(run_id, EventKind.DONE, 100) for run_id in (RUN, OTHER)]
    failed, _ = finish(*events, to=Closed())
    assert failed[BASE] == "waiting"  # to its end: the engine was not stopped by what it told


HOLD = """
import sys, time
from pathlib import Path
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.process import sigterm_as_ctrl_c
try:
    with sigterm_as_ctrl_c(), StudyFolder.open(Path(sys.argv[1])).lock():
        print("held", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_what_a_script_began_in_the_background_can_be_cancelled(tmp_path):
    StudyFolder.begin(tmp_path, spec())
    in_background = f"{sys.executable} -c '{HOLD}' {tmp_path} & wait $!"  # deaf to Ctrl-C
    with subprocess.Popen(["sh", "-c", in_background], stdout=subprocess.PIPE) as shell:
        assert shell.stdout.readline() == b"held\n"
        assert conduct.cancel_study(tmp_path) == 1
        assert shell.wait(20) == 130
    assert conduct.cancel_study(tmp_path) == 0
