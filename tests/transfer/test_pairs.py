from __future__ import annotations

import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.transfer.matrix import Provenance
from atlas_scaling.transfer.pairs import matrices_from_runs
from atlas_scaling.transfer.sides import Unit
from tests.transfer.planted import planted_run

TAU = {
    ("swe_Latn", "dan_Latn"): 0.25,  # BTS 0.4
    ("dan_Latn", "swe_Latn"): 0.2,  # BTS 1/3
    ("swe_Latn", "rus_Cyrl"): -0.2,  # BTS -0.5
    ("rus_Cyrl", "swe_Latn"): -0.45,  # BTS -0.9/0.55: below what a run of 3 d can show
}


def mono(code: str, **more) -> pl.DataFrame:
    return planted_run(f"mono-{code}", {code: 1.0}, **more)


def pair(a: str, b: str, **more) -> pl.DataFrame:
    return planted_run(f"pair-{a}-{b}", {a: 0.5, b: 0.5}, TAU, **more)


@pytest.fixture(scope="module")
def runs() -> pl.DataFrame:
    return pl.concat(
        [
            mono("swe_Latn"),
            mono("dan_Latn"),
            mono("rus_Cyrl"),
            pair("dan_Latn", "swe_Latn"),
            pair("rus_Cyrl", "swe_Latn"),
            planted_run("even3", dict.fromkeys(("swe_Latn", "dan_Latn", "rus_Cyrl"), 1 / 3)),
            planted_run("mix", {"swe_Latn": 0.8, "dan_Latn": 0.2}),
            mono("fin_Latn", base_run="even3"),
        ]
    )


def test_every_even_pair_with_its_monolingual_runs_is_measured(runs: pl.DataFrame) -> None:
    (matrix,) = matrices_from_runs(runs).matrices
    assert matrix.d == pytest.approx(2e6)  # a third of the pairs' 6e6
    found = {(c.target, c.source): c for c in matrix.cells}
    assert found["swe_Latn", "dan_Latn"].bts == pytest.approx(0.4, abs=5e-3)
    assert found["dan_Latn", "swe_Latn"].bts == pytest.approx(1 / 3, abs=5e-3)
    assert found["swe_Latn", "rus_Cyrl"].bts == pytest.approx(-0.5, abs=1e-2)
    assert len(found) == 4  # uneven, triple and continued runs are passed over


def test_a_run_in_stages_is_no_pair_whatever_its_shares_are_in_all(runs: pl.DataFrame) -> None:
    entry = pl.List(pl.Struct({"language": pl.String, "value": pl.Float64}))
    swedish_first = [{"language": "swe_Latn", "value": 3e6}]
    is_last = (pl.col("run_id") == "pair-dan_Latn-swe_Latn") & (pl.col("tokens") > 3e6)
    early = pl.when(is_last).then(pl.lit(swedish_first, dtype=entry))
    even = runs.filter(pl.col("run_id") != "mix")
    staged = even.with_columns(early.otherwise(pl.lit([], dtype=entry)).alias("early_tokens"))
    (matrix,) = matrices_from_runs(staged).matrices
    found = {(c.target, c.source) for c in matrix.cells}
    assert found == {("swe_Latn", "rus_Cyrl"), ("rus_Cyrl", "swe_Latn")}


def test_a_loss_that_was_never_reached_is_a_censored_cell(runs: pl.DataFrame) -> None:
    answer = matrices_from_runs(runs)
    cell = next(c for c in answer.matrices[0].cells if c.target == "rus_Cyrl")
    assert cell.provenance is Provenance.CENSORED
    assert (cell.bts, cell.lower) == (None, None)
    assert cell.upper == pytest.approx(-1.0, abs=5e-3)  # 2 - 6e6/2e6
    assert any("1 of 4 scores at 365k are bounds" in w for w in answer.warnings)


def test_the_matrix_value_knows_where_it_was_measured(runs: pl.DataFrame) -> None:
    matrix = matrices_from_runs(runs, name="my runs").of_size().matrix("my runs")
    assert matrix.counts == {"measured": 3, "censored": 1, "missing": 2}
    (origin,) = matrix.origins
    assert (origin.name, origin.unit, origin.level) == ("my runs", "tokens", 0.9)
    assert origin.d == pytest.approx(2e6)
    assert origin.n_params == 364_928


