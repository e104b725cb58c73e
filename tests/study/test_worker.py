"""One process that carries out runs: what it does when something goes wrong."""

import errno
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.errors import RunError
from atlas_scaling.runs.record import RunState
from atlas_scaling.study import execute
from atlas_scaling.study.conduct import prepare_inputs
from atlas_scaling.study.display import ConsoleDisplay
from atlas_scaling.study.engines.base import EventKind
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.lock import Lock
from atlas_scaling.study.process import NOT_TOGETHER_CODE
from atlas_scaling.study.spec import load_study
from atlas_scaling.study.worker import carry_out, carry_out_together
from tests.study.small_study import write_small_study

RUN, BASE = "mono-swe_Latn-s-seed0", "even2-s-seed0"
CONTINUED = "continued-swe_Latn-from-even2-s-seed0"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    from rich.console import Console

    folder = tmp_path_factory.mktemp("inputs")
    spec = load_study(write_small_study(folder, tokens=3200))
    display = ConsoleDisplay(Console(quiet=True))
    return spec, prepare_inputs(spec, cache=folder / "cache", display=display)


@pytest.fixture
def study(inputs, tmp_path):
    spec, texts = inputs
    study = StudyFolder.begin(tmp_path / "study", spec)
    study.write_inputs(texts)
    return study


def work(study, run_id, *, how=carry_out, **options):
    options = {"tell": lambda event: None, "should_stop": lambda: False, **options}
    return how(study, run_id, **options)


def test_tokens_of_which_a_file_was_purged_are_not_there(inputs, tmp_path):
    _, texts = inputs
    own = tmp_path / "tokens"
    shutil.copytree(texts.tokens_dir, own)
    copied = texts.model_copy(update={"own_tokens_dirs": {"swe_Latn": str(own)}})
    assert copied.are_there
    next(own.glob("train/*")).unlink()
    assert not copied.are_there


def test_a_run_is_carried_out_and_its_directory_free_again(study):
    told = []
    assert work(study, RUN, tell=told.append).kind is EventKind.DONE
    assert told[0].kind is EventKind.STARTED
    with Lock(study.run_dir(RUN), what="run"):
        pass


def test_a_run_that_is_done_is_not_begun_again(study, monkeypatch):
    work(study, RUN)
    monkeypatch.setattr(execute, "execute_run", None)
    assert work(study, RUN).kind is EventKind.DONE


def test_what_continues_a_run_that_is_not_done_is_not_begun(study):
    event = work(study, CONTINUED)
    assert event.kind is EventKind.FAILED
    assert BASE in event.reason
    assert not study.run_dir(CONTINUED).exists()


def test_a_directory_that_another_process_holds_is_left_alone(study):
    work(study, RUN, should_stop=lambda: True)
    code = (
        "import sys; from pathlib import Path; from atlas_scaling.study.lock import Lock\n"
        "with Lock(Path(sys.argv[1]), what='run'): print('held', flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(study.run_dir(RUN))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        event = work(study, RUN, should_stop=lambda: True)
        other.communicate(b"\n")
    assert event.kind is EventKind.FAILED
    assert f"process {other.pid} on " in event.reason
    assert study.status_of(RUN).state is RunState.STOPPED


def test_a_full_disk_is_a_reason_in_the_status_and_the_run_goes_on_later(study, monkeypatch):
    def full(*_, **__):
        monkeypatch.undo()
        raise RunError("the disk is full", where="checkpoints/last.safetensors")

    monkeypatch.setattr(execute, "execute_run", full)
    event = work(study, RUN)
    assert (event.kind, study.status_of(RUN).state) == (EventKind.FAILED, RunState.FAILED)
    assert "the disk is full" in study.status_of(RUN).reason
    assert work(study, RUN).kind is EventKind.DONE


def test_a_disk_too_full_for_the_status_is_told_all_the_same(study, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    event = work(study, RUN)
    assert event.kind is EventKind.FAILED
    assert "the disk is full" in event.reason


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk of two megabytes can be mounted as root only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(path: Path) -> None:
    """Write until the disk takes no more."""
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


def test_on_a_disk_that_is_really_full_the_checkpoint_before_stays_and_the_run_goes_on_from_it(
    study, inputs, small_disk
):
    spec, texts = inputs
    cramped = StudyFolder.begin(small_disk / "study", spec)
    cramped.write_inputs(texts)
    asked = iter(range(1, 1 << 30))
    assert work(cramped, RUN, should_stop=lambda: next(asked) == 20).kind is EventKind.STOPPED
    kept = {
        p.name: p.read_bytes() for p in cramped.run_dir(RUN).glob("checkpoints/**/*.safetensors")
    }

    _fill(small_disk / "filler")
    event = work(cramped, RUN, should_stop=lambda: True)
    assert event.kind is EventKind.FAILED
    assert "disk is full" in event.reason
    found = cramped.run_dir(RUN).glob("checkpoints/**/*.safetensors")
    assert {p.name: p.read_bytes() for p in found} == kept

    (small_disk / "filler").unlink()
    assert work(cramped, RUN).kind is EventKind.DONE
    work(study, RUN)
    evaluations = [one.run_dir(RUN) / "evals.jsonl" for one in (cramped, study)]
    assert evaluations[0].read_text() == evaluations[1].read_text()


def test_an_error_nobody_foresaw_fails_its_run_with_its_name_and_words(study, monkeypatch, capsys):
    def odd(*_, **__):
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(execute, "execute_run", odd)
    event = work(study, RUN)
    assert event.reason == "ZeroDivisionError: by nought"
    assert study.status_of(RUN).reason == event.reason
    assert "Traceback" in capsys.readouterr().err  # for the log


def test_what_is_left_of_several_runs_is_trained_together(study):
    work(study, BASE)
    before = (study.run_dir(BASE) / "evals.jsonl").read_text()
    ended = work(study, [RUN, BASE, CONTINUED], how=carry_out_together)
    assert {event.run_id: event.kind for event in ended} == dict.fromkeys(
        [RUN, BASE, CONTINUED], EventKind.DONE
    )
    assert (study.run_dir(BASE) / "evals.jsonl").read_text() == before


@pytest.mark.parametrize("wrong", ["the base is not done", "the accelerator is lost"])
def test_a_process_that_cannot_train_runs_together_ends_and_leaves_them_free(
    wrong, study, monkeypatch, capsys
):
    if wrong == "the accelerator is lost":

        def lost(*_, **__):
            raise RuntimeError(wrong)

        monkeypatch.setattr(execute, "execute_together", lost)
        work(study, BASE)
    with pytest.raises(SystemExit) as ended:
        work(study, [RUN, CONTINUED], how=carry_out_together)
    assert ended.value.code == NOT_TOGETHER_CODE
    assert f"not together, {RUN}, {CONTINUED}:" in capsys.readouterr().err
    assert work(study, RUN).kind is EventKind.DONE
