import math

import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.planning.unique_tokens import hint_from_rates, unique_tokens


def test_own_counts_come_first_then_printed_ones_then_rates():
    counts, said = unique_tokens(["swa_Latn", "hin_Deva", "yor_Latn", "cat_Latn"], {"sw": 1e9})
    assert (counts["swa_Latn"].tokens, counts["swa_Latn"].source) == (1e9, "given")
    assert counts["hin_Deva"].tokens == 7.9e9
    assert "Table C.1" in counts["hin_Deva"].source
    # .06 % of 1T is 600M; Swahili: .719 % is 7.19B over 770M, 9.34 epochs; 600M / 9.34 = 64M
    assert counts["yor_Latn"].tokens == pytest.approx(64.3e6, rel=0.01)
    assert math.isinf(counts["cat_Latn"].tokens)
    assert any("yor_Latn 64.3M" in line for line in said)
    assert any("unlimited: cat_Latn" in line for line in said)


def test_a_language_at_the_common_rate_is_unlimited_and_one_outside_the_table_unknown():
    assert hint_from_rates("cat_Latn") == math.inf
    assert hint_from_rates("nno_Latn") is None


@pytest.mark.parametrize("tokens", [0.0, -1.0, math.nan])
def test_a_count_must_be_above_zero(tokens):
    with pytest.raises(InputError) as caught:
        unique_tokens(["swe_Latn"], {"sv": tokens})
    assert caught.value.where == "unique tokens of sv"


def test_counts_that_nothing_reads_are_said():
    _, said = unique_tokens(["swe_Latn"], {"sv": 1e9, "da": 1e9})
    assert any("neither target nor source: dan_Latn" in one for one in said)


def test_a_language_twice_is_refused():
    with pytest.raises(InputError, match="given twice"):
        unique_tokens(["swe_Latn"], {"sv": 1e9, "swe_Latn": 2e9})
