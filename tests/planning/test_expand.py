import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from atlas_scaling.errors import InputError
from atlas_scaling.planning.capacity_law import CapacityLaw, published_capacity_law
from atlas_scaling.planning.expand import expand, expand_to
from atlas_scaling.published.capacity import ISO_LOSS_POINTS

exponents = st.fixed_dictionaries(
    {
        "phi": st.floats(-0.05, 0.3),
        "psi": st.floats(-0.3, 0.1),
        "alpha": st.floats(0.1, 0.9),
        "beta": st.floats(0.1, 0.9),
    }
)


def law(draws=0, *, seed=0, **values):
    values = {"phi": 0.11, "psi": -0.04, "alpha": 0.34, "beta": 0.28} | values
    rng = np.random.Generator(np.random.PCG64(seed))
    noise = {name: v * np.exp(0.05 * rng.standard_normal(draws)) for name, v in values.items()}
    return CapacityLaw(values=values, draws=noise if draws else {}, level=0.9, source="planted")


AMPLITUDES = {"E": 0.9, "A": 410.0, "B": 900.0}


def loss(p, k, n, d):
    """Eq. 7, written out again."""
    return (
        p["E"] + p["A"] * k ** p["phi"] / n ** p["alpha"] + p["B"] * k ** p["psi"] / d ** p["beta"]
    )


# --- the paper's closed form


@pytest.mark.parametrize(("r", "tokens", "n_params"), ISO_LOSS_POINTS)
def test_the_published_constants_give_figure_5(r, tokens, n_params):
    answer = expand(from_languages=4, to_languages=4 * r)
    assert answer.n_params_ratio.value == pytest.approx(n_params, abs=0.005)
    assert answer.tokens_ratio.value == pytest.approx(tokens, abs=0.008)


@pytest.mark.parametrize(
    ("to", "n_params", "tokens"),
    [(16, "1.18", "1.66"), (32, "1.40", "2.74"), (64, "1.66", "4.54"), (128, "1.96", "7.53")],
)
def test_from_eight_languages_as_in_the_worked_case(to, n_params, tokens):
    answer = expand(from_languages=8, to_languages=to, n_params=2e9, tokens=400e9)
    assert f"{answer.n_params_ratio.value:.2f}" == n_params
    assert f"{answer.tokens_ratio.value:.2f}" == tokens
    assert answer.n_params.value == pytest.approx(2e9 * answer.n_params_ratio.value)
    assert answer.tokens.value == pytest.approx(400e9 * answer.tokens_ratio.value)
    # 6 x 2e9 x 400e9 = 4.8e21
    assert answer.flops.value == pytest.approx(4.8e21 * answer.flops_ratio.value)


def test_published_constants_have_no_intervals():
    answer = expand(from_languages=8, to_languages=16)
    for name in ("n_params_ratio", "tokens_ratio", "tokens_per_language_ratio", "flops_ratio"):
        assert answer.to_dict()[name]["interval"] is None


def test_tokens_of_one_language_fall_while_all_tokens_rise():
    answer = expand(from_languages=8, to_languages=16)
    assert answer.tokens_per_language_ratio.value == pytest.approx(answer.tokens_ratio.value / 2)
    assert answer.tokens_per_language_ratio.value < 1 < answer.tokens_ratio.value


# --- the general optimum (derivation_b7.md)


@pytest.mark.parametrize(
    ("share", "s", "t", "compute"),
    [(0.565, 8.86, 0.0162, 0.572), (0.075, 0.103, 2.73, 1.12)],
)
def test_a_baseline_that_is_not_compute_optimal_as_in_the_derivation(share, s, t, compute):
    # printed there for alpha .4527, beta .1471, r = 4, by SLSQP
    answer = expand(
        from_languages=4,
        to_languages=16,
        capacity_share=share,
        law=law(alpha=0.4527, beta=0.1471),
    )
    assert answer.n_params_ratio.value == pytest.approx(s, rel=0.01)
    assert answer.tokens_per_language_ratio.value == pytest.approx(t, rel=0.01)
    assert answer.flops_ratio.value == pytest.approx(compute, rel=0.005)


