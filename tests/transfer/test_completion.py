from __future__ import annotations

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.completion import MODELS, complete, observations_of
from atlas_scaling.transfer.crossval import compare, contest, cross_validate, folds
from atlas_scaling.transfer.fas import FasScore, FasTable
from atlas_scaling.transfer.features import (
    PairFeatures,
    relation_features,
    widened,
    word_features,
)
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.models import (
    AdditiveModel,
    ForestModel,
    MeanModel,
    ProcessModel,
    conformal_quantile,
)
from atlas_scaling.transfer.reference import published_matrix

RUNS = Origin("runs", d=1e6, n_params=4e5, level=0.9)
PUBLISHED = published_matrix(38)
RELATIONS = relation_features(PUBLISHED.targets)
FEATURES = RELATIONS + widened(word_features(PUBLISHED.targets), RELATIONS)
DIRECT = observations_of(PUBLISHED, FEATURES.codes)


def score_of(model, scheme, **options):
    found = cross_validate(model, DIRECT, FEATURES, scheme=scheme, **options)
    assert found is not None
    return found


def test_the_published_direct_cells_are_72_observations() -> None:
    assert len(DIRECT) == 72
    assert not DIRECT.side.any()
    assert len(np.unique(DIRECT.pair)) == 36


def test_the_process_beats_the_others_where_a_matrix_has_holes() -> None:
    process = score_of(ProcessModel(), "pairs")
    assert process.r2 > 0.8
    assert process.spearman > 0.9
    assert 0.8 <= process.coverage <= 0.97  # 90 % nominal, 72 values
    for other in (AdditiveModel(), MeanModel()):
        assert process.r2 > score_of(other, "pairs").r2 + 0.05


def test_the_process_beats_the_others_for_a_new_language() -> None:
    process = score_of(ProcessModel(), "languages")
    assert process.n == 144  # each of 72 is held out with its target and with its source
    assert 0.8 <= process.coverage <= 0.97
    for other in (AdditiveModel(), MeanModel()):
        assert process.r2 > score_of(other, "languages").r2 + 0.1


@pytest.mark.slow
def test_the_process_beats_a_forest_on_the_same_features() -> None:
    # Also one that is told the mean of each target and source: its features are the same both ways.
    means = ForestModel("with means", with_means=True)
    for scheme in ("pairs", "languages"):
        process = score_of(ProcessModel(), scheme)
        for forest in (score_of(ForestModel(), scheme), score_of(means, scheme)):
            assert process.r2 > forest.r2 + 0.05
            assert contest(process, forest).verdict == "better"
    assert score_of(means, "pairs").r2 > score_of(ForestModel(), "pairs").r2 + 0.2


def test_means_that_a_forest_is_told_leave_the_pair_itself_out() -> None:
    # A target's level and noise, nothing else: a mean that held the pair's own score would let the
    # trees read it off, and look better in training than on pairs that are held out.
    rng = np.random.default_rng(0)
    codes = PUBLISHED.targets[:9]
    target, source = np.nonzero(~np.eye(9, dtype=bool))
    level = np.linspace(-1, 1, 9)
    seen = DIRECT.__class__(
        target, source, level[target] + rng.normal(0, 0.1, 72), np.zeros(72, int), np.zeros(72)
    )
    means = ForestModel(with_means=True)
    found = cross_validate(means, seen, relation_features(codes), scheme="pairs")
    assert found is not None
    assert found.r2 > 0.9
    assert 0.75 <= found.coverage <= 1.0


def test_mirrors_and_languages_do_not_leak() -> None:
    for held_out in folds(DIRECT, "pairs", seed=3):
        assert not set(DIRECT.pair[held_out]) & set(DIRECT.pair[~held_out])
    for held_out in folds(DIRECT, "languages", seed=0):
        (language,) = set.intersection(
            *(
                {int(t), int(s)}
                for t, s in zip(DIRECT.target[held_out], DIRECT.source[held_out], strict=True)
            )
        )
        rest = ~held_out
        assert language not in {*DIRECT.target[rest], *DIRECT.source[rest]}


@pytest.mark.parametrize("scheme", ["pairs", "cells"])
def test_every_value_is_held_out_once(scheme) -> None:
    assert sum(mask.astype(int) for mask in folds(DIRECT, scheme, seed=0)).tolist() == [1] * 72


