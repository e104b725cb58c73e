import json
import os
import time
from dataclasses import replace

import pytest

from atlas_scaling.study import lock
from atlas_scaling.study.engines.base import EventKind, Job, JobState
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.follow import follow
from atlas_scaling.study.lock import Lock, last_holder
from atlas_scaling.study.status import left_to_do, standings
from tests.study.trial import spec

CONTINUED = "  - {kind: continued, languages: [swe], sizes: [s], tokens: 100k}\n"
CAPACITY = "  - {kind: capacity, sizes: [s], tokens: 100k}\n"
RUN, OTHER = "mono-swe_Latn-s-seed0", "mono-dan_Latn-s-seed0"
NEXT, BASE = "continued-swe_Latn-from-even4-s-seed0", "even4-s-seed0"


@pytest.fixture
def study(tmp_path):
    return StudyFolder.begin(tmp_path, spec(CAPACITY + CONTINUED))


def say(study: StudyFolder, run_id: str, state: str, **fields) -> None:
    """What a run says of itself."""
    directory = study.run_dir(run_id)
    directory.mkdir(parents=True, exist_ok=True)
    status = {"state": state, "tokens": 50_000, "updated_at": "2026-11-26T10:00:00+00:00"}
    status |= {"host": "node7", "pid": 12, **fields}
    (directory / "status.json").write_text(json.dumps(status))


def held(study: StudyFolder, run_id: str, *, silent: float, job: str | None = None) -> None:
    """Its directory held by a process elsewhere."""
    directory = study.run_dir(run_id)
    with Lock(directory, what="run", job=job):
        pass
    path = directory / "locks" / f"{last_holder(directory).number}.json"
    path.write_text(
        json.dumps({**json.loads(path.read_text()), "machine": "x", "released_at": None})
    )
    os.utime(path, (time.time() - silent,) * 2)


def stand(study: StudyFolder, run_id: str, job: Job | None = None):
    jobs = {} if job is None else {run_id: job}
    return next(one for one in standings(study, jobs) if one.run_id == run_id)


QUEUED = Job("12_3", JobState.QUEUED, "Priority", "2026-11-26T11:00:00+00:00")
RUNNING = Job("12_3", JobState.RUNNING, None, "2026-11-26T11:00:00+00:00")
ENDED = Job("12_3", JobState.ENDED, "NODE_FAIL", "2026-11-26T09:00:00+00:00")


def test_a_run_that_was_never_begun_waits_for_its_base_or_for_somebody_to_begin(study):
    assert (stand(study, RUN).state, stand(study, RUN).reason) == ("waiting", None)
    assert (stand(study, NEXT).state, stand(study, NEXT).reason) == ("waiting", f"for {BASE}")


def test_a_run_in_the_queue_says_what_it_waits_for_in_the_schedulers_words(study):
    one = stand(study, RUN, QUEUED)
    assert (one.state, one.job, one.reason) == ("queued", "12_3", "Priority")


def test_a_running_run_has_its_speed_and_its_time_left(study):
    say(study, RUN, "running", tokens_per_second=1000.0)
    held(study, RUN, silent=5)
    one = stand(study, RUN, RUNNING)
    assert (one.state, one.host, one.reason) == ("running", "node7", None)
    assert one.seconds_left == pytest.approx((200_000 - 50_000) / 1000.0)


def test_silence_is_said_before_it_is_taken_for_death(study, monkeypatch):
    monkeypatch.setattr(lock, "WATCHED_SECONDS", 0.1)
    say(study, RUN, "running")
    held(study, RUN, silent=120)
    assert (stand(study, RUN).state, stand(study, RUN).reason) == (
        "running",
        "no sign of life for 120 s",
    )
    held(study, RUN, silent=3600)
    assert stand(study, RUN).state == "lost"


def test_a_scheduler_knows_sooner_than_silence_that_a_run_is_lost(study):
    say(study, RUN, "running")
    held(study, RUN, silent=5, job="12_3")
    one = stand(study, RUN, ENDED)
    assert one.state == "lost"
    assert "process 12 on node7 is gone" in one.reason
    assert "its job ended: NODE_FAIL" in one.reason


def test_of_a_lost_run_is_said_what_is_known_of_its_process(study):
    say(study, RUN, "running", host=None, pid=None)
    gone = "is gone, last heard of 2026-11-26T10:00:00+00:00; see logs/ of the study"
    assert stand(study, RUN).reason == f"its process {gone}"
    held(study, RUN, silent=3600)
    owner = last_holder(study.run_dir(RUN)).owner
    assert stand(study, RUN).reason == f"process {owner.pid} on {owner.host} {gone}"
    say(study, OTHER, "running", pid=None)
    assert stand(study, OTHER).reason == f"its process on node7 {gone}"


