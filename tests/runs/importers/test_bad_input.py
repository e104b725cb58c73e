"""Every kind of bad input: a clear error, or a count with its reason and place."""

import math
import re

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.runs.importers import rows
from atlas_scaling.runs.importers.importing import import_runs
from tests.runs.importers.tables import dropped, import_text, mixture

HEADER = "run_id,step,tokens,loss\n"


def error_of(tmp_path, text: str, name: str = "runs.csv", **columns) -> InputError:
    with pytest.raises(InputError) as caught:
        import_text(tmp_path, text, name, **columns)
    return caught.value


@pytest.mark.parametrize("name", ["runs.csv", "runs.tsv", "runs.jsonl", "runs.parquet"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, name):
    error = error_of(tmp_path, "", name)
    assert "empty" in error.problem
    assert name in str(error.value)


def test_a_header_alone_has_no_row(tmp_path):
    error = error_of(tmp_path, HEADER)
    assert error.problem == "no row can be used"
    assert "no rows" in error.value


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        import_runs(tmp_path / "nowhere.csv")
    assert "nowhere.csv" in caught.value.value


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("nan", "loss is NaN or no number"),
        ("three", "loss is NaN or no number"),
        ("inf", "loss is infinite"),
        ("-inf", "loss is infinite"),
        ("-2.5", "loss is not above zero"),
        ("0", "loss is not above zero"),
        ("", "no loss on the row"),
        ("n/a", "no loss on the row"),
    ],
)
def test_a_loss_that_is_none_is_dropped_with_its_place(tmp_path, loss, reason):
    imported = import_text(tmp_path, f"{HEADER}a,1,1e9,2.5\na,2,2e9,{loss}\n")
    (one,) = imported.summary.dropped
    assert (one.reason, one.rows) == (reason, 1)
    assert one.first == (f"{tmp_path / 'runs.csv'}:3",)
    assert imported.frame["loss"].to_list() == [2.5]


def test_a_named_unit_drops_what_is_too_high_for_it(tmp_path):
    text = f"{HEADER}a,1,1e9,2.5\na,2,2e9,5000\n"
    imported = import_text(tmp_path, text, loss_unit="nats_per_token")
    assert dropped(imported) == {"loss above 20: diverged, or another unit": 1}


def test_no_unit_is_guessed_where_the_losses_cannot_be_nats(tmp_path):
    error = error_of(tmp_path, f"{HEADER}a,1,1e9,35.5\na,2,2e9,18\n")
    assert error.value == 35.5
    assert "perplexity" in error.remedy


def test_an_assumed_unit_is_said(tmp_path):
    notes = import_text(tmp_path, f"{HEADER}a,1,1e9,3\n").summary.notes
    assert any("nats per token" in note for note in notes)
    named = import_text(tmp_path, f"{HEADER}a,1,1e9,3\n", loss_unit="nats_per_token").summary.notes
    assert not any("unit" in note for note in named)


def test_units_are_converted_by_their_definitions(tmp_path):
    text = f"{HEADER}a,1,1e9,8\n"
    ppl = import_text(tmp_path, text, loss_unit="perplexity").frame["loss"][0]
    bits = import_text(tmp_path, text, loss_unit="bits_per_token").frame["loss"][0]
    assert ppl == pytest.approx(math.log(8))
    assert bits == pytest.approx(8 * math.log(2))
    frame = import_text(tmp_path, text, loss_unit="bits_per_byte").frame
    assert frame.select("loss", "bits_per_byte").rows() == [(None, 8.0)]


def test_a_perplexity_below_one_is_no_loss(tmp_path):
    text = f"{HEADER}a,1,1e9,8\na,2,2e9,0.5\na,3,3e9,-4\n"
    imported = import_text(tmp_path, text, loss_unit="perplexity")
    assert dropped(imported) == {"loss is not above zero": 2}


def test_mixed_units_in_one_column_are_refused(tmp_path):
    text = "run_id,tokens,loss,unit\na,1e9,2.5,nats\nb,1e9,12,perplexity\n"
    error = error_of(tmp_path, text, columns={"loss_unit": "unit"})
    assert "several units" in error.problem
    assert error.value == ["nats", "perplexity"]
    one = import_text(tmp_path, text, columns={"loss_unit": "unit"}, only={"unit": "nats"})
    assert one.frame["loss"].to_list() == [2.5]


def test_a_unit_column_that_contradicts_the_map_is_refused(tmp_path):
    text = "run_id,tokens,loss,loss_unit\na,1e9,2.5,ppl\n"
    assert "several units" in error_of(tmp_path, text, loss_unit="nats_per_token").problem
    assert import_text(tmp_path, text).frame["loss"][0] == pytest.approx(math.log(2.5))


