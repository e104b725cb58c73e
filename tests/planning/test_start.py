import math

import pytest
from scipy import stats

from atlas_scaling.errors import InputError
from atlas_scaling.planning.start import Recommendation, by_range, start
from atlas_scaling.published.crossover import LEGEND, TEXT

FIG_6 = [144e9, 145e9, 148e9, 160e9, 189e9, 234e9, 239e9, 283e9]
SCALE_34 = 2_034_422_912


def test_vietnamese_at_two_billion_as_in_the_worked_case():
    few = start("vie_Latn", n_params=2e9, tokens=100e9)
    many = start("vie_Latn", n_params=2e9, tokens=400e9)
    assert (few.recommendation, many.recommendation) == ("continue", "scratch")


def test_a_language_of_figure_6_crosses_at_its_own_number_at_the_size_of_the_figure():
    answer = start("vi", n_params=SCALE_34, tokens=1e11)
    assert answer.crossover_tokens.value == pytest.approx(234e9)
    assert answer.crossover_flops.value == pytest.approx(6 * SCALE_34 * 234e9)


def test_another_size_moves_the_number_by_both_variants_of_the_law():
    answer = start("vi", n_params=1e9, tokens=1e11)
    # D = C / 6N goes as N^(b - 1): .65 in the text, .54 in the legend
    ratio = 1e9 / SCALE_34
    assert answer.readings["Fig. 6, moved to N by the text"] == pytest.approx(234e9 * ratio**0.65)
    assert answer.readings["Fig. 6, moved to N by the legend"] == pytest.approx(234e9 * ratio**0.54)
    assert answer.readings["text of the law"] == pytest.approx(1_113_708 * 1e9**1.65 / 6e9)
    assert answer.readings["legend of the law"] == pytest.approx(10_283_128 * 1e9**1.54 / 6e9)
    low, high = answer.likely_range
    assert (low, high) == (min(answer.readings.values()), max(answer.readings.values()))


def test_within_the_published_readings_nothing_is_recommended():
    answer = start("vi", n_params=2e9, tokens=200e9)
    assert answer.recommendation is Recommendation.UNDECIDED


def test_published_numbers_of_one_language_support_no_interval_and_no_probability():
    answer = start("vi", n_params=2e9, tokens=200e9).to_dict()
    assert answer["crossover_tokens"]["interval"] is None
    assert answer["crossover_flops"]["interval"] is None
    assert answer["probability_scratch_better"] is None


def test_a_language_outside_figure_6_gets_the_spread_between_its_languages():
    answer = start("swe_Latn", n_params=SCALE_34, tokens=150e9, level=0.8)
    logs = [math.log(x) for x in FIG_6]
    spread = stats.tstd(logs) * math.sqrt(1 + 1 / 8)
    centres = [math.log(law.tokens(SCALE_34)) for law in (TEXT, LEGEND)]
    chances = [stats.t.cdf((math.log(150e9) - c) / spread, 7) for c in centres]
    assert answer.probability_scratch_better == pytest.approx(sum(chances) / 2)
    reach = stats.t.ppf(0.9, 7) * spread
    assert answer.likely_range == pytest.approx(
        (math.exp(min(centres) - reach), math.exp(max(centres) + reach))
    )
    assert any("not in Fig. 6" in warning for warning in answer.warnings)


def test_only_the_target_s_share_of_the_tokens_counts():
    whole = start("vi", n_params=2e9, tokens=400e9)
    quarter = start("vi", n_params=2e9, tokens=400e9, share=0.25)
    assert quarter.tokens == 100e9
    assert (whole.recommendation, quarter.recommendation) == ("scratch", "continue")
    assert any("on the target language alone" in warning for warning in quarter.warnings)


def test_the_checkpoint_says_what_it_saw_of_the_language():
    basis = start("vi", n_params=2e9, tokens=1e11).basis
    assert basis.tokens == 1e12
    assert basis.language_share == pytest.approx(0.0142, abs=1e-4)
    assert basis.language_tokens == pytest.approx(14.2e9, rel=0.01)


def test_simplified_chinese_is_read_from_chinese_and_says_so():
    answer = start("zh-Hans", n_params=2e9, tokens=1e11)
    assert answer.language == "zho_Hans"
    assert answer.readings["Fig. 6, moved to N by the text"] == pytest.approx(283e9, rel=0.02)
    assert any("zho_Hani" in warning for warning in answer.warnings)


def test_repetition_beyond_what_is_published_is_said():
    swahili = start("sw", n_params=1e9, tokens=50e9)
    # Table C.1: 770M distinct tokens; 50e9 / 770e6 = 64.9
    assert any("65 epochs" in warning for warning in swahili.warnings)
    own = start("sw", n_params=1e9, tokens=50e9, unique_tokens=40e9)
    assert not any("epochs" in warning for warning in own.warnings)


def test_a_size_outside_figure_7_is_said_to_be_extrapolated():
    answer = start("vi", n_params=70e9, tokens=1e12)
    assert any("extrapolated: 70B parameters" in warning for warning in answer.warnings)


def test_by_range_is_strict_on_both_sides():
    assert by_range(10, 10, 20) is Recommendation.UNDECIDED
    assert by_range(9.9, 10, 20) is Recommendation.CONTINUE
    assert by_range(20.1, 10, 20) is Recommendation.SCRATCH


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"n_params": 0.0}, "n_params"),
        ({"tokens": -1e9}, "tokens"),
        ({"tokens": math.nan}, "tokens"),
        ({"tokens": 1e300, "n_params": 1e9}, "tokens"),
        ({"n_params": 1e-300}, "n_params"),
        ({"share": 1e-320}, "share"),
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"level": 1.0}, "level"),
    ],
)
def test_numbers_out_of_range_are_named(wrong, where):
    with pytest.raises(InputError) as caught:
        start("vi", **({"n_params": 2e9, "tokens": 1e11} | wrong))
    assert caught.value.where == where


def test_an_unknown_language_is_refused():
    with pytest.raises(InputError, match="unknown language"):
        start("Vietnamese", n_params=2e9, tokens=1e11)


def test_another_checkpoint_widens_the_range_from_unmoved_to_proportional():
    published = start("vi", n_params=2e9, tokens=100e9)
    seen = published.basis.language_tokens
    low, high = published.likely_range
    more = start("vi", n_params=2e9, tokens=100e9, base_language_tokens=3 * seen)
    assert more.likely_range == (pytest.approx(low), pytest.approx(3 * high))
    less = start("vi", n_params=2e9, tokens=100e9, base_language_tokens=seen / 4)
    assert less.likely_range == (pytest.approx(low / 4), pytest.approx(high))
    assert less.recommendation.value == "undecided"
    assert any("your checkpoint saw" in warning for warning in less.warnings)
    stranger = start("ca", n_params=2e9, tokens=100e9, base_language_tokens=1e9)
    assert stranger.probability_scratch_better is None
    with pytest.raises(InputError):
        start("vi", n_params=2e9, tokens=100e9, base_language_tokens=-1)
