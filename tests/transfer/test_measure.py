from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.curves import LossPoints
from atlas_scaling.transfer.measure import BtsAnswer, compare_points, compare_runs
from atlas_scaling.transfer.sides import Unit
from tests.transfer.planted import law, planted_run

TAU = {("swe_Latn", "dan_Latn"): 0.25}  # BTS = 2 * 0.25 / 1.25 = 0.4
MONO = planted_run("mono-swe", {"swe_Latn": 1.0})
PAIR = planted_run("pair-dan-swe", {"swe_Latn": 0.5, "dan_Latn": 0.5}, TAU)


def bts_from_runs(mono: pl.DataFrame, pair: pl.DataFrame, target: str, **options) -> BtsAnswer:
    at = options.pop("at", None)
    return compare_runs(mono, pair, target, **options).score(at)


def test_run_records_give_the_planted_score() -> None:
    answer = bts_from_runs(MONO, PAIR, "sv")
    assert (answer.target, answer.sources, answer.share) == ("swe_Latn", ("dan_Latn",), 0.5)
    assert answer.at.tokens == pytest.approx(2e6)  # a third of the pair's 6e6
    assert answer.at.bts == pytest.approx(0.4, abs=2e-3)
    assert answer.at.tau == pytest.approx(0.25, abs=2e-3)
    assert answer.lr_state == "stable"
    assert "mono-swe" in answer.source


def test_plain_arrays_give_the_same_score() -> None:
    d, D = np.linspace(1e5, 6e6, 40), np.linspace(1e5, 6e6, 40)
    both = compare_points(LossPoints.of(d, law(d)), LossPoints.of(D, law(0.625 * D)))
    answer = both.score(at=2e6)
    assert answer.at.bts == pytest.approx(0.4, abs=2e-3)


def test_the_json_has_the_agreed_keys() -> None:
    answer = bts_from_runs(MONO, PAIR, "swe_Latn", at=1e6).to_dict()
    assert {"curve", "at", "source", "law", "warnings"} <= set(answer)
    for point in (answer["at"], *answer["curve"]):
        assert {"tokens", "bts", "lower", "upper", "censored"} <= set(point)
    assert answer["at"]["tokens"] == 1e6
    assert answer["at"] in answer["curve"]


def test_an_uneven_pair_scores_like_an_even_one() -> None:
    uneven = planted_run("pair-70", {"swe_Latn": 0.7, "dan_Latn": 0.3}, TAU)
    answer = bts_from_runs(MONO, uneven, "swe_Latn")
    assert answer.share == pytest.approx(0.7)
    assert answer.at.bts == pytest.approx(0.4, abs=5e-3)
    assert any("70% of the text, not half" in w for w in answer.warnings)


def test_the_share_is_what_was_trained_on_not_what_was_planned() -> None:
    planned = [{"language": "dan_Latn", "value": 0.4}, {"language": "swe_Latn", "value": 0.6}]
    drifted = PAIR.with_columns(
        pl.Series("mixture", [planned] * PAIR.height, PAIR["mixture"].dtype)
    )
    assert bts_from_runs(MONO, drifted, "swe_Latn").share == pytest.approx(0.5)
    counted = pl.Series("tokens_by_language", [None] * PAIR.height, PAIR["mixture"].dtype)
    uncounted = drifted.with_columns(counted)
    assert bts_from_runs(MONO, uncounted, "swe_Latn").share == pytest.approx(0.6)


