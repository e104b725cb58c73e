from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers.column_map import (
    MEASURES,
    TEXTS,
    ColumnMap,
    ImportUnit,
    load_map,
    map_beside,
    save_map,
    with_options,
)


def load(tmp_path: Path, text: str) -> ColumnMap:
    path = tmp_path / "x.map.yaml"
    path.write_text(text, encoding="utf-8")
    return load_map(path)


def test_no_is_norwegian_and_not_false(tmp_path):
    columns = load(
        tmp_path, "languages: {no: nor_Latn}\nset:\n  language: no\n  mixture: {no: 1}\n"
    )
    assert columns.languages == {"no": "nor_Latn"}
    assert columns.set.language == "no"
    assert columns.set.mixture == {"no": 1.0}


def test_counts_and_a_single_language_are_read_as_people_write_them(tmp_path):
    columns = load(tmp_path, "set: {n_params: 2B, mixture: swe_Latn}\n")
    assert columns.set.n_params == 2e9
    assert columns.set.mixture == {"swe_Latn": 1.0}


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("columns: {token: D}", "'token'", 1),
        ("colums: {tokens: D}", "colums", 1),
        ("set:\n  n_params: -2", "above zero", 2),
        ("set:\n  n_param: 2", "n_param", 2),
        ("scale: {tokens: 0}", "greater than 0", 1),
        ("scale: {language: 2}", "'language'", 1),
        ("loss_unit: nats", "nats_per_token", 1),
        ("restarts: later", "overlap", 1),
        ("columns: {step: 's{language}'}", "one column a language", 1),
        ("columns: {mixture: 's{run_id}'}", "one column a run", 1),
        ("columns: {tokens: [a, b]}", "only run_id", 1),
        ("columns: {loss: a, bits_per_byte: b}\nloss_unit: bits_per_byte", "name one", 1),
    ],
)
def test_a_map_that_makes_no_sense_is_refused_with_its_line(tmp_path, text, said, line):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    assert said in str(caught.value)
    assert f"x.map.yaml:{line}" in caught.value.where


def test_the_nearest_field_is_said(tmp_path):
    with pytest.raises(InputError, match="did you mean 'tokens'"):
        load(tmp_path, "columns: {token: D}")


# YAML has no way to write control characters.
names = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=12)
maps = st.builds(
    lambda columns, unit, languages, domains, only, keep, n_params: ColumnMap.model_validate(
        {
            "columns": columns,
            "loss_unit": unit,
            "languages": languages,
            "domains": domains,
            "only": only,
            "keep": keep,
            "set": {"n_params": n_params},
        }
    ),
    st.dictionaries(st.sampled_from((*TEXTS, *MEASURES[:1])), names.filter(lambda n: "{" not in n)),
    st.sampled_from([None, *ImportUnit]),
    st.dictionaries(names, st.none() | names, max_size=3),
    st.booleans(),
    st.dictionaries(
        names, names | st.booleans() | st.floats(allow_nan=False, allow_infinity=False), max_size=3
    ),
    st.lists(names, max_size=3),
    st.none() | st.floats(1, 1e15),
)


@given(maps)
def test_a_map_that_was_saved_comes_back_equal(tmp_path_factory, columns):
    path = tmp_path_factory.mktemp("m") / "x.map.yaml"
    save_map(columns, path)
    assert load_map(path) == columns


def test_options_add_to_a_map_and_win_over_it():
    base = ColumnMap.model_validate({"columns": {"tokens": "T", "loss": "L"}, "set": {"seed": 1}})
    columns = with_options(
        base,
        column=["tokens=train/a=b", "loss=loss/{language}"],
        facts=["n_params=2B", "mixture={no: 0.5, en: 0.5}", "loss_unit=perplexity"],
    )
    assert columns.loss_unit is ImportUnit.PERPLEXITY
    assert columns.columns == {"tokens": "train/a=b", "loss": "loss/{language}"}
    assert (columns.set.seed, columns.set.n_params) == (1, 2e9)
    assert columns.set.mixture == {"no": 0.5, "en": 0.5}


@pytest.mark.parametrize(
    ("options", "where", "said"),
    [
        ({"column": ["token=a"]}, "--column", "'tokens'"),
        ({"column": ["tokens"]}, "--column", "NAME=VALUE"),
        ({"column": ["step=a{language}"]}, "--column", "one column a language"),
        ({"facts": ["n_params=-2"]}, "--set.n_params", "above zero"),
        ({"facts": ["n_params=many"]}, "--set.n_params", "not a number"),
        ({"facts": ["size=2"]}, "--set", "'size'"),
        ({"facts": ["loss_unit=bits"]}, "--set", "nats_per_token"),
        ({"facts": ["mixture={a"]}, "--set", "no mapping"),
    ],
)
def test_a_wrong_option_is_refused_with_its_place(options, where, said):
    with pytest.raises(InputError) as caught:
        with_options(ColumnMap(), **options)
    assert where in caught.value.where
    assert said in str(caught.value)


def test_the_map_lies_beside_the_data():
    assert map_beside(Path("logs/runs.csv")) == Path("logs/runs.map.yaml")
    assert map_beside(Path("logs/wandb")) == Path("logs/wandb.map.yaml")


def test_a_map_is_frozen():
    with pytest.raises(ValidationError):
        ColumnMap().domains = True