@given(p=exponents, share=st.floats(0.05, 0.95), r=st.floats(0.3, 10))
def test_the_optimum_is_what_a_search_along_the_curve_finds(p, share, r):
    k = 12.0
    answer = expand(from_languages=k, to_languages=r * k, capacity_share=share, law=law(**p))

    def log_compute(a):
        s = (r ** p["phi"] * share / a) ** (1 / p["alpha"])
        t = (r ** p["psi"] * (1 - share) / (1 - a)) ** (1 / p["beta"])
        return math.log(r * s * t)

    best = minimize_scalar(log_compute, bounds=(1e-6, 1 - 1e-6), method="bounded")
    assert math.log(answer.flops_ratio.value) <= best.fun + 1e-9
    assert math.log(answer.flops_ratio.value) == pytest.approx(best.fun, abs=1e-5)


@given(p=exponents, r=st.floats(0.3, 10), n=st.floats(7, 11), d=st.floats(9, 13))
def test_every_answer_keeps_the_loss(p, r, n, d):
    k = 12.0
    n, d_tot = 10**n, 10**d
    fit = law(**p, **AMPLITUDES)
    answer = expand(from_languages=k, to_languages=r * k, n_params=n, tokens=d_tot, law=fit)
    before = loss(fit.values, k, n, d_tot / k)
    points = [answer.unbalanced, answer.frontier[0], answer.frontier[-1]]
    ratios = [(point.n_params_ratio, point.tokens_ratio) for point in points]
    ratios.append((answer.n_params_ratio.value, answer.tokens_ratio.value))
    for s, all_tokens in ratios:
        after = loss(fit.values, r * k, n * s, d_tot * all_tokens / (r * k))
        assert after == pytest.approx(before, rel=1e-8)
    assert answer.loss.value == pytest.approx(before)


@given(p=exponents, share=st.floats(0.05, 0.95))
def test_nothing_on_the_frontier_is_cheaper_than_the_answer(p, share):
    answer = expand(from_languages=8, to_languages=20, capacity_share=share, law=law(**p))
    assert min(point.flops_ratio for point in answer.frontier) >= answer.flops_ratio.value * (
        1 - 1e-9
    )
    sizes = [point.n_params_ratio for point in answer.frontier]
    assert sizes == sorted(sizes)
    assert sizes[0] < answer.n_params_ratio.value < sizes[-1]


def test_rebalancing_pays_at_the_old_number_of_languages_already():
    shared = {"capacity_share": 0.6, "law": law()}
    same = expand(from_languages=10, to_languages=10, **shared)
    more = expand(from_languages=10, to_languages=40, **shared)
    assert same.rebalancing.value == pytest.approx(same.flops_ratio.value)
    assert more.rebalancing.value == pytest.approx(same.flops_ratio.value)
    assert same.rebalancing.value < 1
    assert more.flops_ratio.value == pytest.approx(
        more.unbalanced.flops_ratio * more.rebalancing.value
    )


def test_the_balance_is_computed_where_the_fit_knows_the_amplitudes():
    fit = law(**AMPLITUDES)
    answer = expand(from_languages=8, to_languages=16, n_params=2e9, tokens=400e9, law=fit)
    capacity = 410.0 * 8**0.11 / 2e9**0.34
    data = 900.0 * 8**-0.04 / 50e9**0.28
    assert answer.balance.basis == "computed"
    assert answer.balance.capacity_share.value == pytest.approx(capacity / (capacity + data))
    # w* = beta / (alpha + beta)
    assert answer.balance.optimal_share.value == pytest.approx(0.28 / 0.62)


