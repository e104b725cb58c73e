from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import t as student

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.fas import fas_from_runs, mean_gain
from tests.transfer.planted import planted_run

LANGUAGES = ("swe_Latn", "dan_Latn", "rus_Cyrl")
BASE = 3.0


def base(**more) -> pl.DataFrame:
    """A multilingual run whose last loss is ``BASE`` on every language."""
    return planted_run(
        "even3",
        dict.fromkeys(LANGUAGES, 1 / 3),
        tokens=[1e6, 2e6, 4e6],
        loss=lambda _, D: BASE + (4e6 - D) / 1e6,
        **more,
    )


def continued(source: str, slope: dict[str, float], *, name: str = "", **more) -> pl.DataFrame:
    """Continued on ``source``: the loss on each language changes by ``slope`` per 1e6 tokens."""
    run = planted_run(
        f"continued-{source}{name}",
        dict.fromkeys(LANGUAGES, 1 / 3),  # so that every language has rows
        tokens=[5e5, 1e6, 2e6],
        loss=lambda target, D: BASE - slope[target] * D / 1e6,
        **{"base_run": "even3", **more},
    )
    only = pl.Series(
        "tokens_by_language",
        [[{"language": source, "value": D}] for D in run["tokens"]],
        run["mixture"].dtype,
    )
    return run.with_columns(only)


GAIN = {"swe_Latn": 0.4, "dan_Latn": 0.1, "rus_Cyrl": -0.3}
RUNS = pl.concat([base(), continued("swe_Latn", GAIN)])


def test_without_bits_per_byte_gains_are_in_nats_and_say_so() -> None:
    unknown = RUNS.with_columns(pl.lit(None, dtype=pl.Float64).alias("bits_per_byte"))
    answer = fas_from_runs(unknown)
    (table,) = answer.tables
    assert table.unit == "loss"
    assert {s.target: s.fas for s in table.scores} == pytest.approx(GAIN)
    assert any("nats per token" in said for said in answer.warnings)
    assert not any("nats per token" in said for said in fas_from_runs(RUNS).warnings)


def test_an_evaluation_without_a_loss_is_left_out() -> None:
    hole = pl.when(pl.col("tokens") == 1e6).then(float("nan")).otherwise(pl.col("loss"))
    (table,) = fas_from_runs(RUNS.with_columns(loss=hole), loss="loss").tables
    assert {s.target: s.fas for s in table.scores} == pytest.approx(GAIN)


def test_a_steady_gain_has_half_its_end_as_mean() -> None:
    # Gain 0.4 d on [0, 2]: mean 0.4, at the end 0.8. Losses in nats per token.
    (table,) = fas_from_runs(RUNS, loss="loss").tables
    scores = {s.target: s for s in table.scores}
    assert table.d_max == 2e6
    assert table.base == ("dan_Latn", "rus_Cyrl", "swe_Latn")
    for target, gain in GAIN.items():
        assert scores[target].source == "swe_Latn"
        assert scores[target].fas == pytest.approx(gain)
        assert scores[target].deviation == pytest.approx(2 * gain)
    assert table.gains == {"swe_Latn": pytest.approx(0.4)}


def test_bits_per_byte_are_the_default_unit() -> None:
    (table,) = fas_from_runs(RUNS).tables
    score = next(s for s in table.scores if s.target == "swe_Latn")
    assert score.fas == pytest.approx(0.4 / (4 * np.log(2)))  # 4 bytes a token in planted runs
    assert table.unit == "bits_per_byte"