def test_each_model_size_has_its_own_matrix_largest_first(runs: pl.DataFrame) -> None:
    larger = runs.with_columns(
        pl.col("run_id") + "-l", n_params=pl.lit(2e6), tokens=pl.col("tokens") * 2
    )
    answer = matrices_from_runs(pl.concat([runs, larger]))
    assert [m.n_params for m in answer.matrices] == [2e6, 364_928]
    assert [m.d for m in answer.matrices] == pytest.approx([4e6, 2e6])
    assert answer.of_size().n_params == 2e6
    assert answer.of_size(3.6e5).n_params == 364_928
    with pytest.raises(InputError, match="no pair was run at this model size") as caught:
        answer.of_size(1e9)
    assert "there is 2M, 365k" in str(caught.value)


def test_a_pair_without_its_monolingual_run_is_a_problem_not_an_error(
    runs: pl.DataFrame,
) -> None:
    answer = matrices_from_runs(runs.filter(pl.col("run_id") != "mono-rus_Cyrl"))
    assert answer.problems == ("swe_Latn to rus_Cyrl: no run on rus_Cyrl alone at 365k",)
    assert len(answer.matrices[0].cells) == 3


def test_runs_that_cannot_be_compared_are_problems_too(runs: pl.DataFrame) -> None:
    one_evaluation = pl.concat(
        [
            runs.filter(pl.col("run_id") != "mono-dan_Latn"),
            runs.filter(pl.col("run_id") == "mono-dan_Latn").head(1),
        ]
    )
    (problem,) = matrices_from_runs(one_evaluation).problems
    assert problem.startswith("swe_Latn to dan_Latn: a curve needs 3 or more evaluations")


def test_a_d_outside_a_monolingual_run_leaves_the_pair_out(runs: pl.DataFrame) -> None:
    short = runs.filter((pl.col("run_id") != "mono-dan_Latn") | (pl.col("tokens") < 1e6))
    answer = matrices_from_runs(short, at=2e6)
    assert any("the monolingual run has no loss at this d (2M)" in p for p in answer.problems)
    assert {c.target for c in answer.matrices[0].cells} == {"swe_Latn", "rus_Cyrl"}
    common = matrices_from_runs(short).matrices[0]
    assert common.d < 1e6
    assert len(common.cells) == 4


def test_a_pair_takes_the_monolingual_runs_of_its_own_tokenizer(runs: pl.DataFrame) -> None:
    other = mono("swe_Latn", tokenizer="monolingual vocabulary", loss=lambda _, D: 9 * D**-0.1)
    renamed = other.with_columns(run_id=pl.lit("mono-swe-own-vocabulary"))
    answer = matrices_from_runs(pl.concat([renamed, runs]))
    cell = next(c for c in answer.matrices[0].cells if c.source == "dan_Latn")
    assert cell.bts == pytest.approx(0.4, abs=5e-3)


def test_seeds_of_a_side_are_pooled() -> None:
    def seeds(make, *codes: str) -> pl.DataFrame:
        return pl.concat(
            make(*codes, seed=i, noise=0.002).with_columns(pl.col("run_id") + f"-seed{i}")
            for i in range(3)
        )

    answer = matrices_from_runs(
        pl.concat([seeds(mono, "swe_Latn"), seeds(pair, "dan_Latn", "swe_Latn")])
    )
    (cell,) = answer.matrices[0].cells
    assert cell.bts == pytest.approx(0.4, abs=0.05)
    assert not any("one run a side" in w for w in answer.warnings)


def test_seeds_of_some_sides_tell_what_seeds_do_to_all() -> None:
    alone = [mono("swe_Latn", seed=i, noise=0.001, seed_sd=0.01) for i in range(4)]
    alone = [run.with_columns(pl.col("run_id") + f"-seed{i}") for i, run in enumerate(alone)]
    others = [mono("dan_Latn", noise=0.001), pair("dan_Latn", "swe_Latn", noise=0.001)]
    pooled = matrices_from_runs(pl.concat([*alone, *others])).of_size()
    single = matrices_from_runs(pl.concat([alone[0], *others])).of_size()
    assert single.seed_sd is None
    assert pooled.seed_sd == pytest.approx(0.01, rel=0.8)  # 4 runs: 3 degrees of freedom
    given = matrices_from_runs(pl.concat([alone[0], *others]), seed_sd=0.01)
    assert given.of_size().seed_sd == 0.01
    assert not any("one run a side" in w for w in given.warnings)

    def width(matrix, target: str) -> float:
        cell = next(c for c in matrix.cells if c.target == target)
        return (cell.upper or 2.0) - (cell.lower or -9.0)

    for wide in (pooled, given.of_size()):  # Danish has one seed a side: its interval widens too
        for target in ("swe_Latn", "dan_Latn"):
            assert width(wide, target) > 1.5 * width(single, target)


