"""Two stages: planted worth of order is found, used as far as runs went, and else asked for."""

import numpy as np
import polars as pl
import pytest

from atlas_scaling import laws
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.planning.two_stage import two_stages
from atlas_scaling.runs.store import by_language

E, A, ALPHA, B, BETA, LAM = 1.2, 300.0, 0.34, 900.0, 0.32, 0.1
TAU, EARLY, EARLY_OTHER = 0.3, 0.6, 1.6
FLOPS = 1e19


def table(*, staged=True, early=EARLY, early_other=EARLY_OTHER, noise=0.001, seed=0):
    """Runs on Swedish with Danish, one stage and two; nothing repeats."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = []
    for N in (1e7, 3e7, 1e8, 3e8):
        for ratio in (10, 40, 160):
            D = N * ratio
            plans = [((1.0, s),) for s in (0.2, 0.5, 1.0)]
            if staged:
                plans += [
                    ((f, s1), (1 - f, s2))
                    for f in (0.3, 0.6)
                    for s1, s2 in ((0.2, 0.9), (0.5, 1.0))
                ]
            for stages in plans:
                own_early = sum(f * s for f, s in stages[:-1]) * D
                other_early = sum(f * (1 - s) for f, s in stages[:-1]) * D
                f, s = stages[-1]
                q = f * s * D + early * own_early
                q += TAU * (f * (1 - s) * D + early_other * other_early)
                loss = E + A / N**ALPHA + B / q**BETA
                share = sum(f * s for f, s in stages)
                rows.append(
                    {
                        "run_id": f"r{len(rows)}",
                        "language": "swe_Latn",
                        "n_params": N,
                        "tokens": D,
                        "loss": loss * np.exp(noise * rng.standard_normal()),
                        "mixture": by_language({"swe_Latn": share, "dan_Latn": 1 - share}),
                        "early_tokens": by_language(
                            {"swe_Latn": own_early, "dan_Latn": other_early}
                        ),
                    }
                )
    return pl.DataFrame(rows)


LAW = laws.TwoStage(sources=("dan_Latn",), others=False).with_fixed(lam=LAM)


@pytest.fixture(scope="module")
def fitted():
    return fit(table(), LAW, target="swe_Latn", bootstrap=60)


def test_the_worth_of_early_tokens_is_found_again(fitted):
    low, high = fitted.interval("early")
    assert low < EARLY < high
    assert fitted.values["early"] == pytest.approx(EARLY, abs=0.1)
    assert fitted.values["early_other"] == pytest.approx(EARLY_OTHER, abs=0.4)


def test_no_schedule_of_a_fine_grid_is_better(fitted):
    U = 5e8
    answer = two_stages(fitted, flops=FLOPS, unique={"sv": U})
    p = fitted.values
    # what was run: first stages of 0.3 and 0.6 with 20 or 50 %, second ones with 90 or 100 %
    f, s1, s2 = np.meshgrid(
        np.linspace(0, 0.6, 61), np.linspace(0.2, 0.5, 31), np.linspace(0.9, 1, 21), indexing="ij"
    )
    best = np.inf
    for N in answer.schedule.n_params * np.exp(np.linspace(-0.3, 0.3, 31)):
        D = FLOPS / 6 / N
        early, late = D * f * s1, D * (1 - f) * s2
        seen = early + late
        worth = np.minimum(seen, U) + U / LAM * (1 - np.exp(-LAM * np.maximum(seen / U - 1, 0)))
        q = worth * (late + p["early"] * early) / seen
        q += D * p["tau[dan_Latn]"] * ((1 - f) * (1 - s2) + p["early_other"] * f * (1 - s1))
        loss = p["E"] + p["A"] / N ** p["alpha"] + p["B"] / q ** p["beta"]
        best = min(best, float(loss.min()))
    assert len(answer.schedule.stages) == 2
    assert answer.schedule.loss.value <= best + 1e-6
    assert answer.schedule.loss.value == pytest.approx(best, abs=1e-3)


def test_nothing_is_proposed_that_no_run_has_tried(fitted):
    answer = two_stages(fitted, flops=FLOPS, unique={"sv": 5e8})
    first, second = answer.schedule.stages
    assert first.fraction <= 0.6 + 1e-6
    assert first.mixture.get("swe_Latn", 0.0) >= 0.2 - 1e-6
    assert second.mixture["swe_Latn"] > first.mixture.get("swe_Latn", 0.0)
    assert sum(stage.fraction for stage in answer.schedule.stages) == pytest.approx(1)
    assert 6 * answer.schedule.n_params * answer.schedule.tokens == pytest.approx(FLOPS)
    assert answer.gain.value > 0
    low, high = answer.gain.interval
    assert low <= answer.gain.value <= high
    assert answer.probability_better > 0.8


def test_order_that_is_worth_nothing_gains_nothing():
    same = fit(table(early=1.0, early_other=1.0), LAW, target="swe_Latn", bootstrap=60)
    answer = two_stages(same, flops=FLOPS)
    assert answer.gain.value == pytest.approx(0, abs=3e-3)
    enough = two_stages(same, flops=FLOPS, unique={"sv": 1e12})
    assert enough.schedule == enough.one_stage
    assert enough.probability_better is None
    assert any("no second stage" in warning for warning in enough.warnings)


def test_runs_of_one_stage_do_not_tell_and_the_missing_runs_are_named():
    plain = fit(table(staged=False), LAW, target="swe_Latn", bootstrap=40)
    answer = two_stages(plain, flops=FLOPS)
    assert answer.schedule is None
    assert answer.gain.value is None
    assert "no run of this fit has a stage" in answer.reason
    staged = [run for run in answer.missing if len(run.stages) == 2]
    controls = [run for run in answer.missing if len(run.stages) == 1]
    assert len(staged) == 4
    assert controls
    for run in answer.missing:
        assert sum(part for part, _ in run.stages) == pytest.approx(1)
        for _, mixture in run.stages:
            assert sum(mixture.values()) == pytest.approx(1)
    assert answer.to_dict()["missing"][0]["stages"][0]["fraction"] == 0.5


def test_a_law_without_order_and_the_published_study_ask_for_runs_too():
    plain = fit(table(staged=False), "atlas", target="swe_Latn", bootstrap=0)
    assert "no order of tokens" in two_stages(plain, flops=FLOPS).reason
    answer = two_stages(None, flops=1e21, target="ca", sources=["es", "fr"])
    assert "published study" in answer.reason
    assert answer.target == "cat_Latn"
    assert answer.flops < 0.2 * 1e21


def test_questions_without_a_target_or_about_another_are_refused(fitted):
    with pytest.raises(InputError, match="for which language"):
        two_stages(None, flops=1e21)
    with pytest.raises(InputError, match="another language"):
        two_stages(fitted, flops=FLOPS, target="da")
    with pytest.raises(InputError):
        two_stages(fitted, flops=-1)


def test_stages_of_one_language_are_no_stages():
    with pytest.raises(InputError, match="one language only") as caught:
        two_stages(None, flops=1e21, target="ca")
    assert "--source" in caught.value.remedy


def test_staged_runs_that_do_not_tell_ask_for_larger_and_longer_ones():
    few = table(noise=0.2).filter(pl.col("n_params") == 1e7)
    unsure = fit(few, LAW, target="swe_Latn", bootstrap=40)
    answer = two_stages(unsure, flops=FLOPS)
    assert answer.schedule is None
    assert "not identified" in answer.reason
    assert {run.n_params for run in answer.missing} == {4e7}
    assert max(run.tokens for run in answer.missing) == pytest.approx(4 * 1.6e9)


# --- floors, caps and limits of epochs, of all tokens of the run


TEXT = {"sv": 2e8, "da": 1e9}
LIMITS = [
    {"floors": {"da": 0.4}},
    {"caps": {"sv": 0.7}},
    {"max_epochs": 3.0},
    {"floors": {"da": 0.2}, "caps": {"sv": 0.75}, "max_epochs": 6.0},
]


@pytest.mark.parametrize("limits", LIMITS, ids=" ".join)
@pytest.mark.parametrize("stages", [1, 2])
def test_limits_hold_and_no_schedule_of_a_grid_within_them_is_better(fitted, limits, stages):
    answer = two_stages(fitted, flops=FLOPS, unique=TEXT, **limits)
    p, U = fitted.values, np.array([2e8, 1e9])
    low = np.array([0.0, limits.get("floors", {}).get("da", 0.0)])
    high = np.array([limits.get("caps", {}).get("sv", 1.0), 1.0])
    epochs = limits.get("max_epochs", np.inf)
    if stages == 1:
        own = np.linspace(0, 1, 2001)
        early, late = np.zeros((2, own.size)), np.stack([own, 1 - own])
        found = answer.one_stage
    else:
        f, s1, s2 = np.meshgrid(
            np.linspace(0, 0.6, 61),
            np.linspace(0.2, 0.5, 16),
            np.linspace(0.9, 1, 21),
            indexing="ij",
        )
        early = np.stack([f * s1, f * (1 - s1)]).reshape(2, -1)
        late = np.stack([(1 - f) * s2, (1 - f) * (1 - s2)]).reshape(2, -1)
        found = answer.schedule
    seen = early + late
    best = np.inf
    for N in np.geomspace(3e7, 3e10, 400):
        d = seen * FLOPS / 6 / N
        allowed = ((seen >= low[:, None]) & (seen <= high[:, None])).all(axis=0)
        allowed &= (d <= epochs * U[:, None]).all(axis=0)
        repeats = np.maximum(d / U[:, None] - 1, 0)
        worth = np.minimum(d, U[:, None]) + U[:, None] / LAM * (1 - np.exp(-LAM * repeats))
        omega = np.array([p["early"], p["early_other"]])[:, None]
        counted = np.divide(late + omega * early, seen, out=np.ones_like(seen), where=seen > 0)
        q = np.array([1.0, p["tau[dan_Latn]"]]) @ (worth * counted)
        with np.errstate(divide="ignore"):
            loss = p["E"] + p["A"] / N ** p["alpha"] + p["B"] / q ** p["beta"]
        best = min(best, float(loss[allowed].min(initial=np.inf)))
    assert found.loss.value <= best + 1e-7
    if stages == 1 or len(found.stages) == 2:
        assert found.loss.value == pytest.approx(best, abs=2e-3)
    for code, at_least, at_most, text in zip(("swe_Latn", "dan_Latn"), low, high, U, strict=True):
        share = sum(one.fraction * one.mixture.get(code, 0) for one in found.stages)
        assert at_least - 1e-5 <= share <= at_most + 1e-5
        assert share * found.tokens <= epochs * text * (1 + 1e-4)


def test_limits_that_no_schedule_meets_are_refused(fitted):
    with pytest.raises(InputError, match="not in the plan"):
        two_stages(fitted, flops=FLOPS, floors={"de": 0.1})
    with pytest.raises(InputError, match="no schedule meets"):
        two_stages(fitted, flops=FLOPS, n_params=1e7, unique=TEXT, max_epochs=1)
    with pytest.raises(InputError, match="says itself"):
        two_stages(fitted, flops=FLOPS, sources=["es"])


def test_a_schedule_at_the_smallest_size_that_was_looked_at_says_so(fitted):
    """So little compute that ever smaller models on ever more text seem best."""
    tiny = two_stages(fitted, flops=6 * 1e6 * 1.2e6)
    assert any("as small as was looked at" in warning for warning in tiny.warnings)


def test_text_whose_amount_is_not_known_is_said_to_be_unlimited(fitted):
    answer = two_stages(fitted, flops=FLOPS, unique={"sv": 5e8})
    assert answer.unique_tokens["swe_Latn"].source == "given"
    assert any("dan_Latn" in warning for warning in answer.warnings)


def test_a_size_that_spends_what_text_cannot_is_said_to_be_one(fitted):
    answer = two_stages(fitted, flops=FLOPS, unique=TEXT, max_epochs=3)
    assert answer.schedule.tokens == pytest.approx(3 * 1.2e9, rel=1e-3)
    assert any("all text is read" in warning for warning in answer.warnings)
    plenty = two_stages(fitted, flops=FLOPS, unique={"sv": 1e12, "da": 1e12}, max_epochs=3)
    assert not any("all text is read" in warning for warning in plenty.warnings)
