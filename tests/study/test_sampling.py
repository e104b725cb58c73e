import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.study.sampling import Sampler
from atlas_scaling.study.tokens import PackedText
from tests.study.tiny import TEXTS, text

CODES = ["dan_Latn", "nob_Latn", "spa_Latn", "swe_Latn"]


@st.composite
def mixtures(draw):
    weights = draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    return {code: w / sum(weights) for code, w in zip(CODES, weights, strict=False)}


@settings(max_examples=25, deadline=None)
@given(mixtures(), st.integers(1, 5), st.integers(1, 40))
def test_every_language_is_within_one_sequence_of_its_share_at_all_times(mixture, size, batches):
    sampler = Sampler({c: text(c) for c in mixture}, mixture, sequence_length=16, seed=0)
    for _ in range(batches):
        sampler.batch(size)
        total = sum(sampler.sequences.values())
        for code, count in sampler.sequences.items():
            assert abs(count - mixture[code] * total) <= 1 + 1e-9


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
