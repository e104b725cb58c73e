import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.runs.importers.clock import (
    at_steps,
    counted_up,
    fill,
    find_resets,
    without_resets,
)

step_lists = st.lists(st.integers(1, 10**6), min_size=1, max_size=20, unique=True).map(sorted)


@given(step_lists, st.integers(1, 2**22), st.lists(st.integers(0, 2 * 10**6), max_size=10))
def test_with_a_constant_batch_every_step_has_batch_times_step(known, batch, asked):
    steps = np.array(known, dtype=float)
    values = at_steps(np.array(asked, dtype=float), steps, batch * steps)
    assert values == pytest.approx(batch * np.array(asked, dtype=float), rel=1e-12)


def test_between_two_counts_the_tokens_grow_in_proportion_to_the_steps():
    # From 1000 at step 10 to 3000 at step 20 a step takes 200; before step 10 it took 100.
    values = at_steps(np.array([5.0, 10, 14, 25]), np.array([10.0, 20]), np.array([1000.0, 3000]))
    assert values.tolist() == [500, 1000, 1800, 4000]


def test_a_count_at_step_zero_is_kept_and_not_replaced_by_zero():
    values = at_steps(np.array([0.0, 5]), np.array([0.0, 10]), np.array([700.0, 900]))
    assert values.tolist() == [700, 800]


@given(st.lists(st.integers(2, 30), min_size=1, max_size=4), st.integers(1, 5000))
def test_a_counter_that_starts_from_zero_at_each_restart_is_continued(lengths, batch):
    # Each segment logs every step and is resumed from its last one with the counter at zero.
    steps = np.arange(1, sum(lengths) + 1, dtype=float)
    counts = np.concatenate([batch * np.arange(1.0, n + 1) for n in lengths])
    segments = np.repeat(np.arange(len(lengths)), lengths)
    starts = find_resets(counts, segments)
    assert without_resets(steps, counts, starts) == pytest.approx(batch * steps)


def test_a_small_fall_inside_a_segment_is_no_restart():
    counts = np.array([1000.0, 2000.0, 1990.0, 3000.0])
    assert find_resets(counts, np.zeros(4, dtype=np.int64)).tolist() == []


def test_a_growing_batch_is_counted_up_step_by_step():
    # Steps 1-10 took 100 each, 11-20 took 300: 1000, then 1000 + 3000.
    assert counted_up(np.array([10.0, 20]), np.array([100.0, 300])).tolist() == [1000, 4000]


def test_rows_take_tokens_from_the_clock_of_their_own_run_only():
    rows = pl.DataFrame({"run_id": ["a", "b", "c"], "step": [5.0, 5.0, 5.0]})
    clock = pl.DataFrame({"run_id": ["a", "b"], "step": [10.0, 10.0], "tokens": [100.0, 1000.0]})
    filled = fill(rows, clock, "tokens")
    assert filled.values.to_list() == [50.0, 500.0, None]
    assert filled.joined == 2


def test_rows_after_the_last_count_are_said():
    rows = pl.DataFrame({"run_id": ["a"], "step": [20.0]})
    clock = pl.DataFrame({"run_id": ["a"], "step": [10.0], "tokens": [100.0]})
    filled = fill(rows, clock, "tokens")
    assert (filled.values.to_list(), filled.beyond) == ([200.0], 1)


def test_a_fall_that_is_no_restart_is_left_and_said():
    frame = pl.DataFrame(
        {"run_id": ["a"] * 3, "step": [1.0, 2, 3], "tokens": [1000.0, 2000.0, 1900.0]}
    )
    filled = fill(frame, frame, "tokens")
    assert filled.values.to_list() == [1000.0, 2000.0, 1900.0]
    assert (filled.odd_runs, filled.reset_runs) == (("a",), ())