def test_draws_give_intervals_around_the_value():
    answer = expand(from_languages=8, to_languages=16, law=law(draws=400))
    for estimate in (answer.n_params_ratio, answer.tokens_ratio, answer.flops_ratio):
        low, high = estimate.interval
        assert low < estimate.value < high
    # r^(phi/alpha): the 5th and 95th percentile of phi/alpha decide
    draws = law(draws=400).draws
    expected = 2 ** np.percentile(draws["phi"] / draws["alpha"], [5, 95])
    assert answer.n_params_ratio.interval == pytest.approx(tuple(expected))


# --- uneven sampling


def test_even_mixtures_give_the_same_answer_as_counts():
    before = dict.fromkeys(("de", "es", "fr", "pt"), 1 / 4)
    after = dict.fromkeys(("de", "es", "fr", "pt", "en", "ru", "vi", "ja"), 1 / 8)
    by_mixture = expand(from_mixture=before, to_mixture=after)
    by_count = expand(from_languages=4, to_languages=8)
    for name in ("n_params_ratio", "tokens_ratio", "tokens_per_language_ratio", "flops_ratio"):
        assert getattr(by_mixture, name).value == pytest.approx(getattr(by_count, name).value)


def test_the_language_that_loses_most_of_its_share_decides_how_tokens_grow():
    before = {"de": 0.5, "es": 0.5}
    after = {"de": 0.4, "es": 0.2, "fr": 0.4}
    answer = expand(from_mixture=before, to_mixture=after)
    # Spanish goes from .5 to .2: 2.5 times the total gives it the tokens it had
    assert answer.tokens_ratio.value == pytest.approx(2.5 * answer.tokens_per_language_ratio.value)
    assert any("uneven" in warning for warning in answer.warnings)


# --- warnings and errors


def test_numbers_of_languages_outside_the_published_range_are_said_to_be_extrapolated():
    assert not any("extrapolated" in w for w in expand(from_languages=4, to_languages=50).warnings)
    assert any("51 languages" in w for w in expand(from_languages=4, to_languages=51).warnings)
    said = expand(from_languages=1, to_languages=8).warnings
    assert any("monolingual baseline" in w for w in said)


def test_model_sizes_outside_the_published_range_are_said_to_be_extrapolated():
    answer = expand(from_languages=8, to_languages=50, n_params=8e9, tokens=1e12)
    assert any("parameters" in w and "extrapolated" in w for w in answer.warnings)


def test_a_baseline_of_unknown_balance_is_said_to_be_taken_as_optimal():
    said = expand(from_languages=8, to_languages=16).warnings
    assert any("taken to be compute-optimal" in w for w in said)
    said = expand(from_languages=8, to_languages=16, capacity_share=0.3).warnings
    assert not any("taken to be compute-optimal" in w for w in said)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"from_languages": 0, "to_languages": 8}, "from_languages"),
        ({"from_languages": 8, "to_languages": -1}, "to_languages"),
        ({"from_languages": 8, "to_languages": math.nan}, "to_languages"),
        ({"from_languages": 8, "to_languages": 1e300}, "to_languages"),
        ({"from_languages": 8}, "from_languages, to_languages"),
        ({"from_languages": 8, "to_languages": 16, "n_params": -2e9}, "n_params"),
        ({"from_languages": 8, "to_languages": 16, "tokens": math.inf}, "tokens"),
        ({"from_languages": 8, "to_languages": 16, "tokens": 1e300}, "tokens"),
        ({"from_languages": 8, "to_languages": 16, "capacity_share": 1.0}, "capacity_share"),
        ({"from_languages": 8, "to_languages": 16, "capacity_share": 1e-300}, "capacity_share"),
        ({"from_mixture": {"de": 1.0}}, "from_mixture, to_mixture"),
        ({"from_mixture": {"de": 0.9}, "to_mixture": {"de": 1.0}}, "from_mixture"),
        ({"from_mixture": {"de": 1.0}, "to_mixture": {"fr": 1.0}}, "to_mixture"),
        ({"from_mixture": {"de": -0.5, "fr": 1.5}, "to_mixture": {"fr": 1.0}}, "from_mixture, de"),
        ({"from_mixture": {"de": 0.5, "deu": 0.5}, "to_mixture": {"de": 1.0}}, "from_mixture"),
    ],
)
def test_wrong_questions_say_where_they_are_wrong(wrong, where):
    with pytest.raises(InputError) as caught:
        expand(**wrong)
    assert caught.value.where == where


