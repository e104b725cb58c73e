import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atlas_scaling.cli import transfer_measure
from atlas_scaling.errors import InputError
from atlas_scaling.runs.export import write_table
from atlas_scaling.runs.store import read_runs
from tests.cli.program import as_json, called
from tests.run_files import eval_line, write_run
from tests.transfer.planted import law


def run(*arguments):
    return called("transfer", *arguments)


def answer_of(*arguments):
    return as_json("transfer", *arguments)


def refused(*arguments) -> InputError:
    with pytest.raises(InputError) as caught:
        raise run(*arguments).exception
    return caught.value


def write_planted_run(folder: Path, mixture: dict[str, float], tau=0.0, run_id=None) -> Path:
    lines = [
        eval_line(
            step,
            int(tokens),
            "swe_Latn",
            law(tokens * (mixture["swe_Latn"] + tau * mixture.get("dan_Latn", 0.0))),
            tokens_by_language={code: int(tokens * share) for code, share in mixture.items()},
        )
        for step, tokens in enumerate(np.linspace(1e5, 6e6, 30), 1)
    ]
    return write_run(folder, lines, run_id=run_id or "-".join(mixture), mixture=mixture)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    mono = write_planted_run(tmp_path / "runs", {"swe_Latn": 1.0})
    pair = write_planted_run(tmp_path / "runs", {"swe_Latn": 0.5, "dan_Latn": 0.5}, tau=0.25)
    return mono, pair


def test_sources_gives_the_agreed_json():
    answer = answer_of("sources", "cat_Latn", "--top", 3)
    assert set(answer) >= {"target", "sources", "source", "law", "warnings"}
    assert [s["language"] for s in answer["sources"]] == ["spa_Latn", "fra_Latn", "por_Latn"]
    assert answer["sources"][0]["interval"] is None
    assert answer["sources"][0]["provenance"] == "estimated"


def test_sources_says_in_words_what_is_only_an_estimate():
    result = run("sources", "ca")
    assert "spa_Latn (Spanish)" in result.stdout
    said = " ".join(result.stdout.split())
    assert "only 72 of the 1406 scores of this matrix are measurements" in said
    assert "none of these was measured" in said


def test_targets_gives_whom_a_language_helps():
    answer = answer_of("targets", "es", "--top", 1)
    assert answer["targets"][0]["language"] == "por_Latn"
    assert "por_Latn (Portuguese)" in run("targets", "es").stdout


def test_a_language_outside_the_matrix_names_its_relatives():
    error = refused("sources", "dan_Latn")
    assert error.exit_code == 2
    assert "swe_Latn" in str(error)


def test_bts_gives_the_agreed_json(runs):
    answer = answer_of("bts", *runs, "--target", "sv", "--at", "1.5M")
    assert answer["at"]["tokens"] == 1.5e6
    assert answer["at"]["bts"] == pytest.approx(0.4, abs=5e-3)  # tau = 0.25
    assert {"tokens", "bts", "lower", "upper", "censored"} <= set(answer["curve"][0])


def test_seeds_of_a_side_go_by_a_pattern(runs, tmp_path: Path):
    for run_id in ("mono-1", "mono-2"):
        write_planted_run(tmp_path, {"swe_Latn": 1.0}, run_id=run_id)
    answer = answer_of("bts", tmp_path / "mono-*", runs[1], "--target", "sv")
    assert "mono-1, mono-2" in answer["source"]
    assert "nothing-*" in str(refused("bts", tmp_path / "nothing-*", runs[1], "--target", "sv"))


def test_bts_in_words_has_the_value_and_the_curve(runs):
    text = run("bts", *runs, "--target", "sv").stdout
    assert "dan_Latn (Danish) to swe_Latn (Swedish): BTS +0.40" in text
    assert "50%" in text


def test_matrix_is_written_and_read_again(runs, tmp_path: Path):
    output = tmp_path / "matrix.csv"
    answer = answer_of("matrix", runs[0].parent, "-o", output)
    assert answer["matrices"][0]["cells"][0]["bts"] == pytest.approx(0.4, abs=5e-3)
    assert answer["problems"] == ["swe_Latn to dan_Latn: no run on dan_Latn alone at 365k"]
    best = answer_of("sources", "swe_Latn", "--matrix", output)["sources"]
    assert best[0]["language"] == "dan_Latn"
    assert best[0]["provenance"] == "measured"
    assert best[0]["interval"] is not None


def test_an_ending_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path):
    nothing = tmp_path / "no-runs"
    for command in (["matrix", nothing], ["weights", nothing, "--target", "sv"], ["complete"]):
        assert "no-runs" not in str(refused(*command, "-o", tmp_path / "answer.txt"))


