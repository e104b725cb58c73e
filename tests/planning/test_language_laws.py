import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.laws import ATLAS
from atlas_scaling.planning.language_laws import (
    PUBLISHED_LAMBDA,
    best_sources_of,
    law_of_fit,
    published_law,
    transfer_warnings,
    with_transfer,
)
from tests.planning.planted import MATRIX, planted

# --- published laws and whose law a language borrows


@pytest.mark.parametrize(
    ("code", "basis"),
    [
        ("fra_Latn", "Table C.1, law of fra_Latn"),
        ("cat", "Table C.1, law of fra_Latn (same branch, Romance)"),
        ("uk", "Table C.1, law of rus_Cyrl (same branch, Slavic)"),
        ("sv", "Table C.1, law of eng_Latn (same branch, Germanic)"),
        ("ben", "Table C.1, law of hin_Deva (same branch, Indo-Aryan)"),
        ("zul", "Table C.1, law of swa_Latn (same branch, Bantu)"),
        ("zho_Hans", "Table C.1, law of zho_Hani (the same language)"),
        ("yor", "Table C.1, law of swa_Latn (same family, Atlantic-Congo)"),
        ("jpn", "Table C.1, law of eng_Latn (no published law of its family)"),
    ],
)
def test_a_language_borrows_the_law_of_its_nearest_relative(code, basis):
    assert published_law(code).basis == basis


def test_a_published_law_has_the_printed_numbers():
    law = published_law("hi")
    # Table C.1, multilingual vocabulary, monolingual training: .63, e^6.99, .43, e^8.69, .43
    assert (law.E, law.alpha, law.beta) == (0.63, 0.43, 0.43)
    assert np.log([law.A, law.B]) == pytest.approx([6.99, 8.69])
    assert law.lam == pytest.approx(1 / 15.39)
    assert not law.knows_transfer


def test_the_user_may_name_whose_law_to_borrow():
    assert published_law("cat", like="en").basis == "Table C.1, law of eng_Latn (as chosen)"
    with pytest.raises(InputError) as caught:
        published_law("cat", like="es")
    assert "fra_Latn" in caught.value.remedy


def test_a_bound_that_was_hit_and_another_loss_scale_are_said():
    assert any("E = 0" in warning for warning in published_law("sw").warnings)
    assert any("another loss scale" in warning for warning in published_law("zh").warnings)


# --- transfer


def test_a_score_becomes_a_weight_and_interference_is_left_out_unless_asked_for():
    # tau = BTS / (2 - BTS): .4 -> .25, .2 -> 1/9, -.4 -> -1/6
    sources = ["spa_Latn", "fra_Latn", "rus_Cyrl", "jpn_Jpan", "deu_Latn", "cat_Latn"]
    law = with_transfer(published_law("cat"), MATRIX, sources)
    assert law.tau == {
        "spa_Latn": pytest.approx(0.25),
        "fra_Latn": pytest.approx(1 / 9),
        "rus_Cyrl": 0.0,
    }
    assert law.worth_of("cat_Latn") == 1.0
    assert law.worth_of("jpn_Jpan") == 0.0
    law = with_transfer(published_law("cat"), MATRIX, sources, interference=True)
    assert law.tau["rus_Cyrl"] == pytest.approx(-1 / 6)


def test_missing_and_estimated_scores_are_counted():
    laws = [published_law("cat")]
    said = transfer_warnings(laws, MATRIX, ["cat_Latn", "spa_Latn", "fra_Latn", "deu_Latn"])
    assert said == [
        "no transfer score for 1 of 3 pairs, such as cat_Latn from deu_Latn: worth 0",
        "1 of 3 transfer scores are estimates, such as that of cat_Latn from fra_Latn",
    ]


def test_the_best_sources_are_those_above_zero_best_first():
    assert best_sources_of(MATRIX, "cat_Latn", top=5) == ["spa_Latn", "fra_Latn"]
    assert best_sources_of(MATRIX, "cat_Latn", top=1) == ["spa_Latn"]
    assert best_sources_of(MATRIX, "swe_Latn", top=5) == []


# --- fits


def test_a_fit_of_atlas_gives_its_planted_law_with_draws(atlas_fit):
    values, fitted = atlas_fit
    law = law_of_fit(fitted)
    assert law.language == "swe_Latn"
    assert law.tau["dan_Latn"] == pytest.approx(0.4, abs=0.05)
    assert law.lam == pytest.approx(0.2, rel=0.2)
    assert law.beta == pytest.approx(values["beta"], abs=0.02)
    assert law.n_draws > 20
    assert law.worth_draws("dan_Latn").shape == (law.draws["E"].shape)
    assert law.worth_draws("swe_Latn") is None
    assert law.repetition_draws("dan_Latn") is law.draws["lam"]
    assert law.n_params[0] >= 1e7


def test_repetition_that_the_data_cannot_tell_is_borrowed():
    law = ATLAS(sources=("dan_Latn",), others=False)
    _, runs = planted(law, repeated=False)
    borrowed = law_of_fit(fit(runs, law, target="swe_Latn", bootstrap=10))
    assert borrowed.lam == PUBLISHED_LAMBDA
    assert "lam" not in borrowed.draws
    assert any("15.39" in warning for warning in borrowed.warnings)


def test_a_fit_of_a_law_with_other_terms_is_refused():
    _, runs = planted(ATLAS(sources=("dan_Latn",), others=False))
    other = fit(runs, "kaplan", target="swe_Latn", bootstrap=0)
    with pytest.raises(InputError) as caught:
        law_of_fit(other)
    assert "kaplan" in caught.value.problem
    assert "--law atlas" in caught.value.remedy
