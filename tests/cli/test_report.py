import json

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.api import fit
from atlas_scaling.runs.export import write_table
from atlas_scaling.runs.store import read_runs
from tests.cli.program import called
from tests.report.conftest import FIGURES
from tests.report.planted import write_study


def run(*arguments):
    return called("report", *arguments)


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


@pytest.mark.parametrize("name", ["report.pdf", "report.svg", "report"])
def test_a_page_that_is_named_as_something_else_is_refused_before_any_work(folder, tmp_path, name):
    result = run(folder / "runs", "-o", tmp_path / name)
    assert isinstance(result.exception, InputError)
    assert "report.html" in result.exception.remedy
    assert not result.stderr
    assert not (tmp_path / name).exists()


def test_a_figure_that_is_not_there_is_answered_with_the_nearest(tmp_path):
    write_study(tmp_path, languages=("swe_Latn",), sizes=("s",))
    result = run(tmp_path, "--figure", "residual")
    assert isinstance(result.exception, InputError)
    said = str(result.exception)
    assert "'residual'" in said
    assert "--figure" in said
    assert "did you mean 'residuals'?" in said


def test_a_figure_needs_no_more_work_than_its_own(folder, tmp_path):
    result = run(folder / "runs", "--figure", "loss-curves", "-o", tmp_path / "x.csv", "--json")
    assert json.loads(result.stdout)["figures"] == ["loss-curves"]
    assert "fitting" not in result.stderr
    assert "measuring" not in result.stderr


def test_the_figures_are_listed_with_what_they_need_without_any_runs():
    listed = json.loads(run("--list", "--json").stdout)["figures"]
    names = {entry["name"] for entry in listed}
    # A report of one expansion or one start, which only Python can ask for, has these two.
    assert set(FIGURES) - names == {"expand-frontier", "crossover"}
    assert all(entry["shows"] and entry["needs"] for entry in listed)
    assert "transfer-heatmap" in run("--list").stdout


def test_every_figure_is_written_as_svg_png_and_csv(tmp_path):
    write_study(tmp_path / "runs", languages=("swe_Latn",), sizes=("s",), continued=())
    files = tmp_path / "a" / "figures"
    result = run(
        tmp_path / "runs", "--figure", "loss-curves", "-o", tmp_path / "x.svg", "--figures", files
    )
    assert result.exit_code == 0, result.exception
    assert sorted(p.name for p in files.iterdir()) == [
        f"loss-curves.{e}" for e in ("csv", "png", "svg")
    ]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_run_table_gives_the_report_that_its_runs_give(folder, tmp_path, ending):
    table = tmp_path / f"runs.{ending}"
    write_table(read_runs(folder / "runs").frame, table)
    answers = [
        json.loads(run(source, "-o", tmp_path / "r.html", "--target", "swe_Latn", "--json").stdout)
        for source in (folder / "runs", table)
    ]
    assert answers[0]["figures"] == answers[1]["figures"]
    assert answers[0]["tables"] == answers[1]["tables"]
    assert "Swedish" in (tmp_path / "r.html").read_text()


def test_a_table_without_languages_and_steps_is_enough_for_a_law(tmp_path):
    frame = read_runs(write_study(tmp_path / "runs", languages=("swe_Latn",))).frame
    bare = frame.filter(pl.col("group") == "monolingual").drop("step", "language")
    nothing = [pl.lit(None).alias(name) for name in ("group", "seed", "lr_state", "mixture")]
    write_table(bare.with_columns(nothing), tmp_path / "bare.parquet")
    result = run(tmp_path / "bare.parquet", "-o", tmp_path / "r.html", "--json")
    assert result.exit_code == 0, result.exception
    assert {"loss-curves", "residuals"} <= set(json.loads(result.stdout)["figures"])


def test_what_could_not_be_done_is_said_in_the_report_too(tmp_path):
    write_study(tmp_path / "runs", languages=("swe_Latn",), sizes=("s",), continued=())
    result = run(tmp_path / "runs", "-o", tmp_path / "r.html")
    assert "no transfer score: " in result.stderr
    page = (tmp_path / "r.html").read_text()
    assert "Not done" in page
    assert "no transfer score: " in page


def test_a_budget_adds_the_plan_by_the_runs_own_laws(folder, tmp_path):
    result = run(
        folder / "runs", "--flops", "1e14", "--target", "swe_Latn", "-o", tmp_path / "r.html"
    )
    assert "plan-alternatives" in result.stdout
    assert "atlas fitted to" in (tmp_path / "r.html").read_text()


def test_a_folder_of_saved_fits_is_as_good_as_its_files(folder, tmp_path):
    one = fit(folder / "runs", "chinchilla", target="swe_Latn", bootstrap=20)
    one.save(tmp_path / "fits" / "a.json")
    result = run(tmp_path / "fits", "-o", tmp_path / "fit.html")
    assert "parameter-intervals" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "nowhere/r.html"], "there is no such folder"),
        (["-o", "."], "this is a folder"),
        (["--figure", "residuals", "-o", "x.gif"], ".svg"),
        (["--figure", "residualss"], "did you mean 'residuals'?"),
        (["--flops", "much"], "--flops is not a number"),
    ],
)
def test_a_wrong_option_is_said_before_any_work(folder, options, said):
    result = run(folder / "runs", *options)
    assert isinstance(result.exception, InputError)
    assert said in str(result.exception)
    assert result.stderr == ""


def test_a_figure_that_these_runs_cannot_give_is_said_with_those_they_can(tmp_path):
    write_study(tmp_path, languages=("swe_Latn",), sizes=("s",), continued=())
    result = run(tmp_path, "--figure", "transfer-heatmap")
    assert isinstance(result.exception, InputError)
    assert "it needs pairs, and each language alone" in str(result.exception)
    assert "there are: loss-curves" in str(result.exception)


def test_a_folder_without_runs_is_wrong_input(tmp_path):
    result = run(tmp_path)
    assert isinstance(result.exception, InputError)
    assert str(tmp_path) in str(result.exception)
    assert "atlas study run" in str(result.exception)


def test_an_unknown_language_is_wrong_input(folder):
    result = run(folder / "runs", "--target", "swedish")
    assert isinstance(result.exception, InputError)
    assert "'swedish'" in str(result.exception)