def test_matrix_in_words_is_a_table_with_its_problems(runs):
    text = run("matrix", runs[0].parent).stdout
    assert "BTS at d = 2M tokens, 365k parameters" in text
    assert "+0.40" in text
    assert "no run on dan_Latn alone" in text


def test_text_is_counted_in_a_unit_of_ones_own(runs):
    given = ("--unit", "lines", "--per-token", "sv=0.1", "--per-token", "da=0.1", "--at", "150k")
    answer = answer_of("bts", *runs, "--target", "sv", *given)
    assert answer["unit"] == "lines"
    assert answer["at"]["bts"] == pytest.approx(0.4, abs=5e-3)
    error = refused("bts", *runs, "--target", "sv", "--unit", "lines", "--per-token", "sv:0.1")
    assert error.where == "--per-token"
    for given in (["--per-token", "sv=2"], ["--unit", "lines", "--per-token", "sv=nan"]):
        assert refused("bts", *runs, "--target", "sv", *given).where == "--per-token"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "sv", "--at", "1Q"], "--at is not a number"),
        (["--target", "sv", "--at", "1T"], "between 100k and 6M"),
        (["--target", "fi"], "never evaluated on the target"),
        (["--target", "xx"], "unknown language code"),
    ],
)
def test_bts_refuses_what_it_cannot_use(runs, arguments, said):
    assert said in str(refused("bts", *runs, *arguments))


def test_a_missing_run_directory_is_said(tmp_path: Path):
    error = refused("bts", tmp_path / "none", tmp_path, "--target", "sv")
    assert "no such folder" in str(error)


def test_analyze_says_what_the_paper_prints():
    answer = answer_of("analyze", "--published", "--permutations", 99)
    script = next(e for e in answer["effects"] if e["relation"] == "script" and not e["among"])
    assert round(script["mean_same"], 3) == -0.225
    assert round(script["mean_different"], 3) == -0.392
    assert answer["symmetry"]["n_pairs"] == 703
    assert round(answer["symmetry"]["pearson"], 3) == -0.119
    text = run("analyze", "--permutations", 99).stdout
    assert "symmetry: r -0.119" in text
    assert "nor_Latn swe_Latn" in text


def test_analyze_takes_one_matrix(tmp_path: Path):
    assert "not both" in str(refused("analyze", "--published", "--matrix", tmp_path / "m.csv"))


def test_partners_are_given_with_their_reason():
    answer = answer_of("partners", "ca", "--count", 1)
    assert answer["partners"][0]["language"] == "spa_Latn"
    assert "best partner so far of cat_Latn +0.40" in answer["partners"][0]["reason"]
    assert "spa_Latn (Spanish)" in run("partners", "ca").stdout


def test_complete_fills_the_matrix_and_writes_it(tmp_path: Path):
    output = tmp_path / "completed.parquet"
    answer = answer_of("complete", "--language", "da", "-o", output)
    assert (answer["n_measured"], answer["n_estimated"]) == (72, 39 * 38 - 72)
    best = answer_of("sources", "da", "--matrix", output, "--top", 4)["sources"]
    assert "swe_Latn" in {one["language"] for one in best}
    assert best[0]["interval"] is not None
    assert len(answer["estimates"]) == answer["n_estimated"]
    text = run("complete", "--language", "da").stdout
    assert "what may help dan_Latn (Danish): best 5 of 38 estimates" in text
    assert "swe_Latn (Swedish)" in text
    assert "1410 estimated from 72 measured" in text
    assert "the surest help of 1334 estimates" in run("complete").stdout


def test_weights_stand_beside_each_other(runs, tmp_path: Path):
    third = write_planted_run(tmp_path / "runs", {"dan_Latn": 0.3, "swe_Latn": 0.7}, tau=0.25)
    answer = answer_of("weights", third.parent, "--target", "sv", "--bootstrap", 20)
    (weight,) = answer["weights"]
    assert weight["source"] == "dan_Latn"
    assert weight["implied"] == pytest.approx(0.25, abs=0.01)
    assert "by score" in run("weights", third.parent, "--target", "sv", "--bootstrap", 0).stdout


def test_fas_is_measured_on_continued_runs(tmp_path: Path):
    lines = [eval_line(1, 1000, "dan_Latn", 3.0)]
    write_run(tmp_path, lines, run_id="base", mixture={"swe_Latn": 0.5, "dan_Latn": 0.5})
    lines = [eval_line(s, s * 1000, "dan_Latn", 3.0 - 0.1 * s) for s in (1, 2)]
    write_run(tmp_path, lines, run_id="continued", base_run="base")
    answer = answer_of("fas", tmp_path)
    (score,) = answer["tables"][0]["scores"]
    assert (score["target"], score["source"]) == ("dan_Latn", "swe_Latn")
    assert score["fas"] == pytest.approx(0.05)  # bits per byte are half the loss here
    assert "continued on" in run("fas", tmp_path).stdout


