import math
from types import SimpleNamespace

import numpy as np
import pytest

from atlas_scaling import laws
from atlas_scaling.errors import InputError
from atlas_scaling.laws import ATLAS, DataFacts, Law, Parameter


class Interaction(Law):
    """The worked example of a user's own law."""

    name = "interaction"
    source = "our notebook"
    inputs = ("n_params", "tokens")
    parameters = (
        Parameter("E", start=(0.5, 3.0), bounds=(0.0, 10.0), transform="identity", linear=True),
        Parameter("G", start=(1.0, 1e6), bounds=(1e-6, 1e30), linear=True),
        Parameter("gamma", start=(0.05, 0.5), bounds=(0.0, 2.0), transform="identity"),
    )

    def loss(self, p, x):
        return p.E + p.G / (x.n_params * x.tokens) ** p.gamma


def test_every_name_makes_its_law_and_each_says_its_source():
    for name in laws.names():
        law = laws.get(name)
        assert law.name == name
        assert law.formula
        assert law.source


def test_a_misspelt_law_gets_the_nearest_name():
    with pytest.raises(InputError, match="no such law") as caught:
        laws.get("chinchila")
    assert caught.value.remedy == "did you mean 'chinchilla'?"


def test_an_option_the_law_does_not_have_is_refused():
    with pytest.raises(InputError, match="no such option") as caught:
        laws.get("atlas", varient="full")
    assert caught.value.remedy == "did you mean 'variant'?"


def test_chinchilla_at_its_published_point():
    # Hoffmann et al. print 1.69 + 406.4/N^0.34 + 410.7/D^0.28; at N = 1e9, D = 1e10:
    # 406.4 / 10^3.06 = 406.4 / 1148.154 = 0.353960, 410.7 / 10^2.8 = 410.7 / 630.957 = 0.650916
    loss = laws.Chinchilla().predict(
        {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}, n_params=1e9, tokens=1e10
    )
    assert float(loss) == pytest.approx(1.69 + 0.353960 + 0.650916, abs=2e-6)


def test_kaplan_with_unlimited_data_is_their_law_of_model_size():
    # L(N) = (8.8e13 / N)^0.076 (Kaplan et al., eq. 1.1)
    values = {"N_c": 8.8e13, "D_c": 5.4e13, "alpha_N": 0.076, "alpha_D": 0.095}
    loss = laws.Kaplan().predict(values, n_params=1e9, tokens=1e40)
    assert float(loss) == pytest.approx((8.8e13 / 1e9) ** 0.076, rel=1e-9)


def test_capacity_with_the_published_exponents_keeps_the_loss_along_its_frontier():
    # r = 2: N up by 2^(phi/alpha), D_t by 2^(psi/beta), each term alone is then unchanged
    alpha, beta, phi, psi = 0.453, 0.147, 0.11, -0.04
    values = {"E": 1.0, "A": 500.0, "B": 50.0, "alpha": alpha, "beta": beta} | {
        "phi": phi,
        "psi": psi,
    }
    law = laws.Capacity()
    before = law.predict(values, n_params=1e9, target_tokens=1e10, n_languages=8.0)
    after = law.predict(
        values,
        n_params=1e9 * 2 ** (phi / alpha),
        target_tokens=1e10 * 2 ** (psi / beta),
        n_languages=16.0,
    )
    assert float(after) == pytest.approx(float(before), rel=1e-12)
    assert 2 ** (phi / alpha) == pytest.approx(1.18, abs=0.005)  # Fig. 5


def test_skaling_without_interaction_is_chinchilla():
    values = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    N, D = np.array([1e8, 1e9]), np.array([1e10, 1e9])
    expected = laws.Chinchilla().predict(values, n_params=N, tokens=D)
    found = laws.Skaling().predict(values | {"k": 1.0}, n_params=N, tokens=D)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_optimal_model_of_the_data_constrained_law_minimises_chinchilla():
    p = SimpleNamespace(A=480.0, B=2000.0, alpha=0.35, beta=0.37)
    N = laws.DataConstrained().optimal_params(p, 1e10)
    # at fixed compute N D, d/dlogN of A/N^a + B/D^b is zero where a A/N^a = b B/D^b
    assert p.alpha * p.A / N**p.alpha == pytest.approx(p.beta * p.B / 1e10**p.beta, rel=1e-9)


def test_unrepeated_data_and_a_small_model_make_the_data_constrained_law_chinchilla():
    values = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    plain = laws.Chinchilla().predict(values, n_params=1e7, tokens=1e10)
    law = laws.DataConstrained()
    found = law.predict(
        values | {"R_D": 15.39, "R_N": 5.31}, n_params=1e7, tokens=1e10, unique_tokens=np.inf
    )
    assert float(found) == pytest.approx(float(plain), rel=1e-12)


def test_the_effective_data_of_a_pair_follows_from_its_weights():
    # 60 + 0.5 * 30 - 0.1 * 10 = 74, nothing repeated
    law = ATLAS(sources=("dan_Latn",))
    p = SimpleNamespace(lam=1.0, tau={"dan_Latn": 0.5}, tau_other=-0.1)
    x = SimpleNamespace(
        target_tokens=np.array([60.0]),
        target_unique=np.array([1e9]),
        source_tokens=np.array([[30.0]]),
        source_unique=np.array([[1e9]]),
        other_tokens=np.array([10.0]),
        other_unique=np.array([1e9]),
    )
    assert law.effective_tokens(p, x) == pytest.approx([74.0])


