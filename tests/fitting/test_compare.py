import io
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from atlas_scaling import laws
from atlas_scaling.cli.compare_text import comparison_text
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.comparison import compare, default_laws
from atlas_scaling.fitting.data import observe
from atlas_scaling.fitting.pooled import fit_each, fit_pooled
from atlas_scaling.fitting.selection import Selection
from atlas_scaling.fitting.splits import SPLITS, splits
from atlas_scaling.laws import ATLAS
from tests.fitting.planted import TAU, TRUTH, planted_runs, two_power_table


@pytest.fixture(scope="module")
def runs():
    return planted_runs(noise=0.003)


def cuts_of(table, **selection):
    observations = observe(table, laws.Chinchilla(), Selection(**selection))[1]
    return observations, {cut.name: cut for cut in splits(observations)}


def test_each_cut_holds_out_what_it_says(runs):
    o, cuts = cuts_of(runs, target="swe_Latn")
    assert tuple(cuts) == SPLITS
    assert cuts["r2"].held_out.sum() == 32  # 20 % of 160
    sizes = o.facets["n_params"]
    # four sizes: the largest and the middle one of 0.4, 1.6, 6.4, 25.6 M
    assert set(sizes[cuts["r2_n"].held_out]) == {1.6e6, 2.56e7}
    assert o.facets["tokens"][cuts["r2_d"].held_out].min() > np.quantile(o.facets["tokens"], 0.8)
    assert o.facets["flops"][cuts["r2_c"].held_out].min() > np.quantile(o.facets["flops"], 0.8)
    held = np.array(o.run_ids)[o.run][cuts["r2_m"].held_out]
    assert {run.split("-")[0] for run in held} == {"swe_Latn"}
    assert len({run.rsplit("-", 1)[0] for run in held}) == 1  # the mixture of all four


def test_unimax_runs_are_not_held_out_as_mixtures(runs):
    renamed = runs.with_columns(
        pl.when(pl.col("run_id").str.contains("swe_Latn-dan_Latn-spa"))
        .then(pl.lit("UniMax-1"))
        .otherwise("group")
        .alias("group")
    )
    assert cuts_of(renamed, target="swe_Latn")[1]["r2_m"].missing == "0 rows to hold out"


def test_many_sizes_are_cut_by_their_top_fifth():
    _, cuts = cuts_of(two_power_table(60))
    assert cuts["r2_n"].held_out.sum() == 12


def test_one_size_has_no_cut_of_sizes():
    _, cuts = cuts_of(two_power_table(20, n_params=np.full(20, 1e8)))
    assert cuts["r2_n"].missing == "0 rows to hold out"


def test_the_law_that_made_the_data_wins_where_it_matters(runs):
    found = compare(runs, ["chinchilla", ATLAS(variant="target"), "atlas"], targets=["swe_Latn"])
    chinchilla, target, full = found.rows
    assert full.r2_m > 0.99 > chinchilla.r2_m
    assert full.r2 > 0.995 > target.r2 > chinchilla.r2
    assert (full.law, full.variant, full.n_parameters) == ("atlas", "full", 9)
    assert full.errors["r2"] < chinchilla.errors["r2"]
    assert full.by_target["swe_Latn"]["r2_m"].n_held_out == 32


def test_scores_are_averaged_over_targets_and_kept_by_target(runs):
    found = compare(runs, ["chinchilla"], targets=["swe_Latn", "rus_Cyrl"])
    (row,) = found.rows
    by_target = [row.by_target[t]["r2_d"].r2 for t in ("swe_Latn", "rus_Cyrl")]
    assert row.r2_d == pytest.approx(np.mean(by_target))
    assert row.n_targets == 2
    assert found.targets == ("swe_Latn", "rus_Cyrl")


def test_a_target_that_is_named_twice_counts_once(runs):
    once = compare(runs, ["chinchilla"], targets=["swe_Latn"])
    assert compare(runs, ["chinchilla"], targets=["swe_Latn", "sv"]).to_dict() == once.to_dict()


def test_two_processes_score_as_one_does(runs):
    asked = {"candidates": ["chinchilla", "kaplan"], "targets": ["swe_Latn", "spa_Latn"]}
    told = []
    together = compare(runs, workers=2, done=told.append, **asked)
    assert together.to_dict() == compare(runs, **asked).to_dict()
    assert told == [0.25, 0.5, 0.75, 1.0]


def test_losses_that_do_not_compare_are_refused_before_anything_is_fitted(runs):
    mixed = runs.with_columns(
        pl.when(pl.col("language") == "spa_Latn")
        .then(pl.lit("b"))
        .otherwise(pl.lit("a"))
        .alias("tokenizer")
    )
    mixed = pl.concat(
        [mixed, mixed.filter(pl.col("tokenizer") == "b").with_columns(tokenizer=pl.lit("c"))]
    )
    told = []
    with pytest.raises(InputError, match="never mixes units"):
        compare(mixed, ["chinchilla"], targets=["swe_Latn", "spa_Latn"], done=told.append)
    assert told == []


def test_an_absurd_score_is_told_as_a_bound(runs):
    found = compare(runs, ["chinchilla"], targets=["swe_Latn"])
    absurd = replace(found, rows=(replace(found.rows[0], r2_m=-1.7e13),))
    console = Console(width=100, file=io.StringIO())
    console.print(comparison_text(absurd))
    printed = console.file.getvalue()
    assert "<-100" in printed
    assert "17000" not in printed