def test_weights_with_the_scores_as_prior_are_fitted_and_saved(runs, tmp_path: Path):
    write_planted_run(tmp_path / "runs", {"dan_Latn": 0.3, "swe_Latn": 0.7}, tau=0.25)
    output = tmp_path / "fit.json"
    given = (runs[0].parent, "--target", "sv", "--prior", "--bootstrap", 0, "-o", output)
    answer = answer_of("weights", *given)
    assert answer["prior"]["tau[dan_Latn]"][0] == pytest.approx(0.25, abs=0.01)
    assert answer["weights"][0]["with_prior"] == pytest.approx(0.25, abs=0.02)
    assert json.loads(output.read_text())["priors"] == answer["prior"]
    assert "with prior" in run("weights", *given).stdout


def test_published_scores_can_be_held_against_a_fit(runs):
    error = refused("weights", runs[0].parent, "--target", "sv", "--matrix", "published")
    assert "no pair with this target" in str(error)  # Danish is not in the published matrix


def test_matrices_are_merged_from_files_and_by_name(runs, tmp_path: Path):
    mine, both = tmp_path / "mine.csv", tmp_path / "both.parquet"
    assert run("matrix", runs[0].parent, "-o", mine).exception is None
    error = refused("merge", mine, "published", "-o", both)
    assert "--allow-different-d" in str(error)
    answer = answer_of("merge", mine, "published", "-o", both, "--allow-different-d")
    assert answer["counts"]["published"] == 72
    assert answer["counts"]["measured"] == 1
    assert any("not all taken at one d" in w for w in answer["warnings"])
    best = answer_of("sources", "sv", "--matrix", both, "--top", 1)["sources"][0]
    assert (best["language"], best["provenance"]) == ("dan_Latn", "measured")
    text = run("merge", mine, "published", "-o", both, "--allow-different-d").stdout
    assert "written to" in text


def test_the_30_languages_of_figure_2_go_by_a_name():
    answer = answer_of("analyze", "--matrix", "published-30", "--permutations", 99)
    english = next(b for b in answer["balance"] if b["language"] == "eng_Latn")
    assert english["in_top"] == [17, 22]  # of 30: the paper counts 19 (section 4)
    text = run("analyze", "--matrix", "published-30", "--permutations", 99).stdout
    assert "eng_Latn of 17 to 22" in text


@pytest.mark.parametrize(
    ("arguments", "bts"),
    [
        (("0.5", "--from", "ratio"), 0.0),
        (("0.625", "--from", "ratio"), 0.4),
        (("0.25", "--from", "tau"), 0.4),
        (("-0.05", "--from", "tau"), -0.1 / 0.95),
        # L falls by 2 % of itself, L = B d^-0.1: worth 0.98^-10 times the tokens; r = half of that.
        (("0.02", "--from", "gain", "--slope", "0.1"), 2 - 2 * 0.98**10),
    ],
)
def test_other_forms_of_a_score_are_converted(arguments, bts):
    assert answer_of("convert", *arguments)["bts"] == pytest.approx(bts)
    assert "BTS" in run("convert", *arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("0.02", "--from", "gain"), "the slope of the loss curve"),
        (("0", "--from", "gain", "--slope", "0"), "above zero"),
        (("0.6", "--from", "ratio", "--slope", "0.3"), "are of a gain"),
    ],
)
def test_what_cannot_be_converted_is_refused(arguments, said):
    assert said in str(refused("convert", *arguments))


def test_a_weight_below_minus_one_stays_what_it_is():
    answer = answer_of("convert", "-5", "--from", "tau")
    assert (answer["bts"], answer["tau"], answer["ratio"]) == (None, -5.0, 0.0)


def test_content_needs_parallel_text(runs):
    error = refused("bts", *runs, "--target", "sv", "--unit", "content")
    assert "--study" in str(error)


def test_what_a_seed_changes_can_be_given(runs):
    given = ("bts", *runs, "--target", "sv", "--at", "1.5M")
    narrow, wide = (answer_of(*given, *more)["at"] for more in ((), ("--seed-sd", 0.01)))
    assert wide["upper"] - wide["lower"] > narrow["upper"] - narrow["lower"]
    assert "above zero" in str(refused(*given, "--seed-sd", 0))