def test_what_a_seed_changes_is_above_zero(runs: pl.DataFrame) -> None:
    with pytest.raises(InputError, match="above zero") as caught:
        matrices_from_runs(runs, seed_sd=0.0)
    assert caught.value.where == "seed_sd"


def test_an_uneven_pair_is_scored_as_the_even_one_with_its_weight(runs: pl.DataFrame) -> None:
    without_even = runs.filter(~pl.col("run_id").str.starts_with("pair-dan"))
    uneven = planted_run("pair", {"swe_Latn": 0.7, "dan_Latn": 0.3}, TAU)
    answer = matrices_from_runs(pl.concat([without_even, uneven]))
    cells = {(c.target, c.source): c for c in answer.of_size().cells}
    cell = cells["swe_Latn", "dan_Latn"]
    assert cell.share == pytest.approx(0.7)  # nearer to even than the mix at 0.8
    assert cell.bts == pytest.approx(0.4, abs=5e-3)
    assert cell.notes[0] == "70% of the text is the target's, not half"
    assert cells["dan_Latn", "swe_Latn"].share == pytest.approx(0.3)
    said = " ".join(answer.warnings)
    assert "dan_Latn and swe_Latn were run together at several shares at 365k (30%, 20%" in said
    assert "2 of 4 scores at 365k are of uneven pairs" in said


def test_what_is_doubtful_about_a_cell_goes_with_it_into_the_matrix(runs: pl.DataFrame) -> None:
    small = [{"language": c, "value": 2e5} for c in ("swe_Latn", "dan_Latn", "rus_Cyrl")]
    unique = pl.Series("unique_tokens", [small] * runs.height, runs["unique_tokens"].dtype)
    answer = matrices_from_runs(runs.with_columns(unique))
    cell = answer.of_size().matrix("mine")["swe_Latn", "dan_Latn"]
    assert any(note.startswith("its text was read more than 4 times") for note in cell.notes)
    assert any(note.startswith("one seed a side") for note in cell.notes)


def test_another_tokenizer_is_named_and_compared_in_bytes(runs: pl.DataFrame) -> None:
    own = mono("swe_Latn", tokenizer="its own")
    others = runs.filter(pl.col("run_id") != "mono-swe_Latn")
    answer = matrices_from_runs(pl.concat([others, own]))
    assert any("with another tokenizer only" in p for p in answer.problems)
    in_bytes = matrices_from_runs(pl.concat([others, own]), unit=Unit("bytes"))
    assert len(in_bytes.of_size().cells) == 4
    assert in_bytes.problems == ()


def test_early_and_repeated_are_said_of_the_whole_matrix(runs: pl.DataFrame) -> None:
    answer = matrices_from_runs(runs, at=1.2e5)
    assert any("2 of 4 scores at 365k are early at d = 120k" in w for w in answer.warnings)
    small = pl.Series(
        "unique_tokens",
        [[{"language": c, "value": 2e5} for c in ("swe_Latn", "dan_Latn", "rus_Cyrl")]]
        * runs.height,
        runs["unique_tokens"].dtype,
    )
    repeated = matrices_from_runs(runs.with_columns(small))
    assert any(
        "4 of 4 monolingual sides at 365k have read their text more than 4 times at d (up to 10.0)"
        in w
        for w in repeated.warnings
    )


def test_no_pair_at_all_is_an_error_with_a_remedy(runs: pl.DataFrame) -> None:
    alone = runs.filter(pl.col("run_id").str.starts_with("mono"))
    with pytest.raises(InputError, match="no transfer score can be measured") as caught:
        matrices_from_runs(alone, name="folder")
    assert caught.value.where == "folder"
    assert "half and half" in str(caught.value)
    assert "both together" in str(caught.value)


def test_mixed_learning_rate_states_stay_with_the_matrix(runs: pl.DataFrame) -> None:
    mixed = runs.with_columns(
        lr_state=pl.when(pl.col("run_id").str.starts_with("pair"))
        .then(pl.lit("decayed"))
        .otherwise(pl.lit("stable"))
    )
    with pytest.raises(InputError, match="no transfer score"):
        matrices_from_runs(mixed)
    answer = matrices_from_runs(mixed, allow_lr_mismatch=True, name="mine")
    assert any("different learning-rate states" in w for w in answer.warnings)
    (origin,) = answer.matrices[0].matrix("mine").origins
    assert origin.name == "mine [learning-rate states stable against decayed]"
