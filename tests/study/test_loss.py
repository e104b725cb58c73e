import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

import torch.nn.functional as F  # noqa: E402, N812

import atlas_scaling.study.loss as loss_module  # noqa: E402
from atlas_scaling.study.loss import linear_cross_entropy, summed_cross_entropy  # noqa: E402


@pytest.fixture(params=["as on CPUs", "as on accelerators"], autouse=True)
def either_way(request, monkeypatch):
    if request.param == "as on accelerators":
        monkeypatch.setattr(loss_module, "_softmax_chunks", loss_module._probability_chunks)


def example(rows: int, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 6, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(11, 6, generator=generator, dtype=dtype, requires_grad=True)
    return x, weight, torch.randint(0, 11, (rows,), generator=generator)


@pytest.mark.parametrize("z_loss", [0.0, 0.3])
@pytest.mark.parametrize("rows", [1, 127, 128, 129, 300])
def test_loss_and_gradients_are_those_of_pytorchs_cross_entropy(rows, z_loss, monkeypatch):
    monkeypatch.setattr(loss_module, "CHUNK_ELEMENTS", 1)  # chunks of 128 rows
    x, weight, targets = example(rows)
    ours, nats = linear_cross_entropy(x, weight, targets, z_loss=z_loss)
    ours_x, ours_weight = torch.autograd.grad(3.0 * ours, [x, weight])
    entropy = F.cross_entropy(x @ weight.T, targets, reduction="sum")
    theirs = entropy + z_loss * (x @ weight.T).logsumexp(1).square().sum()
    torch.testing.assert_close(nats, entropy.detach())
    theirs_x, theirs_weight = torch.autograd.grad(3.0 * theirs, [x, weight])
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours_x, theirs_x)
    torch.testing.assert_close(ours_weight, theirs_weight)


def test_gradients_agree_with_finite_differences():
    x, weight, targets = example(5)

    def minimised(x, weight):
        return linear_cross_entropy(x, weight, targets, z_loss=0.1)[0]

    grads = torch.autograd.grad(minimised(x, weight), [x, weight])
    generator, step = torch.Generator().manual_seed(1), 1e-6
    for _ in range(5):
        along = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in (x, weight)]
        up, down = (
            minimised(x + sign * step * along[0], weight + sign * step * along[1])
            for sign in (1, -1)
        )
        slope = sum((grad * one).sum() for grad, one in zip(grads, along, strict=True))
        torch.testing.assert_close((up - down) / (2 * step), slope, rtol=1e-7, atol=1e-7)


def test_huge_logits_do_not_overflow():
    x, weight, targets = example(4, torch.float32)
    huge = (x.detach() * 1e4).requires_grad_()
    minimised, _ = linear_cross_entropy(huge, weight, targets)
    minimised.backward()
    assert torch.isfinite(minimised)
    assert torch.isfinite(huge.grad).all()


def test_what_is_not_a_number_is_seen_in_the_loss():
    x, weight, targets = example(4, torch.float32)
    minimised, nats = linear_cross_entropy(x.detach() * torch.nan, weight.detach(), targets)
    assert minimised.isnan()
    assert nats.isnan()


def test_the_sum_for_evaluation_is_rows_times_the_mean():
    x, weight, targets = example(200)
    mean = F.cross_entropy(x @ weight.T, targets).item()
    with torch.no_grad():
        assert summed_cross_entropy(x, weight, targets).item() == pytest.approx(200 * mean)


def test_logits_of_a_large_vocabulary_never_exist_whole():
    rows, vocabulary = 512, 65_536
    x, weight = torch.randn(rows, 4, requires_grad=True), torch.randn(vocabulary, 4)
    with torch.profiler.profile(profile_memory=True) as profile:
        linear_cross_entropy(x, weight, torch.zeros(rows, dtype=torch.int64))
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest == 4 * 128 * vocabulary  # one chunk, a quarter of the logits
