from importlib.metadata import version

import pytest

from atlas_scaling import doctor
from atlas_scaling.errors import InputError
from atlas_scaling.study import conduct


def test_it_names_what_is_installed_with_its_version(tmp_path):
    found = {finding.name: finding.found for finding in doctor.examine(tmp_path).findings}
    assert found["sentencepiece"] == version("sentencepiece")
    assert str(tmp_path) in found["corpus cache"]


def test_what_is_missing_comes_with_the_command_that_mends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda package: None)
    examination = doctor.examine(tmp_path / "nothing" / "yet")
    missing = [finding for finding in examination.findings if finding.mend]
    assert [finding.name for finding in missing] == list(conduct.TRAINING_PACKAGES)
    assert all("atlas-scaling[train]" in finding.mend for finding in missing)
    assert not examination.ready_for_studies


def test_a_study_without_torch_says_what_to_install_before_it_fetches_anything(monkeypatch):
    monkeypatch.setattr(conduct, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(InputError, match="training needs torch") as caught:
        conduct.conduct_study(None, None, engine=None, cache=None, display=None)
    assert "atlas-scaling[train]" in caught.value.remedy
