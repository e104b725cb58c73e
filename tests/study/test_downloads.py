import hashlib
import os
import sys
import textwrap

import pytest

from atlas_scaling.errors import SourceError
from atlas_scaling.study import downloads
from atlas_scaling.study.downloads import Wheel, fetch_wheel

PYTHON = sys.executable
CONTENT = b"the bytes of a wheel"


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def wheel_of(content=CONTENT, project="tiny"):
    return Wheel(
        project=project,
        version="1.0",
        filename=f"{project}-1.0-py3-none-any.whl",
        sha256=hashlib.sha256(content).hexdigest(),
        n_bytes=len(content),
    )


@pytest.fixture
def fake_pip(monkeypatch, tmp_path):
    """Put a program in the place of Python that does what ``behave(script)`` says."""

    def behave(script: str) -> None:
        program = tmp_path / "python"
        program.write_text(f"#!{PYTHON}\nimport sys, pathlib, time\n{textwrap.dedent(script)}")
        program.chmod(0o755)
        monkeypatch.setattr(downloads.sys, "executable", str(program))

    return behave


# pip's arguments end with: --dest DIR NAME==VERSION
SERVE = f"pathlib.Path(sys.argv[-2], 'tiny-1.0-py3-none-any.whl').write_bytes({CONTENT!r})"


def test_a_wheel_is_fetched_checked_and_kept(fake_pip, tmp_path):
    fake_pip(SERVE)
    said = []
    path = fetch_wheel(wheel_of(), tmp_path / "cache", say=said.append)
    assert path.read_bytes() == CONTENT
    assert names_in(path.parent) == [path.name]
    assert said == ["fetching tiny==1.0, 0 MB"]


def test_a_wheel_in_the_cache_is_not_fetched_again(fake_pip, tmp_path):
    fake_pip(SERVE)
    first = fetch_wheel(wheel_of(), tmp_path / "cache")
    fake_pip("sys.exit('no network here')")
    assert fetch_wheel(wheel_of(), tmp_path / "cache") == first


@pytest.mark.parametrize("torn", [CONTENT[:7], b"x" * len(CONTENT), b""])
def test_a_torn_wheel_is_fetched_anew(fake_pip, tmp_path, torn):
    fake_pip(SERVE)
    path = fetch_wheel(wheel_of(), tmp_path / "cache")
    path.write_bytes(torn)
    assert fetch_wheel(wheel_of(), tmp_path / "cache").read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(fake_pip, tmp_path):
    fake_pip(SERVE)
    with pytest.raises(SourceError) as caught:
        fetch_wheel(wheel_of(content=b"what was pinned"), tmp_path / "cache")
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value.value)
    assert hashlib.sha256(b"what was pinned").hexdigest() in caught.value.where
    assert names_in(tmp_path / "cache" / "wheels") == []


def test_a_python_without_pip_is_said_with_the_command_that_mends_it(fake_pip, tmp_path):
    fake_pip("sys.exit(f'{sys.executable}: No module named pip')")
    with pytest.raises(SourceError, match="has no pip") as caught:
        fetch_wheel(wheel_of(), tmp_path / "cache")
    assert "-m ensurepip" in caught.value.remedy
    assert "tiny-1.0-py3-none-any.whl" in caught.value.remedy


def test_a_python_that_cannot_be_started_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(downloads.sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(SourceError, match="pip could not be started") as caught:
        fetch_wheel(wheel_of(), tmp_path / "cache")
    assert str(tmp_path / "no-python") in caught.value.value


def test_an_index_that_is_not_reached_is_told_from_one_that_lacks_the_version(fake_pip, tmp_path):
    gone = "ERROR: No matching distribution found for tiny==1.0"
    fake_pip(f"sys.exit('WARNING: Retrying (Retry(total=1)) NewConnectionError\\n{gone}')")
    with pytest.raises(SourceError, match="was not reached") as caught:
        fetch_wheel(wheel_of(), tmp_path / "cache")
    assert "network" in caught.value.remedy
    fake_pip(f"sys.exit('{gone}')")
    with pytest.raises(SourceError, match="does not have it") as caught:
        fetch_wheel(wheel_of(), tmp_path / "cache")
    assert gone in caught.value.value
    assert caught.value.where == "tiny==1.0"


def test_pip_itself_with_no_index_gives_a_message_with_place_and_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SourceError) as caught:
        fetch_wheel(wheel_of(project="atlas-scaling-no-such-wheel"), tmp_path / "cache")
    assert "atlas-scaling-no-such-wheel==1.0" in str(caught.value)
    assert str(tmp_path / "cache" / "wheels") in caught.value.remedy
    assert caught.value.exit_code == 1
    assert names_in(tmp_path / "cache" / "wheels") == []


def test_an_interrupted_download_stops_pip_and_leaves_the_cache_as_it_was(
    fake_pip, monkeypatch, tmp_path
):
    pid_file = tmp_path / "pid"
    fake_pip(
        f"import os; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    )

    def interrupt_once_pip_runs(_seconds):
        if pid_file.exists() and pid_file.read_text():
            raise KeyboardInterrupt

    monkeypatch.setattr(downloads.time, "sleep", interrupt_once_pip_runs)
    with pytest.raises(KeyboardInterrupt):
        fetch_wheel(wheel_of(), tmp_path / "cache")
    assert names_in(tmp_path / "cache" / "wheels") == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