def test_a_run_whose_job_ended_before_it_began_is_lost_unless_somebody_cancelled_it(study):
    one = stand(study, RUN, ENDED)
    assert (one.state, one.reason) == ("lost", "it never began; its job ended: NODE_FAIL")
    printed = replace(ENDED, log="slurm/12_3_0_log.err")
    assert stand(study, RUN, printed).reason.endswith("NODE_FAIL; see slurm/12_3_0_log.err")
    cancelled = Job("12_3", JobState.CANCELLED, "CANCELLED")
    assert stand(study, RUN, cancelled).state == "stopped"


def test_a_failure_in_a_job_that_goes_on_is_told_from_one_before_that_job(study):
    say(study, RUN, "failed", reason="diverged", updated_at="2026-11-26T11:30:00+00:00")
    assert (stand(study, RUN, RUNNING).state, stand(study, RUN, RUNNING).reason) == (
        "failed",
        "diverged",
    )
    say(study, RUN, "failed", reason="diverged", updated_at="2026-11-26T10:00:00+00:00")
    assert stand(study, RUN, RUNNING).state == "queued"


def test_a_failure_is_told_while_its_process_goes_on_with_others_trained_together(study):
    say(study, RUN, "running")
    held(study, RUN, silent=5)
    owner = last_holder(study.run_dir(RUN)).owner
    own = {"reason": "diverged", "host": owner.host, "pid": owner.pid}
    say(study, RUN, "failed", **own, updated_at=owner.since)
    assert (stand(study, RUN).state, stand(study, RUN).reason) == ("failed", "diverged")
    say(study, RUN, "failed", **own)  # long before this owner came
    assert stand(study, RUN).state == "running"
    say(study, RUN, "failed", **{**own, "pid": owner.pid + 1}, updated_at=owner.since)
    assert stand(study, RUN).state == "running"


def test_done_is_done_whatever_a_scheduler_says(study):
    say(study, RUN, "done", tokens=200_000)
    for job in (QUEUED, RUNNING, ENDED):
        assert stand(study, RUN, job).state == "done"


def test_what_is_left_to_do_is_all_that_is_neither_done_nor_in_hand(study):
    say(study, RUN, "done")
    say(study, OTHER, "failed", reason="diverged")
    say(study, "mono-nob_Latn-s-seed0", "stopped")
    jobs = {"mono-spa_Latn-s-seed0": QUEUED, BASE: ENDED}
    assert {run.run_id for run in left_to_do(study, jobs)} == {
        OTHER,
        "mono-nob_Latn-s-seed0",
        BASE,
        NEXT,
    }


class Scripted:
    """An engine whose scheduler says one thing after the other, and acts on the folder."""

    def __init__(self, *scenes) -> None:
        self.scenes = list(scenes)

    def jobs(self, study_dir):
        act, jobs = self.scenes.pop(0) if len(self.scenes) > 1 else self.scenes[0]
        act()
        return jobs


def test_following_tells_of_progress_loss_and_end_and_returns_when_nothing_is_in_hand(
    study, monkeypatch
):
    monkeypatch.setattr("atlas_scaling.study.follow.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("atlas_scaling.study.follow.ASK_SECONDS", -1.0)

    def train():
        say(study, RUN, "running", tokens_per_second=10.0)
        held(study, RUN, silent=0, job="12_3")

    def die():
        held(study, RUN, silent=9999, job="12_3")

    def finish():
        say(study, RUN, "done", tokens=200_000)

    engine = Scripted(
        (lambda: None, {RUN: QUEUED}),
        (train, {RUN: RUNNING}),
        (die, {RUN: QUEUED}),
        (train, {RUN: RUNNING}),
        (finish, {RUN: ENDED}),
    )
    events = []
    follow(study, {RUN}, engine, on_event=events.append)
    assert [event.kind for event in events] == [
        EventKind.PROGRESS,
        EventKind.LOST,
        EventKind.PROGRESS,
        EventKind.DONE,
    ]
    assert events[1].reason == "job 12_3: Priority"


def test_a_run_that_nobody_will_carry_on_is_told_as_failed(study, monkeypatch):
    monkeypatch.setattr("atlas_scaling.study.follow.LOOK_SECONDS", 0.0)
    engine = Scripted((lambda: None, {RUN: ENDED}))
    events = []
    follow(study, {RUN}, engine, on_event=events.append)
    assert [event.kind for event in events] == [EventKind.FAILED]
    assert "lost: it never began; its job ended: NODE_FAIL" in events[0].reason
