import json

import numpy as np
import pytest
from typer.testing import CliRunner

from atlas_scaling.cli.plan import app
from atlas_scaling.errors import InputError


def run(command, *more):
    return CliRunner().invoke(app, [*command.split(), *more])


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


@pytest.mark.parametrize("command", ["expand", "start", "cost"])
def test_every_command_has_an_example_in_its_help(command):
    assert f"Example: atlas plan {command}" in " ".join(ok(f"{command} --help").split())