def test_too_little_to_learn_from_gives_no_figure() -> None:
    few = DIRECT.take(np.arange(6))
    assert compare([MeanModel()], few, FEATURES) == ()


def test_the_conformal_quantile_is_an_order_statistic() -> None:
    missed = np.arange(1.0, 20.0)  # 19 values: ceil(20 * 0.9) = 18th smallest
    assert conformal_quantile(missed, 0.9) == 18.0
    assert conformal_quantile(missed[:3], 0.9) == 3.0
    assert conformal_quantile(missed[:0], 0.9) == np.inf


def test_a_forest_finds_a_planted_feature() -> None:
    # The paper's forest on its features; here the score is a step in the fourth of them.
    rng = np.random.default_rng(0)
    codes = tuple(f"l{i}" for i in range(10))
    values = rng.normal(size=(4, 10, 10))
    features = PairFeatures(codes, ("g_s", "g_t", "g_s - g_t", "delta"), values, np.zeros(4, bool))
    target, source = np.nonzero(~np.eye(10, dtype=bool))
    truth = np.where(values[3] > 0, 0.3, -0.5)
    seen = DIRECT.__class__(target, source, truth[target, source], np.zeros(90, int), np.zeros(90))
    fitted = ForestModel("forest (ATLAS, B.6)").fit(seen.take(np.arange(70)), features)
    predicted = fitted.predict(target[70:], source[70:], 0.9)
    assert np.mean(np.abs(predicted.score - truth[target, source][70:]) < 0.2) > 0.8


def test_completing_keeps_what_was_measured_and_estimates_the_rest() -> None:
    answer = complete(PUBLISHED)
    assert answer.n_measured == 72
    assert answer.matrix.counts == {"published": 72, "estimated": 38 * 37 - 72}
    assert answer.matrix["eng_Latn", "spa_Latn"] == PUBLISHED["eng_Latn", "spa_Latn"]
    cell = answer.matrix["cat_Latn", "spa_Latn"]
    assert cell.provenance is Provenance.ESTIMATED
    assert cell.bts is not None
    assert cell.lower is not None
    assert cell.upper is not None
    assert cell.lower < cell.bts < cell.upper <= 2
    assert cell.origin is not None
    assert cell.origin.name.startswith("estimated from arXiv")
    assert cell.origin.step is None
    assert any("29 of 38 languages have no measured score" in w for w in answer.warnings)


def test_estimates_are_held_against_those_of_the_paper() -> None:
    agreement = complete(PUBLISHED).agreement
    assert agreement is not None
    assert agreement.n == 1334
    assert agreement.pearson > 0.2
    assert agreement.inside > 0.7
    only_measured = PUBLISHED.keep(PUBLISHED.is_measurement)
    assert complete(only_measured).agreement is None


def test_relatives_are_expected_to_help_more_than_strangers() -> None:
    matrix = complete(PUBLISHED, languages=["da"]).matrix
    danish = {c.source: c.bts or 0.0 for c in matrix.row("dan_Latn")}
    assert danish["swe_Latn"] > danish["rus_Cyrl"] > danish["jpn_Jpan"] - 0.5
    assert danish["swe_Latn"] > danish["tha_Thai"]


def own_matrix(*, censored: bool = False) -> TransferMatrix:
    scores = {
        ("swe_Latn", "dan_Latn"): 0.4,
        ("dan_Latn", "swe_Latn"): 0.35,
        ("spa_Latn", "por_Latn"): 0.45,
        ("por_Latn", "spa_Latn"): 0.4,
        ("swe_Latn", "rus_Cyrl"): -0.6,
        ("rus_Cyrl", "swe_Latn"): -0.7,
        ("spa_Latn", "rus_Cyrl"): -0.5,
        ("dan_Latn", "spa_Latn"): -0.1,
    }
    cells = [
        Cell(t, s, x, x - 0.1, x + 0.1, Provenance.MEASURED, RUNS) for (t, s), x in scores.items()
    ]
    if censored:
        cells += [
            Cell("rus_Cyrl", "spa_Latn", None, None, -1.0, Provenance.CENSORED, RUNS),
            Cell("por_Latn", "dan_Latn", None, -0.3, 2.0, Provenance.CENSORED, RUNS),
        ]
    return TransferMatrix.from_cells(cells)


