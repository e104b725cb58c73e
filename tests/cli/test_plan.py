import json
import re

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.runs.store import by_language
from atlas_scaling.study.design import design_study
from atlas_scaling.study.spec import load_study, packaged_studies
from atlas_scaling.units import parse_count
from tests.cli.program import called


def run(command, *more):
    return called("plan", *command.split(), *more)


def ok(command, *more):
    result = run(command, *more)
    assert result.exit_code == 0, result.exception
    return result.stdout


def error(command, *more):
    result = run(command, *more)
    assert isinstance(result.exception, InputError), result.output
    return result.exception


# --- expand


def test_expand_has_the_keys_that_others_build_on():
    answer = json.loads(ok("expand --from-languages 8 --to-languages 16 --json"))
    assert round(answer["n_params_ratio"]["value"], 2) == 1.18
    assert round(answer["tokens_ratio"]["value"], 2) == 1.66
    for name in ("n_params_ratio", "tokens_ratio", "tokens_per_language_ratio", "flops_ratio"):
        assert set(answer[name]) == {"value", "interval"}
    assert {"source", "law", "warnings", "level"} <= set(answer)
    assert {"n_params_ratio", "tokens_ratio"} <= set(answer["frontier"][0])
    assert answer["n_params"] is None


def test_expand_says_what_the_factors_come_to():
    text = ok("expand --from-languages 8 --to-languages 16 --params 2B")
    assert "1.18×" in text
    assert "2.37B" in text
    assert "Rests on: ATLAS paper" in text


def test_expand_takes_mixtures():
    text = ok("expand --from-mixture en=.5,de=.5 --to-mixture en=.4,de=.3,fr=.3")
    assert "uneven shares" in text


def test_expand_says_when_rebalancing_pays_by_itself():
    text = ok("expand --from-languages 8 --to-languages 16 --capacity-share .5")
    assert "rebalancing" in text


def test_a_mixture_that_is_none_is_refused():
    caught = error("expand --from-mixture en=.5,de --to-mixture en=1")
    assert (caught.value, caught.where) == ("de", "--from-mixture")


def test_a_number_of_parameters_that_is_none_is_refused():
    caught = error("expand --from-languages 8 --to-languages 16 --params two")
    assert (caught.value, caught.where) == ("two", "--params")


def test_a_fit_that_is_not_there_is_refused(tmp_path):
    missing = tmp_path / "fit.json"
    caught = error("expand --from-languages 8 --to-languages 16 --fit", str(missing))
    assert str(missing) in str(caught)


# --- start


def test_start_has_the_keys_that_others_build_on():
    answer = json.loads(ok("start --language vie_Latn --params 2e9 --tokens 100e9 --json"))
    assert answer["recommendation"] == "continue"
    assert answer["probability_scratch_better"] is None
    assert answer["crossover_tokens"]["value"] == pytest.approx(231.6e9, rel=1e-3)
    assert answer["crossover_flops"]["value"] == pytest.approx(
        6 * 2e9 * answer["crossover_tokens"]["value"]
    )
    assert "Unimax" in answer["basis"]["description"]
    assert {"source", "law", "warnings"} <= set(answer)


def test_start_says_what_to_do_first():
    text = ok("start --language vi --params 2B --tokens 400B")
    assert text.startswith("Train from scratch")
    assert ok("start --language vi --params 2B --tokens 200B").startswith("Undecided")


def test_start_reads_own_curves(tmp_path):
    paths = {}
    for name, head_start, floor in (("scratch", 0.0, 0.9), ("continued", 3.0, 0.98)):
        path = tmp_path / f"{name}.csv"
        tokens = np.geomspace(1, 100, 12)
        loss = floor + (1.2 if name == "scratch" else 1.0) * (tokens + head_start) ** -0.3
        rows = "\n".join(f"{d * 1e9},{v}" for d, v in zip(tokens, loss, strict=True))
        path.write_text("tokens,loss\n" + rows + "\n")
        paths[name] = str(path)
    curves = ["--scratch", paths["scratch"], "--continued", paths["continued"]]
    answer = json.loads(ok("start --language sv --params 1B --tokens 90B --json", *curves))
    assert answer["evidence"] == "measured"
    assert answer["recommendation"] == "scratch"
    assert "crossover" in ok("start --language sv --params 1B --tokens 90B", *curves)


def test_start_takes_own_crossovers():
    sizes = "--crossover 100M=30B --crossover 300M=60B --crossover 1B=120B"
    answer = json.loads(ok(f"start --language sv --params 3B --tokens 500B --json {sizes}"))
    assert answer["evidence"] == "fitted"
    assert answer["recommendation"] == "scratch"


