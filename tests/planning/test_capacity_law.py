import numpy as np
import polars as pl
import pytest

from atlas_scaling.errors import InputError
from atlas_scaling.fitting import fit
from atlas_scaling.languages import languages
from atlas_scaling.planning.capacity_law import capacity_law_of
from atlas_scaling.planning.expand import expand
from atlas_scaling.runs.store import by_language

TRUE = {"E": 1.2, "A": 300.0, "B": 900.0, "alpha": 0.34, "beta": 0.3, "phi": 0.11, "psi": -0.04}
CODES = ["swe_Latn", *(e.code for e in languages() if e.madlad and e.code != "swe_Latn")]


def runs(n=120, seed=0):
    rng = np.random.Generator(np.random.PCG64(seed))
    N, D = 10 ** rng.uniform(7, 9.5, n), 10 ** rng.uniform(9.5, 12, n)
    K = rng.choice([4, 8, 16, 32, 50], n)
    p = TRUE
    loss = p["E"] + p["A"] * K ** p["phi"] / N ** p["alpha"]
    loss += p["B"] * K ** p["psi"] / (D / K) ** p["beta"]
    return pl.DataFrame(
        {
            "run_id": [f"run{i}" for i in range(n)],
            "language": ["swe_Latn"] * n,
            "n_params": N,
            "tokens": D,
            "loss": loss * np.exp(5e-4 * rng.standard_normal(n)),
            "mixture": [by_language(dict.fromkeys(CODES[:k], 1 / k)) for k in K],
        }
    )


@pytest.fixture(scope="module")
def fitted():
    return fit(runs(), "capacity", target="swe_Latn", bootstrap=60)


def test_a_fit_gives_its_law_draws_and_ranges(fitted):
    law = capacity_law_of(fitted)
    for name in ("phi", "psi", "alpha", "beta"):
        assert law.values[name] == pytest.approx(TRUE[name], abs=0.03)
    assert law.n_draws > 30
    assert law.languages == (4, 50)
    assert law.n_params[0] >= 1e7
    assert law.has_amplitudes


def test_expanding_by_a_fit_has_intervals_around_the_planted_answer(fitted):
    answer = expand(
        from_languages=8,
        to_languages=16,
        n_params=2e9,
        tokens=400e9,
        law=capacity_law_of(fitted),
    )
    capacity = TRUE["A"] * 8 ** TRUE["phi"] / 2e9 ** TRUE["alpha"]
    data = TRUE["B"] * 8 ** TRUE["psi"] / 50e9 ** TRUE["beta"]
    share = capacity / (capacity + data)
    best = TRUE["beta"] / (TRUE["alpha"] + TRUE["beta"])
    n_ratio = 2 ** (TRUE["phi"] / TRUE["alpha"]) * (share / best) ** (1 / TRUE["alpha"])
    low, high = answer.n_params_ratio.interval
    assert low < n_ratio < high
    assert low < answer.n_params_ratio.value < high
    assert answer.balance.basis == "computed"
    low, high = answer.loss.interval
    assert low - 1e-3 < TRUE["E"] + capacity + data < high + 1e-3
    assert "fit of the capacity law" in answer.source


def test_a_fit_that_does_not_know_the_number_of_languages_is_refused():
    other = fit(runs(), "chinchilla", target="swe_Latn", bootstrap=0)
    with pytest.raises(InputError) as caught:
        capacity_law_of(other)
    assert caught.value.value == ["phi", "psi"]
    assert "--law capacity" in caught.value.remedy