def test_ones_own_runs_complete_too_with_their_intervals_and_bounds() -> None:
    matrix = own_matrix(censored=True)
    observations = observations_of(matrix, matrix.targets)
    assert observations.sd[0] == pytest.approx(0.1 / 1.6449, rel=1e-3)
    assert sorted(observations.side) == [-1, *([0] * 8), 1]
    by_side = dict(zip(observations.side.tolist(), observations.score.tolist(), strict=True))
    assert (by_side[-1], by_side[1]) == (-1.0, -0.3)
    answer = complete(matrix)
    assert answer.n_censored == 2
    assert answer.matrix["rus_Cyrl", "spa_Latn"].provenance is Provenance.CENSORED
    assert any("2 measured scores are bounds" in w for w in answer.warnings)
    estimated = answer.matrix["por_Latn", "rus_Cyrl"]
    assert estimated.bts is not None
    assert estimated.bts < answer.matrix["por_Latn", "swe_Latn"].bts
    assert estimated.origin is not None
    assert (estimated.origin.d, estimated.origin.level) == (1e6, 0.9)


def test_a_feature_that_some_languages_lack_is_taken_as_usual_for_them() -> None:
    matrix = own_matrix()
    extra = PairFeatures(
        ("swe_Latn", "dan_Latn", "spa_Latn", "rus_Cyrl"),
        ("shared subwords",),
        np.full((1, 4, 4), 0.5) + 0.5 * np.eye(4),
        np.array([False]),
    )
    answer = complete(matrix, features=[extra])
    assert "por_Latn" in answer.matrix.targets
    assert "shared subwords" in answer.features
    assert any("shared subwords: not known of por_Latn" in w for w in answer.warnings)


def test_models_can_be_compared_along_the_way() -> None:
    told: list[float] = []
    answer = complete(own_matrix(), models=[ProcessModel(), MeanModel()], tell=told.append)
    assert {s.model for s in answer.scores} == {
        "process",
        "process, script and family only",
        "mean",
    }
    assert told == pytest.approx([i / 9 for i in range(1, 10)])  # 3 models under 3 schemes
    assert answer.contests == ()  # 8 values tell no model from another
    assert any("8 values, too few to call one better" in w for w in answer.warnings)
    assert {m.name for m in MODELS} >= {"process", "additive", "mean"}


def test_the_json_has_every_estimate_and_leaves_the_matrix_to_its_file() -> None:
    answer = complete(own_matrix())
    said = answer.to_dict()
    assert "matrix" not in said
    assert len(said["estimates"]) == answer.n_estimated == 20 - 8
    for one in answer.estimates:
        cell = answer.matrix[one.target, one.source]
        assert (cell.bts, cell.lower, cell.upper) == (one.bts, one.lower, one.upper)


def test_nothing_but_bounds_is_refused() -> None:
    cells = [
        Cell(t, s, None, None, -1.0 - i / 10, Provenance.CENSORED, RUNS)
        for i, (t, s) in enumerate(
            (t, s) for t in ("swe_Latn", "dan_Latn", "spa_Latn") for s in ("por_Latn", "rus_Cyrl")
        )
    ]
    with pytest.raises(InputError, match="nearly all measured scores are bounds") as caught:
        complete(TransferMatrix.from_cells(cells))
    assert "0 values, 6 bounds" in str(caught.value)


def test_folds_of_nothing_but_bounds_are_passed_over() -> None:
    # A language whose every score is a bound leaves nothing to predict when it is held out.
    scores = {
        ("swe_Latn", "dan_Latn"): 0.4,
        ("dan_Latn", "swe_Latn"): 0.3,
        ("swe_Latn", "spa_Latn"): -0.2,
        ("spa_Latn", "swe_Latn"): -0.3,
        ("dan_Latn", "spa_Latn"): -0.1,
        ("spa_Latn", "dan_Latn"): -0.2,
    }
    cells = [Cell(t, s, x, None, None, Provenance.MEASURED, RUNS) for (t, s), x in scores.items()]
    for code in ("swe_Latn", "dan_Latn", "spa_Latn"):
        cells.append(Cell(code, "rus_Cyrl", None, None, -1.0, Provenance.CENSORED, RUNS))
    matrix = TransferMatrix.from_cells(cells)
    features = relation_features(("swe_Latn", "dan_Latn", "spa_Latn", "rus_Cyrl"))
    observations = observations_of(matrix, features.codes)
    for model in (ProcessModel(), ForestModel(), MeanModel()):
        found = cross_validate(model, observations, features, scheme="pairs")
        assert found is not None
        assert found.n == 6


