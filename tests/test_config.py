import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from atlas_scaling.config import dump_config, load_config, parse_config
from atlas_scaling.errors import InputError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Size(_Strict):
    layers: int = Field(gt=0)
    width: int = 64


class _Spec(_Strict):
    name: str
    languages: list[str] = []
    sizes: dict[str, _Size] = {}


def _error(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse_config(text, _Spec, name="study.yaml")
    return caught.value


def test_a_norwegian_code_is_a_string_and_not_false():
    assert parse_config("name: x\nlanguages: [no, yes]", _Spec, name="f").languages == ["no", "yes"]


def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one():
    error = _error("name: x\nsizes:\n  s:\n    layers: 2\n    widht: 3\n")
    assert error.where == "study.yaml:5, sizes.s.widht"
    assert "widht" in error.problem
    assert "'width'" in error.remedy


def test_a_wrong_value_is_shown_with_its_line():
    error = _error("name: x\nsizes:\n  s:\n    layers: -2\n")
    assert error.where == "study.yaml:4, sizes.s.layers"
    assert error.value == -2


def test_a_missing_key_is_named():
    assert "name" in _error("languages: []").problem


@pytest.mark.parametrize(
    "text", ["name: [x", "a: b: c", "\tname: x", "name: x\nname: y", "name: 'x"]
)
def test_broken_yaml_is_refused_with_a_line(text):
    error = _error(text)
    assert "not valid YAML" in error.problem
    assert "study.yaml:" in error.where


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "3"])
def test_a_file_that_is_no_mapping_is_refused(text):
    assert "mapping" in _error(text).problem


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "nowhere.yaml", _Spec)


def test_a_binary_file_is_no_config(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(path, _Spec)


@given(st.text(max_size=60))
def test_no_text_whatever_gives_anything_but_a_spec_or_a_message(text):
    with contextlib.suppress(InputError):
        parse_config(text, _Spec, name="f")


@given(
    name=st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cc"]), max_size=20),
    languages=st.lists(st.sampled_from(["no", "yes", "1", "1.5", "null", "~", "nob_Latn"])),
)
def test_what_is_written_reads_back_equal(name, languages):
    spec = _Spec(name=name, languages=languages, sizes={"s": _Size(layers=2)})
    assert parse_config(dump_config(spec), _Spec, name="f") == spec
