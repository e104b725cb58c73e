from __future__ import annotations

import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.ranking import best_sources, best_targets
from atlas_scaling.transfer.reference import published_matrix

RUNS = Origin("runs", d=1e6, n_params=4e5, level=0.9)


def test_catalan_is_helped_most_by_spanish() -> None:
    answer = best_sources(published_matrix(), "cat_Latn", top=5)  # Fig. C.2, row ca
    assert [(s.language, s.bts, s.rank) for s in answer.sources] == [
        ("spa_Latn", 0.4, 1),
        ("fra_Latn", 0.2, 2),
        ("por_Latn", 0.2, 2),
        ("ita_Latn", 0.1, 4),
        ("eng_Latn", 0.0, 5),
    ]
    assert answer.sources[0].tau == 0.4 / 1.6
    assert {s.provenance for s in answer.sources} == {Provenance.ESTIMATED}
    assert answer.n_known == 37


def test_published_numbers_have_a_rounding_and_no_interval() -> None:
    first = best_sources(published_matrix(), "cat_Latn").sources[0]
    assert first.interval is None
    assert first.rounding == (0.35, 0.45)


def test_the_json_has_the_agreed_keys() -> None:
    answer = best_sources(published_matrix(), "ca", top=1).to_dict()
    assert {"target", "sources", "source", "law", "warnings"} <= set(answer)
    assert {"language", "bts", "tau", "provenance", "interval"} <= set(answer["sources"][0])
    assert answer["target"] == "cat_Latn"


def test_estimates_ties_and_rounding_are_said() -> None:
    said = " ".join(best_sources(published_matrix(), "cat_Latn", top=2).warnings)
    assert "only 72 of the 1406 scores of this matrix are measurements" in said
    assert "none of these was measured" in said
    assert "printed to 0.1" in said
    assert "as good as the last one shown: por_Latn" in said


def test_measured_and_estimated_cells_are_told_apart() -> None:
    # Fig. C.2, row en: id, ms and he 0.3 by the forest; es, fr, de 0.2 measured.
    answer = best_sources(published_matrix(), "eng_Latn", top=6)
    kinds = {s.language: s.provenance for s in answer.sources}
    assert kinds["ind_Latn"] is Provenance.ESTIMATED
    assert kinds["spa_Latn"] is Provenance.PUBLISHED
    measured = best_sources(published_matrix(), "eng_Latn", top=3, measured_only=True)
    assert {s.language for s in measured.sources} == {"spa_Latn", "fra_Latn", "deu_Latn"}
    assert not any("estimates" in warning for warning in measured.warnings)


def test_zero_ranks_above_minus_zero_which_is_a_number_below_it() -> None:
    # Row vi: en 0.0 and fr 0.0; es, de, pt, zh -0.0.
    answer = best_sources(published_matrix(), "vie_Latn", measured_only=True)
    ranks = {s.language: s.rank for s in answer.sources}
    assert ranks["eng_Latn"] == ranks["fra_Latn"] == 1
    assert ranks["spa_Latn"] == ranks["deu_Latn"] == 3


def test_urdu_and_pashto_are_helped_by_nobody() -> None:
    for target in ("urd_Arab", "pus_Arab"):
        best = best_sources(published_matrix(), target).sources[0]
        assert best.bts is not None
        assert best.bts < 0


def test_targets_of_a_source_come_from_its_column() -> None:
    # Fig. C.2, column es: pt 0.5, ca 0.4, then en, fr, it 0.2.
    answer = best_targets(published_matrix(), "spa_Latn", top=2)
    assert [(t.language, t.bts) for t in answer.targets] == [("por_Latn", 0.5), ("cat_Latn", 0.4)]
    assert answer.language == "spa_Latn"


def test_a_censored_source_is_ranked_at_its_bound() -> None:
    matrix = TransferMatrix.from_cells(
        [
            Cell("swe_Latn", "dan_Latn", 0.3, 0.2, 0.4, Provenance.MEASURED, RUNS),
            Cell("swe_Latn", "rus_Cyrl", None, None, -0.2, Provenance.CENSORED, RUNS),
            Cell("swe_Latn", "fin_Latn", -0.5, -0.6, -0.4, Provenance.MEASURED, RUNS),
        ]
    )
    answer = best_sources(matrix, "swe_Latn")
    assert [s.language for s in answer.sources] == ["dan_Latn", "rus_Cyrl", "fin_Latn"]
    censored = answer.sources[1]
    assert (censored.bts, censored.tau, censored.interval) == (None, None, (None, -0.2))
    assert any("only a bound is known for rus_Cyrl" in w for w in answer.warnings)


def test_scores_of_different_d_are_said() -> None:
    matrix = TransferMatrix.from_cells(
        [
            Cell("swe_Latn", "dan_Latn", 0.3, provenance=Provenance.MEASURED, origin=RUNS),
            Cell(
                "swe_Latn",
                "nob_Latn",
                0.2,
                provenance=Provenance.MEASURED,
                origin=Origin("other runs", d=2e6),
            ),
        ]
    )
    answer = best_sources(matrix, "swe_Latn")
    assert any("not all taken at one d" in w for w in answer.warnings)
    assert answer.source == "runs (d = 1M tokens, 400k parameters); other runs (d = 2M tokens)"


def test_a_row_without_any_score_is_an_error_with_a_remedy() -> None:
    matrix = TransferMatrix.from_cells(
        [Cell("swe_Latn", "dan_Latn", 0.3, provenance=Provenance.MEASURED, origin=RUNS)],
        targets=["swe_Latn", "fin_Latn"],
        sources=["dan_Latn"],
    )
    with pytest.raises(InputError, match="no score in it") as caught:
        best_sources(matrix, "fin_Latn")
    assert "atlas transfer bts" in str(caught.value)


def test_asking_for_measurements_where_there_are_only_estimates_says_so() -> None:
    with pytest.raises(InputError, match="every score of target cat_Latn is an estimate"):
        best_sources(published_matrix(), "cat_Latn", measured_only=True)


def test_notes_of_the_scores_are_said_with_the_languages_they_are_about() -> None:
    def cell(source: str, bts: float, *notes: str) -> Cell:
        return Cell(
            "swe_Latn", source, bts, provenance=Provenance.MEASURED, origin=RUNS, notes=notes
        )

    matrix = TransferMatrix.from_cells(
        [cell("dan_Latn", 0.3, "one seed", "repeated"), cell("nob_Latn", 0.2, "one seed")]
    )
    answer = best_sources(matrix, "swe_Latn")
    assert "all of these: one seed" in answer.warnings
    assert "dan_Latn: repeated" in answer.warnings
    assert answer.sources[0].notes == ("one seed", "repeated")
    assert "dan_Latn: repeated" not in best_sources(matrix, "swe_Latn", top=0).warnings


def test_a_row_that_the_estimator_gives_to_several_targets_is_said() -> None:
    said = " ".join(best_sources(published_matrix(), "ckb_Arab").warnings)
    assert "gives yor_Latn the same row" in said
    assert "same row" not in " ".join(best_sources(published_matrix(), "deu_Latn").warnings)
    of_targets = " ".join(best_targets(published_matrix(), "yor_Latn").warnings)
    assert "does not tell" in of_targets


def test_scores_taken_too_early_are_said() -> None:
    matrix = TransferMatrix.from_cells(
        [Cell("swe_Latn", "jpn_Jpan", 0.9, None, None, Provenance.MEASURED, RUNS, early=True)]
    )
    answer = best_sources(matrix, "swe_Latn")
    assert answer.sources[0].early
    assert any("so early in training" in w and "jpn_Jpan" in w for w in answer.warnings)
