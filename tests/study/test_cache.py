import os
import time
from pathlib import Path

import pytest

from atlas_scaling.errors import SourceError
from atlas_scaling.study.cache import cache_directory, key_of, new_directory


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


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    def write_half():
        with new_directory(tmp_path / "x"):
            raise OSError(28, "No space left on device", "x/file")

    with pytest.raises(SourceError, match="No space left"):
        write_half()
    assert names_in(tmp_path) == []