def test_mismatched_learning_rates_are_flagged_in_every_output(runs, tmp_path: Path):
    mono, pair = runs
    evals = pair / "evals.jsonl"
    evals.write_text(evals.read_text().replace('"stable"', '"decayed"'))
    assert "--allow-lr-mismatch" in str(refused("bts", mono, pair, "--target", "sv"))
    assert "no learning-rate state" in str(refused("matrix", mono.parent))
    allowed = ("--allow-lr-mismatch",)
    answer = answer_of("bts", mono, pair, "--target", "sv", *allowed)
    assert answer["lr_state"] == "stable against decayed"
    assert any("different learning-rate states" in w for w in answer["warnings"])
    output = tmp_path / "matrix.csv"
    (matrix,) = answer_of("matrix", mono.parent, "-o", output, *allowed)["matrices"]
    flag = "learning-rate states stable against decayed"
    assert matrix["cells"][0]["notes"][0] == flag
    for command in (
        ("sources", "sv", "--matrix", output),
        ("targets", "da", "--matrix", output),
        ("partners", "sv", "--matrix", output),
        ("analyze", "--matrix", output),
    ):
        assert flag in " ".join(run(*command).stdout.split())
        assert flag in json.dumps(answer_of(*command))
    heatmap = tmp_path / "heatmap.json"
    assert run("plot", "heatmap", "--matrix", output, "-o", heatmap).exception is None
    assert flag in heatmap.read_text()


@pytest.mark.parametrize("kind", ["curves", "sizes", "heatmap"])
def test_scores_of_runs_are_drawn(kind: str, runs, tmp_path: Path):
    output = tmp_path / f"{kind}.svg"
    result = run("plot", kind, "--runs", runs[0].parent, "-o", output)
    assert result.exception is None, result.exception
    assert output.read_text().lstrip().startswith("<svg")


def test_a_plot_that_has_nothing_to_show_says_what_to_do(runs, tmp_path: Path):
    output = tmp_path / "a.svg"
    assert "--runs" in str(refused("plot", "curves", "-o", output))
    few = ("--runs", runs[0].parent, "-o", output)
    assert "too few scores" in str(refused("plot", "dendrogram", *few))
    assert "by family" in str(refused("plot", "heatmap", "--order", "cluster", *few))
    both = ("--runs", runs[0].parent, "--matrix", "published-30")
    assert "not both" in str(refused("plot", "heatmap", *both, "-o", output))


def test_a_heatmap_can_be_in_the_order_of_clusters(tmp_path: Path):
    output = tmp_path / "a.json"
    given = ("--matrix", "published-30", "--measured-only", "--order", "cluster")
    assert run("plot", "heatmap", *given, "-o", output).exception is None
    x = json.loads(output.read_text())["layer"][0]["encoding"]["x"]
    # The nearest pairs of the 72 measured stand side by side.
    order = x["sort"]
    assert abs(order.index("Portuguese") - order.index("Spanish")) == 1
    assert abs(order.index("Chinese") - order.index("Japanese")) == 1


@pytest.mark.parametrize("kind", ["heatmap", "symmetry", "relatedness", "dendrogram"])
def test_plots_are_written(kind: str, tmp_path: Path):
    output = tmp_path / f"{kind}.svg"
    result = run("plot", kind, "-o", output)
    assert result.exception is None, result.exception
    assert output.read_text().lstrip().startswith("<svg")


def test_a_plot_of_another_kind_of_file_is_refused(tmp_path: Path):
    assert refused("plot", "symmetry", "-o", tmp_path / "a.pdf").exit_code == 2


def test_a_question_to_the_published_matrix_loads_no_data_frames_and_no_learners():
    code = (
        "import sys\n"
        "from atlas_scaling.cli.main import app\n"
        "app(['transfer', 'sources', 'cat_Latn', '--json'], standalone_mode=False)\n"
        "heavy = {'polars', 'scipy', 'sklearn', 'altair', 'torch', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"][0]["language"] == "spa_Latn"


@pytest.mark.parametrize(
    "given", [("nan", "--from", "ratio"), ("inf", "--from", "tau"), ("-1", "--from", "ratio")]
)
def test_what_is_no_score_is_not_converted(given):
    refused("convert", *given)


def test_a_table_of_runs_does_as_well_as_their_folder(runs, tmp_path):
    table = tmp_path / "runs.parquet"
    write_table(read_runs(tmp_path / "runs").frame, table)
    one, other = (answer_of("matrix", place)["matrices"] for place in (tmp_path / "runs", table))
    assert one == other
    twice = refused("matrix", table, tmp_path / "runs")
    assert "two of the places" in twice.problem
    no_table = tmp_path / "log.csv"
    no_table.write_text("run_id,loss\na,3\n")
    assert "atlas runs import" in refused("matrix", no_table).remedy


def test_a_bar_with_the_time_left_is_shown_on_a_terminal_while_pairs_are_scored(runs, monkeypatch):
    told = []
    monkeypatch.setattr(
        transfer_measure, "share_done", lambda what: contextlib.nullcontext(told.append)
    )
    answer_of("weights", runs[0].parent, "--target", "sv", "--bootstrap", 0, "--prior")
    assert told == sorted(told)
    assert told[-1] >= 0.5