def test_a_crossover_without_its_tokens_is_refused():
    caught = error("start --language sv --params 3B --tokens 1B --crossover 1B")
    assert (caught.value, caught.where) == ("1B", "--crossover")


def test_a_name_is_no_code():
    caught = error("start --language Vietnamese --params 2B --tokens 1B")
    assert "vie_Latn" in caught.remedy


# --- cost


def test_cost_compares_accelerators():
    text = ok("cost --params 2B --tokens 400B --devices 64")
    for name in ("a100", "h100", "h200", "gh200", "mi300x", "cpu-core"):
        assert f"64 {name}" in text


def test_cost_as_json():
    answer = json.loads(ok("cost --params 2B --tokens 400B --accelerator h100 --price 2 --json"))
    option = answer["options"][0]
    assert option["money"] == pytest.approx(2 * option["accelerator_hours"])
    assert answer["flops"] == pytest.approx(4.8e21)


def test_cost_of_nothing_is_refused():
    assert "FLOPs" in error("cost --params 2B").remedy


@pytest.mark.parametrize("command", ["expand", "allocate", "start", "next", "cost", "export"])
def test_every_command_has_an_example_in_its_help(command):
    assert f"Example: atlas plan {command}" in " ".join(ok(f"{command} --help").split())


# --- allocate


def test_allocate_has_the_keys_that_others_build_on():
    answer = json.loads(ok("allocate --flops 1e21 --target cat_Latn --json"))
    assert sum(answer["mixture"].values()) == pytest.approx(1)
    assert 6 * answer["n_params"] * answer["tokens"] == pytest.approx(1e21)
    assert set(answer["loss"]["cat_Latn"]) == {"value", "interval"}
    assert isinstance(answer["epochs"], dict)
    for other in answer["alternatives"].values():
        assert {"n_params", "tokens", "mixture", "epochs", "loss"} <= set(other)
    assert {"source", "law", "warnings", "level"} <= set(answer)


def test_allocate_knows_what_it_is_told():
    question = (
        "allocate --flops 1e21 --target ca --target es --source pt --unique ca=2B --unique es=200B "
        "--unique pt=100B --weight ca=3 --weight es=1 --floor es=0.2 --cap pt=0.3 --max-epochs 20 "
        "--like ca=fr --json"
    )
    answer = json.loads(ok(question))
    assert answer["mixture"]["spa_Latn"] >= 0.2 - 1e-6
    assert answer["mixture"].get("por_Latn", 0) <= 0.3 + 1e-6
    assert max(answer["epochs"].values()) <= 20 * (1 + 1e-6)
    assert "as chosen" in answer["laws"]["cat_Latn"]
    assert "unimax" in answer["alternatives"]


def test_allocate_chooses_among_published_sizes():
    answer = json.loads(ok("allocate --flops 1e21 --target ca --published-sizes --json"))
    # Table B.3: 9,044,352 to 20,043,770,880
    assert 1e9 < answer["n_params"] < 3e9
    text = ok("allocate --flops 1e21 --target ca --size 500M --size 1B")
    assert text.startswith(("500M parameters", "1B parameters"))


def test_allocate_says_the_plan_and_what_stands_beside_it():
    text = ok("allocate --flops 1e22 --target sv --target da --objective regret --unique sv=50B")
    assert "worst loss over each language's own best" in text
    assert "own best" in text
    assert "Other mixtures" in text
    assert "Other budgets" in text
    assert "paper's own unit" in " ".join(text.split())


def test_allocate_pays_for_serving():
    bare = json.loads(ok("allocate --flops 1e21 --target ca --json"))
    served = json.loads(ok("allocate --flops 1e21 --target ca --served-tokens 1T --json"))
    assert served["n_params"] < bare["n_params"]


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("allocate --target ca", "flops"),
        ("allocate --flops 1e12 --target ca", "flops"),
        ("allocate --flops 1e21", "targets"),
        ("allocate --flops 1e21 --target ca --params 2B --size 1B", "n_params, sizes"),
        ("allocate --flops 1e21 --target ca --objective best", "objective"),
        ("allocate --flops 1e21 --target ca --unique ca", "--unique"),
        ("allocate --flops 1e21 --target ca --unique ca=many", "--unique ca"),
        ("allocate --flops 1e21 --target ca --floor ca=1.5", "floors, cat_Latn"),
        ("allocate --flops 1e21 --target ca --source es --floor ca=0.7 --floor es=0.7", "floors"),
        ("allocate --flops 1e21 --target ca --like ca=es", "like"),
    ],
)
def test_allocate_says_where_a_question_is_wrong(command, where):
    assert error(command).where == where


