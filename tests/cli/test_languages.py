import json

import pytest

from atlas_scaling.errors import InputError
from tests.cli.program import called


def run(*arguments):
    return called("languages", *arguments)


def test_a_language_is_found_by_its_name():
    result = run("norwegian")
    assert result.exit_code == 0
    assert "nob_Latn" in result.stdout
    assert result.stdout.strip().endswith("3 languages.")


def test_json_is_a_list_of_languages():
    found = json.loads(run("iw", "--json").stdout)
    assert found[0]["code"] == "heb_Hebr"
    assert found[0]["madlad"] == "iw"


def test_without_a_search_every_language_is_listed():
    assert len(json.loads(run("--json").stdout)) >= 419


def test_nothing_found_says_what_to_try():
    result = run("zzzz")
    with pytest.raises(InputError) as caught:
        raise result.exception
    assert caught.value.value == "zzzz"
    assert caught.value.remedy