def test_an_unknown_unit_is_named(tmp_path):
    text = "run_id,tokens,loss,loss_unit\na,1e9,2.5,hartleys\n"
    assert error_of(tmp_path, text).value == "hartleys"


def test_repeated_rows_are_counted_and_contradicting_ones_said(tmp_path):
    text = f"{HEADER}a,1,1e9,2.5\na,1,1e9,2.5\na,2,2e9,2.4\na,2,2e9,2.3\n"
    imported = import_text(tmp_path, text)
    assert imported.frame["loss"].to_list() == [2.5, 2.3]
    assert dropped(imported) == {
        "the same evaluation again": 1,
        "evaluated again at the same point; the later row is kept": 1,
    }


def test_zero_tokens_are_kept_at_step_zero_only(tmp_path):
    imported = import_text(tmp_path, f"{HEADER}a,0,0,11\na,5,0,10\na,9,9,9\n")
    assert imported.frame["step"].to_list() == [0, 9]
    assert dropped(imported) == {"zero tokens, and not at step 0": 1}
    without_steps = import_text(tmp_path, "run_id,tokens,loss\na,0,11\na,9,9\n")
    assert without_steps.frame["tokens"].to_list() == [9]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,1.5,1e9,2.5", "step is not a whole number, zero or above"),
        ("a,-1,1e9,2.5", "step is not a whole number, zero or above"),
        ("a,,1e9,2.5", "no step"),
        (",1,1e9,2.5", "no run id"),
        ("a,1,-1e9,2.5", "tokens are not a number, zero or above"),
        ("a,1,many,2.5", "tokens are not a number, zero or above"),
    ],
)
def test_a_row_that_cannot_be_placed_is_dropped(tmp_path, row, reason):
    assert dropped(import_text(tmp_path, f"{HEADER}b,1,1e9,2.5\n{row}\n")) == {reason: 1}


def test_parameters_must_be_above_zero(tmp_path):
    text = "run_id,tokens,loss,n_params\na,1e9,2.5,0\nb,1e9,2.5,1e9\nc,1e9,2.5,x\n"
    assert dropped(import_text(tmp_path, text)) == {"n_params is not a number above zero": 2}


def test_what_a_fit_will_miss_is_said(tmp_path):
    notes = " ".join(import_text(tmp_path, f"{HEADER}a,1,1e9,2.5\n").summary.notes)
    assert "--set n_params=" in notes
    assert "--set language=" in notes
    assert "mixture" in notes


def test_an_unknown_column_is_named_with_the_nearest(tmp_path):
    error = error_of(tmp_path, f"{HEADER}a,1,1e9,2.5\n", columns={"tokens": "token"})
    assert (error.value, error.where) == ("token", "columns, tokens")
    assert "'tokens'" in error.remedy


@pytest.mark.parametrize("field", ["only", "keep"])
def test_unknown_columns_elsewhere_in_the_map_are_named(tmp_path, field):
    value = {"size": 1} if field == "only" else ["size"]
    assert error_of(tmp_path, f"{HEADER}a,1,1e9,2.5\n", **{field: value}).value == "size"


def test_a_table_without_a_loss_says_how_to_name_it(tmp_path):
    error = error_of(tmp_path, "run_id,tokens,train_nll\na,1,2\n")
    assert "--column loss=" in error.remedy
    assert "train_nll" in error.value


def test_a_table_without_tokens_says_both_ways_out(tmp_path):
    error = error_of(tmp_path, "run_id,step,loss\na,1,2\n")
    assert "--column tokens=" in error.remedy
    assert "tokens_per_step" in error.remedy


def test_tokens_per_step_without_a_step_are_refused(tmp_path):
    error = error_of(tmp_path, "run_id,loss\na,2\n", set={"tokens_per_step": 512})
    assert error.where == "step"


def test_an_unknown_language_says_how_to_map_it(tmp_path):
    text = "run_id,tokens,language,loss\na,1e9,C4_val,2.5\n"
    error = error_of(tmp_path, text)
    assert (error.value, error.where) == ("C4_val", "column language")
    assert "languages: {C4_val:" in error.remedy
    mapped = import_text(tmp_path, text, languages={"C4_val": "en"})
    assert mapped.frame["language"].to_list() == ["eng_Latn"]


def test_two_columns_of_one_language_are_refused(tmp_path):
    text = "run_id,tokens,loss/en,loss/eng_Latn\na,1e9,2,3\n"
    error = error_of(tmp_path, text, columns={"loss": "loss/{language}"})
    assert error.value == ["loss/en", "loss/eng_Latn"]


def test_a_pattern_that_matches_nothing_lists_the_columns(tmp_path):
    error = error_of(tmp_path, f"{HEADER}a,1,1e9,2.5\n", columns={"loss": "eval/{language}"})
    assert "tokens" in error.remedy