def test_the_published_law_rests_on_four_to_fifty_languages():
    published = published_capacity_law()
    assert published.languages == (4, 50)
    assert not published.has_amplitudes
    assert published.n_draws == 0


def test_an_added_language_s_loss_is_that_of_its_own_law_in_the_new_run():
    values = {"E": 1.0, "A": 300.0, "B": 500.0, "alpha": 0.4, "beta": 0.3, "phi": 0.1, "psi": -0.05}
    draws = {name: value * np.linspace(0.95, 1.05, 101) for name, value in values.items()}
    law = CapacityLaw(values=values, draws=draws)
    answer = expand(
        from_languages=8, to_languages=16, n_params=2e9, tokens=4e11, added={"isl_Latn": law}
    )
    N, D = answer.n_params.value, answer.tokens.value / 16
    expected = 1.0 + 300 * 16**0.1 / N**0.4 + 500 * 16**-0.05 / D**0.3
    loss = answer.added_loss["isl_Latn"]
    assert loss.value == pytest.approx(expected)
    assert loss.interval[0] < expected < loss.interval[1]
    with pytest.raises(InputError, match="which is not known"):
        expand(from_languages=8, to_languages=16, added={"isl_Latn": law})
    shares = {"en": 0.5, "de": 0.3, "is": 0.2}
    uneven = expand(
        from_mixture={"en": 0.6, "de": 0.4},
        to_mixture=shares,
        n_params=2e9,
        tokens=4e11,
        added={"isl_Latn": law},
    )
    K = math.exp(-sum(w * math.log(w) for w in shares.values()))
    N, D = uneven.n_params.value, uneven.tokens.value * 0.2
    expected = 1.0 + 300 * K**0.1 / N**0.4 + 500 * K**-0.05 / D**0.3
    assert uneven.added_loss["isl_Latn"].value == pytest.approx(expected)


def test_several_numbers_of_languages_are_the_paper_s_cases():
    """Worked case 1 of Fig. 5: 8 to 16, 32, 64, 128 languages."""
    steps = expand_to([16, 32, 64, 128], from_languages=8, n_params=2e9, tokens=400e9)
    found = [
        (round(one.n_params_ratio.value, 2), round(one.tokens_ratio.value, 2))
        for one in steps.expansions
    ]
    assert found == [(1.18, 1.66), (1.40, 2.74), (1.66, 4.54), (1.96, 7.53)]
    assert any("128 languages" in warning for warning in steps.warnings)
    with pytest.raises(InputError):
        expand_to([], from_languages=8)


def test_numbers_and_mixtures_together_are_refused():
    with pytest.raises(InputError, match="say it twice"):
        expand(from_languages=8, to_languages=16, to_mixture={"en": 1.0})


def test_the_loss_is_kept_to_all_digits_where_the_baseline_lacks_nothing_but_parameters():
    p = {"phi": 0.1, "psi": 0.0, "alpha": 0.2, "beta": 0.9}
    fit = law(**p, **AMPLITUDES)
    answer = expand(from_languages=12, to_languages=60, n_params=1e7, tokens=1e13, law=fit)
    s, t = answer.n_params_ratio.value, answer.tokens_ratio.value
    before = loss(fit.values, 12, 1e7, 1e13 / 12)
    assert answer.balance.capacity_share.value > 1 - 1e-6
    assert loss(fit.values, 60, 1e7 * s, 1e13 * t / 60) == pytest.approx(before, rel=1e-11)
