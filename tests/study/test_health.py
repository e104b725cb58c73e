import math

import pytest

from atlas_scaling.study.health import Health

LOG_V = math.log(4096)


def watch(losses, norm=1.0):
    health = Health(LOG_V)
    return next((t for i, x in enumerate(losses, 1) if (t := health.trouble(i, x, norm))), None)


def test_a_run_that_learns_is_well():
    assert watch([LOG_V - 4 * (1 - math.exp(-i / 300)) for i in range(2000)]) is None


def test_one_hard_batch_is_no_divergence():
    assert watch([4.0] * 500 + [9.0] + [4.0] * 500) is None


def test_a_run_that_falls_back_to_knowing_nothing_has_diverged():
    said = watch([LOG_V] + [4.0] * 500 + [LOG_V] * 200)
    assert said is not None
    assert "4" in said
    assert "at best" in said


@pytest.mark.parametrize("loss", [math.nan, math.inf, 2.1 * LOG_V])
def test_a_loss_beyond_hope_is_said_at_once_with_its_step(loss):
    said = watch([8.0, 7.0, loss])
    assert said.startswith("diverged: training loss")
    assert "step 3" in said


def test_a_gradient_that_is_not_finite_is_said():
    assert "norm of the gradient inf at step 1" in watch([8.0], norm=math.inf)
