import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.runs.importers.restarts import (
    OVERTAKEN,
    overtaken_in_series,
    with_appended_steps,
    with_overtaken_segments,
)
from atlas_scaling.runs.importers.rows import ROW
from atlas_scaling.runs.importers.source import SEGMENT


def logged(steps: list[int], segments: list[int] | None = None) -> pl.DataFrame:
    return pl.DataFrame(
        {
            ROW: range(len(steps)),
            "run_id": "r",
            SEGMENT: segments or [0] * len(steps),
            "step": [float(step) for step in steps],
        }
    )


def kept(frame: pl.DataFrame) -> list[int]:
    return frame.filter(~pl.col(OVERTAKEN))[ROW].to_list()


def test_the_later_segment_wins_from_its_first_step_even_where_it_logs_less_often():
    # Killed at 40, resumed from 20; the second file logs first at 25, and not at 30.
    rows = logged([10, 20, 30, 40, 25, 45], [0, 0, 0, 0, 1, 1])
    marked, notes = with_overtaken_segments(rows, pl.lit(True))
    assert kept(marked) == [0, 1, 4, 5]
    assert not notes


def test_a_later_segment_that_replaces_everything_is_said_with_the_other_reading():
    marked, notes = with_overtaken_segments(logged([10, 20, 0, 10], [0, 0, 1, 1]), pl.lit(True))
    assert kept(marked) == [2, 3]
    assert "restarts: append" in notes[0]


def test_a_file_that_logs_neither_loss_nor_tokens_replaces_nothing():
    rows = logged([10, 20, 0], [0, 0, 1]).with_columns(pl.Series("loss", [3.0, 2.0, None]))
    marked, _ = with_overtaken_segments(rows, pl.col("loss").is_not_null())
    assert kept(marked.filter(pl.col("loss").is_not_null())) == [0, 1]


def test_steps_that_go_back_inside_a_file_are_a_restart_too():
    marked = overtaken_in_series(logged([10, 20, 30, 40, 20, 35]), ["run_id"])
    assert kept(marked) == [0, 4, 5]


def test_an_evaluation_logged_late_for_one_language_does_not_touch_another():
    rows = logged([10, 20, 10, 20]).with_columns(language=pl.Series(["a", "a", "b", "b"]))
    assert kept(overtaken_in_series(rows, ["run_id", "language"])) == [0, 1, 2, 3]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_what_is_kept_has_rising_steps_and_the_last_row_is_always_kept(steps):
    marked = overtaken_in_series(logged(steps), ["run_id"])
    left = [steps[i] for i in kept(marked)]
    assert left == sorted(left)
    assert left[-1] == steps[-1]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30))
def test_the_rule_is_the_plain_one(steps):
    """A row goes if a later segment, begun by a step back, starts at or before its step."""
    segment, segments = 0, []
    for i, step in enumerate(steps):
        segment += bool(i) and step < steps[i - 1]
        segments.append(segment)
    starts = {
        s: min(t for t, own in zip(steps, segments, strict=True) if own == s) for s in segments
    }
    expected = [
        i
        for i, (step, own) in enumerate(zip(steps, segments, strict=True))
        if not any(start <= step for later, start in starts.items() if later > own)
    ]
    assert kept(overtaken_in_series(logged(steps), ["run_id"])) == expected


def test_appended_segments_go_on_where_the_one_before_ended():
    by_file = with_appended_steps(logged([10, 20, 10, 20, 5], [0, 0, 1, 1, 2]), by_file=True)
    assert by_file["step"].to_list() == [10, 20, 30, 40, 45]
    in_file = with_appended_steps(logged([10, 20, 10, 20, 5]), by_file=False)
    assert in_file["step"].to_list() == [10, 20, 30, 40, 45]
