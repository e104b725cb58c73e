import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import LrState
from atlas_scaling.study.schedule import Schedule
from atlas_scaling.study.settings import TrainConfig

CONFIG = TrainConfig(
    batch_size=1, lr=0.5, warmup_tokens=40, decay_fraction=0.1, first_evaluation=50
)
SCHEDULE = Schedule.of(1000, 10, CONFIG)  # 100 steps: 4 of warmup, 10 of decay


def test_the_rate_rises_stays_and_falls():
    assert SCHEDULE.rate(1) == 0.125
    assert SCHEDULE.rate(4) == SCHEDULE.rate(50) == SCHEDULE.rate(90) == 0.5
    assert SCHEDULE.rate(91) == pytest.approx(0.5 * 10 / 11)
    assert SCHEDULE.rate(100) == pytest.approx(0.5 / 11)


def test_every_step_has_the_state_of_its_phase():
    expected = {
        3: LrState.WARMUP,
        4: LrState.STABLE,
        90: LrState.STABLE,
        91: LrState.DECAY,
        99: LrState.DECAY,
        100: LrState.DECAYED,
    }
    assert {step: SCHEDULE.state(step) for step in expected} == expected


def test_evaluations_are_on_a_grid_of_tokens_then_at_both_ends():
    # 50 tokens are step 5; each point of the grid is sqrt(2) further; 90 and 100 are the ends
    assert SCHEDULE.evaluations(CONFIG) == [5, 7, 10, 14, 20, 28, 40, 57, 80, 90, 100]


@given(st.integers(300, 100_000), st.integers(300, 100_000))
def test_two_runs_of_any_length_share_the_grid(first, second):
    grids = []
    for tokens in (first, second):
        schedule = Schedule.of(tokens, 10, CONFIG)
        end = schedule.total - schedule.decay
        grids.append(({s for s in schedule.evaluations(CONFIG) if s < end}, end))
    (one, one_end), (two, two_end) = grids
    shorter = min(one_end, two_end)
    assert {s for s in one if s < shorter} == {s for s in two if s < shorter}


@pytest.mark.parametrize("tokens", [10, 40])
def test_a_run_without_room_for_its_warmup_is_refused(tokens):
    with pytest.raises(InputError, match="no room"):
        Schedule.of(tokens, 10, CONFIG)


def test_a_run_may_have_neither_warmup_nor_decay():
    schedule = Schedule.of(
        100, 10, CONFIG.model_copy(update={"warmup_tokens": 0, "decay_fraction": 0})
    )
    assert [schedule.rate(s) for s in (1, 10)] == [0.5, 0.5]
    assert schedule.state(10) is LrState.STABLE
