import numpy as np
import polars as pl
import pytest

from atlas_scaling import laws
from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.fitting.data import observe
from atlas_scaling.fitting.selection import Selection
from atlas_scaling.laws import ATLAS, Law, Parameter
from atlas_scaling.runs.store import read_runs
from tests.fitting.planted import planted_runs, two_power_table
from tests.run_files import eval_line, write_run


def observed(table, law=None, **selection):
    return observe(table, law or laws.Chinchilla(), Selection(**selection))[1]


def reasons(observations):
    return {d.reason: d.rows for d in observations.dropped}


def test_one_target_of_several_is_taken_and_the_rest_counted():
    table = planted_runs()
    o = observed(table, target="swe_Latn")
    assert o.facts.target == "swe_Latn"
    assert reasons(o) == {
        "loss of a language other than swe_Latn": table.height - o.n_rows,
    }
    # alone, three pairs, all: five mixtures at four sizes, eight evaluations each
    assert (o.n_runs, o.n_rows) == (20, 160)


def test_a_code_of_another_standard_finds_its_language():
    assert observed(planted_runs(), target="sv").facts.target == "swe_Latn"


def test_several_languages_without_a_target_are_refused_with_a_proposal():
    with pytest.raises(InputError, match="several languages") as caught:
        observed(planted_runs())
    assert caught.value.remedy == "name one: --target dan_Latn"


def test_a_target_that_is_not_there_names_those_that_are():
    with pytest.raises(InputError, match="no loss of this language") as caught:
        observed(planted_runs(), target="fin_Latn")
    assert "swe_Latn" in caught.value.remedy


def test_a_target_for_a_table_without_languages_is_refused():
    with pytest.raises(InputError, match="does not say which language"):
        observed(two_power_table(), target="swe_Latn")


def test_the_arrays_of_atlas_are_tokens_by_language():
    table = planted_runs(sizes=(4e5,), n_evals=1)
    law, o = observe(table, ATLAS(sources=("dan_Latn",)), Selection(target="swe_Latn"))
    assert law.sources == ("dan_Latn",)
    # in the order of the runs: swe, swe-dan, swe-spa, swe-rus, all four; 5e5 tokens each
    np.testing.assert_allclose(o.x["target_tokens"], [5e5, 2.5e5, 2.5e5, 2.5e5, 1.25e5])
    np.testing.assert_allclose(o.x["source_tokens"], [[0, 2.5e5, 0, 0, 1.25e5]])
    np.testing.assert_allclose(o.x["other_tokens"], [0, 0, 2.5e5, 2.5e5, 2.5e5])
    np.testing.assert_allclose(o.x["other_unique"], [0, 0, 3e6, 3e6, 6e6])
    np.testing.assert_allclose(o.x["target_unique"], 3e6)


def test_sources_are_the_languages_that_run_with_the_target_most():
    table = planted_runs(sizes=(4e5,), n_evals=1)
    table = table.filter(~pl.col("run_id").str.contains("swe_Latn-rus_Cyrl"))
    law, _ = observe(table, ATLAS(), Selection(target="swe_Latn"))
    # dan and spa: half of a pair and a quarter of all; rus: a quarter of all
    assert law.sources == ("dan_Latn", "spa_Latn", "rus_Cyrl")


def test_shares_in_columns_are_mixtures_too():
    table = two_power_table(8).with_columns(
        pl.lit("aaa").alias("language"), pl.lit(0.75).alias("w_aaa"), pl.lit(0.25).alias("w_bbb")
    )
    _, o = observe(table, ATLAS(variant="other"), Selection())
    np.testing.assert_allclose(o.x["target_tokens"], 0.75 * o.x["tokens"])
    np.testing.assert_allclose(o.x["other_tokens"], 0.25 * o.x["tokens"])
    assert np.isinf(o.x["target_unique"]).all()
    assert "unique tokens are not recorded: nothing counts as repeated" in o.notes


