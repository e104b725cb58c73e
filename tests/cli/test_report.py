import json

import pytest
import typer
from typer.testing import CliRunner

from atlas_scaling.cli.report import report_command
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from tests.report.planted import write_study

app = typer.Typer()
app.command("report")(report_command)
app.command("other")(lambda: None)  # a program of one command has no nouns


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("report")
    write_study(
        path / "runs",
        languages=("swe_Latn", "dan_Latn"),
        sizes=("s", "m", "l"),
        pairs=(("dan_Latn", "swe_Latn"),),
    )
    (path / "study.yaml").write_text("name: beside\n")
    return path


def test_runs_become_one_file_with_fits_and_scores(folder, tmp_path):
    result = run(folder / "runs", "-o", tmp_path / "r.html", "--target", "sv", "--json")
    assert result.exit_code == 0, result.exception
    answer = json.loads(result.stdout)
    assert answer["bytes"] == (tmp_path / "r.html").stat().st_size < 5_000_000
    assert {"loss-curves", "residuals", "transfer-heatmap", "bts-curves"} <= set(answer["figures"])
    assert set(answer["missing"]) == {"Laws were not compared on held-out runs."}
    page = (tmp_path / "r.html").read_text()
    assert "name: beside" in page
    assert "Swedish" in page


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<svg"), ("png", b"\x89PNG"), ("csv", b"language,run_id")]
)
def test_one_figure_is_written_in_the_form_of_its_file(tmp_path, ending, start):
    write_study(tmp_path / "runs", languages=("swe_Latn",), sizes=("s",))
    file = tmp_path / f"x.{ending}"
    result = run(tmp_path / "runs", "--figure", "loss-curves", "-o", file)
    assert result.exit_code == 0, result.exception
    assert file.read_bytes().startswith(start)


def test_a_saved_fit_alone_is_enough(folder, tmp_path):
    fit(folder / "runs", "chinchilla", target="swe_Latn", bootstrap=20).save(tmp_path / "fit.json")
    result = run(tmp_path / "fit.json", "-o", tmp_path / "fit.html")
    assert result.exit_code == 0, result.exception
    assert "not in it: There are no runs in this report." in result.stdout
    assert "parameter-intervals" in result.stdout


def test_a_figure_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    write_study(tmp_path, languages=("swe_Latn",), sizes=("s",))
    result = run(tmp_path, "--figure", "residual")
    assert isinstance(result.exception, InputError)
    said = str(result.exception)
    assert "'residual'" in said
    assert "--figure" in said
    assert "did you mean 'residuals'?" in said


def test_a_folder_without_runs_is_wrong_input(tmp_path):
    result = run(tmp_path)
    assert isinstance(result.exception, InputError)
    assert str(tmp_path) in str(result.exception)
    assert "atlas study run" in str(result.exception)


def test_an_unknown_language_is_wrong_input(folder):
    result = run(folder / "runs", "--target", "swedish")
    assert isinstance(result.exception, InputError)
    assert "'swedish'" in str(result.exception)
