"""What is found without a map, and what is not taken for what it is not."""

import pytest

from atlas_scaling.errors import InputError
from tests.runs.importers.tables import import_text, mixture


def found(tmp_path, header: str, name: str = "runs.csv", **columns) -> dict[str, str]:
    cells = ",".join("2.5" for _ in header.split(","))
    facts = {"tokens": 1e9, "language": "en"}
    return import_text(
        tmp_path, f"{header}\n{cells}\n", name, **{"set": facts, **columns}
    ).summary.columns


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        ("eval_en_loss,eval_de_loss,eval_runtime", "eval_{language}_loss"),
        ("eval/en_loss,eval/de_loss", "eval/{language}_loss"),
        ("val/en/loss,train/loss", "val/{language}/loss"),
        ("validation/loss/sw,x", "validation/loss/{language}"),
        ("loss_en,loss_no", "loss_{language}"),
        ("eval_loss,eval_runtime", "eval_loss"),
    ],
)
def test_losses_are_found_under_the_names_of_well_known_trainers(tmp_path, header, pattern):
    assert found(tmp_path, header)["loss"] == pattern


def test_columns_that_look_like_losses_but_are_of_no_language_are_not(tmp_path):
    with pytest.raises(InputError, match="evaluation loss"):
        found(tmp_path, "loss_scale,loss_lo95,train/loss")


@pytest.mark.parametrize(
    ("header", "pattern"),
    [
        ("w_en,w_de", "w_{language}"),
        ("weight_en,weight_no", "weight_{language}"),
        ("ratio/en,ratio/sw", "ratio/{language}"),
        ("mixture_en,mixture_de", "mixture_{language}"),
        ("config.weights.en,config.weights.de", "config.weights.{language}"),
        ("mixture_id", None),  # a name, and no share of Indonesian
        ("w_en,w_sum", None),
        ("weight_decay,weight_norm", None),
    ],
)
def test_columns_named_like_weights_of_languages_are_the_mixture(tmp_path, header, pattern):
    names = header.split(",")
    cells = ",".join(["2.5", *(str(1 / len(names)) for _ in names)])
    facts = {"tokens": 1e9, "language": "en"}
    text = f"loss,{header}\n{cells}\n"
    imported = import_text(tmp_path, text, set=facts)
    assert imported.summary.columns.get("mixture") == pattern
    if pattern is not None:
        assert [entry["value"] for entry in imported.frame["mixture"][0]] == [0.5, 0.5]
        assert f"mixtures taken from columns like {pattern}" in imported.summary.notes


def test_the_example_of_a_remedy_is_the_language_it_proposes(tmp_path):
    with pytest.raises(InputError) as caught:
        import_text(tmp_path, "run,tokens,loss,language\na,1e9,2.5,Danish\n")
    assert "did you mean dan_Latn (Danish)?" in caught.value.remedy
    assert "languages: {Danish: dan_Latn}" in caught.value.remedy


def test_an_average_among_the_languages_is_asked_about(tmp_path):
    with pytest.raises(InputError) as caught:
        found(tmp_path, "eval_en_loss,eval_average_loss")
    assert caught.value.value == ["average"]
    assert found(tmp_path, "eval_en_loss,eval_average_loss", languages={"average": None})


def test_names_of_trainers_for_steps_and_tokens_are_known(tmp_path):
    text = "run,global_step,num_input_tokens_seen,val_loss,learning_rate\na,7,1e9,2.5,0.1\n"
    imported = import_text(tmp_path, text)
    assert imported.frame.select("run_id", "step", "tokens", "lr").row(0) == ("a", 7, 1e9, 0.1)


def test_our_own_name_goes_before_a_trainer_s(tmp_path):
    text = "run_id,step,global_step,tokens,loss\na,1,2,1e9,2.5\n"
    assert import_text(tmp_path, text).frame["step"].to_list() == [1]


def test_what_the_map_names_is_not_looked_for(tmp_path):
    text = "run_id,tokens,D,loss\na,1,1e9,2.5\n"
    imported = import_text(tmp_path, text, columns={"tokens": "D"})
    assert imported.frame["tokens"].to_list() == [1e9]


def test_the_map_that_comes_back_gives_the_same_import_without_looking(tmp_path):
    text = "run,step,tokens_seen,eval_en_loss,eval_no_loss\na,1,1e9,2.5,3.5\n"
    first = import_text(tmp_path, text)
    again = import_text(tmp_path, text, **first.columns.model_dump(exclude_defaults=True))
    assert again.frame.equals(first.frame)
    assert again.columns == first.columns