def test_a_bts_at_equal_loss_implies_its_transfer_weight():
    # D_bi = (2 - BTS) d; D_eff = D_bi/2 (1 + tau) must be d, so tau = BTS / (2 - BTS)
    bts, d = 0.4, 1e9
    tau = bts / (2 - bts)
    law = ATLAS(sources=("dan_Latn",))
    half = np.array([(2 - bts) * d / 2])
    p = SimpleNamespace(lam=1.0, tau={"dan_Latn": tau}, tau_other=0.0)
    x = SimpleNamespace(
        target_tokens=half,
        target_unique=np.array([np.inf]),
        source_tokens=half[None],
        source_unique=np.array([[np.inf]]),
        other_tokens=np.zeros(1),
        other_unique=np.zeros(1),
    )
    assert law.effective_tokens(p, x) == pytest.approx([d])


def test_transfer_weights_that_cancel_the_target_meet_the_floor_and_are_reported():
    law = ATLAS(variant="other")
    values = {"E": 1.0, "A": 10.0, "B": 10.0, "alpha": 0.3, "beta": 0.3, "lam": 1.0}
    x = {
        "n_params": np.array([1e8, 1e8]),
        "tokens": np.array([1e9, 1e9]),
        "target_tokens": np.array([1e8, 9e8]),
        "target_unique": np.array([1e12, 1e12]),
        "other_tokens": np.array([9e8, 1e8]),
        "other_unique": np.array([1e12, 1e12]),
    }
    loss = law.predict(values | {"tau_other": -0.5}, **x)
    assert np.isfinite(loss).all()
    # floor: 1e-6 of the tokens seen, here 1000 tokens
    assert loss[0] == pytest.approx(1.0 + 10 / 1e8**0.3 + 10 / 1000**0.3)
    guards = law.guards(law.namespace(values | {"tau_other": -0.5}), SimpleNamespace(**x))
    (bound,) = guards.values()
    assert bound.tolist() == [True, False]


def test_the_data_chooses_three_sources_unless_the_user_did():
    facts = DataFacts("swe_Latn", ("dan_Latn", "nob_Latn", "deu_Latn", "eng_Latn"), ())
    assert ATLAS().adapted(facts).sources == ("dan_Latn", "nob_Latn", "deu_Latn")
    assert ATLAS(sources=("eng_Latn",)).adapted(facts).sources == ("eng_Latn",)
    assert ATLAS(variant="other").adapted(facts).sources is None


def test_an_unknown_variant_names_the_three():
    with pytest.raises(InputError) as caught:
        ATLAS(variant="everything")
    assert caught.value.remedy == "one of target, other, full"


def test_a_law_of_the_user_is_ten_lines_and_predicts():
    law = Interaction()
    assert float(law.predict([1.0, 10.0, 0.0], n_params=1e9, tokens=1e9)) == 11.0
    assert law.options() == {}


def test_options_are_what_differs_from_the_plain_law():
    law = ATLAS(variant="other").tied("alpha", "beta").with_fixed(E=1.5)
    assert law.options() == {
        "variant": "other",
        "ties": (("alpha", "beta"),),
        "fixed": (("E", 1.5),),
    }
    assert laws.get("atlas", **law.options()) == law


def test_a_parameter_that_is_not_the_laws_is_refused_by_name():
    for change in (
        lambda law: law.tied("alpha", "betta"),
        lambda law: law.with_fixed(betta=1.0),
        lambda law: law.within(betta=(0.0, 1.0)),
        lambda law: law.namespace({"betta": 1.0}),
    ):
        with pytest.raises(InputError) as caught:
            change(laws.Chinchilla())
        assert caught.value.value == "betta"
        assert "beta" in caught.value.remedy


def test_a_value_outside_its_bounds_cannot_be_fixed():
    with pytest.raises(InputError, match="outside its bounds"):
        laws.Chinchilla().with_fixed(alpha=-0.1)


def test_a_tie_of_one_is_refused():
    with pytest.raises(InputError, match="two parameters"):
        laws.Chinchilla().tied("alpha")


def test_missing_values_and_inputs_are_named():
    with pytest.raises(InputError) as caught:
        laws.Chinchilla().predict({"E": 1.0}, n_params=1e9, tokens=1e9)
    assert caught.value.value == ["A", "B", "alpha", "beta"]
    with pytest.raises(InputError) as caught:
        laws.Chinchilla().predict([1, 1, 1, 1, 1], n_params=1e9)
    assert caught.value.where == "tokens"


def test_narrower_bounds_pull_the_start_range_inside():
    law = laws.Chinchilla().within(alpha=(0.3, 0.5)).within(alpha=(0.2, 0.25))
    alpha = next(p for p in law.limited_parameters() if p.name == "alpha")
    assert alpha.bounds == alpha.start == (0.2, 0.25)


@pytest.mark.parametrize(
    ("start", "bounds", "transform"),
    [
        ((0.1, 2.0), (0.2, 3.0), "log"),
        ((1.0, 1.0), (0.5, 3.0), "log"),
        ((0.1, 1.0), (0.0, 3.0), "log"),
    ],
)
def test_a_parameter_that_contradicts_itself_is_refused(start, bounds, transform):
    with pytest.raises(InputError, match="parameter X"):
        Parameter("X", start=start, bounds=bounds, transform=transform)


def test_the_exponential_law_needs_no_amplitude():
    law = laws.ExponentialMixture(domains=("a", "b"))
    shares = np.array([[0.25], [0.75]])
    k, t = 2.0, (0.3, -0.4)
    values = {"E": 1.0, "t[a]": t[0] + math.log(k), "t[b]": t[1] + math.log(k)}
    expected = 1.0 + k * math.exp(0.25 * t[0] + 0.75 * t[1])
    assert float(law.predict(values, shares=shares)[0]) == pytest.approx(expected)


def test_a_mixture_law_without_mixtures_says_what_to_add():
    with pytest.raises(InputError) as caught:
        laws.AdditiveMixture().adapted(DataFacts())
    assert "w_<domain>" in caught.value.remedy
