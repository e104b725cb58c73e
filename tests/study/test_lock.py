import json
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from atlas_scaling.errors import InputError, RunError
from atlas_scaling.study import lock as lock_module
from atlas_scaling.study.lock import Life, Lock, last_holder

SPAWN = multiprocessing.get_context("spawn")


def _compete(directory, pipe):
    """Say that it is ready, try when told to, and keep what it got until told to go."""
    pipe.send("ready")
    pipe.recv()
    try:
        with Lock(directory, what="run"):
            pipe.send(os.getpid())
            with suppress(EOFError):
                pipe.recv()
    except InputError:
        pipe.send(None)


def _start(directory):
    """A process that competes, and our end of its pipe (an event would hang once it is killed)."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_compete, args=(directory, theirs))
    process.start()
    theirs.close()
    assert ours.poll(60)
    assert ours.recv() == "ready"
    return process, ours


@pytest.fixture
def holder(tmp_path):
    """Another process that holds ``tmp_path``."""
    process, pipe = _start(tmp_path)
    pipe.send("try")
    assert pipe.recv() == process.pid
    yield process
    pipe.close()
    process.join()


def elsewhere(directory: Path, *, job: str | None = None, silent: float = 0.0) -> Path:
    """Make the last owner one of another machine, last heard of ``silent`` seconds ago."""
    path = max((directory / "locks").glob("*.json"), key=lambda p: int(p.stem))
    owner = json.loads(path.read_text())
    path.write_text(
        json.dumps({**owner, "host": "node7", "machine": "x", "job": job, "released_at": None})
    )
    os.utime(path, (time.time() - silent,) * 2)
    return path


def test_of_many_processes_at_once_one_gets_the_directory(tmp_path):
    crowd = [_start(tmp_path) for _ in range(6)]
    for _, pipe in crowd:
        pipe.send("try")
    won = [pid for pid in (pipe.recv() for _, pipe in crowd) if pid is not None]
    for process, pipe in crowd:
        pipe.close()
        process.join()
    assert len(won) == 1
    assert last_holder(tmp_path).owner.pid == won[0]


def test_a_refusal_names_the_owner_and_the_age_of_its_last_sign_of_life(tmp_path, holder):
    with pytest.raises(InputError, match="another process") as caught, Lock(tmp_path, what="run"):
        pass
    assert f"process {holder.pid} on " in caught.value.value
    assert "last sign of life 0 s ago" in caught.value.value


def test_a_released_directory_is_free_and_its_owners_stay_on_record(tmp_path):
    for _ in range(3):
        with Lock(tmp_path, what="run"):
            assert last_holder(tmp_path).life is Life.ALIVE
        assert last_holder(tmp_path).life is Life.GONE
    assert sorted(p.name for p in (tmp_path / "locks").iterdir()) == ["1.json", "2.json", "3.json"]


def test_where_an_owner_cannot_be_written_nobody_holds_the_directory(tmp_path):
    resource = pytest.importorskip("resource", reason="limits on files are Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(RunError, match="File too large"), Lock(tmp_path, what="run"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert last_holder(tmp_path) is None


def test_a_process_that_was_killed_outright_holds_nothing(tmp_path, holder):
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    assert last_holder(tmp_path).owner.released_at is None
    with Lock(tmp_path, what="run"):
        assert last_holder(tmp_path).number == 2


def test_a_pid_that_another_process_has_now_is_not_taken_for_the_owner(tmp_path):
    with Lock(tmp_path, what="run"):
        pass
    path = tmp_path / "locks" / "1.json"
    owner = {**json.loads(path.read_text()), "released_at": None, "started": "1"}
    path.write_text(json.dumps(owner))  # our own pid, begun at another time
    assert last_holder(tmp_path).life is Life.GONE


def test_an_owner_elsewhere_that_moves_is_refused_as_soon_as_it_does(tmp_path, monkeypatch):
    with Lock(tmp_path, what="run"):
        pass
    path = elsewhere(tmp_path)
    looks = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            os.utime(path)  # its heartbeat

    monkeypatch.setattr(lock_module.time, "sleep", look)
    with pytest.raises(InputError, match="another process"), Lock(tmp_path, what="run"):
        pass
    assert len(looks) == 3


@pytest.mark.parametrize("skew", [0.0, -3600.0, 300.0])
def test_an_owner_elsewhere_that_is_silent_is_watched_whatever_its_clock_says(
    tmp_path, monkeypatch, skew
):
    with Lock(tmp_path, what="run"):
        pass
    elsewhere(tmp_path, silent=skew)
    assert last_holder(tmp_path).life is Life.UNHEARD
    monkeypatch.setattr(lock_module, "WATCHED_SECONDS", 0.2)
    monkeypatch.setattr(lock_module, "_LOOK_SECONDS", 0.05)
    began, said = time.monotonic(), []
    with Lock(tmp_path, what="run", say=said.append):
        assert time.monotonic() - began >= 0.2
    assert len(said) == 1
    assert "watching" in said[0]


def test_an_owner_elsewhere_that_is_silent_for_long_is_gone_at_once(tmp_path):
    with Lock(tmp_path, what="run"):
        pass
    elsewhere(tmp_path, silent=lock_module.SILENT_SECONDS + 1)
    with Lock(tmp_path, what="run"):
        assert last_holder(tmp_path).number == 2


def test_a_job_that_runs_again_on_another_node_follows_its_first_start_at_once(tmp_path):
    with Lock(tmp_path, what="run"):
        pass
    elsewhere(tmp_path, job="12_3")
    with Lock(tmp_path, what="run", job="12_3"):
        assert last_holder(tmp_path).owner.job == "12_3"


def test_an_owner_that_was_taken_for_dead_learns_so_and_writes_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.02)
    with Lock(tmp_path, what="run") as first:
        first.require()
        elsewhere(tmp_path, silent=3600)
        with Lock(tmp_path, what="run"):
            time.sleep(0.3)
            with pytest.raises(InputError, match="another process"):
                first.require()
    assert json.loads((tmp_path / "locks" / "1.json").read_text())["released_at"] is None


def test_an_owner_touches_its_file_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "HEARTBEAT_SECONDS", 0.02)
    with Lock(tmp_path, what="run"):
        first = last_holder(tmp_path).touched
        time.sleep(0.2)
        assert last_holder(tmp_path).touched > first
