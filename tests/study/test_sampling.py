import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.runs.record import MixtureStage
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.tokens import PackedText
from tests.study.tiny import TEXTS, text

CODES = ["dan_Latn", "nob_Latn", "spa_Latn", "swe_Latn"]


@st.composite
def mixtures(draw):
    weights = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    return {code: w / sum(weights) for code, w in zip(CODES, weights, strict=False)}


MANY = [f"x{i:02}" for i in range(40)]
SHORT = text("swe_Latn", n_tokens=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-4, 1.0), min_size=2, max_size=40), st.integers(1, 300))
def test_every_language_is_within_one_sequence_of_its_share_at_all_times(weights, n):
    mixture = {code: w / sum(weights) for code, w in zip(MANY, weights, strict=False)}
    sampler = Sampler(dict.fromkeys(mixture, SHORT), mixture, sequence_length=16, seed=0)
    bound = 1 - 1 / (2 * len(mixture) - 2)  # Tijdeman 1980, theorem 1: and no rule does better
    for total in range(1, n + 1):
        sampler.batch(1)
        for code, count in sampler.sequences.items():
            assert abs(count - mixture[code] * total) <= bound + 1e-6


@st.composite
def stages(draw):
    """Two or three stages of up to four languages."""
    parts = draw(st.lists(st.integers(1, 10), min_size=2, max_size=3))
    return [MixtureStage(fraction=n / sum(parts), mixture=draw(mixtures())) for n in parts]


@settings(max_examples=60, deadline=None)
@given(stages(), st.integers(60, 200))
def test_each_stage_has_its_own_languages_and_whole_numbers_near_its_shares(schedule, total):
    texts = {c: text(c) for c in CODES}
    sampler = Sampler(texts, schedule, sequence_length=16, seed=0, total=total)
    begin, part = 0, 0.0
    for stage in schedule:
        part += stage.fraction
        before = sampler.sequences
        end = total if stage is schedule[-1] else round(part * total)
        for _ in range(begin, end):
            sampler.batch(1)
        drawn = {code: n - before[code] for code, n in sampler.sequences.items()}
        assert sum(drawn.values()) == end - begin
        for code, n in drawn.items():
            share = stage.mixture.get(code, 0.0)
            assert abs(n - share * (end - begin)) < 1
            assert share > 0 or n == 0
        begin = end


@settings(max_examples=40, deadline=None)
@given(stages(), st.integers(0, 60), st.integers(0, 9))
def test_a_sampler_restored_in_any_stage_goes_on_as_if_it_had_never_stopped(schedule, done, seed):
    texts = {c: text(c) for c in CODES}
    whole, first, second = (
        Sampler(texts, schedule, sequence_length=16, seed=seed, total=70) for _ in range(3)
    )
    if done:
        whole.batch(done)
        first.batch(done)
    second.restore(first.sequences)
    assert np.array_equal(whole.batch(10), second.batch(10))


def test_stages_change_the_order_in_time_and_not_what_a_language_shows():
    alone = Sampler(TEXTS, {"swe_Latn": 1.0}, sequence_length=16, seed=0)
    schedule = [
        MixtureStage(fraction=0.5, mixture={"spa_Latn": 1.0}),
        MixtureStage(fraction=0.5, mixture={"swe_Latn": 1.0}),
    ]
    staged = Sampler(TEXTS, schedule, sequence_length=16, seed=0, total=20)
    staged.batch(10)
    assert staged.sequences == {"spa_Latn": 10, "swe_Latn": 0}
    assert np.array_equal(staged.batch(10), alone.batch(10))


def test_a_process_may_read_its_part_of_each_batch():
    whole, part = (
        Sampler(TEXTS, {"swe_Latn": 0.7, "spa_Latn": 0.3}, sequence_length=16, seed=0)
        for _ in range(2)
    )
    for _ in range(5):
        assert np.array_equal(part.batch(6, rows=slice(2, 4)), whole.batch(6)[2:4])
    assert part.sequences == whole.sequences


def test_epochs_are_windows_seen_over_windows_there_are():
    sampler = Sampler(TEXTS, {"swe_Latn": 1.0}, sequence_length=16, seed=0)
    sampler.batch(310)
    assert sampler.epochs == {"swe_Latn": 310 / 124}  # (2,000 - 1) // 16 windows


def test_a_stage_without_room_for_a_sequence_is_refused():
    schedule = [
        MixtureStage(fraction=0.99, mixture={"spa_Latn": 1.0}),
        MixtureStage(fraction=0.01, mixture={"swe_Latn": 1.0}),
    ]
    with pytest.raises(InputError, match="shorter than one sequence") as caught:
        Sampler(TEXTS, schedule, sequence_length=16, seed=0, total=20)
    assert caught.value.value == "stage 2 of 2, 20 sequences in all"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 60), st.integers(0, 1000))
def test_a_restored_sampler_goes_on_as_if_it_had_never_stopped(done, seed):
    mixture = {"swe_Latn": 0.7, "spa_Latn": 0.3}
    whole, first, second = (
        Sampler(TEXTS, mixture, sequence_length=16, seed=seed) for _ in range(3)
    )
    for _ in range(done):
        whole.batch(3)
        first.batch(3)
    second.restore(first.sequences)
    assert np.array_equal(whole.batch(7), second.batch(7))


def test_an_epoch_shows_every_window_once_and_the_next_in_another_order():
    ids = np.arange(101, dtype=np.uint16)
    sampler = Sampler(
        {"swe_Latn": PackedText("swe_Latn", ids, 101)},
        {"swe_Latn": 1.0},
        sequence_length=10,
        seed=5,
    )
    first, second = sampler.batch(10), sampler.batch(10)
    assert sorted(first[:, 0]) == sorted(second[:, 0]) == list(range(0, 100, 10))
    assert not np.array_equal(first, second)
    assert all(np.array_equal(window, np.arange(window[0], window[0] + 11)) for window in first)


def test_a_language_is_seen_in_one_order_whatever_else_is_in_the_mixture():
    texts = {
        "spa_Latn": PackedText("spa_Latn", np.arange(0, 500, dtype=np.uint16), 500),
        "swe_Latn": PackedText("swe_Latn", np.arange(1000, 1500, dtype=np.uint16), 500),
    }
    alone = Sampler(texts, {"swe_Latn": 1.0}, sequence_length=16, seed=0)
    pair = Sampler(texts, {"swe_Latn": 0.5, "spa_Latn": 0.5}, sequence_length=16, seed=0)
    mixed = pair.batch(40)
    assert np.array_equal(mixed[mixed[:, 0] >= 1000], alone.batch(20))


def test_tokens_are_counted_by_language_with_repetitions():
    sampler = Sampler(TEXTS, {"swe_Latn": 1.0}, sequence_length=16, seed=0)
    for _ in range(100):
        sampler.batch(4)
    assert sampler.tokens == {"swe_Latn": 6400}  # more than the 2,000 there are


def test_a_text_shorter_than_a_sequence_is_refused():
    short = {"swe_Latn": text("swe_Latn", n_tokens=16)}
    with pytest.raises(InputError, match="shorter than one sequence") as caught:
        Sampler(short, {"swe_Latn": 1.0}, sequence_length=16, seed=0)
    assert caught.value.where == "swe_Latn"


def test_a_language_without_text_is_named():
    with pytest.raises(InputError, match="no text") as caught:
        Sampler(TEXTS, {"rus_Cyrl": 1.0}, sequence_length=16, seed=0)
    assert caught.value.value == "rus_Cyrl"
