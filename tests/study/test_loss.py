import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

import torch.nn.functional as F  # noqa: E402, N812

from atlas_scaling.study.loss import linear_cross_entropy, summed_cross_entropy  # noqa: E402


def example(rows: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 6, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(11, 6, generator=generator, dtype=dtype, requires_grad=True)
    return x, weight, torch.randint(0, 11, (rows,), generator=generator)


@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_loss_and_gradients_are_those_of_pytorchs_cross_entropy(rows):
    x, weight, targets = example(rows)
    ours = linear_cross_entropy(x, weight, targets)
    ours_x, ours_weight = torch.autograd.grad(3.0 * ours, [x, weight])
    theirs = F.cross_entropy(x @ weight.T, targets)
    theirs_x, theirs_weight = torch.autograd.grad(3.0 * theirs, [x, weight])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours_x, theirs_x)
    torch.testing.assert_close(ours_weight, theirs_weight)


def test_gradients_agree_with_finite_differences():
    x, weight, targets = example(5)
    assert torch.autograd.gradcheck(linear_cross_entropy, (x, weight, targets))


def test_huge_logits_do_not_overflow():
    x, weight, targets = example(4, torch.float32)
    loss = linear_cross_entropy(x.detach() * 1e4, weight.detach(), targets)
    assert torch.isfinite(loss)


def test_the_sum_for_evaluation_is_rows_times_the_mean():
    x, weight, targets = example(200)
    mean = F.cross_entropy(x @ weight.T, targets).item()
    with torch.no_grad():
        assert summed_cross_entropy(x, weight, targets) == pytest.approx(200 * mean)