def test_a_column_twice_in_the_header_is_refused(tmp_path):
    error = error_of(tmp_path, "run_id,tokens,loss,loss\na,1e9,2,3\n")
    assert (error.value, error.where) == ("loss", f"{tmp_path / 'runs.csv'}:1")


def test_a_row_with_too_many_fields_is_found(tmp_path):
    error = error_of(tmp_path, f"{HEADER}a,1,1e9,2.5\na,2,2e9,2,4\n")
    assert error.where == f"{tmp_path / 'runs.csv'}:3"
    assert "5 fields where the header has 4" in error.problem


def test_facts_of_a_run_that_is_not_there_are_refused(tmp_path):
    text = f"{HEADER}mono-1B,1,1e9,2.5\n"
    error = error_of(tmp_path, text, runs={"mono-1b": {"n_params": 1e9}})
    assert "'mono-1B'" in error.remedy


def test_an_unknown_learning_rate_state_is_refused(tmp_path):
    error = error_of(tmp_path, "run_id,tokens,loss,lr_state\na,1e9,2.5,decaied\n")
    assert "'decay" in error.remedy


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("0.5,0.5", 0.5), ("50,49.9", 50 / 99.9), ("0.333,0.665", 0.333 / 0.998), ("100,0", 1.0)],
)
def test_shares_and_percentages_are_told_apart_by_their_sum(tmp_path, weights, expected):
    text = f"run_id,tokens,loss,w_en,w_de\na,1e9,2.5,{weights}\n"
    imported = import_text(tmp_path, text, columns={"mixture": "w_{language}"})
    assert mixture(imported)["eng_Latn"] == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("weights", ["0.5,0.2", "3,1", "-0.5,1.5", "nan,1", "x,1"])
def test_weights_that_are_no_shares_are_dropped_and_counted(tmp_path, weights):
    text = f"run_id,tokens,loss,w_en,w_de\na,1e9,2.5,{weights}\nb,1e9,2.5,1,0\n"
    imported = import_text(tmp_path, text, columns={"mixture": "w_{language}"})
    assert dropped(imported) == {"shares of the mixture sum to neither 1 nor 100": 1}
    assert imported.frame["run_id"].to_list() == ["b"]


def test_relative_weights_are_divided_by_their_sum(tmp_path):
    text = "run_id,tokens,loss,w_en,w_de\na,1e9,2.5,3,1\n"
    columns = {"mixture": "w_{language}"}
    imported = import_text(tmp_path, text, columns=columns, mixture_unit="relative")
    assert mixture(imported) == {"deu_Latn": 0.25, "eng_Latn": 0.75}


def test_rounding_of_shares_is_said(tmp_path):
    text = "run_id,tokens,loss,w_en,w_de\na,1e9,2.5,50,49.9\n"
    notes = import_text(tmp_path, text, columns={"mixture": "w_{language}"}).summary.notes
    assert any("0.999" in note for note in notes)


def test_a_folder_of_several_kinds_asks_which(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "b.jsonl").write_text("{}")
    with pytest.raises(InputError) as caught:
        import_runs(tmp_path)
    assert caught.value.value == ["csv", "jsonl"]
    assert "--kind csv" in caught.value.remedy


def test_a_folder_without_logs_and_a_file_of_no_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="no log"):
        import_runs(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="does not tell") as caught:
        import_runs(tmp_path / "notes.txt")
    assert "trainer_state" in caught.value.remedy


def test_an_unknown_kind_is_named_with_the_nearest(tmp_path):
    with pytest.raises(InputError) as caught:
        import_runs(tmp_path, kind="tensorbord")
    assert "'tensorboard'" in caught.value.remedy


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("free", [1e9, 10.0, None])
def test_a_table_beyond_memory_is_refused_before_it_is_read(tmp_path, monkeypatch, free, ending):
    monkeypatch.setattr(rows, "LARGE_FILES", 10)
    monkeypatch.setattr(rows, "free_bytes", lambda: free)
    path = tmp_path / f"runs.{ending}"
    frame = pl.DataFrame({"run": ["a"] * 3, "step": [1, 2, 3], "tokens": 1e9, "loss": 2.5})
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](
        path
    )
    shares = []
    if free != 10.0:
        assert import_runs(path, told=shares.append).summary.kept == 3
        assert shares == sorted(shares)
        assert shares[-1] <= 1
        return
    with pytest.raises(InputError, match="than this machine's memory holds") as caught:
        import_runs(path)
    assert re.match(r"about [34] evaluations, which take", caught.value.value)
    assert "sink_parquet" in caught.value.remedy


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_bytes(HEADER.encode() + "bokmål,1,1e9,2.5\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        import_runs(path)
