from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.merging import merge

RUNS = Origin("runs", d=1e6, n_params=4e5, level=0.9)


def measured(target: str, source: str, bts: float, **more) -> Cell:
    return Cell(target, source, bts, **{"provenance": Provenance.MEASURED, "origin": RUNS, **more})


@pytest.fixture
def nordic() -> TransferMatrix:
    return TransferMatrix.from_cells(
        [
            measured("swe_Latn", "dan_Latn", 0.3, lower=0.2, upper=0.4),
            measured("dan_Latn", "swe_Latn", 0.2),
            Cell(
                "swe_Latn",
                "rus_Cyrl",
                upper=-0.8,
                provenance=Provenance.CENSORED,
                origin=RUNS,
            ),
        ]
    )


def test_rows_are_targets_and_columns_are_sources(nordic: TransferMatrix) -> None:
    assert nordic.targets == ("swe_Latn", "dan_Latn")
    assert nordic.sources == ("dan_Latn", "swe_Latn", "rus_Cyrl")
    assert nordic.values[0, 0] == 0.3
    assert nordic["swe_Latn", "dan_Latn"].bts == 0.3
    assert nordic["sv", "da"].interval == (0.2, 0.4)


def test_a_pair_nobody_gave_is_missing(nordic: TransferMatrix) -> None:
    cell = nordic["dan_Latn", "rus_Cyrl"]
    assert cell.provenance is Provenance.MISSING
    assert cell.bts is None
    assert cell.best_guess is None


def test_a_censored_pair_has_a_bound_and_no_value(nordic: TransferMatrix) -> None:
    cell = nordic["swe_Latn", "rus_Cyrl"]
    assert cell.bts is None
    assert cell.interval == (None, -0.8)
    assert cell.best_guess == -0.8
    assert np.isnan(nordic.values[0, 2])
    assert nordic.best_guess[0, 2] == -0.8


def test_counts_say_how_the_cells_were_come_by(nordic: TransferMatrix) -> None:
    # 2 x 3 cells less the two of a language with itself: 2 measured, 1 censored, 1 missing.
    assert nordic.counts == {"measured": 2, "censored": 1, "missing": 1}
    assert "2 targets x 3 sources" in repr(nordic)


def test_rows_and_columns_leave_missing_cells_out(nordic: TransferMatrix) -> None:
    assert [c.source for c in nordic.row("swe_Latn")] == ["dan_Latn", "rus_Cyrl"]
    assert [c.target for c in nordic.column("swe_Latn")] == ["dan_Latn"]


def test_arrays_cannot_be_changed(nordic: TransferMatrix) -> None:
    with pytest.raises(ValueError, match="read-only"):
        nordic.values[0, 0] = 1.0


def test_keeping_measurements_drops_estimates() -> None:
    matrix = TransferMatrix.from_cells(
        [
            measured("swe_Latn", "dan_Latn", 0.3),
            measured("dan_Latn", "swe_Latn", 0.1, provenance=Provenance.ESTIMATED),
        ]
    )
    kept = matrix.keep(matrix.is_measurement)
    assert kept.targets == matrix.targets
    assert kept.counts == {"measured": 1, "missing": 1}


def test_a_language_that_is_not_there_is_said_with_its_relatives(nordic: TransferMatrix) -> None:
    with pytest.raises(InputError, match="no target nob_Latn") as caught:
        nordic.row("nb")
    assert caught.value.value == "nb"
    assert "nearest to it are swe_Latn, dan_Latn" in str(caught.value)


def test_another_code_of_the_same_language_is_named_first() -> None:
    matrix = TransferMatrix.from_cells(
        [measured("nor_Latn", "swe_Latn", 0.3), measured("dan_Latn", "swe_Latn", 0.3)]
    )
    with pytest.raises(InputError) as caught:
        matrix.row("nob_Latn")
    assert "nearest to it are nor_Latn;" in str(caught.value)


def test_a_pair_given_twice_is_refused() -> None:
    cell = measured("swe_Latn", "dan_Latn", 0.3)
    with pytest.raises(InputError, match="stands twice") as caught:
        TransferMatrix.from_cells([cell, cell])
    assert caught.value.value == ("swe_Latn", "dan_Latn")


def test_a_pair_outside_the_stated_languages_is_refused() -> None:
    with pytest.raises(InputError, match="not in the matrix's languages"):
        TransferMatrix.from_cells(
            [measured("swe_Latn", "dan_Latn", 0.3)], targets=["dan_Latn"], sources=["dan_Latn"]
        )


@pytest.mark.parametrize(
    ("printed", "before"),
    [(0.3, (0.25, 0.35)), (-1.2, (-1.25, -1.15)), (0.0, (0.0, 0.05)), (-0.0, (-0.05, -0.0))],
)
def test_a_rounded_number_says_where_it_lay_before(
    printed: float, before: tuple[float, float]
) -> None:
    cell = measured("swe_Latn", "dan_Latn", printed, origin=Origin("a figure", step=0.1))
    assert cell.rounding == before


def test_minus_zero_stays_minus_zero() -> None:
    matrix = TransferMatrix.from_cells([measured("swe_Latn", "dan_Latn", -0.0)])
    value = matrix["swe_Latn", "dan_Latn"].bts
    assert value is not None
    assert math.copysign(1, value) == -1


def test_merging_prefers_what_is_trusted_more() -> None:
    kinds = [k for k in Provenance if k is not Provenance.MISSING]
    trust = ["estimated", "published", "censored", "measured"]
    for first, second in product(kinds, kinds):
        a, b = (
            Cell(
                "swe_Latn",
                "dan_Latn",
                None if kind is Provenance.CENSORED else value,
                upper=value if kind is Provenance.CENSORED else None,
                provenance=kind,
                origin=RUNS,
            )
            for kind, value in ((first, 0.1), (second, 0.2))
        )
        merged = merge(TransferMatrix.from_cells([a]), TransferMatrix.from_cells([b]))
        won = merged["swe_Latn", "dan_Latn"].best_guess
        assert won == (0.2 if trust.index(second) > trust.index(first) else 0.1)


def test_merging_joins_languages_and_keeps_origins(nordic: TransferMatrix) -> None:
    other = TransferMatrix.from_cells(
        [measured("nob_Latn", "dan_Latn", 0.4, origin=Origin("later runs", d=1.05e6))]
    )
    merged = merge(nordic, other)
    assert merged.targets == ("swe_Latn", "dan_Latn", "nob_Latn")
    assert merged["nob_Latn", "dan_Latn"].origin == Origin("later runs", d=1.05e6)
    assert merged["swe_Latn", "dan_Latn"].origin == RUNS
    assert merged.counts["measured"] == 3


@pytest.mark.parametrize("change", [{"d": 2e6}, {"n_params": 8e5}, {"unit": "bytes"}])
def test_scores_taken_elsewhere_are_not_merged_unless_asked(
    nordic: TransferMatrix, change: dict
) -> None:
    origin = Origin(**{"name": "elsewhere", "d": 1e6, "n_params": 4e5, **change})
    other = TransferMatrix.from_cells([measured("nob_Latn", "dan_Latn", 0.4, origin=origin)])
    with pytest.raises(InputError, match="not taken at one d") as caught:
        merge(nordic, other)
    assert "elsewhere" in str(caught.value)
    assert merge(nordic, other, allow_different_d=True).counts["measured"] == 3
