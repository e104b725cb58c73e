import polars as pl
import pytest

from atlas_scaling.report.blocks import Tone
from atlas_scaling.report.verdicts import verdicts
from atlas_scaling.runs.store import Note, RunTable, read_runs
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from tests.report.planted import write_study

ORIGIN = Origin("runs", d=1e6)


def claims(tone: Tone, *args, **kwargs) -> str:
    return "\n".join(
        f"{v.claim} {v.why} {v.remedy}" for v in verdicts(*args, **kwargs) if v.tone is tone
    )


def cell(bts=None, lower=None, upper=None, provenance=Provenance.MEASURED, *, early=False) -> Cell:
    return Cell("swe_Latn", "dan_Latn", bts, lower, upper, provenance, ORIGIN, early)


def test_what_is_told_stands_first(runs, fits, matrix):
    tones = [v.tone for v in verdicts(runs, fits, matrix.of_size().matrix("runs"))]
    assert tones == sorted(tones, key=list(Tone).index)
    assert set(tones) == set(Tone)


def test_single_seeds_leave_seed_noise_untold(runs):
    assert "another seed would change is not known" in claims(Tone.UNTOLD, runs)


def test_a_second_seed_is_noticed(tmp_path):
    write_study(tmp_path, languages=("swe_Latn",), sizes=("s",))
    runs = read_runs(tmp_path)
    again = runs.records[0].model_copy(update={"seed": 1, "run_id": "again"})
    both = RunTable(runs.frame, (*runs.records, again))
    assert "another seed" not in claims(Tone.UNTOLD, both)
    assert "on 1 kind of run" in claims(Tone.TOLD, both)


def test_a_narrow_range_of_sizes_is_said_with_what_would_do(runs):
    # 370k to 4.2M parameters are 11x; 50k to 3M tokens are 60x.
    said = claims(Tone.WEAK, runs)
    assert "370k to 4.2M parameters" in said
    assert "The range of parameters is below 30×" in said


def test_parameters_are_sorted_by_what_can_be_told(fits):
    # At most 3.3 epochs were seen: repetition cannot be told; the planted beta can.
    assert "λ" in claims(Tone.UNTOLD, None, fits)
    told = claims(Tone.TOLD, None, fits)
    assert "ATLAS (full): these runs identify" in told
    assert "β" in told


def test_a_law_that_misses_the_mixtures_is_not_called_a_description(fits):
    # Chinchilla sees only all tokens, of which half or a third are the target's.
    assert "Chinchilla describes" not in claims(Tone.TOLD, None, fits)
    assert "Chinchilla describes these losses with visible misfit" in claims(Tone.WEAK, None, fits)
    assert "ATLAS (full) describes these losses well: R² 0.99" in claims(Tone.TOLD, None, fits)


def test_unreadable_records_are_named(runs):
    noted = RunTable(runs.frame, runs.records, (Note("a/evals.jsonl:9", "torn last line"),))
    said = claims(Tone.WEAK, noted)
    assert "1 note of the reader" in said
    assert "a/evals.jsonl:9: torn last line" in said


def test_unknown_learning_rates_are_said(runs):
    blind = RunTable(runs.frame.with_columns(lr_state=pl.lit("unknown")), runs.records)
    assert "Learning-rate states are not recorded" in claims(Tone.WEAK, blind)


@pytest.mark.parametrize(
    ("one", "clear"),
    [
        (cell(0.3, 0.1, 0.5), True),
        (cell(-0.3, -0.5, -0.1), True),
        (cell(0.1, -0.2, 0.4), False),
        (cell(None, None, -0.4, Provenance.CENSORED), True),
        (cell(None, None, 0.7, Provenance.CENSORED), False),
        (cell(None, 0.2, 2.0, Provenance.CENSORED), True),
        (cell(0.3, 0.1, 0.5, early=True), False),
    ],
)
def test_a_pair_is_clear_when_its_interval_or_bound_lies_on_one_side_of_zero(one, clear):
    said = claims(Tone.TOLD if clear else Tone.UNTOLD, None, (), TransferMatrix.from_cells([one]))
    assert f"Of 1 pair that was run, {'1 helps or harms' if clear else '0 help or harm'}" in said
    assert ("Danish h" in said) is clear


def test_bounds_and_pairs_that_were_not_run_are_counted():
    cells = [cell(None, None, -0.4, Provenance.CENSORED)]
    cells.append(Cell("dan_Latn", "swe_Latn", 0.3, 0.2, 0.4, Provenance.MEASURED, ORIGIN))
    codes = ("swe_Latn", "dan_Latn", "rus_Cyrl")
    matrix = TransferMatrix.from_cells(cells, targets=codes, sources=codes)
    assert "1 of 2 scores are bounds" in claims(Tone.WEAK, None, (), matrix)
    assert "4 pairs of these languages were not run" in claims(Tone.UNTOLD, None, (), matrix)


def test_warnings_of_the_matrix_become_verdicts_once():
    matrix = TransferMatrix.from_cells([cell(0.3, 0.1, 0.5)])
    warnings = [
        "some scores have no interval",
        "one run a side: noise only",
        "1 of 2 are bounds: x",
    ]
    said = claims(Tone.WEAK, None, (), matrix, warnings)
    assert "Some scores have no interval." in said
    assert "one run a side" not in said.lower()
