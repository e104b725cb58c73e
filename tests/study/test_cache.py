import os
import time
from pathlib import Path

import pytest

from atlas_scaling.errors import InputError, SourceError
from atlas_scaling.study.cache import (
    WHOLE,
    cache_directory,
    key_of,
    new_directory,
    resumable_directory,
)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_cache_is_where_it_is_asked_for_then_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("ATLAS_CACHE", raising=False)
    assert cache_directory() == tmp_path / "xdg" / "atlas-scaling"
    monkeypatch.setenv("ATLAS_CACHE", str(tmp_path / "mine"))
    assert cache_directory() == tmp_path / "mine"
    assert cache_directory(tmp_path / "argument") == tmp_path / "argument"


def test_without_any_of_these_it_is_the_users_cache_directory(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ATLAS_CACHE", raising=False)
    assert cache_directory() == Path.home() / ".cache" / "atlas-scaling"


def test_equal_requests_have_equal_keys_whatever_the_order_of_their_fields():
    assert key_of({"a": 1, "b": ["ä"]}) == key_of({"b": ["ä"], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})


def test_a_key_is_the_same_on_every_machine():
    # sha256 of {"a":1}, computed with coreutils: printf '{"a":1}' | sha256sum
    assert key_of({"a": 1}) == "015abd7f5cc57a2dd94b"


def test_a_new_directory_appears_whole(tmp_path):
    with new_directory(tmp_path / "x") as scratch:
        (scratch / "file").write_text("text")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x" / "file").read_text() == "text"
    assert names_in(tmp_path) == ["x"]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_a_new_directory_that_is_interrupted_leaves_nothing(tmp_path, interruption):
    def write_half():
        with new_directory(tmp_path / "x") as scratch:
            (scratch / "file").write_text("text")
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert names_in(tmp_path) == []


def test_whoever_comes_second_keeps_what_is_there(tmp_path):
    with new_directory(tmp_path / "x") as scratch:
        (scratch / "file").write_text("second")
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "file").write_text("first")
    assert (tmp_path / "x" / "file").read_text() == "first"
    assert names_in(tmp_path) == ["x"]


def test_what_killed_processes_left_is_swept_after_a_day(tmp_path):
    old, young = tmp_path / ".partial-old", tmp_path / ".partial-young"
    old.mkdir()
    young.mkdir()
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    with new_directory(tmp_path / "x"):
        pass
    assert names_in(tmp_path) == [".partial-young", "x"]


def test_a_cache_that_cannot_be_written_is_said_with_place_and_remedy(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SourceError) as caught, new_directory(tmp_path / "file" / "x"):
        pass
    assert str(tmp_path / "file") in caught.value.where
    assert "ATLAS_CACHE" in caught.value.remedy
    assert caught.value.exit_code == 1


def half_of_it(target, error):
    with resumable_directory(target, print) as place:
        (place / WHOLE).mkdir(parents=True)
        (place / WHOLE / "file").write_text("text")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("no network")])
def test_what_was_cut_off_is_found_by_the_next_and_becomes_the_result(tmp_path, error):
    with pytest.raises(type(error)):
        half_of_it(tmp_path / "x", error)
    assert names_in(tmp_path) == [".building-x"]
    with resumable_directory(tmp_path / "x", print) as place:
        assert (place / WHOLE / "file").read_text() == "text"
    assert names_in(tmp_path) == ["x"]
    assert names_in(tmp_path / "x") == ["file"]


def test_input_that_cannot_be_used_leaves_nothing(tmp_path):
    with pytest.raises(InputError):
        half_of_it(tmp_path / "x", InputError("no text"))
    assert names_in(tmp_path) == []


def test_what_nobody_went_on_with_for_a_month_is_swept(tmp_path):
    for name, days in ((".building-old", 40), (".building-young", 20)):
        (tmp_path / name).mkdir()
        then = time.time() - days * 24 * 3600
        os.utime(tmp_path / name, (then, then))
    with new_directory(tmp_path / "x"):
        pass
    assert names_in(tmp_path) == [".building-young", "x"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    def write_half():
        with new_directory(tmp_path / "x"):
            raise OSError(28, "No space left on device", "x/file")

    with pytest.raises(SourceError, match="No space left"):
        write_half()
    assert names_in(tmp_path) == []
