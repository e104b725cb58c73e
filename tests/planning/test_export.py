import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from atlas_scaling.errors import InputError
from atlas_scaling.languages import languages
from atlas_scaling.planning.export import PlannedMixture, export_mixture, read_plan
from atlas_scaling.study.design import design_study
from atlas_scaling.study.spec import load_study

PLAN = PlannedMixture(
    {"swe_Latn": 0.75, "dan_Latn": 0.25}, tokens=1e11, epochs={"swe_Latn": 3.2}, n_params=2e9
)
CODES = [entry.code for entry in languages()]


def text(to, plan=PLAN, **options):
    return export_mixture(plan, to, **options).text


def test_olmo_core_gets_a_list_of_sources_that_allows_the_planned_repetition():
    sources = YAML(typ="safe").load(text("olmo-core"))["sources"]
    assert [source["source_name"] for source in sources] == ["swe_Latn", "dan_Latn"]
    assert [source["target_ratio"] for source in sources] == [0.75, 0.25]
    assert sources[0]["paths"] == ["data/swe_Latn/*.npy"]
    assert 3.2 < sources[0]["max_repetition_ratio"] < 3.4
    assert "max_repetition_ratio" not in sources[1]


def test_megatron_gets_weights_and_prefixes_in_turn():
    assert text("megatron", paths="/d/{madlad}.bin") == "0.75 /d/sv.bin 0.25 /d/da.bin\n"


def test_huggingface_draws_documents_so_shares_of_tokens_are_converted():
    # .75 / 1500 : .25 / 500 = .0005 : .0005
    exported = text("huggingface", tokens_per_document={"sv": 1500, "da": 500})
    assert "probabilities=[0.5, 0.5]" in exported
    assert "equally long" in text("huggingface")
    assert "probabilities=[0.75, 0.25]" in text("huggingface")


def test_olmix_gets_one_row_that_sums_to_one():
    (row,) = csv.DictReader(io.StringIO(text("olmix", name="best")))
    assert row.pop("run") == "best"
    assert sum(map(float, row.values())) == pytest.approx(1)


def test_a_study_gets_a_group_of_runs():
    (group,) = YAML(typ="safe").load(text("atlas", name="best"))["groups"]
    assert group["kind"] == "mixture"
    assert group["shares"] == {"swe_Latn": 0.75, "dan_Latn": 0.25}
    assert group["tokens"] == 100_000_000_000


def test_a_plan_becomes_a_study_that_can_be_designed(tmp_path):
    plan = PlannedMixture({"swe_Latn": 2 / 3, "dan_Latn": 1 / 3}, tokens=4e10, n_params=2.03e9)
    path = tmp_path / "best.yaml"
    path.write_text(text("atlas", plan, name="best"))
    (run,) = design_study(load_study(path)).runs
    assert run.n_params == pytest.approx(2.034e9, rel=0.03)  # Table B.3, the paper's 2B
    assert run.tokens == 40_000_000_000
    assert run.mixture["swe_Latn"] == pytest.approx(2 / 3, abs=1e-4)


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=60))
def test_rounded_shares_still_sum_to_one(weights):
    shares = {code: w / sum(weights) for code, w in zip(CODES, weights, strict=False)}
    (row,) = csv.reader([text("olmix", PlannedMixture(shares)).splitlines()[1]])
    assert sum(map(float, row[1:])) == pytest.approx(1, abs=1e-9)


def test_a_plan_is_read_from_what_allocate_prints(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"mixture": {"swe_Latn": 1.0}, "tokens": 5e9, "epochs": {}}))
    plan = read_plan(path)
    assert plan.shares == {"swe_Latn": 1.0}
    assert plan.tokens == 5e9
    assert plan.n_params is None


@pytest.mark.parametrize("content", ["not json", "[]", '{"tokens": 1}', '{"mixture": [1]}'])
def test_what_is_no_plan_is_refused(tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(InputError, match="this is no plan") as caught:
        read_plan(path)
    assert caught.value.where == str(path)


def test_a_plan_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError) as caught:
        read_plan(tmp_path / "plan.json")
    assert "atlas plan allocate" in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"to": "nemo"}, "to"),
        ({"to": "megatron", "paths": "data/all"}, "paths"),
        ({"to": "huggingface", "tokens_per_document": {"sv": 100}}, "tokens_per_document"),
        (
            {"to": "huggingface", "tokens_per_document": {"sv": 0}},
            "tokens of a document of swe_Latn",
        ),
    ],
)
def test_wrong_questions_say_where_they_are_wrong(options, where):
    with pytest.raises(InputError) as caught:
        export_mixture(PLAN, **options)
    assert caught.value.where == where


def test_a_language_outside_madlad_has_no_madlad_path():
    with pytest.raises(InputError) as caught:
        text("megatron", PlannedMixture({"nno_Latn": 1.0}), paths="{madlad}")
    assert caught.value.value == "nno_Latn"


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ('{"mixture": {"sv": "half"}}', "mixture, sv"),
        ('{"mixture": {"sv": 1}, "tokens": "many"}', "plan, tokens"),
        ('{"mixture": {"sv": 1}, "tokens": -1}', "tokens"),
        ('{"mixture": {"sv": 1}, "epochs": {"sv": null}}', "epochs, sv"),
        ('{"mixture": {"sv": 1}, "n_params": true}', "plan, n_params"),
    ],
)
def test_a_plan_with_something_else_in_place_of_a_number_is_refused(tmp_path, document, place):
    path = tmp_path / "plan.json"
    path.write_text(document)
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert caught.value.where.endswith(place)


def test_a_folder_is_no_plan(tmp_path):
    with pytest.raises(InputError, match="no plan"):
        read_plan(tmp_path)
