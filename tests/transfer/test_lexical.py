from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.lexical import (
    on_log_scale,
    shipped_overlap,
    word_counts,
    word_overlap,
)


def test_words_are_runs_of_letters_without_case() -> None:
    counts = word_counts("swe_Latn", ["Öppna filen, 3 gånger!", "öppna FILEN_2"])
    assert counts == Counter({"öppna": 2, "filen": 2, "gånger": 1})


def test_letters_are_words_where_a_script_sets_no_spaces() -> None:
    assert word_counts("zho_Hans", ["打开 Google 文件"]) == Counter(
        ["打", "开", "google", "文", "件"]
    )


def test_overlap_is_the_share_of_text_in_common() -> None:
    # Shares of a: x 3/4, y 1/4; of b: x 1/4, z 3/4; in common: 1/4.
    overlap = word_overlap({"a": {"x": 3, "y": 1}, "b": {"x": 1, "z": 3}, "c": {"w": 5}})
    assert overlap == pytest.approx(np.array([[1, 0.25, 0], [0.25, 1, 0], [0, 0, 1]]))
    with pytest.raises(InputError, match="no text"):
        word_overlap({"a": {"x": 1}, "b": {}})


@given(st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_the_scale_keeps_order_and_ends(values: list[float]) -> None:
    scaled = on_log_scale(np.sort(values))
    assert (np.diff(scaled) >= 0).all()
    assert on_log_scale(np.array([0.0, 1.0])) == pytest.approx([0, 1])


def test_the_shipped_table_knows_relatives_from_strangers() -> None:
    codes = ("swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn", "por_Latn", "rus_Cyrl")
    overlap = shipped_overlap(codes)
    assert overlap == pytest.approx(overlap.T)
    assert np.diag(overlap) == pytest.approx(np.ones(6))
    assert overlap[1, 2] > overlap[0, 1] > 3 * overlap[0, 3]  # Danish and Bokmål nearest
    assert overlap[3, 4] > 3 * overlap[3, 5]


def test_another_code_of_a_language_stands_in_and_others_are_unknown() -> None:
    overlap = shipped_overlap(("nor_Latn", "nob_Latn", "zho_Hani", "yor_Latn"))
    assert overlap[0, 1] == 1.0  # nor_Latn is read at nob_Latn
    assert not np.isnan(overlap[0, 2])
    assert np.isnan(overlap[3]).all()