def test_evaluations_of_languages_a_run_did_not_train_on_stay_out_unless_asked():
    table = planted_runs(sizes=(4e5,), n_evals=2)
    other = table.filter(pl.col("run_id") == "dan_Latn-400000").with_columns(
        pl.lit("swe_Latn").alias("language")
    )
    both = pl.concat([table, other])
    assert reasons(observed(both, target="swe_Latn"))["of a run not trained on swe_Latn"] == 2
    assert observed(both, target="swe_Latn", zero_shot=True).n_rows == 12


def test_one_learning_rate_state_enters_and_the_other_is_counted():
    table = pl.concat(
        [
            planted_runs(sizes=(4e5,), n_evals=5),
            planted_runs(sizes=(8e5,), n_evals=2, lr_state="decayed"),
            planted_runs(sizes=(16e5,), n_evals=1, lr_state="warmup"),
        ]
    )
    o = observed(table, target="swe_Latn")
    assert o.n_rows == 25
    said = "learning rate not stable (10 decayed, 5 warmup): a fit compares one state"
    assert reasons(o)[said] == 15
    assert observed(table, target="swe_Latn", lr_state="decayed").n_rows == 10
    assert observed(table, target="swe_Latn", lr_state="all").n_rows == 40


def test_a_state_that_no_row_has_names_those_there_are():
    with pytest.raises(InputError, match="learning-rate state") as caught:
        observed(planted_runs(), target="swe_Latn", lr_state="decayed")
    assert caught.value.remedy == "one of stable, or all"


def test_decays_that_branch_off_are_runs_from_scratch(tmp_path):
    for tokens in range(1000, 9000, 1000):
        loss = 2 + 100 / tokens**0.5
        line = [eval_line(tokens, tokens, "swe_Latn", loss, lr_state="decayed")]
        write_run(
            tmp_path, line, run_id=f"at{tokens}", base_run="trunk", branch_tokens=tokens - 100
        )
    o = observed(read_runs(tmp_path), target="swe_Latn", lr_state="decayed")
    assert (o.n_rows, o.n_runs, o.dropped) == (8, 8, ())


def test_runs_that_continue_another_stay_out_unless_asked():
    table = pl.concat(
        [
            planted_runs(sizes=(4e5,)),
            planted_runs(sizes=(8e5,), base_run="all-four"),
        ],
        how="vertical_relaxed",
    )
    o = observed(table, target="swe_Latn")
    assert o.n_rows == 40
    assert "of a run that continues another (their tokens count from zero)" in reasons(o)
    assert observed(table, target="swe_Latn", continued=True).n_rows == 80


def test_two_tokenizers_are_two_units_unless_in_bits_per_byte():
    table = pl.concat(
        [planted_runs(sizes=(4e5,)), planted_runs(sizes=(8e5,), tokenizer="bb")]
    ).with_columns((pl.col("loss") / 3).alias("bits_per_byte"))
    with pytest.raises(InputError, match="never mixes units") as caught:
        observed(table, target="swe_Latn")
    assert "bits_per_byte" in caught.value.remedy
    o = observed(table, target="swe_Latn", unit="bits_per_byte")
    assert o.n_rows == 80
    assert o.loss.max() < 6


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_dropped_and_counted(bad):
    table = two_power_table(20)
    table = table.with_columns(
        pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(bad)).otherwise("loss").alias("loss")
    )
    o = observed(table)
    assert o.n_rows == 17
    assert reasons(o) == {"loss missing or not finite": 3}


@pytest.mark.parametrize(
    ("column", "value"), [("loss", -1.0), ("loss", 0.0), ("n_params", 0.0), ("tokens", -5.0)]
)
def test_a_number_that_cannot_be_is_an_error_with_its_row(column, value):
    table = two_power_table(20)
    table = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 4).then(value).otherwise(column).alias(column)
    )
    with pytest.raises(InputError, match=f"{column} must be above zero") as caught:
        observed(table)
    assert caught.value.value == value
    assert caught.value.where == f"row 5 of the table, column {column} (1 row in all)"


