from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.partners import suggest_partners
from atlas_scaling.transfer.reference import published_matrix

CODES = ("swe_Latn", "dan_Latn", "nob_Latn", "spa_Latn", "por_Latn", "ita_Latn", "rus_Cyrl")
RUNS = Origin("runs", d=1e6)


def matrix_of(scores: dict[tuple[str, str], float]) -> TransferMatrix:
    return TransferMatrix.from_cells(
        [
            Cell(t, s, x, provenance=Provenance.MEASURED, origin=RUNS)
            for (t, s), x in scores.items()
        ],
        targets=CODES,
        sources=CODES,
    )


def test_each_target_gets_the_partner_that_adds_most() -> None:
    matrix = matrix_of(
        {
            ("swe_Latn", "dan_Latn"): 0.4,
            ("swe_Latn", "nob_Latn"): 0.3,
            ("spa_Latn", "por_Latn"): 0.5,
            ("spa_Latn", "nob_Latn"): 0.1,
        }
    )
    answer = suggest_partners(matrix, ["sv", "es"], k=3)
    assert [p.language for p in answer.partners] == ["por_Latn", "dan_Latn"]
    assert [p.gain for p in answer.partners] == pytest.approx([0.25, 0.2])  # halves of 0.5, 0.4
    assert answer.partners[0].helps[0].target == "spa_Latn"
    assert answer.score == pytest.approx(0.45)
    assert any("no further partner surely adds anything after 2" in w for w in answer.warnings)


def test_a_partner_for_several_targets_beats_the_best_for_one() -> None:
    matrix = matrix_of(
        {
            ("swe_Latn", "dan_Latn"): 0.3,
            ("nob_Latn", "dan_Latn"): 0.3,
            ("swe_Latn", "rus_Cyrl"): 0.4,
        }
    )
    assert suggest_partners(matrix, ["sv", "nb"], k=1).partners[0].language == "dan_Latn"


def test_targets_count_as_partners_of_each_other() -> None:
    matrix = matrix_of(
        {
            ("spa_Latn", "por_Latn"): 0.5,
            ("por_Latn", "spa_Latn"): 0.4,
            ("spa_Latn", "ita_Latn"): 0.2,
        }
    )
    answer = suggest_partners(matrix, ["es", "pt"], k=2)
    assert answer.partners == ()
    assert {h.target: h.bts for h in answer.helped_by_targets} == {"spa_Latn": 0.5, "por_Latn": 0.4}


def test_a_language_that_nobody_helps_is_said_and_nobody_is_added() -> None:
    matrix = matrix_of({("rus_Cyrl", "swe_Latn"): -0.5, ("rus_Cyrl", "spa_Latn"): -0.2})
    answer = suggest_partners(matrix, ["ru"], k=2)
    assert answer.partners == ()
    assert answer.unhelped == ("rus_Cyrl",)
    assert any("nothing here surely helps rus_Cyrl" in w for w in answer.warnings)


def test_negative_help_between_targets_is_no_credit_for_others() -> None:
    matrix = matrix_of({("swe_Latn", "rus_Cyrl"): -0.5, ("swe_Latn", "spa_Latn"): -0.1})
    assert suggest_partners(matrix, ["sv", "ru"], k=1).partners == ()


def test_weights_say_which_target_matters() -> None:
    matrix = matrix_of({("swe_Latn", "dan_Latn"): 0.3, ("spa_Latn", "por_Latn"): 0.4})
    weighted = suggest_partners(matrix, ["sv", "es"], k=1, weights={"swe_Latn": 3.0})
    assert weighted.partners[0].language == "dan_Latn"


