"""What a session takes from the paths that it is given."""

import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.runs.store import read_runs


def test_a_study_folder_gives_runs_fits_and_matrix(session_on, study):
    files = session_on(study).files
    assert [one.id for one in files.fits()] == [
        "dan_Latn-atlas",
        "swe_Latn-atlas",
        "swe_Latn-chinchilla",
    ]
    assert all(one.saved and one.has_draws for one in files.fits())
    assert [one.id for one in files.matrices()] == ["published", "matrix"]
    assert files.data_paths("runs") == (study.resolve(),)


def test_single_files_are_told_apart(session_on, study, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("run_id,n_params,tokens,loss\na,1e6,1e7,3.2\n")
    files = session_on(study / "fits" / "dan_Latn-atlas.json", study / "matrix.csv", table).files
    assert [one.id for one in files.fits()] == ["dan_Latn-atlas"]
    assert [one.id for one in files.matrices()] == ["published", "matrix"]
    assert [one.id for one in files.data_sets()] == ["mine"]


def test_tables_of_one_name_keep_apart_and_none_hides_the_runs(session_on, study, tmp_path):
    head = "run_id,n_params,tokens,loss\n"
    given = [tmp_path / "a" / "runs.csv", tmp_path / "b" / "runs.csv"]
    for i, path in enumerate(given):
        path.parent.mkdir()
        path.write_text(f"{head}only-in-{i},1e6,1e7,3.2\n")
    files = session_on(study, *given).files
    assert [one.id for one in files.data_sets()] == ["runs", "runs-2", "runs-3"]
    assert [files.data_paths(f"runs-{i + 2}") for i in range(2)] == [(path,) for path in given]
    assert files.data_paths("runs") == (study.resolve(),)


def test_a_table_says_its_runs_and_languages(session_on, study, tmp_path):
    from atlas_scaling.runs.export import write_table
    from atlas_scaling.web.routes.fits import list_fits

    runs = read_runs(study / "runs")
    write_table(runs.frame, tmp_path / "runs.parquet")
    [data] = list_fits(session_on(tmp_path / "runs.parquet"))["data"]
    assert data["n_runs"] == runs.frame["run_id"].n_unique()
    assert data["targets"] == ["dan_Latn", "rus_Cyrl", "swe_Latn"]


def test_fits_of_one_name_keep_apart(session_on, study, tmp_path):
    from atlas_scaling.fitting.result import Fit

    other = Fit.load(study / "fits" / "dan_Latn-atlas.json")
    other.save(tmp_path / "other" / "dan_Latn-atlas.json")
    files = session_on(study, tmp_path / "other").files
    names = [one.id for one in files.fits() if one.id.startswith("dan")]
    assert names == ["dan_Latn-atlas", "dan_Latn-atlas-2"]
    assert files.fit("dan_Latn-atlas-2").target == "dan_Latn"


@pytest.mark.parametrize("what", ["missing", "empty folder", "other json", "picture"])
def test_what_cannot_be_shown_is_refused(session_on, tmp_path, what):
    path = (
        tmp_path
        / {"missing": "no", "empty folder": "e", "other json": "x.json", "picture": "x.png"}[what]
    )
    if what == "empty folder":
        path.mkdir()
    elif what != "missing":
        path.write_text('{"law": 3}')
    with pytest.raises(InputError) as refused:
        session_on(path)
    assert str(path) in refused.value.value


def test_a_study_that_has_not_begun_shows_its_design(session_on, tmp_path):
    from atlas_scaling.study.spec import packaged_studies

    (tmp_path / "s").mkdir()
    text = packaged_studies()["demo"].read_text(encoding="utf-8")
    (tmp_path / "s" / "study.yaml").write_text(text, encoding="utf-8")
    session = session_on(tmp_path / "s")
    assert session.runs.page().states == {"waiting": session.runs.page().total}


def test_a_broken_study_is_said_and_the_rest_is_shown(session_on, study, tmp_path):
    import shutil

    shutil.copytree(study, tmp_path / "s")
    (tmp_path / "s" / "study.yaml").write_text("name: [", encoding="utf-8")
    session = session_on(tmp_path / "s")
    assert len(session.notes) == 1
    assert session.runs.page().total > 0


def test_a_folder_that_goes_away_is_said_and_comes_back(session_on, study, tmp_path, monkeypatch):
    import shutil

    from atlas_scaling.web import live
    from atlas_scaling.web.app import about

    monkeypatch.setattr(live, "LOOK_SECONDS", 0.0)
    shutil.copytree(study, tmp_path / "s")
    session = session_on(tmp_path / "s")
    there = about(session)
    assert there["n_runs"] > 0
    assert there["notes"] == []
    (tmp_path / "s").rename(tmp_path / "away")
    gone = about(session)
    assert (gone["n_runs"], gone["n_fits"]) == (0, 0)
    assert f"{tmp_path / 's'} is no longer there" in gone["notes"][0]
    assert session.runs.page().notes == (f"{tmp_path / 's'} is no longer there",)
    (tmp_path / "away").rename(tmp_path / "s")
    assert about(session) == there


def test_a_fit_that_changed_on_disk_is_read_again(session_on, study, tmp_path):
    from atlas_scaling.fitting.result import Fit

    fit = Fit.load(study / "fits" / "dan_Latn-atlas.json")
    path = fit.save(tmp_path / "f" / "one.json")
    files = session_on(path).files
    assert files.fit("one") is files.fit("one")
    Fit.load(study / "fits" / "swe_Latn-atlas.json").save(path)
    assert files.fit("one").target == "swe_Latn"


def test_saving_into_a_folder_that_cannot_be_written_is_said(session_on, study, tmp_path):
    from atlas_scaling.errors import RunError

    (tmp_path / "saved").write_text("a file in the way")
    with pytest.raises(RunError, match="cannot be saved"):
        session_on(study).files.save_fit("dan_Latn-atlas", "kept")
