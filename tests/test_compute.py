from atlas_scaling.compute import tokens_for, training_flops


def test_compute_is_six_n_d_and_does_not_overflow_at_the_largest_runs():
    assert training_flops(8_452_190_208, 10**13) == 6.0 * 8_452_190_208.0 * 1e13


def test_tokens_for_a_budget_spend_exactly_the_budget():
    assert training_flops(2e9, tokens_for(1e21, 2e9)) == 1e21