@given(
    tokens=st.lists(st.floats(0.1, 10), min_size=2, max_size=8, unique=True),
    losses=st.lists(st.floats(0.5, 5), min_size=8, max_size=8),
    baseline=st.floats(0.5, 5),
    part=st.floats(0.05, 1),
)
def test_the_mean_is_the_integral_of_the_broken_line(
    tokens: list[float], losses: list[float], baseline: float, part: float
) -> None:
    d = np.sort(np.array(tokens))
    gain = baseline - np.array(losses[: d.size])
    d_max = part * d[-1]

    def line(x: float) -> float:
        return float(np.interp(x, [0, *d], [0, *gain]))

    knots = [x for x in d if x < d_max]
    integral = sum(quad(line, a, b)[0] for a, b in zip([0, *knots], [*knots, d_max], strict=True))
    fas, deviation = mean_gain(d, baseline - gain, baseline, d_max)
    assert deviation == pytest.approx(line(d_max), abs=1e-9)
    assert fas == pytest.approx(integral / d_max, abs=1e-7)


def test_an_evaluation_before_the_first_step_is_the_baseline() -> None:
    own = continued("swe_Latn", GAIN)
    start = own.filter(pl.col("tokens") == 5e5).with_columns(
        tokens=pl.lit(0.0), loss=pl.lit(3.5), step=pl.lit(0, dtype=pl.Int64)
    )
    (table,) = fas_from_runs(pl.concat([start, own, base()]), loss="loss").tables
    score = next(s for s in table.scores if s.target == "swe_Latn")
    assert score.deviation == pytest.approx(0.5 + 0.8)


def test_d_max_is_the_shortest_run_or_what_is_asked_for() -> None:
    short = continued("dan_Latn", GAIN).filter(pl.col("tokens") <= 1e6)
    runs = pl.concat([RUNS, short])
    (table,) = fas_from_runs(runs, loss="loss").tables
    assert table.d_max == 1e6
    assert {s.source for s in table.scores} == {"swe_Latn", "dan_Latn"}
    asked = fas_from_runs(runs, loss="loss", d_max=2e6)
    assert {s.source for s in asked.tables[0].scores} == {"swe_Latn"}
    assert asked.problems == ("continued-dan_Latn: ends at 1M, before d_max",)


def test_seeds_give_a_students_t_interval() -> None:
    slopes = (0.30, 0.36, 0.45)
    runs = [
        continued("swe_Latn", {**GAIN, "swe_Latn": x}, name=f"-{i}") for i, x in enumerate(slopes)
    ]
    answer = fas_from_runs(pl.concat([base(), *runs]), loss="loss", level=0.9)
    score = next(s for s in answer.tables[0].scores if s.target == "swe_Latn")
    half = student.ppf(0.95, 2) * np.std(slopes, ddof=1) / np.sqrt(3)
    assert score.n_runs == 3
    assert score.fas == pytest.approx(np.mean(slopes))
    assert score.interval == pytest.approx((np.mean(slopes) - half, np.mean(slopes) + half))
    assert answer.warnings == ()


def test_one_seed_gives_no_interval_and_says_so() -> None:
    answer = fas_from_runs(RUNS)
    assert all(s.interval is None for s in answer.tables[0].scores)
    assert "one seed of each run, hence no interval" in answer.warnings


def test_another_learning_rate_state_is_said() -> None:
    decayed = RUNS.with_columns(
        lr_state=pl.when(pl.col("run_id") == "even3")
        .then(pl.lit("decayed"))
        .otherwise(pl.lit("stable"))
    )
    (warning, _) = fas_from_runs(decayed).warnings
    assert "the checkpoint was decayed, the continued run ends stable" in warning


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (base(), "no run that continues another"),
        (continued("swe_Latn", GAIN), "no evaluation before its first step, and no even3"),
        (
            pl.concat(
                [base(), planted_run("both", {"swe_Latn": 0.5, "dan_Latn": 0.5}, base_run="even3")]
            ),
            "both: continued on 2 languages, not on one",
        ),
    ],
)
def test_runs_that_give_no_score_say_why(runs: pl.DataFrame, said: str) -> None:
    with pytest.raises(InputError, match="no finetuning score") as caught:
        fas_from_runs(runs, name="folder")
    assert said in str(caught.value)
    assert caught.value.where == "folder"