def test_intervals_hold_measurements_with_their_errors() -> None:
    # Scores that are all one number, each measured with an error of 0.2: what will be measured of
    # a further pair scatters by 0.2 too, and so must its interval.
    rng = np.random.default_rng(1)
    codes = PUBLISHED.targets[:9]
    sd = 0.2
    cells = []
    for t in codes:
        for s in codes:
            if t != s:
                x = float(rng.normal(-0.3, sd))
                cells.append(
                    Cell(t, s, x, x - 1.645 * sd, x + 1.645 * sd, Provenance.MEASURED, RUNS)
                )
    matrix = TransferMatrix.from_cells(cells)
    found = cross_validate(
        ProcessModel(), observations_of(matrix, codes), relation_features(codes), scheme="pairs"
    )
    assert found is not None
    assert 0.8 <= found.coverage <= 1.0
    assert found.width == pytest.approx(2 * 1.645 * sd, rel=0.35)


def test_a_contest_says_how_surely_one_model_is_better() -> None:
    process, mean = (score_of(model, "pairs") for model in (ProcessModel(), MeanModel()))
    won = contest(process, mean)
    assert won.probability > 0.99
    assert won.verdict == "better"
    assert won.r2_gain == pytest.approx(process.r2 - mean.r2)
    assert contest(mean, process).verdict == "worse"
    assert contest(process, process).verdict == "not told apart"


def test_too_few_scores_are_refused() -> None:
    small = TransferMatrix.from_cells(
        [Cell("swe_Latn", "dan_Latn", 0.4, provenance=Provenance.MEASURED, origin=RUNS)]
    )
    with pytest.raises(InputError, match="too few measured scores") as caught:
        complete(small)
    assert caught.value.value == "1 scores of 2 languages"
    assert "merge with the published" in str(caught.value)


@pytest.mark.slow
def test_the_papers_forest_is_tried_where_continued_runs_give_its_features() -> None:
    languages = ("swe_Latn", "dan_Latn", "spa_Latn", "por_Latn", "rus_Cyrl", "fin_Latn")
    rng = np.random.default_rng(0)
    deviation = {(t, s): float(rng.normal(0, 0.3)) for t in languages for s in languages}
    table = FasTable(
        n_params=4e5,
        base=languages,
        d_max=1e6,
        unit="bits_per_byte",
        gains={code: float(rng.uniform(0.1, 0.5)) for code in languages},
        scores=tuple(FasScore(t, s, x / 2, x, None, 1) for (t, s), x in deviation.items()),
    )
    matrix = TransferMatrix.from_cells(
        [
            Cell(t, s, deviation[t, s] - 0.2, provenance=Provenance.MEASURED, origin=RUNS)
            for t in languages
            for s in languages
            if t != s
        ]
    )
    answer = complete(matrix, fas=table, models=[ProcessModel()])
    scores = {s.model: s for s in answer.scores if s.scheme == "pairs"}
    # The deviation is the score here, so knowing it helps; script and family say nothing.
    assert scores["process"].r2 > 0.6
    assert scores["process"].r2 > scores["process, script and family only"].r2
    assert scores["forest on FAS (App. B.6)"].n == 30
    against = {c.other: c for c in answer.contests if c.scheme == "pairs"}
    assert against["process, script and family only"].verdict == "better"


def test_the_papers_forest_is_tried_on_the_pairs_that_have_its_features_only() -> None:
    table = FasTable(
        n_params=4e5,
        base=("swe_Latn",),
        d_max=1e6,
        unit="bits_per_byte",
        gains={"swe_Latn": 0.2},
        scores=(FasScore("swe_Latn", "swe_Latn", 0.1, 0.2, None, 1),),
    )
    answer = complete(own_matrix(), fas=table, models=[MeanModel()])
    assert not any(score.model.startswith("forest on FAS") for score in answer.scores)
    assert any(
        "languages were both continued on; here these are swe_Latn" in w for w in answer.warnings
    )