def test_both_losses_of_a_wide_table_stand_side_by_side(tmp_path):
    text = "run_id,tokens,nats/en,bpb/en,nats/no\na,1e9,2.5,0.9,3.5\n"
    columns = {"loss": "nats/{language}", "bits_per_byte": "bpb/{language}"}
    frame = import_text(tmp_path, text, columns=columns).frame
    assert frame.select("language", "loss", "bits_per_byte").rows() == [
        ("eng_Latn", 2.5, 0.9),
        ("nor_Latn", 3.5, None),
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('"{""en"": 0.5, ""no"": 0.5}"', {"eng_Latn": 0.5, "nor_Latn": 0.5}),
        ('"{""en"": 100}"', {"eng_Latn": 1.0}),
    ],
)
def test_a_mixture_may_be_json_in_one_cell(tmp_path, cell, expected):
    assert (
        mixture(import_text(tmp_path, f"run_id,tokens,loss,mixture\na,1e9,2.5,{cell}\n"))
        == expected
    )


@pytest.mark.parametrize("cell", ["english", "[1]", '"{""en"": ""x""}"', "0.5"])
def test_a_mixture_that_is_none_is_refused_with_its_cell(tmp_path, cell):
    with pytest.raises(InputError) as caught:
        import_text(tmp_path, f"run_id,tokens,loss,mixture\na,1e9,2.5,{cell}\n")
    assert caught.value.where == "mixture"


def test_one_number_of_unique_tokens_is_of_the_row_s_own_language(tmp_path):
    text = "run_id,tokens,language,loss,unique_tokens\na,1e9,sv,2.5,5e8\nb,1e9,en,2.5,\n"
    imported = import_text(tmp_path, text)
    assert mixture(imported, 0, "unique_tokens") == {"swe_Latn": 5e8}
    assert mixture(imported, 1, "unique_tokens") is None


def test_unique_tokens_of_no_language_are_refused(tmp_path):
    with pytest.raises(InputError, match="of which language") as caught:
        import_text(tmp_path, "run_id,tokens,loss,unique_tokens\na,1e9,2.5,5e8\n")
    assert "--set language" in caught.value.remedy


def test_unique_tokens_by_language_come_from_columns_or_facts(tmp_path):
    text = "run_id,tokens,loss,U_en,U_no\na,1e9,2.5,5B,1B\n"
    wide = import_text(tmp_path, text, columns={"unique_tokens": "U_{language}"})
    assert mixture(wide, 0, "unique_tokens") == {"eng_Latn": 5e9, "nor_Latn": 1e9}
    stated = import_text(tmp_path, text, set={"unique_tokens": {"no": "1B"}})
    assert mixture(stated, 0, "unique_tokens") == {"nor_Latn": 1e9}


def test_tokens_by_language_add_up_to_the_tokens(tmp_path):
    text = "run_id,step,loss,D_en,D_no\na,1,2.5,3e9,1e9\n"
    imported = import_text(tmp_path, text, columns={"tokens_by_language": "D_{language}"})
    assert imported.frame["tokens"].to_list() == [4e9]
    assert mixture(imported) == {"eng_Latn": 0.75, "nor_Latn": 0.25}


def test_tokens_by_language_are_joined_by_step(tmp_path):
    text = (
        '{"run": "a", "step": 10, "D": {"en": 300, "no": 100}}\n'
        '{"run": "a", "step": 15, "eval_loss": 3.0}\n'
        '{"run": "a", "step": 20, "D": {"en": 600, "no": 200}}\n'
    )
    columns = {"tokens_by_language": "D.{language}"}
    imported = import_text(tmp_path, text, "log.jsonl", columns=columns)
    assert mixture(imported, 0, "tokens_by_language") == {"eng_Latn": 450, "nor_Latn": 150}
    assert imported.frame["tokens"].to_list() == [600]


def test_mixtures_are_stated_by_run_and_else_for_all(tmp_path):
    text = "run_id,tokens,loss\na,1e9,2.5\nb,1e9,2.5\n"
    stated = {"set": {"mixture": "en"}, "runs": {"b": {"mixture": {"en": 20, "no": 80}}}}
    imported = import_text(tmp_path, text, **stated)
    assert mixture(imported, 0) == {"eng_Latn": 1.0}
    assert mixture(imported, 1) == {"eng_Latn": 0.2, "nor_Latn": 0.8}


def test_a_stated_mixture_must_be_one(tmp_path):
    with pytest.raises(InputError, match="sum to 1"):
        import_text(tmp_path, "run_id,tokens,loss\na,1,2\n", set={"mixture": {"en": 3, "no": 1}})
