import pytest

from atlas_scaling.errors import AtlasError, InputError, RunError, nearest, unknown
from atlas_scaling.units import LossUnit


def test_a_message_gives_the_problem_the_value_the_place_and_a_remedy():
    error = InputError("not a number", value="x", where="--params", remedy="write 2e9")
    assert str(error).splitlines() == [
        "not a number",
        "  received: 'x'",
        "  at:       --params",
        "  try:      write 2e9",
    ]


def test_wrong_input_exits_with_2_and_every_other_failure_with_1():
    assert InputError("x").exit_code == 2
    assert RunError("x").exit_code == 1
    assert AtlasError("x").exit_code == 1


def test_a_very_long_value_is_cut_short_in_the_message():
    assert len(str(InputError("x", value="y" * 10_000))) < 300


@pytest.mark.parametrize(("given", "hint"), [("tokns", "'tokens'"), ("stpes", "'steps'")])
def test_a_misspelt_name_is_answered_with_the_nearest_known_one(given, hint):
    assert hint in nearest(given, ["tokens", "steps"])


def test_a_hint_names_the_members_of_an_enumeration_as_users_write_them():
    assert nearest("unigram_norm", LossUnit) == "did you mean 'unigram_normalised'?"


def test_a_name_like_nothing_known_gets_no_hint():
    assert nearest("zzzz", ["tokens"]) is None


@pytest.mark.parametrize(
    ("name", "otherwise", "remedy"),
    [
        ("tokns", None, "did you mean 'tokens'?"),
        ("tokns", "see the table", "did you mean 'tokens'?"),
        ("zzzz", None, "one of tokens, steps"),
        ("zzzz", "see the table", "see the table"),
    ],
)
def test_an_unknown_name_is_answered_with_the_near_ones_or_with_all(name, otherwise, remedy):
    error = unknown("no such column", name, ["tokens", "steps"], where="x", otherwise=otherwise)
    assert isinstance(error, InputError)
    assert (error.value, error.where, error.remedy) == (name, "x", remedy)