def test_evaluations_before_training_are_dropped_and_counted():
    table = two_power_table(20).with_columns(
        pl.when(pl.int_range(pl.len()) < 2).then(0.0).otherwise("tokens").alias("tokens")
    )
    assert reasons(observed(table)) == {"before any training (tokens = 0)": 2}


def test_the_same_row_twice_counts_once_and_a_contradiction_is_an_error():
    table = planted_runs(sizes=(4e5,))
    o = observed(pl.concat([table, table.head(8)]), target="swe_Latn")
    assert reasons(o)["the same evaluation again"] == 8
    wrong = table.head(8).with_columns(pl.col("loss") + 1)
    with pytest.raises(InputError, match="two different losses") as caught:
        observed(pl.concat([table, wrong]), target="swe_Latn")
    assert caught.value.value["run_id"] == "swe_Latn-400000"


def test_an_unknown_unit_gets_the_nearest_name():
    with pytest.raises(InputError, match="no such loss unit") as caught:
        observed(two_power_table(), unit="bits_per_bite")
    assert "bits_per_byte" in caught.value.remedy


def test_a_missing_column_gets_the_nearest_name():
    with pytest.raises(InputError, match="no column n_params") as caught:
        observed(two_power_table().rename({"n_params": "params"}))
    assert "n_params" in caught.value.remedy or "params" in caught.value.remedy


def test_a_column_of_words_is_refused_with_what_it_holds():
    table = two_power_table(4).with_columns(pl.lit("1,4e9").alias("tokens"))
    with pytest.raises(InputError, match="is not numbers") as caught:
        observed(table)
    assert caught.value.value == "1,4e9"


def test_no_rows_at_all_is_said():
    with pytest.raises(InputError, match="no rows"):
        observed(two_power_table().head(0))


def test_no_row_left_says_what_took_them():
    table = two_power_table(5).with_columns(pl.lit(float("nan")).alias("loss"))
    with pytest.raises(InputError, match="no row is left") as caught:
        observed(table)
    assert caught.value.value == ["5 rows: loss missing or not finite"]


def test_three_rows_cannot_determine_five_parameters():
    with pytest.raises(InputError, match="3 rows cannot determine the 5 parameters") as caught:
        fit(two_power_table(3))
    assert "with_fixed" in caught.value.remedy


def test_a_law_of_mixtures_on_a_table_without_them_says_what_to_add():
    with pytest.raises(InputError, match="says nothing of mixtures") as caught:
        observed(two_power_table(), laws.AdditiveMixture())
    assert "w_<domain>" in caught.value.remedy


def test_a_target_that_no_run_trained_on_cannot_have_a_law_of_its_tokens():
    table = two_power_table(20).with_columns(
        pl.lit("deu_Latn").alias("language"), pl.lit(1.0).alias("w_eng_Latn")
    )
    with pytest.raises(InputError, match="no run here was trained on deu_Latn"):
        observed(table, ATLAS(variant="target"))
    assert observed(table).n_rows == 20  # a law of all tokens can


def test_a_users_law_takes_any_column_of_numbers():
    class Depth(Law):
        name = "depth"
        inputs = ("n_params", "n_layers")
        parameters = (Parameter("A", start=(1.0, 10.0), bounds=(0.1, 100.0)),)

        def loss(self, p, x):
            return p.A / x.n_layers**0.1

    table = two_power_table(20)
    with pytest.raises(InputError, match="needs n_layers") as caught:
        observed(table, Depth())
    assert caught.value.remedy == "say which column it is: --column n_layers=THEIRS"
    o = observed(table.with_columns(pl.lit(12).alias("n_layers")), Depth())
    np.testing.assert_array_equal(o.x["n_layers"], 12.0)


def test_an_input_with_a_gap_is_an_error_with_its_row():
    table = two_power_table(6).with_columns(
        pl.Series("n_languages", [1.0, 2.0, None, 4.0, 4.0, 4.0]), pl.lit("a").alias("language")
    )
    with pytest.raises(InputError, match="n_languages is missing") as caught:
        observed(table, laws.Capacity())
    assert caught.value.where == "row 3 of the table, column n_languages (1 row in all)"


