"""The shipped tables against the figures as printed, and against themselves."""

import csv
import json
import math
from pathlib import Path

import pytest

from atlas_scaling.languages import normalise
from atlas_scaling.published import capacity, crossover, fit_quality, mixtures, model_shapes
from atlas_scaling.published.regime_laws import Regime, regime_laws

SHARED = Path(__file__).parents[3] / "shared" / "published"
beside = pytest.mark.skipif(
    not SHARED.exists(), reason="the published tables are not beside the checkout"
)


def printed(name):
    with (SHARED / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file)) if name.endswith(".csv") else json.load(file)


# --- capacity law, Fig. 5


def test_the_iso_loss_points_follow_from_the_printed_quotients_within_rounding():
    for r, tokens, n_params in capacity.ISO_LOSS_POINTS:
        assert r ** (1 + capacity.CAPACITY.psi_over_beta) == pytest.approx(tokens, abs=0.008)
        assert r**capacity.CAPACITY.phi_over_alpha == pytest.approx(n_params, abs=0.005)


def test_the_implied_exponents_are_those_of_the_derivation():
    assert capacity.CAPACITY.alpha == pytest.approx(0.4527, abs=1e-4)
    assert capacity.CAPACITY.beta == pytest.approx(0.1471, abs=1e-4)


@beside
def test_capacity_constants_are_as_printed():
    facts = printed("fit_facts.json")["capacity_law"]
    for name in ("phi", "psi", "phi_over_alpha", "psi_over_beta"):
        assert getattr(capacity.CAPACITY, name) == facts[name]
    points = [
        (int(row["r"]), float(row["Dtot_multiplier_printed"]), float(row["N_multiplier_printed"]))
        for row in printed("fig5_isoloss.csv")
    ]
    assert points == list(capacity.ISO_LOSS_POINTS)


# --- crossover, Figs. 6 and 7


@beside
def test_the_two_crossover_laws_are_the_text_s_and_the_legend_s():
    variants = printed("fig7_crossover_law.json")["variants"]
    assert set(crossover.LAWS) == {"text", "legend"}
    for name, law in crossover.LAWS.items():
        assert (law.coefficient, law.exponent) == (
            variants[name]["coef"],
            variants[name]["exponent"],
        )
        assert law.flops(2e9) == pytest.approx(variants[name]["C_at_N2e9"], rel=1e-3)
        assert law.tokens(2e9) == pytest.approx(
            variants[name]["D_crossover_B_at_N2e9"] * 1e9, rel=1e-3
        )


@beside
def test_crossover_tokens_by_language_are_those_of_fig_6():
    rows = printed("fig6_crossover_tokens.csv")
    expected = {normalise(row["language"]): float(row["tokens_B"]) * 1e9 for row in rows}
    assert expected == crossover.CROSSOVER_TOKENS


def test_both_crossover_laws_lie_within_fig_6_at_its_model_size():
    tokens = crossover.CROSSOVER_TOKENS.values()
    for law in crossover.LAWS.values():
        assert min(tokens) < law.tokens(crossover.CROSSOVER_N_PARAMS) < max(tokens)


def test_fig_6_is_a_part_of_fig_7():
    assert set(crossover.CROSSOVER_TOKENS) < set(crossover.LANGUAGES)


# --- Table C.1


def test_there_are_six_laws_in_each_of_three_regimes():
    assert len(regime_laws()) == 18
    assert all(len(regime_laws(regime)) == 6 for regime in Regime)


def test_the_exponents_of_a_published_law_are_one_number():
    assert all(law.alpha == law.beta for law in regime_laws())


@beside
def test_losses_of_the_regime_laws_are_those_of_the_check():
    checks = printed("checks.json")["table_c1_loss_check"]
    losses = {(law.regime.value, law.language): law.loss(1e9, 1e11) for law in regime_laws()}
    for check in checks:
        key = check["regime"], normalise(check["language"])
        assert losses[key] == pytest.approx(check["loss_at_N1e9_D1e11"], abs=6e-4)


@beside
def test_the_regime_laws_are_as_printed():
    rows = {(row["regime"], normalise(row["code"])): row for row in printed("table_c1.csv")}
    for law in regime_laws():
        row = rows[law.regime.value, law.language]
        assert law.unique_tokens == float(row["unique_tokens"])
        assert float(row["E"]) == law.E
        assert math.log(law.A) == pytest.approx(float(row["log_A"]))
        assert math.log(law.B) == pytest.approx(float(row["log_B"]))
        assert (law.alpha, law.beta) == (float(row["alpha"]), float(row["beta"]))


# --- Table B.3


def test_the_parameter_formula_gives_all_printed_counts_but_the_unused_last_one():
    wrong = [s.scale for s in model_shapes.model_shapes() if s.n_params != s.n_params_printed]
    assert wrong == [52]
    assert len(model_shapes.model_shapes()) == 53


def test_the_smallest_shape_by_hand():
    # embedding 64512 x 128 = 8,257,536; a layer: 4 x 128 x 4 x 32 = 65,536 (q, k, v, o),
    # 3 x 128 x 512 = 196,608 (gated feed-forward), 128 (norm); three layers: 786,816
    smallest = model_shapes.model_shapes()[0]
    assert smallest.n_params_non_embedding == 786_816
    assert smallest.n_params == 9_044_352


def test_the_nearest_shape_is_nearest_in_ratio():
    assert model_shapes.nearest_shape(2.03e9).scale == 34
    assert model_shapes.nearest_shape(1.0).scale == 0


@beside
def test_model_shapes_are_as_printed():
    for shape, row in zip(
        model_shapes.model_shapes(), printed("table_b3_model_shapes.csv"), strict=True
    ):
        for name in ("scale", "heads", "layers", "embed", "ffw", "kv"):
            assert getattr(shape, name) == int(row[name])
        assert shape.n_params_printed == int(row["params_printed"])
        assert shape.n_params == int(row["params_formula"])


# --- Tables B.4, B.5 and 1


def test_the_unimax_rates_cover_419_languages_and_become_shares():
    rates = mixtures.unimax_percent()
    assert len(rates) == 419
    assert sum(rates.values()) == pytest.approx(99.9252, abs=1e-4)
    assert rates["eng_Latn"] == 5.0
    assert sum(mixtures.unimax_mixture().values()) == pytest.approx(1.0)


def test_the_capacity_mixtures_have_as_many_languages_as_their_names_say():
    for mixture in mixtures.capacity_mixtures():
        assert len(set(mixture.languages)) == int(mixture.version.split("v")[0])


@beside
def test_rates_and_mixtures_are_as_printed():
    rates = {
        normalise(row["lang"]): float(row["pct"]) for row in printed("table_b4_unimax_rates.csv")
    }
    assert rates == mixtures.unimax_percent()
    for mixture, row in zip(
        mixtures.capacity_mixtures(), printed("table_b5_capacity_mixtures.csv"), strict=True
    ):
        assert mixture.version == row["version"]
        assert mixture.languages == tuple(normalise(c) for c in row["languages"].split())


@beside
def test_table_1_is_as_printed_and_a_dash_is_none():
    for quality, row in zip(fit_quality.fit_quality(), printed("table1_r2.csv"), strict=True):
        assert (quality.setting, quality.law) == (row["setting"], row["law"])
        for name, column in (("r2", "R2"), ("r2_n", "R2_N"), ("r2_d", "R2_D"), ("r2_c", "R2_C")):
            assert getattr(quality, name) == float(row[column])
        assert quality.r2_m == (float(row["R2_M"]) if row["R2_M"] else None)
