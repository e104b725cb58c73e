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
    mends = {finding.name: finding.mend for finding in examination.findings if finding.mend}
    train = dict.fromkeys(conduct.TRAINING_PACKAGES, "pip install 'atlas-scaling[train]'")
    engines = {
        f"engine {kind}": f"pip install 'atlas-scaling[{kind}]'" for kind in ("slurm", "ray")
    }
    assert mends == train | engines
    assert not examination.ready_for_studies


def test_it_says_which_engines_there_are(tmp_path, monkeypatch):
    versions = {"submitit": "1.5.4", "ray": None}
    monkeypatch.setattr(doctor, "_installed", versions.get)
    monkeypatch.setattr(doctor.shutil, "which", lambda program: None)
    found = {finding.name: finding.found for finding in doctor.examine(tmp_path).findings}
    assert found["engine slurm"] == "submitit 1.5.4, no sbatch on the PATH"
    assert found["engine ray"] is None


def test_a_study_without_torch_says_what_to_install_before_it_fetches_anything(monkeypatch):
    monkeypatch.setattr(conduct, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(InputError, match="training needs torch") as caught:
        conduct.conduct_study(None, None, engine=None, cache=None, display=None)
    assert "atlas-scaling[train]" in caught.value.remedy