def test_a_number_of_languages_without_a_mixture_is_of_evenly_sampled_ones():
    rng = np.random.default_rng(3)
    N, D = 10 ** rng.uniform(7, 9, 120), 10 ** rng.uniform(9, 11, 120)
    K = rng.choice([1.0, 2.0, 4.0, 8.0], 120)
    planted = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    planted |= {"phi": 0.11, "psi": -0.05}
    loss = 1.8 + 480 * K**0.11 / N**0.35 + 2000 * K**-0.05 / (D / K) ** 0.37
    table = pl.DataFrame({"n_params": N, "tokens": D, "n_languages": K, "loss": loss})
    found = fit(table, "capacity", bootstrap=0)
    assert found.values == pytest.approx(planted, rel=1e-3)
    assert any("sampled evenly" in note for note in found.observations.notes)


def test_weights_must_be_numbers_from_zero_up():
    table = two_power_table(6).with_columns(pl.Series("w", [1.0, 1, 1, -2, 1, 1]))
    with pytest.raises(InputError, match="zero or above") as caught:
        observed(table, weights="w")
    assert caught.value.where == "row 4 of the table, column w"


def test_lazy_frames_and_mappings_are_taken():
    table = two_power_table(12)
    plain = observed(table)
    for form in (table.to_dict(as_series=False), table.lazy()):
        assert observed(form).hash == plain.hash
    with pytest.raises(InputError, match="no table of runs") as caught:
        observed([1, 2, 3])
    assert caught.value.value == "list"


def test_the_hash_is_of_what_is_fitted_and_nothing_else():
    table = two_power_table(12)
    with_more = table.with_columns(pl.lit("note").alias("comment"))
    assert observed(table).hash == observed(with_more).hash
    changed = table.with_columns(pl.col("loss") * 1.0000001)
    assert observed(table).hash != observed(changed).hash


def test_unique_tokens_of_the_whole_mixture_are_summed():
    table = planted_runs(sizes=(4e5,), n_evals=1).filter(pl.col("language") == "swe_Latn")
    o = observed(table, laws.DataConstrained())
    np.testing.assert_allclose(o.x["unique_tokens"], [3e6, 6e6, 6e6, 6e6, 12e6])


def test_a_share_column_of_nothing_but_zeros_is_no_language_of_the_runs():
    frame = two_power_table(20).with_columns(
        language=pl.lit("swe_Latn"), w_swe_Latn=pl.lit(1.0), w_dan_Latn=pl.lit(0.0)
    )
    law, o = observe(frame, laws.get("additive_mixture"), Selection(target="swe_Latn"))
    assert o.facts.languages == ("swe_Latn",)
    assert law.domains == ("swe_Latn",)


def test_one_number_of_unique_tokens_is_said_to_be_that_of_the_target():
    frame = planted_runs(sizes=(4e5,), n_evals=2).with_columns(unique_tokens=pl.lit(3e6))
    _, o = observe(frame, laws.ATLAS(), Selection(target="swe_Latn"))
    assert (o.x["target_unique"] == 3e6).all()
    assert np.isinf(o.x["source_unique"]).all()
    (note,) = o.notes
    assert "one number a row, taken as that of swe_Latn alone" in note
    alone = frame.filter(pl.col("run_id") == "swe_Latn-400000")
    assert observe(alone, laws.ATLAS(), Selection(target="swe_Latn"))[1].notes == ()


def test_unique_tokens_that_are_missing_in_some_runs_are_said():
    table = planted_runs(sizes=(4e5, 8e5), n_evals=1)
    lacking = table.with_columns(
        pl.when(pl.col("n_params") == 4e5).then(pl.col("unique_tokens")).alias("unique_tokens")
    )
    o = observed(lacking, ATLAS(variant="target"), target="swe_Latn")
    assert np.isinf(o.x["target_unique"][o.facets["n_params"] == 8e5]).all()
    assert any("not recorded everywhere" in note for note in o.notes)
