from __future__ import annotations

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.analysis import analyze, square
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.reference import published_matrix

RUNS = Origin("runs", d=1e6)


def measured(target: str, source: str, bts: float) -> Cell:
    return Cell(target, source, bts, provenance=Provenance.MEASURED, origin=RUNS)


@pytest.mark.parametrize(
    ("code", "sure_and_possible"),
    # shared/published/checks.json, top5_of_30_rows_as_targets: certain and possible counts.
    [("eng_Latn", (17, 22)), ("fra_Latn", (7, 23)), ("spa_Latn", (4, 21)), ("heb_Hebr", (4, 18))],
)
def test_top_five_counts_of_the_published_30_languages(
    code: str, sure_and_possible: tuple[int, int]
) -> None:
    answer = analyze(published_matrix(30), n_permutations=99)
    assert next(b for b in answer.balance if b.language == code).in_top == sure_and_possible


def test_the_published_matrix_warns_of_its_estimates_and_its_rounding() -> None:
    answer = analyze(published_matrix(38), n_permutations=99)
    assert answer.counts == {"published": 72, "estimated": 1334}
    assert any("only 72 of the 1406 scores" in w for w in answer.warnings)
    assert any("rounded" in w for w in answer.warnings)
    assert answer.mean == pytest.approx(np.nanmean(published_matrix(38).values))


def test_only_the_measured_cells_can_be_analysed() -> None:
    answer = analyze(published_matrix(38), measured_only=True, n_permutations=99)
    assert {b.language for b in answer.balance} == set(published_matrix(38).targets[:9])
    assert len(answer.empty) == 29
    assert answer.symmetry is not None
    assert answer.symmetry.n_pairs == 36
    assert not any("estimates" in w for w in answer.warnings)
    assert any("29 languages have no score" in w for w in answer.warnings)


def test_the_measured_scores_are_analysed_by_themselves_too() -> None:
    answer = analyze(published_matrix(38), n_permutations=99)
    alone = analyze(published_matrix(38), measured_only=True, n_permutations=99)
    assert answer.measured == alone
    assert alone.measured is None
    # No language without a measured score is ranked among the measured ones, and Yoruba and Central
    # Kurdish, rows that the paper's forest cannot tell apart, are named as such.
    assert "yor_Latn" not in {b.language for b in alone.balance}
    assert ("ckb_Arab", "yor_Latn") in answer.indistinct
    assert any("ckb_Arab, yor_Latn one and the same row" in w for w in answer.warnings)


def test_what_a_measured_language_gives_has_an_interval_and_an_estimated_one_none() -> None:
    answer = analyze(published_matrix(38), n_permutations=99)
    assert answer.measured is not None
    assert all(b.gives_interval is None for b in answer.balance)
    for one in answer.measured.balance:
        assert one.gives is not None
        assert one.gives_interval is not None
        assert one.gives_interval[0] < one.gives < one.gives_interval[1]


def test_the_interval_of_what_a_language_gives_shrinks_to_nothing_without_noise() -> None:
    # Scores that are target plus source and nothing else: every language left out, the rest says
    # the same of each source up to the mean of the targets that remain.
    rng = np.random.default_rng(0)
    codes = published_matrix().targets[:8]
    source = dict(zip(codes, rng.normal(size=8), strict=True))
    cells = [measured(t, s, min(source[s], 2.0)) for t in codes for s in codes if t != s]
    for one in analyze(TransferMatrix.from_cells(cells), n_permutations=99).balance:
        assert one.gives == pytest.approx(min(source[one.language], 2.0))
        assert one.gives_interval == pytest.approx((one.gives, one.gives))


def test_languages_that_help_each_other_and_those_that_none_helps_are_named() -> None:
    answer = analyze(published_matrix(38), n_permutations=99)
    mutual = {(m.a, m.b): (m.b_to_a, m.a_to_b) for m in answer.mutual}
    assert mutual["nor_Latn", "swe_Latn"] == (0.3, 0.3)  # positive both ways (section 4)
    assert mutual["ind_Latn", "msa_Latn"] == (0.4, 0.4)
    assert {"urd_Arab", "pus_Arab"} <= set(answer.unhelped)
    assert not {"cat_Latn", "swe_Latn", "eng_Latn"} & set(answer.unhelped)


def test_giving_and_getting_do_not_depend_on_who_was_scored() -> None:
    # Scores are -1 for the hard target zho, 0 for the others, plus 0.2 from spa. spa was never
    # scored on zho: its plain mean (0.2) would flatter it against swe's (-0.5 + ...).
    codes = ("swe_Latn", "spa_Latn", "zho_Hani", "rus_Cyrl")
    cells = [
        measured(t, s, (-1.0 if t == "zho_Hani" else 0.0) + (0.2 if s == "spa_Latn" else 0.0))
        for t in codes
        for s in codes
        if t != s and (t, s) != ("zho_Hani", "spa_Latn")
    ]
    balance = {b.language: b for b in analyze(TransferMatrix.from_cells(cells)).balance}
    gives = {code: b.gives or 0.0 for code, b in balance.items()}
    assert gives["spa_Latn"] - gives["swe_Latn"] == pytest.approx(0.2)
    assert gives["rus_Cyrl"] == pytest.approx(gives["swe_Latn"])
    gets = {code: b.gets or 0.0 for code, b in balance.items()}
    assert gets["zho_Hani"] - gets["swe_Latn"] == pytest.approx(-1.0)
    assert balance["spa_Latn"].n_helped == 2
    assert balance["spa_Latn"].n_targets == 2
    assert balance["zho_Hani"].altruism == pytest.approx(gives["zho_Hani"] - gets["zho_Hani"])


def test_targets_and_sources_may_be_different_languages() -> None:
    matrix = TransferMatrix.from_cells(
        [measured("swe_Latn", "dan_Latn", 0.3), measured("nob_Latn", "dan_Latn", 0.2)]
    )
    values, codes = square(matrix)
    assert codes == ("swe_Latn", "nob_Latn", "dan_Latn")
    assert values[0, 2] == 0.3
    assert np.count_nonzero(~np.isnan(values)) == 2
    answer = analyze(matrix)
    assert answer.symmetry is None
    assert answer.clusters is None
    balance = {b.language: b for b in answer.balance}
    assert balance["dan_Latn"].gets is None
    assert balance["swe_Latn"].gives is None
    assert balance["swe_Latn"].altruism is None


def test_censored_cells_count_as_their_bound_and_are_said() -> None:
    matrix = TransferMatrix.from_cells(
        [
            measured("swe_Latn", "dan_Latn", 0.3),
            Cell("dan_Latn", "swe_Latn", None, None, -1.0, Provenance.CENSORED, RUNS),
        ]
    )
    answer = analyze(matrix)
    assert answer.mean == pytest.approx(-0.35)
    assert any("1 scores are bounds" in w for w in answer.warnings)


def test_an_empty_row_is_left_out_and_said() -> None:
    matrix = TransferMatrix.from_cells(
        [measured("swe_Latn", "dan_Latn", 0.3)],
        targets=["swe_Latn", "fin_Latn"],
        sources=["dan_Latn"],
    )
    answer = analyze(matrix)
    assert answer.empty == ("fin_Latn",)
    assert any("no score at all for fin_Latn" in w for w in answer.warnings)


def test_a_matrix_without_scores_is_an_error() -> None:
    empty = TransferMatrix.from_cells([], targets=["swe_Latn"], sources=["dan_Latn"])
    with pytest.raises(InputError, match="has no score") as caught:
        analyze(empty)
    assert "measure some pairs" in str(caught.value)
