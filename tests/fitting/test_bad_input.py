"""What people's tables have in them: each is a clear error, a verdict or a note, never a guess."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import compare, fit
from atlas_scaling.fitting.tables import read_table
from atlas_scaling.laws import ATLAS
from tests.fitting.planted import planted_runs, two_power_table


def with_value(column, value, row=3, n=40):
    table = two_power_table(n)
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, strict=False))


@pytest.mark.parametrize("loss", [1e300, 2500.0])
def test_a_loss_that_no_model_can_have_is_of_another_unit(loss):
    with pytest.raises(InputError, match="no loss in nats_per_token is that high") as caught:
        fit(with_value("loss", loss), bootstrap=0)
    assert caught.value.value == loss
    assert "row 4" in caught.value.where


@pytest.mark.parametrize(("column", "value"), [("n_params", 1e210), ("tokens", 1e30)])
def test_a_count_that_no_run_can_have_is_refused_with_its_row(column, value):
    with pytest.raises(InputError, match="no run has that many") as caught:
        fit(with_value(column, value), bootstrap=0)
    assert caught.value.value == value
    assert f"row 4 of the table, column {column} (1 row in all)" in caught.value.where


def test_rows_of_weight_zero_do_not_enter():
    table = two_power_table(40).with_columns(w=pl.int_range(pl.len()) % 2)
    held = fit(table, weights="w", bootstrap=0)
    assert held.n_rows == 20
    assert (held.observations.dropped[0].rows, held.observations.dropped[0].reason) == (
        20,
        "w is 0",
    )
    with pytest.raises(InputError, match="no row is left"):
        fit(table.with_columns(w=pl.lit(0.0)), weights="w")


def test_a_weight_below_zero_is_shown_as_a_number():
    with pytest.raises(InputError, match="a weight must be") as caught:
        fit(two_power_table(40).with_columns(w=pl.lit(-1.0)), weights="w")
    assert "received: -1.0\n" in str(caught.value)


def test_too_few_resamples_for_an_interval_are_said():
    table = two_power_table(40)
    assert any(
        "5 resamples cannot tell a 90% interval" in w for w in fit(table, bootstrap=5).warnings
    )
    assert not any("resamples" in w for w in fit(table, bootstrap=20).warnings)
    rare = fit(table, bootstrap=50, level=0.999)
    assert any("a 99.9% interval: 20,000 do" in w for w in rare.warnings)
    assert "99.9% interval" in str(rare)


def test_a_value_outside_its_own_interval_is_said():
    # many runs of other mixtures: a median-like fit sits where few rows decide
    found = fit(two_power_table(60), bootstrap=40)
    beyond = found.draws.copy()
    beyond[:, 0] = 0.5 * found.values["E"]
    odd = replace(found, draws=beyond)
    assert any(w.startswith("outside its own interval: E;") for w in odd.warnings)
    assert not any("own interval" in w for w in found.warnings)


@pytest.mark.parametrize("nested", ["columns", "struct", "list"])
def test_languages_may_be_called_by_other_codes_than_ours(nested):
    runs = planted_runs(sizes=(4e5, 1.6e6))
    short = {"swe_Latn": "sv", "dan_Latn": "da", "spa_Latn": "es", "rus_Cyrl": "ru"}
    entries = runs["tokens_by_language"].to_list()
    shares = [
        {e["language"]: e["value"] / sum(x["value"] for x in es) for e in es} for es in entries
    ]
    theirs = runs.drop("tokens_by_language", "unique_tokens").with_columns(
        pl.col("language").replace(short)
    )
    if nested == "columns":
        theirs = theirs.with_columns(
            pl.Series(f"w_{code}", [row.get(ours, 0.0) for row in shares])
            for ours, code in short.items()
        )
    elif nested == "struct":
        cells = [{code: row.get(ours, 0.0) for ours, code in short.items()} for row in shares]
        theirs = theirs.with_columns(pl.Series("mixture", cells))
    else:
        cells = [[{"language": short[k], "value": v} for k, v in row.items()] for row in shares]
        theirs = theirs.with_columns(pl.Series("mixture", cells))
    law = ATLAS(sources=("dan_Latn",))
    named = fit(theirs, law, target="sv", bootstrap=0)
    plain = fit(runs.drop("unique_tokens"), law, target="swe_Latn", bootstrap=0)
    assert named.target == "swe_Latn"
    assert named.values["tau[dan_Latn]"] == pytest.approx(plain.values["tau[dan_Latn]"], rel=1e-6)


def test_two_columns_of_shares_of_one_language_are_refused():
    table = two_power_table(20).with_columns(
        language=pl.lit("no"), w_no=pl.lit(0.5), w_nor=pl.lit(0.5)
    )
    with pytest.raises(InputError, match="of one language") as caught:
        fit(table)
    assert caught.value.value == ["w_no", "w_nor"]


def test_domains_keep_their_names_though_one_looks_like_a_language():
    N = two_power_table(40).with_columns(
        language=pl.Series(["rw", "c4"] * 20), w_rw=pl.lit(0.5), w_c4=pl.lit(0.5)
    )
    assert fit(N, target="rw", bootstrap=0).target == "rw"


def test_a_torn_line_of_json_is_placed(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"n_params": 1e8, "tokens": 1e9, "loss": 3.0}\n{"n_params": 1e8, "tok')
    with pytest.raises(InputError, match="no JSON object") as caught:
        read_table(path)
    assert caught.value.where == f"{path}:2"


def test_a_row_whose_size_is_a_thousand_times_off_is_named():
    table = two_power_table(60, noise=0.003).with_columns(
        run_id=pl.format("run{}", pl.int_range(pl.len()))
    )
    assert not any("far off" in said for said in fit(table, bootstrap=0).warnings)
    n = pl.when(pl.col("run_id") == "run7").then(1000 * pl.col("n_params"))
    wrong = table.with_columns(n_params=n.otherwise(pl.col("n_params")))
    said = [w for w in fit(wrong, bootstrap=0).warnings if "far off the law" in w]
    assert len(said) == 1
    assert "1 row far off the law, farthest run7" in said[0]


def test_an_infinite_size_is_said_as_what_it_is():
    held = fit(with_value("n_params", float("inf")), bootstrap=0)
    assert held.observations.dropped[0].reason == "n_params missing or not finite"


def test_a_model_may_be_hopeless_on_a_language_that_it_never_saw():
    table = planted_runs(sizes=(4e5,), n_evals=3)
    alone = table.filter(pl.col("run_id") == "dan_Latn-400000")
    unseen = alone.with_columns(language=pl.lit("swe_Latn"), loss=pl.lit(23.2))
    both = pl.concat([table, unseen])
    held = fit(both, "single_power", target="swe_Latn", bootstrap=0)
    assert held.n_rows == table.filter(pl.col("language") == "swe_Latn").height


def test_compute_may_be_as_large_as_it_is():
    N = np.geomspace(1e8, 1e10, 12)
    table = pl.DataFrame({"n_params": N, "tokens": N, "loss": 1113708 * N**1.65})
    assert fit(table, "crossover", bootstrap=0).values["b"] == pytest.approx(1.65)


def test_two_units_in_one_table_are_refused():
    units = pl.Series("loss_unit", ["nats_per_token"] * 20 + ["bits_per_byte"] * 20)
    with pytest.raises(InputError, match="never mixes units"):
        fit(two_power_table(40).with_columns(units), bootstrap=0)


def test_a_table_in_another_unit_than_the_fit_is_refused():
    table = two_power_table(40).with_columns(pl.lit("bits_per_byte").alias("loss_unit"))
    with pytest.raises(InputError, match="the table's losses are in bits_per_byte"):
        fit(table, bootstrap=0)


def test_a_cell_that_is_no_number_is_shown_with_its_row():
    text = two_power_table(40).with_columns(pl.col("loss").cast(pl.String))
    values = text["loss"].to_list()
    values[7] = "oops"
    with pytest.raises(InputError, match="loss is not numbers") as caught:
        fit(text.with_columns(pl.Series("loss", values)), bootstrap=0)
    assert caught.value.value == "oops"
    assert "row 8" in caught.value.where


def test_numbers_in_quotes_are_numbers():
    text = two_power_table(40).with_columns(pl.all().cast(pl.String))
    assert fit(text, bootstrap=0).n_rows == 40


def test_a_run_that_counts_no_steps_is_told_apart_by_tokens():
    table = two_power_table(40).with_columns(
        pl.Series("run_id", ["a"] * 20 + ["b"] * 20),
        pl.Series("step", [None] * 20 + list(range(20)), dtype=pl.Int64),
    )
    held = fit(table, bootstrap=0)
    assert (held.n_rows, held.n_runs) == (40, 2)


def test_two_columns_of_one_name_are_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("n_params,tokens,loss,loss\n1e8,1e9,3.0,9.0\n2e8,1e9,2.9,9.1\n")
    with pytest.raises(InputError, match="two columns are called loss"):
        fit(path)


def test_losses_that_the_law_cannot_describe_are_said():
    rising = two_power_table(40).with_columns(loss=3 + 0.1 * pl.col("tokens").log())
    assert any("describes these losses poorly" in said for said in fit(rising).warnings)
    assert not any("poorly" in said for said in fit(two_power_table(40), bootstrap=0).warnings)


def test_refits_that_cannot_move_give_no_interval():
    one_size = two_power_table(40, n_params=[1e8] * 40)
    held = fit(one_size, bootstrap=20)
    assert all(held.interval(name) is None for name in ("E", "A", "alpha"))
    assert held.interval("beta") is not None
    rising = two_power_table(40).with_columns(loss=3 + 0.1 * pl.col("tokens").log())
    assert fit(rising, bootstrap=20).parameters["B"].interval is None  # at its bound in each


@pytest.mark.parametrize("states", [{}, {"lr_state": pl.lit("unknown")}])
def test_a_state_that_the_table_does_not_tell_cannot_be_chosen(states):
    table = two_power_table(40).with_columns(**states)
    with pytest.raises(InputError, match="does not say the learning-rate state"):
        fit(table, lr_state="decayed", bootstrap=0)
    assert fit(table, bootstrap=0).n_rows == 40


def test_equal_rows_without_a_run_count_once():
    table = two_power_table(40)
    found = fit(pl.concat([table, table]), bootstrap=0)
    assert (found.n_rows, found.observations.dropped[0].rows) == (40, 40)


def test_shares_that_are_none_are_refused():
    for first, second, problem in ((0.5, 0.9, "sum to 1.4"), (-0.5, 1.5, "below zero")):
        table = two_power_table(40).with_columns(
            pl.lit("a").alias("language"), pl.lit(first).alias("w_a"), pl.lit(second).alias("w_b")
        )
        with pytest.raises(InputError, match=problem) as caught:
            fit(table, "atlas", bootstrap=0)
        assert "row 1" in caught.value.where


def test_percentages_and_rounded_shares_are_shares():
    shares = pl.DataFrame({"w_a": [40.1, 0.4], "w_b": [59.8, 0.598]})
    from atlas_scaling.fitting.inputs import Mixtures

    table = two_power_table(2).with_columns(shares["w_a"], shares["w_b"])
    sums = sum(Mixtures.of(table).shares(code) for code in ("a", "b"))
    np.testing.assert_allclose(sums, 1.0)
    np.testing.assert_allclose(Mixtures.of(table).tokens.sum(axis=0), table["tokens"].to_numpy())


def test_a_language_column_without_a_language_is_none():
    table = two_power_table(40).with_columns(pl.lit(None, dtype=pl.String).alias("language"))
    assert fit(table, bootstrap=0).target is None


@pytest.mark.parametrize("law", ["atlas", "data_constrained"])
def test_no_unique_tokens_at_all_is_not_known(law):
    table = two_power_table(40).with_columns(pl.lit(0.0).alias("unique_tokens"))
    found = fit(table, law, bootstrap=0)
    assert any("nothing counts as repeated" in note for note in found.observations.notes)


def test_zero_compute_is_refused_with_its_row():
    table = two_power_table(40).with_columns(pl.lit(0.0).alias("flops"))
    with pytest.raises(InputError, match="flops must be above zero") as caught:
        fit(table, "single_power", bootstrap=0)
    assert "row 1" in caught.value.where


def test_our_own_columns_are_not_shown_as_the_users():
    with pytest.raises(InputError) as caught:
        fit(two_power_table(40), "capacity", bootstrap=0)
    assert not any(name.startswith("_") for name in caught.value.value)


def test_counts_that_may_be_in_millions_are_doubted():
    table = two_power_table(40).with_columns(pl.col("n_params") / 1e6)
    assert any("n_params" in note and "millions" in note for note in fit(table).observations.notes)


def test_what_the_learning_rate_left_out_is_said_once():
    decayed = planted_runs(sizes=(4e5,), lr_state="decayed")
    both = pl.concat([planted_runs(), decayed.head(40)], how="vertical_relaxed")
    found = fit(
        both.with_columns(pl.int_range(pl.len()).alias("step")), target="swe_Latn", bootstrap=0
    )
    said = [*(d.reason for d in found.observations.dropped), *found.observations.notes]
    assert sum("decayed" in text for text in said) == 1


def test_a_table_with_semicolons_is_a_table(tmp_path):
    path = tmp_path / "runs.csv"
    two_power_table(40).write_csv(path, separator=";")
    assert read_table(path).columns == ["n_params", "tokens", "loss"]


def test_a_row_with_too_many_fields_is_named(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("n_params,tokens,loss\n1,2,3\n1,2,3,4\n")
    with pytest.raises(InputError, match="4 fields where the header has 3") as caught:
        read_table(path)
    assert caught.value.where == f"{path}:3"


def test_three_rows_for_five_parameters():
    with pytest.raises(InputError, match="3 rows cannot determine the 5 parameters"):
        fit(two_power_table(3))
    with pytest.raises(InputError, match="no law could be scored"):
        compare(two_power_table(3), ["chinchilla"])


def test_a_pandas_frame_is_a_table():
    pandas = pytest.importorskip("pandas")
    table = two_power_table(40)
    plain = fit(table, bootstrap=20)
    frame = pandas.DataFrame({c: table[c].to_list() for c in table.columns})
    assert fit(frame, bootstrap=20).to_dict() == plain.to_dict()
    whole = frame.round({"n_params": 0}).astype({"n_params": "Int64"}).sort_values("loss")
    assert fit(whole, bootstrap=0).n_rows == 40
    gaps = frame.assign(loss=[None, *frame["loss"][1:]], language="swe_Latn", run_id=range(40))
    assert fit(gaps.convert_dtypes(), bootstrap=0).n_rows == 39


def test_mixtures_in_a_pandas_frame_are_dictionaries():
    pandas = pytest.importorskip("pandas")
    table = planted_runs()
    rows = table.to_dicts()
    for row in rows:
        for column in ("tokens_by_language", "unique_tokens"):
            row[column] = {entry["language"]: entry["value"] for entry in row[column]}
    options = {"target": "swe_Latn", "bootstrap": 0}
    found = fit(pandas.DataFrame(rows), "atlas", **options)
    assert found.values == fit(table, "atlas", **options).values


def test_others_whose_unique_tokens_are_not_known_do_not_repeat():
    # as in zhou_mix_repeat: unique tokens are known of the small corpus alone
    table = planted_runs().with_columns(
        pl.col("unique_tokens").list.filter(pl.element().struct.field("language") == "swe_Latn")
    )
    found = fit(table, ATLAS(variant="other"), target="swe_Latn", bootstrap=0)
    assert np.isinf(
        found.observations.x["other_unique"][found.observations.x["other_tokens"] > 0]
    ).all()
    assert found.diagnostics.r2 > 0.95
    assert any("others" in note for note in found.observations.notes)
