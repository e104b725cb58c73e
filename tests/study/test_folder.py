import multiprocessing

import pytest

from atlas_scaling.config import parse_config
from atlas_scaling.errors import InputError, RunError
from atlas_scaling.study.folder import StudyFolder, StudyInputs
from atlas_scaling.study.spec import StudySpec
from tests.study.trial import SPEC, spec

INPUTS = StudyInputs(corpus_dir="c", corpus_sha256="aa", tokens_dir="t", tokenizer_sha256="bb")


def test_a_study_is_begun_once_and_opened_as_it_was(tmp_path):
    begun = StudyFolder.begin(tmp_path / "study", spec())
    assert StudyFolder.begin(tmp_path / "study", spec()).spec == begun.spec
    assert StudyFolder.open(tmp_path / "study").design == begun.design


def test_a_changed_spec_is_refused_with_the_key_that_changed_and_both_values(tmp_path):
    StudyFolder.begin(tmp_path, spec()).write_inputs(INPUTS)
    text = SPEC.replace("n_layers: 2", "n_layers: 3")
    changed = parse_config(text, StudySpec, name="trial.yaml")
    with pytest.raises(InputError, match=r"in sizes\.s\.n_layers") as caught:
        StudyFolder.begin(tmp_path, changed)
    assert caught.value.value == 3
    assert caught.value.where.endswith("which has 2")
    assert "--output" in caught.value.remedy
    assert "no run began" in caught.value.remedy
    (tmp_path / "runs").mkdir()
    with pytest.raises(InputError) as caught:
        StudyFolder.begin(tmp_path, changed)
    assert "no run began" not in caught.value.remedy


def test_what_was_wrong_with_a_spec_may_be_mended_while_nothing_has_come_of_it(tmp_path):
    study = StudyFolder.begin(tmp_path, spec())
    mended = spec("  - {kind: capacity, sizes: [s], tokens: 100k}")
    with study.lock(), pytest.raises(InputError, match="spec differs"):  # somebody is at it
        StudyFolder.begin(tmp_path, mended)
    assert StudyFolder.begin(tmp_path, mended).spec == mended
    assert StudyFolder.open(tmp_path).spec == mended


def test_an_added_group_is_a_change_too(tmp_path):
    StudyFolder.begin(tmp_path, spec()).write_inputs(INPUTS)
    with pytest.raises(InputError, match="in groups"):
        StudyFolder.begin(tmp_path, spec("  - {kind: capacity, sizes: [s], tokens: 100k}"))


def test_a_folder_without_study_is_refused(tmp_path):
    with pytest.raises(InputError, match="no study"):
        StudyFolder.open(tmp_path)


def test_changed_text_under_a_half_done_study_is_refused(tmp_path):
    study = StudyFolder.begin(tmp_path, spec())
    study.write_inputs(INPUTS)
    study.write_inputs(INPUTS.model_copy(update={"tokens_dir": "moved"}))
    with pytest.raises(InputError, match="has changed"):
        study.write_inputs(INPUTS.model_copy(update={"corpus_sha256": "cc"}))


def test_a_damaged_note_of_the_text_is_named_with_what_to_do(tmp_path):
    study = StudyFolder.begin(tmp_path, spec())
    study.write_inputs(INPUTS)
    (tmp_path / "inputs.json").write_bytes(b"")  # what some disks leave when the power fails
    with pytest.raises(RunError, match="cannot be read") as caught:
        study.read_inputs()
    assert caught.value.where == str(tmp_path / "inputs.json")
    (tmp_path / "inputs.json").unlink()
    study.write_inputs(INPUTS)
    assert study.read_inputs() == INPUTS


def _hold(path, held, release):
    with StudyFolder.open(path).lock():
        held.set()
        release.wait(30)


def test_a_second_process_on_one_study_is_refused_and_told_who_has_it(tmp_path):
    study = StudyFolder.begin(tmp_path, spec())
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, held, release))
    other.start()
    assert held.wait(30)
    with pytest.raises(InputError, match="another process") as caught, study.lock():
        pass
    assert str(other.pid) in caught.value.value
    release.set()
    other.join()
    with study.lock():
        pass
