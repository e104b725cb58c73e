import pytest

from atlas_scaling.study.engines.base import Event, EventKind
from atlas_scaling.study.pace import StudyPace
from atlas_scaling.study.planned_runs import PlannedRun, PlannedStage


def planned(run_id: str, *, size: str = "s", tokens: int = 1000, n_params: int = 10) -> PlannedRun:
    return PlannedRun(
        run_id=run_id,
        group="monolingual",
        size=size,
        languages=("swe_Latn",),
        mixture={"swe_Latn": 1.0},
        stages=(PlannedStage(1.0, {"swe_Latn": 1.0}),),
        tokens=tokens,
        seed=0,
        n_params=n_params,
        n_params_non_embedding=n_params,
        flops=6.0 * n_params * tokens,
    )


def test_nothing_is_promised_before_a_speed_was_measured():
    pace = StudyPace([planned("a")], frozenset(), n_workers=1)
    assert pace.snapshot().seconds_left is None


def test_time_left_is_tokens_left_over_measured_speed_and_workers():
    pace = StudyPace([planned("a"), planned("b"), planned("c")], frozenset(), n_workers=2)
    pace.take(Event("a", EventKind.PROGRESS, tokens=500, tokens_per_second=100.0))
    # 500 + 1000 + 1000 tokens at 100 a second on two workers
    assert pace.snapshot().seconds_left == pytest.approx(12.5)


def test_the_longest_run_bounds_the_time_left_from_below():
    pace = StudyPace([planned("a"), planned("b", tokens=9000)], frozenset(), n_workers=2)
    pace.take(Event("a", EventKind.DONE, tokens=1000, tokens_per_second=100.0))
    assert pace.snapshot().seconds_left == pytest.approx(90.0)


def test_a_size_not_seen_yet_is_judged_by_its_flops_per_token():
    runs = [planned("a"), planned("b", size="m", n_params=40)]
    pace = StudyPace(runs, frozenset(), n_workers=1)
    pace.take(Event("a", EventKind.DONE, tokens=1000, tokens_per_second=100.0))
    # four times the FLOPs per token: 25 tokens a second
    assert pace.snapshot().seconds_left == pytest.approx(40.0)


def test_runs_done_before_count_as_done_and_cost_no_time():
    pace = StudyPace([planned("a"), planned("b")], frozenset({"a"}), n_workers=1)
    pace.take(Event("b", EventKind.PROGRESS, tokens=900, tokens_per_second=50.0))
    snapshot = pace.snapshot()
    assert (snapshot.n_done, snapshot.tokens_done) == (1, 1900)
    assert snapshot.seconds_left == pytest.approx(2.0)


def test_a_failed_run_is_counted_and_waited_for_no_longer():
    pace = StudyPace([planned("a"), planned("b")], frozenset(), n_workers=1)
    pace.take(Event("a", EventKind.PROGRESS, tokens=100, tokens_per_second=100.0))
    pace.take(Event("a", EventKind.FAILED, tokens=100, reason="loss is nan"))
    snapshot = pace.snapshot()
    assert (snapshot.n_failed, snapshot.running) == (1, ())
    assert snapshot.seconds_left == pytest.approx(10.0)


def test_runs_that_one_worker_trains_together_end_together():
    runs = [planned(name) for name in "abcdef"]
    pace = StudyPace(runs, frozenset(), n_workers=1)
    for name in "abc":
        pace.take(Event(name, EventKind.PROGRESS, tokens=500, tokens_per_second=100.0))
    # 3 x 500 + 3 x 1000 tokens at 3 x 100 a second
    assert pace.snapshot().seconds_left == pytest.approx(15.0)