def test_text_counted_in_bytes_changes_share_and_d_but_not_the_losses() -> None:
    per_token = {"swe_Latn": 3.0, "dan_Latn": 6.0}
    mono = planted_run("mono", {"swe_Latn": 1.0}, bytes_per_token=per_token)
    pair = planted_run("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}, TAU, bytes_per_token=per_token)
    answer = bts_from_runs(mono, pair, "swe_Latn", at=6e6, unit=Unit("bytes"))
    # 0.5 * 3 of 0.5 * 3 + 0.5 * 6 bytes; d = 6e6 bytes = 2e6 tokens, sigma = 3.2e6 tokens of
    # 4.5 bytes = 14.4e6; tau = (6/14.4 - 1/3) / (2/3) = 0.125, BTS = 0.25 / 1.125.
    assert answer.share == pytest.approx(1 / 3)
    assert answer.at.tau == pytest.approx(0.125, abs=2e-3)
    assert answer.at.bts == pytest.approx(0.25 / 1.125, abs=4e-3)
    assert answer.unit == "bytes"
    stated = Unit("characters", {"swe_Latn": 3.0, "dan_Latn": 6.0})
    same = bts_from_runs(mono, pair, "swe_Latn", at=6e6, unit=stated)
    assert same.at.bts == pytest.approx(answer.at.bts)
    assert same.unit == "characters"


def test_runs_of_two_tokenizers_compare_in_bytes_only() -> None:
    finer = planted_run(
        "pair",
        {"swe_Latn": 0.5, "dan_Latn": 0.5},
        TAU,
        bytes_per_token={"swe_Latn": 2.0, "dan_Latn": 2.0},
        tokenizer="another tokenizer",
    )
    with pytest.raises(InputError, match="different tokenizers") as caught:
        bts_from_runs(MONO, finer, "swe_Latn")
    assert "--unit bytes" in str(caught.value)
    # Twice the tokens per byte, each at half the nats: the same bits per byte at the same bytes.
    halved = finer.with_columns(
        pl.col("tokens") * 2,
        pl.col("loss") / 2,
        pl.col("bits_per_byte") / 2,
        pl.col("tokens_by_language"),
    )
    answer = bts_from_runs(MONO, halved, "swe_Latn", unit=Unit("bytes"))
    assert answer.at.bts == pytest.approx(0.4, abs=5e-3)


def test_several_seeds_a_side_put_seeds_into_the_interval() -> None:
    def side(name: str, mixture: dict[str, float]) -> pl.DataFrame:
        return pl.concat(
            planted_run(f"{name}-{i}", mixture, TAU, seed=i, noise=0.002, seed_sd=0.004)
            for i in range(4)
        )

    answer = bts_from_runs(
        side("mono", {"swe_Latn": 1.0}), side("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}), "swe"
    )
    assert answer.seed_sd is not None
    assert 0.0015 < answer.seed_sd < 0.009
    assert not any("another seed" in w for w in answer.warnings)
    single = bts_from_runs(
        planted_run("mono", {"swe_Latn": 1.0}, noise=0.002),
        planted_run("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}, TAU, noise=0.002),
        "swe",
    )
    assert single.seed_sd is None
    assert any("not what another seed would change" in w for w in single.warnings)


def test_decayed_runs_of_several_lengths_make_a_curve() -> None:
    def ladder(name: str, mixture: dict[str, float]) -> pl.DataFrame:
        lengths = (1e6, 2e6, 4e6, 8e6)
        return pl.concat(
            planted_run(f"{name}-{n:g}", mixture, TAU, tokens=[n], lr_state="decayed")
            for n in lengths
        )

    answer = bts_from_runs(
        ladder("mono", {"swe_Latn": 1.0}), ladder("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}), "sv"
    )
    assert answer.lr_state == "decayed"
    assert answer.at.bts == pytest.approx(0.4, abs=0.03)


def test_only_stable_points_are_compared_with_stable_ones() -> None:
    late = pl.when(pl.col("tokens") > 5e6)
    decaying = PAIR.with_columns(
        late.then(pl.lit("decay")).otherwise(pl.col("lr_state")).alias("lr_state"),
        late.then(pl.col("loss") * 0.9).otherwise(pl.col("loss")).alias("loss"),
    )
    answer = bts_from_runs(MONO, decaying, "swe_Latn", at=1.5e6)
    assert answer.lr_state == "stable"
    assert answer.at.bts == pytest.approx(0.4, abs=5e-3)


def test_stable_against_decayed_is_refused_or_flagged() -> None:
    decayed = PAIR.with_columns(lr_state=pl.lit("decayed"))
    with pytest.raises(InputError, match="no learning-rate state with 3") as caught:
        bts_from_runs(MONO, decayed, "swe_Latn")
    assert "--allow-lr-mismatch" in str(caught.value)
    assert "40 stable" in str(caught.value)
    answer = bts_from_runs(MONO, decayed, "swe_Latn", allow_lr_mismatch=True)
    assert answer.lr_state == "stable against decayed"
    assert any("different learning-rate states" in w for w in answer.warnings)


def test_unrecorded_states_are_compared_and_said() -> None:
    unknown = {"lr_state": pl.lit("unknown")}
    answer = bts_from_runs(MONO.with_columns(**unknown), PAIR.with_columns(**unknown), "swe_Latn")
    assert any("learning-rate states are not recorded" in w for w in answer.warnings)


def test_much_repeated_text_is_said() -> None:
    small = [{"language": "swe_Latn", "value": 1e5}]
    mono = MONO.with_columns(
        pl.Series("unique_tokens", [small] * MONO.height, MONO["mixture"].dtype)
    )
    answer = bts_from_runs(mono, PAIR, "swe_Latn", at=2e6)
    said = next(w for w in answer.warnings if "repetition" in w)
    assert "read its text 20.0 times (the other one at most 30.0 times)" in said


def test_a_rising_loss_is_said_and_used_up_to_its_minimum() -> None:
    def overfit(target: str, D: float) -> float:
        return law(0.5 * D) * (1 + max(0.0, np.log(D / 3e6)))

    pair = planted_run("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}, loss=overfit)
    answer = bts_from_runs(MONO, pair, "swe_Latn", at=1e6)
    assert any("rises after 2.86M" in w for w in answer.warnings)
    assert answer.at.bts == pytest.approx(0.0, abs=0.01)


def test_a_d_too_small_to_mean_anything_is_said() -> None:
    answer = bts_from_runs(MONO, PAIR, "swe_Latn", at=1.5e5)
    assert answer.at.early
    assert any("too near the first evaluation to tell" in w for w in answer.warnings)
    assert answer.settles_at == pytest.approx(2e5, rel=0.2)  # a doubling after the first
    later = bts_from_runs(MONO, PAIR, "swe_Latn", at=1e6)
    assert not later.at.early
    assert not any("early" in w for w in later.warnings)


def test_a_falling_score_below_zero_keeps_its_sign_but_belongs_to_its_d() -> None:
    # The source costs more the longer both are trained: D_eff = D/2 (1 - 0.55 D/6e6).
    def interfering(target: str, D: float) -> float:
        return law(0.5 * D * (1 - 0.55 * (D / 6e6)))

    pair = planted_run("pair", {"swe_Latn": 0.5, "dan_Latn": 0.5}, loss=interfering)
    answer = bts_from_runs(MONO, pair, "swe_Latn", at=1.2e6)
    assert answer.at.bts is not None
    assert answer.at.bts < -0.3
    assert not answer.at.early
    assert any("its value belongs to this d" in w for w in answer.warnings)


@pytest.mark.parametrize(
    ("mono", "pair", "problem", "said"),
    [
        (PAIR, PAIR, "no monolingual run of swe_Latn", "dan_Latn 50%, swe_Latn 50%"),
        (MONO, MONO, "not on swe_Latn and another", "swe_Latn 100%"),
        (
            MONO.with_columns(language=pl.lit("fin_Latn")),
            PAIR,
            "never evaluated on the target",
            "fin_Latn",
        ),
        (MONO.clear(), PAIR, "no evaluations in the monolingual runs", "swe_Latn"),
        (MONO.head(1), PAIR, "3 or more evaluations", "'the monolingual side': 1"),
        (MONO, PAIR.with_columns(base_run=pl.lit("even6")), "a continued run", "FAS"),
        (MONO, PAIR.with_columns(n_params=pl.lit(2e6)), "differ in model size", "365k"),
        (MONO, PAIR.with_columns(corpus=pl.lit("other")), "different corpora", "one test set"),
        (
            MONO,
            pl.concat([PAIR, planted_run("pair-70", {"swe_Latn": 0.7, "dan_Latn": 0.3}, TAU)]),
            "must have one mixture",
            "swe_Latn 70%",
        ),
    ],
)
def test_runs_that_cannot_be_compared_say_why(
    mono: pl.DataFrame, pair: pl.DataFrame, problem: str, said: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        bts_from_runs(mono, pair, "swe_Latn")
    assert said in str(caught.value)


def test_a_unit_without_its_measure_is_refused() -> None:
    with pytest.raises(InputError, match="how many sentences a token has is not known") as caught:
        bts_from_runs(MONO, PAIR, "swe_Latn", unit=Unit("sentences"))
    assert "--per-token" in str(caught.value)
    with pytest.raises(InputError, match="not known") as caught:
        bts_from_runs(MONO, PAIR, "swe_Latn", unit=Unit("bytes", {"swe_Latn": 4.0}))
    assert "dan_Latn" in str(caught.value)
    with pytest.raises(InputError, match="must be above zero"):
        bts_from_runs(MONO, PAIR, "swe_Latn", unit=Unit("x", {"swe_Latn": 0.0, "dan_Latn": 1.0}))


@pytest.mark.parametrize(
    ("column", "said"),
    [("corpus", "which evaluation text"), ("tokenizer", "their tokenizer"), ("n_params", "sizes")],
)
def test_what_is_not_recorded_is_said(column: str, said: str) -> None:
    blank = pl.lit(None, dtype=MONO[column].dtype).alias(column)
    answer = bts_from_runs(MONO.with_columns(blank), PAIR.with_columns(blank), "swe_Latn")
    assert any(said in warning for warning in answer.warnings)


@pytest.mark.parametrize(
    ("tokens", "loss", "said"),
    [
        (1e-3, 1.0, "more than three of the target itself"),  # tokens in thousands
        (1.0, 1 / np.log(2), "never comes down to where the monolingual run begins"),  # bits
    ],
)
def test_sides_in_different_units_are_doubted(tokens: float, loss: float, said: str) -> None:
    D = np.geomspace(1e6, 6e6, 30)
    mono = LossPoints.of(D, [law(d) for d in D])
    pair = LossPoints.of(D * 3 * tokens, [law(0.7 * d * 3) * loss for d in D])
    doubts = [w for w in compare_points(mono, pair).score().warnings if "same units?" in w]
    assert len(doubts) == 1
    assert said in doubts[0]
    fair = LossPoints.of(D * 3, [law(0.7 * d * 3) for d in D])
    assert not any("same units?" in w for w in compare_points(mono, fair).score().warnings)