@given(seed=st.integers(0, 500))
def test_greedy_is_within_its_guarantee_of_the_best_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, sources = CODES[:3], CODES[3:]
    scores = {(t, s): float(rng.normal(0, 0.4)) for t in targets for s in sources}
    scores = {pair: min(x, 1.9) for pair, x in scores.items()}

    def worth(chosen: tuple[str, ...]) -> float:
        return sum(max([0.0, *(scores[t, s] for s in chosen)]) for t in targets) / 3

    best = max(worth(chosen) for chosen in combinations(sources, 2))
    answer = suggest_partners(matrix_of(scores), targets, k=2)
    assert answer.score >= (1 - 1 / np.e) * best - 1e-12
    assert answer.score == pytest.approx(worth(tuple(p.language for p in answer.partners)))


def test_a_bound_is_as_good_as_what_it_promises() -> None:
    matrix = TransferMatrix.from_cells(
        [
            Cell("swe_Latn", "dan_Latn", None, 0.5, 2.0, Provenance.CENSORED, RUNS),
            Cell("swe_Latn", "nob_Latn", None, None, 0.9, Provenance.CENSORED, RUNS),
        ]
    )
    answer = suggest_partners(matrix, ["sv"], k=2)
    assert [(p.language, p.gain) for p in answer.partners] == [("dan_Latn", 0.5)]


def test_a_score_that_may_as_well_be_nothing_adds_no_partner_and_is_worth_measuring() -> None:
    cells = [
        Cell("swe_Latn", "dan_Latn", 0.3, -0.1, 0.7, Provenance.MEASURED, RUNS),
        Cell("swe_Latn", "nob_Latn", 0.2, 0.1, 0.3, Provenance.MEASURED, RUNS),
        Cell("swe_Latn", "spa_Latn", 0.1, None, None, Provenance.ESTIMATED, RUNS),
        Cell("swe_Latn", "por_Latn", 0.4, 0.2, 0.6, Provenance.ESTIMATED, RUNS),
    ]
    answer = suggest_partners(TransferMatrix.from_cells(cells), ["sv"], k=3)
    assert [p.language for p in answer.partners] == ["por_Latn"]
    assert answer.unsure == ()  # dan_Latn's 0.3 would add nothing to 0.4
    without = suggest_partners(TransferMatrix.from_cells(cells[:3]), ["sv"], k=3)
    assert [p.language for p in without.partners] == ["nob_Latn"]
    assert [(u.source, u.lower) for u in without.unsure] == [("dan_Latn", -0.1)]


def test_one_small_published_estimate_makes_no_partner() -> None:
    answer = suggest_partners(published_matrix(), ["ca", "ro"], k=3)
    assert [p.language for p in answer.partners] == ["spa_Latn"]  # +0.4 on Catalan
    # Fig. C.2, row ro: French and Russian +0.1, both the forest's.
    assert {(u.source, u.bts) for u in answer.unsure} == {("fra_Latn", 0.1), ("rus_Cyrl", 0.1)}
    assert answer.unhelped == ("ron_Latn",)


def test_the_published_matrix_suggests_spanish_for_catalan() -> None:
    answer = suggest_partners(published_matrix(), ["ca"], k=1)
    assert answer.partners[0].language == "spa_Latn"
    assert any("of the 1 behind this 1 are estimates" in w for w in answer.warnings)
    measured = suggest_partners(published_matrix(), ["es"], k=1, measured_only=True)
    assert not any("estimates" in w for w in measured.warnings)
    assert "random-forest" not in measured.source


@pytest.mark.parametrize(
    ("targets", "options", "problem"),
    [
        ([], {}, "no target is given"),
        (["fi"], {}, "no target fin_Latn"),
        (["sv"], {"k": 0}, "1 or more"),
        (["sv"], {"weights": {"spa_Latn": 1.0}}, "a weight is given for no target"),
        (["sv"], {"weights": {"swe_Latn": 0.0}}, "above zero"),
    ],
)
def test_what_cannot_be_used_is_refused(targets, options, problem) -> None:
    matrix = matrix_of({("swe_Latn", "dan_Latn"): 0.3})
    with pytest.raises(InputError, match=problem):
        suggest_partners(matrix, targets, **options)