def test_a_matrix_and_a_fit_that_are_not_there_are_refused(tmp_path):
    missing = str(tmp_path / "matrix.csv")
    assert missing in str(error("allocate --flops 1e21 --target ca --matrix", missing))
    missing = str(tmp_path / "fit.json")
    assert missing in str(error("allocate --flops 1e21 --target ca --fit", missing))


def test_a_plan_is_exported_for_a_trainer(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(ok("allocate --flops 1e21 --target ca --target es --json"))
    exported = ok("export --to megatron --paths d/{language}", str(plan))
    assert "d/cat_Latn" in exported
    answer = json.loads(ok("export --to olmix --json", str(plan)))
    assert answer["format"] == "olmix"
    assert answer["text"].startswith("run,")


# --- next


@pytest.fixture(scope="module")
def saved_fit(tmp_path_factory):
    """A fit to monolingual and mixed runs on Swedish and Danish, as ``atlas fit -o`` saves it."""
    rng = np.random.Generator(np.random.PCG64(0))
    N = np.repeat([2e5, 5e5, 2e6], 8)
    D = N * np.tile([5.0, 20.0, 80.0, 160.0], 6)
    share = np.where(np.arange(len(N)) % 2, 1.0, 0.5)
    loss = 2.0 + 40 / N**0.3 + 60 / D**0.3
    runs = pl.DataFrame(
        {
            "run_id": [f"run{i}" for i in range(len(N))],
            "language": ["swe_Latn"] * len(N),
            "n_params": N,
            "tokens": D,
            "loss": loss * np.exp(0.002 * rng.standard_normal(len(N))),
            "mixture": [by_language({"swe_Latn": w, "dan_Latn": 1 - w}) for w in share],
        }
    )
    path = tmp_path_factory.mktemp("fit") / "fit.json"
    fit(runs, "chinchilla", target="swe_Latn", bootstrap=60).save(path)
    return str(path)


def test_next_names_runs_and_what_they_leave_of_the_interval(saved_fit):
    command = "next --allowance 1e16 --params 20M --tokens 2B --fit"
    answer = json.loads(ok(command, saved_fit, "--json"))
    assert 0 < answer["interval_left"] < 1
    assert answer["flops"] <= 1e16
    assert {"n_params", "tokens", "mixture", "seed", "flops"} <= set(answer["runs"][0])
    assert {"source", "law", "warnings"} <= set(answer)
    assert "should leave" in " ".join(ok(command, saved_fit).split())


def test_next_decides_a_size_or_a_parameter(saved_fit):
    size = json.loads(
        ok("next --allowance 1e16 --decide size --budget 1e18 --json --fit", saved_fit)
    )
    assert "lowest loss" in size["decision"]
    # in words a size, not its logarithm
    text = ok("next --allowance 1e16 --decide size --budget 1e18 --fit", saved_fit)
    found = re.match(r"size of the lowest loss for 1e\+18 FLOPs: (\S+) \((\S+) to (\S+)\)", text)
    assert parse_count(found[1]) == pytest.approx(np.exp(size["now"]["value"]), rel=5e-3)
    alpha = json.loads(ok("next --allowance 1e16 --decide alpha --json --fit", saved_fit))
    assert alpha["decision"] == "alpha"


def test_next_writes_a_study_that_can_be_run(saved_fit, tmp_path):
    study, output = packaged_studies()["demo"], tmp_path / "next.yaml"
    command = "next --allowance 1e15 --params 20M --tokens 2B --fit"
    ok(command, saved_fit, "--study", str(study), "-o", str(output))
    missing = str(tmp_path / "none" / "next.yaml")
    refused = error(command, saved_fit, "--study", str(study), "-o", missing)
    assert "cannot be written" in refused.problem
    written = load_study(output)
    assert written.name == "demo-next"
    assert written.corpus == load_study(study).corpus
    runs = design_study(written).runs
    assert runs
    assert sum(run.flops for run in runs) <= 1e15 * 1.01


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("next --allowance 1e16", "--params, --tokens"),
        ("next --allowance 1e16 --decide size", "--budget"),
        ("next --allowance 1e16 --decide alfa", "decision"),
        ("next --allowance 1e16 --decide size --budget 1e18 --params 2M", "--params"),
        ("next --allowance 1e16 --decide alpha --budget 1e18", "--budget"),
        ("next --allowance 1 --params 20M --tokens 2B", "flops"),
        ("next --allowance 1e16 --params 20M --tokens 2B -o next.yaml", "--study"),
    ],
)
def test_next_says_where_a_question_is_wrong(command, where, saved_fit):
    assert error(f"{command} --fit", saved_fit).where == where


