import math

import pytest

from atlas_scaling.accelerators import ACCELERATORS, Accelerator, accelerator, device_hours
from atlas_scaling.errors import InputError
from atlas_scaling.planning.cost import cost


def one(**question):
    return cost(**{"n_params": 2e9, "tokens": 400e9, "accelerators": ["h100"]} | question)


def test_hours_by_hand():
    # 6 x 2e9 x 400e9 = 4.8e21 FLOPs; 989.4e12 x .4 = 3.9576e14 a second; 1.21286e7 s = 3,369 h
    option = one(devices=64).options[0]
    assert option.accelerator_hours == pytest.approx(3369.06, rel=1e-5)
    assert option.wall_clock_hours == pytest.approx(3369.06 / 64, rel=1e-5)
    # 3369.06 h x 700 W x 1.56 = 3,679 kWh
    assert option.energy_kwh == pytest.approx(3679.0, rel=1e-4)
    assert option.tokens_per_second == pytest.approx(400e9 / (3369.06 * 3600 / 64), rel=1e-5)
    assert device_hours(4.8e21, accelerator("h100")) == pytest.approx(3369.06, rel=1e-5)


def test_more_devices_take_less_time_and_the_same_hours():
    few, many = one(devices=8).options[0], one(devices=64).options[0]
    assert few.accelerator_hours == pytest.approx(many.accelerator_hours)
    assert few.wall_clock_hours == pytest.approx(8 * many.wall_clock_hours)


def test_a_measured_throughput_replaces_peak_and_assumption():
    answer = one(devices=8, tokens_per_second=100_000)
    option = answer.options[0]
    assert option.wall_clock_hours == pytest.approx(400e9 / 100_000 / 3600)
    # implied: 6 x 2e9 x 1e5 / (8 x 989.4e12)
    assert option.mfu == pytest.approx(1.2e15 / (8 * 989.4e12))
    assert not any("assumed" in warning for warning in answer.warnings)


def test_a_throughput_above_the_peak_is_doubted():
    assert any("one of them is wrong" in w for w in one(tokens_per_second=1e6).warnings)


def test_money_needs_a_price():
    assert one().options[0].money is None
    assert one().currency is None
    priced = one(price_per_hour=2.5, currency="EUR")
    assert priced.options[0].money == pytest.approx(2.5 * priced.options[0].accelerator_hours)
    assert priced.currency == "EUR"


def test_overhead_and_pue_are_as_given():
    plain, more = one().options[0], one(overhead=0.1, pue=1.0).options[0]
    assert more.accelerator_hours == pytest.approx(1.1 * plain.accelerator_hours)
    assert more.energy_kwh == pytest.approx(1.1 * plain.energy_kwh / 1.56)


def test_an_own_accelerator_is_taken():
    own = Accelerator("ours", 1e15, 500, 100e9, 0.5, "our measurement")
    option = one(accelerators=[own]).options[0]
    assert option.accelerator_hours == pytest.approx(4.8e21 / 5e14 / 3600)


def test_compute_far_from_that_of_parameters_and_tokens_is_doubted():
    # 6 x 2e9 x 400e9 = 4.8e21
    assert any("0.21 times 6 N D" in said for said in one(flops=1e21).warnings)
    assert not any("6 N D" in said for said in one(flops=6e21).warnings)


def test_flops_alone_are_enough():
    answer = cost(flops=1e21, accelerators=["mi300x"])
    assert answer.options[0].tokens_per_second is None
    assert answer.options[0].accelerator_hours == pytest.approx(1e21 / (1307.4e12 * 0.4) / 3600)


def test_a_model_too_large_for_its_devices_is_said():
    # 70e9 x 16 bytes = 1.12 TB: 14 x 80 GB
    answer = cost(n_params=70e9, tokens=1e12, accelerators=["h100"], devices=8)
    assert answer.options[0].least_devices == 14
    assert any("14 devices" in warning for warning in answer.warnings)


def test_all_accelerators_are_compared_if_none_is_named():
    answer = cost(n_params=2e9, tokens=400e9)
    assert {option.accelerator for option in answer.options} == set(ACCELERATORS)
    assert {"a100", "h100", "h200", "gh200", "mi300x", "cpu-core"} == set(ACCELERATORS)


def test_peaks_are_dense_not_sparse():
    assert accelerator("H100").peak_flops == pytest.approx(1978.9e12 / 2, rel=1e-3)
    assert all(device.source for device in ACCELERATORS.values())


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"n_params": None}, "n_params, tokens, flops"),
        ({"n_params": -1}, "n_params"),
        ({"tokens": math.inf}, "tokens"),
        ({"devices": 0}, "devices"),
        ({"mfu": 1.2}, "mfu"),
        ({"overhead": -0.1}, "overhead"),
        ({"pue": 0.9}, "pue"),
        ({"price_per_hour": 0}, "price_per_hour"),
        ({"accelerators": ["h10"]}, "accelerator"),
        ({"accelerators": ["h100", "a100"], "price_per_hour": 2.0}, "accelerators"),
        ({"accelerators": ["h100", "a100"], "tokens_per_second": 2e5}, "accelerators"),
        ({"tokens": None, "flops": 1e21, "tokens_per_second": 2e5}, "tokens"),
    ],
)
def test_wrong_questions_say_where_they_are_wrong(wrong, where):
    with pytest.raises(InputError) as caught:
        one(**wrong)
    assert caught.value.where == where


def test_an_unknown_accelerator_names_the_nearest():
    with pytest.raises(InputError) as caught:
        accelerator("h10")
    assert "'h100'" in caught.value.remedy


def test_one_s_own_numbers_replace_those_of_the_data_sheet():
    from atlas_scaling.planning.cost import chosen_accelerators

    (own,) = chosen_accelerators(["h100"], peak_flops=500e12, power_w=350)
    plain, changed = cost(flops=1e21, accelerators=["h100"]), cost(flops=1e21, accelerators=[own])
    hours = plain.options[0].accelerator_hours
    assert changed.options[0].accelerator_hours == pytest.approx(hours * 989.4 / 500)
    energy = plain.options[0].energy_kwh
    assert changed.options[0].energy_kwh == pytest.approx(energy * 989.4 / 500 / 2)
    assert "as given" in changed.source
    with pytest.raises(InputError, match="one kind"):
        chosen_accelerators(None, power_w=350)
    with pytest.raises(InputError):
        chosen_accelerators(["h100"], power_w=-1)
