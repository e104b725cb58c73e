from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.fas import FasScore, FasTable, fas_from_runs
from atlas_scaling.transfer.features import (
    PairFeatures,
    fas_features,
    relation_features,
    subword_features,
    unmeasured,
    widened,
)
from tests.transfer.test_fas import base, continued


def test_relations_come_from_the_language_table() -> None:
    features = relation_features(["swe_Latn", "dan_Latn", "rus_Cyrl", "fin_Latn"])
    assert features.names == ("same script", "same family", "same branch")
    script, family, branch = features.values
    assert script.tolist() == [[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]]
    assert family[0].tolist() == [1, 1, 1, 0]  # Indo-European
    assert branch[0].tolist() == [1, 1, 0, 0]  # Germanic
    assert features.likeness[0] == pytest.approx([1, 1, 1 / 3, 1 / 3])


def test_subwords_overlap_by_the_share_of_text_they_have_in_common() -> None:
    counts = {
        "swe_Latn": np.array([50, 50, 0, 0]),
        "dan_Latn": np.array([10, 30, 0, 0]),
        "rus_Cyrl": np.array([0, 0, 7, 0]),
    }
    lengths = {"swe_Latn": 4.0, "dan_Latn": 2.0, "rus_Cyrl": 4.0}
    features = subword_features(counts, lengths)
    overlap, apart = features.values
    # Shares 1/2, 1/2 and 1/4, 3/4: 1/4 + 1/2 in common; log(1 + 75)/log(1 + 100) = 0.93837.
    some = 0.93837
    assert overlap == pytest.approx(np.array([[1, some, 0], [some, 1, 0], [0, 0, 1]]), abs=1e-5)
    assert apart[0] == pytest.approx([0, np.log(2), 0])
    assert not features.alike.any()


def test_subwords_of_two_vocabularies_or_of_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="one vocabulary"):
        subword_features({"a": np.ones(3, int), "b": np.ones(4, int)}, {"a": 1.0, "b": 1.0})
    with pytest.raises(InputError, match="no text") as caught:
        subword_features({"a": np.ones(3, int), "b": np.zeros(3, int)}, {"a": 1.0, "b": 1.0})
    assert caught.value.value == ["b"]


def test_what_is_unknown_is_taken_as_usual_for_what_two_languages_share() -> None:
    codes = ("swe_Latn", "dan_Latn", "spa_Latn", "rus_Cyrl", "nob_Latn")
    of = np.array([[1, 0.8, 0.2, 0.1], [0.8, 1, 0.4, 0.1], [0.2, 0.4, 1, 0.3], [0.1, 0.1, 0.3, 1]])
    known = PairFeatures(codes[:4], ("words",), of[None], np.array([False]))
    wide = widened(known, relation_features(codes))
    assert wide.codes == codes
    assert wide.values[0, :4, :4].tolist() == of.tolist()
    norwegian = wide.values[0, 4]
    assert norwegian[0] == norwegian[1] == pytest.approx(0.8)  # as Swedish and Danish
    assert norwegian[2] == pytest.approx(0.3)  # as Swedish and Danish with Spanish
    assert norwegian[3] == pytest.approx((0.1 + 0.1 + 0.3) / 3)  # family, other script and branch
    assert unmeasured(known, codes) == ("nob_Latn",)


def test_the_papers_features_are_gains_and_deviations_normalised() -> None:
    def score(target: str, source: str, deviation: float) -> FasScore:
        return FasScore(target, source, 0.0, deviation, None, 1)

    table = FasTable(
        n_params=1e6,
        base=("a", "b"),
        d_max=1e6,
        unit="loss",
        gains={"a": 1.0, "b": 3.0},
        scores=(
            score("a", "a", 4.0),
            score("a", "b", 2.0),
            score("b", "a", 0.0),
            score("b", "b", 5.0),
        ),
    )
    features = fas_features(table)
    g_s, g_t, difference, delta = features.values  # targets x sources
    assert g_s.tolist() == [[-1, 1], [-1, 1]]  # gains 1 and 3: mean 2, deviation 1
    assert g_t.tolist() == [[-1, -1], [1, 1]]
    assert difference.tolist() == [[0, 2], [-2, 0]]
    assert delta.tolist() == [[1, -1], [-1, 1]]  # each row on its own
    assert not features.alike.any()


def test_fas_of_runs_gives_the_papers_features() -> None:
    languages = ("swe_Latn", "dan_Latn", "rus_Cyrl")
    runs = [base()] + [
        continued(source, {t: 0.4 if t == source else 0.1 for t in languages})
        for source in languages
    ]
    (table,) = fas_from_runs(pl.concat(runs)).tables
    features = fas_features(table)
    assert sorted(features.codes) == sorted(languages)
    assert features.values[3].std(axis=1) == pytest.approx(np.ones(3))


def test_a_language_without_its_own_continued_run_is_left_out() -> None:
    table = FasTable(1e6, ("a",), 1e6, "loss", {"a": 1.0}, (FasScore("a", "a", 1, 1, None, 1),))
    with pytest.raises(InputError, match="no two languages"):
        fas_features(table)


def test_features_are_joined_over_common_languages() -> None:
    first = relation_features(["swe_Latn", "dan_Latn", "rus_Cyrl"])
    second = subword_features(
        {"rus_Cyrl": np.array([1, 2]), "swe_Latn": np.array([2, 1])},
        {"rus_Cyrl": 3.0, "swe_Latn": 4.0},
    )
    both = first + second
    assert both.codes == ("swe_Latn", "rus_Cyrl")
    assert len(both.names) == 5
    assert both.values[3, 0, 1] == pytest.approx(np.log1p(200 / 3) / np.log1p(100))  # 2/3 in common