# --- schedule and drawings


def test_a_schedule_without_staged_runs_names_them_and_writes_a_study_that_expands(tmp_path):
    path = tmp_path / "stages.yaml"
    demo = str(packaged_studies()["demo"])
    command = "schedule --flops 1e13 --target sv --source da --source nb --json"
    answer = json.loads(ok(command, "--study", demo, "-o", str(path)))
    assert answer["schedule"] is None
    assert "no run whose mixture changes" in answer["reason"]
    staged = [run for run in answer["missing"] if len(run["stages"]) == 2]
    design = design_study(load_study(path))
    assert design.n_runs == len(answer["missing"])
    planned = [run for run in design.runs if len(run.stages) == 2]
    assert len(planned) == len(staged) == 4
    assert {round(run.stages[0].fraction, 6) for run in planned} == {0.5, 0.8}
    text = ok("schedule --flops 1e21 --target ca --source es")
    assert "Not told" in text
    assert "atlas_two_stage" in text


def test_a_schedule_that_cannot_be_asked_for_is_refused(tmp_path):
    assert error("schedule --flops 1e21").where == "target"
    caught = error("schedule --flops 1e13 --target sv --source da", "-o", str(tmp_path / "x.yaml"))
    assert caught.where == "--study"
    demo = str(packaged_studies()["demo"])
    asked = "schedule --flops 1e13 --target sw --source sv"
    caught = error(asked, "--study", demo, "-o", str(tmp_path / "x.yaml"))
    assert caught.value == ["swa_Latn"]


@pytest.mark.parametrize(
    "command",
    [
        "expand --from-languages 8 --to-languages 16",
        "start --language vi --params 2B --tokens 100B",
        "allocate --flops 1e21 --target ca --unique ca=1B --source es",
        "cost --params 2B --tokens 400B --accelerator h100",
    ],
)
def test_commands_draw_their_answer_and_print_it_too(command, tmp_path):
    page = tmp_path / "plan.html"
    json.loads(ok(command + " --json", "-o", str(page)))
    assert "<svg" in page.read_text()
    caught = error(command, "-o", str(tmp_path / "plan.pdf"))
    assert caught.where == "--output"


def test_a_small_chance_is_not_printed_as_none():
    from atlas_scaling.cli.plan_text import probability

    assert probability(0.0) == "<1%"
    assert probability(0.004) == "<1%"
    assert probability(0.5) == "50%"
    assert probability(0.999) == ">99%"


# --- what could be passed over without a word


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("allocate --flops 1e21 --target ca --unique ca=1B --unique cat_Latn=2B", "--unique"),
        ("allocate --flops 1e21 --target ca --like ca=es --like cat=fr", "--like"),
        ("start --language sv --params 1B --tokens 1B --crossover 1B=2B --crossover 1e9=3B", None),
        (
            "start --language sv --params 1B --tokens 1B --crossover 1B=2B --crossover 2B=3B "
            "--base-tokens 5B",
            "base_language_tokens",
        ),
        (
            "start --language sv --params 1B --tokens 1B --crossover 1B=2B --crossover 2B=3B "
            "--share 2",
            "share",
        ),
        ("expand --from-languages 8 --to-languages 16 --to-languages 32 -o x.svg", "--output"),
        ("expand --from-languages 8 --to-languages 1e300", "to_languages"),
    ],
)
def test_what_would_be_passed_over_is_refused(command, where):
    assert error(command).where == (where or "--crossover")


def test_several_numbers_of_languages_are_one_table_and_one_document():
    command = "expand --from-languages 8 --params 2B --tokens 400B" + "".join(
        f" --to-languages {k}" for k in (16, 32, 64, 128)
    )
    text = ok(command)
    assert "14.76×" in text
    assert "3.01T" in text
    document = json.loads(ok(command + " --json"))
    assert [one["to_languages"] for one in document["expansions"]] == [16, 32, 64, 128]
    assert {"source", "law", "level", "warnings"} <= set(document)


def test_shares_may_be_per_cent():
    one = json.loads(ok("allocate --flops 1e21 --target ca --source es --floor es=20% --json"))
    other = json.loads(ok("allocate --flops 1e21 --target ca --source es --floor es=0.2 --json"))
    assert one == other
    assert one["mixture"]["spa_Latn"] == pytest.approx(0.2, abs=1e-6)