def test_a_score_is_what_a_fit_on_the_rest_gives():
    table = two_power_table(60, noise=0.01)
    found = compare(table, ["chinchilla"])
    observations, cuts = cuts_of(table)
    held = cuts["r2"].held_out
    from atlas_scaling.fitting import fit

    alone = fit(table.filter(pl.Series(~held)), bootstrap=0)
    x = {k: v[held] for k, v in observations.x.items()}
    loss, predicted = observations.loss[held], alone.predict(**x)
    r2 = 1 - ((loss - predicted) ** 2).sum() / ((loss - loss.mean()) ** 2).sum()
    assert found.rows[0].r2 == pytest.approx(r2, rel=1e-6)


def test_every_law_has_a_row_and_failures_are_said_not_hidden():
    found = compare(two_power_table(60))
    assert len(found.rows) == len(default_laws())
    msl = next(row for row in found.rows if row.law == "msl")
    assert msl.r2 is None
    assert msl.failures == (
        "the law msl needs family_share, and the table says nothing of mixtures",
    )
    assert any(w.startswith("msl: ") for w in found.warnings)
    assert found.cuts["r2_m"] == "0 rows held out; not made: 0 rows to hold out"
    assert {"law", "variant", "r2", "r2_n", "r2_d", "r2_c", "r2_m", "errors"} <= set(
        found.to_dict()["rows"][0]
    )


@pytest.mark.parametrize("n", [1, 2, 10])
def test_a_table_in_which_no_law_can_be_scored_is_refused(n):
    with pytest.raises(InputError, match="no law could be scored") as caught:
        compare(two_power_table(n))
    assert f"{n} row" in caught.value.where
    assert "rows" in caught.value.remedy


def test_means_over_other_languages_than_those_of_other_laws_are_said(runs):
    of_all_four = pl.col("run_id").str.starts_with("swe_Latn-dan_Latn-spa_Latn-rus_Cyrl")
    few = runs.filter((pl.col("language") == "dan_Latn") & of_all_four).head(15)
    mixed = pl.concat([runs.filter(pl.col("language") == "swe_Latn"), few])
    found = compare(mixed, ["single_power", "additive_mixture"])
    assert [row.n_targets for row in found.rows] == [2, 1]
    assert any(
        w.startswith("additive_mixture: its means are over 1 of the 2") for w in found.warnings
    )


def test_rows_that_no_law_sees_are_said(runs):
    stable = pl.when(pl.col("n_params") > 1e7).then(pl.lit("decayed")).otherwise(pl.lit("stable"))
    found = compare(runs.with_columns(lr_state=stable), ["chinchilla"], targets=["swe_Latn"])
    left_out = runs.filter((pl.col("n_params") > 1e7) & (pl.col("language") == "swe_Latn")).height
    assert any(f"left out: {left_out} rows" in n and "swe_Latn" in n for n in found.notes)


def test_fits_of_many_targets_come_by_target(runs):
    each = fit_each(runs, "chinchilla", targets=["swe_Latn", "spa_Latn"], bootstrap=0)
    assert {t: f.target for t, f in each.items()} == {t: t for t in ("swe_Latn", "spa_Latn")}


def test_two_processes_give_what_one_gives(runs):
    options = {"targets": ["swe_Latn", "spa_Latn"], "bootstrap": 8}
    alone = fit_each(runs, "chinchilla", **options)
    together = fit_each(runs, "chinchilla", workers=2, **options)
    for target, one in alone.items():
        assert together[target].to_dict() == one.to_dict()
    pooled = fit_pooled(runs, "chinchilla", workers=2, **options)
    assert pooled.objective == fit_pooled(runs, "chinchilla", **options).objective
    with pytest.raises(InputError, match="without a worker"):
        fit_each(runs, "chinchilla", workers=0)


def test_a_pooled_fit_shares_exponents_and_keeps_transfer_apart(runs):
    pooled = fit_pooled(
        runs, "atlas", targets=["swe_Latn", "dan_Latn"], shared=("alpha", "beta", "lam"), level=0.99
    )
    assert pooled.converged
    swe, dan = pooled.fits["swe_Latn"], pooled.fits["dan_Latn"]
    for name in ("alpha", "beta", "lam"):
        assert swe.values[name] == dan.values[name] == pooled.shared[name].value
        low, high = pooled.shared[name].interval
        assert low < TRUTH[name] < high
        np.testing.assert_array_equal(
            swe.draws[:, list(swe.values).index(name)], dan.draws[:, list(dan.values).index(name)]
        )
    assert swe.values["tau[dan_Latn]"] == pytest.approx(TAU["swe_Latn", "dan_Latn"], abs=0.03)
    assert dan.values["tau[swe_Latn]"] == pytest.approx(TAU["dan_Latn", "swe_Latn"], abs=0.03)
    # sharing can only cost, and by little where the truth is shared
    assert pooled.separate_objective <= pooled.objective < 1.1 * pooled.separate_objective


def test_a_pooled_fit_of_everything_shared_is_one_fit_of_all_rows():
    first, second = two_power_table(60, seed=1), two_power_table(60, seed=2)
    both = pl.concat(
        [
            first.with_columns(pl.lit("a").alias("language")),
            second.with_columns(pl.lit("b").alias("language")),
        ]
    )
    pooled = fit_pooled(
        both, "chinchilla", targets=["a", "b"], shared=("E", "A", "B", "alpha", "beta"), bootstrap=0
    )
    from atlas_scaling.fitting import fit

    one = fit(pl.concat([first, second]), bootstrap=0)
    assert pooled.objective == pytest.approx(one.objective, rel=1e-9)
    assert pooled.shared["E"].value == pytest.approx(one.values["E"], rel=1e-6)


def test_pooling_needs_two_targets_and_parameters_of_the_law(runs):
    with pytest.raises(InputError, match="two targets"):
        fit_pooled(runs, "chinchilla", targets=["swe_Latn"])
    with pytest.raises(InputError, match="no such parameter"):
        fit_pooled(runs, "chinchilla", targets=["swe_Latn", "dan_Latn"], shared=("lam",))
