"""bfloat16: as CPUs with units for it have it, and as accelerators do, by autocast, on a CPU."""

import shutil
from contextlib import contextmanager

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

import torch.nn.functional as F  # noqa: E402, N812
from safetensors.torch import load_file  # noqa: E402

import atlas_scaling.study.loss as loss_module  # noqa: E402
from atlas_scaling.errors import InputError  # noqa: E402
from atlas_scaling.runs.store import read_run  # noqa: E402
from atlas_scaling.study.devices import Device  # noqa: E402
from atlas_scaling.study.learner import Learner  # noqa: E402
from atlas_scaling.study.loss import linear_cross_entropy, summed_cross_entropy  # noqa: E402
from atlas_scaling.study.parallel import World  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from atlas_scaling.study.train import train  # noqa: E402
from atlas_scaling.study.training_run import Assignment  # noqa: E402
from tests.study.tiny import CONFIG, EVALS, MODEL, TEXTS, eval_lines, record  # noqa: E402

FLOAT32 = Hardware(device="cpu", precision="float32")


@contextmanager
def as_on_accelerators(_: Device):
    with torch.autocast("cpu", torch.bfloat16):
        yield


@pytest.fixture(params=["autocast", "units of the CPU"])
def bfloat16(request, monkeypatch):
    """Hardware with products in bfloat16, by either way."""
    if request.param == "autocast":
        monkeypatch.setattr(Device, "multiplying", as_on_accelerators)
        monkeypatch.setattr(loss_module, "_softmax_chunks", loss_module._probability_chunks)
        return FLOAT32
    hardware = Hardware(device="cpu", precision="bfloat16")
    try:
        Device.of(hardware)
    except InputError as error:
        pytest.skip(str(error))
    return hardware


def carry_out(run_dir, hardware, **options):
    config = CONFIG.model_copy(update={"batch_size": 4, "z_loss": 1e-4})
    run = Assignment(run_dir, record(), MODEL, config, TEXTS, EVALS)
    return train(run, hardware=hardware, **options)


def losses(run_dir):
    return [row.loss for row in read_run(run_dir).rows]


@pytest.fixture(scope="module")
def float32(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("float32")
    carry_out(run_dir, FLOAT32)
    return losses(run_dir)


def test_losses_are_those_of_float32_up_to_rounding(bfloat16, float32, tmp_path):
    carry_out(tmp_path, bfloat16)
    assert losses(tmp_path) != float32
    assert losses(tmp_path) == pytest.approx(float32, rel=0.02)
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_stopped_run_goes_on_bit_for_bit(bfloat16, tmp_path):
    carry_out(tmp_path / "whole", bfloat16)
    asked = iter(range(20))
    carry_out(tmp_path / "cut", bfloat16, should_stop=lambda: next(asked, None) is None)
    assert len(eval_lines(tmp_path / "cut")) < len(eval_lines(tmp_path / "whole"))
    carry_out(tmp_path / "cut", bfloat16)
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")


def test_weights_gradients_optimizer_and_losses_stay_in_float32(bfloat16, tmp_path):
    carry_out(tmp_path, bfloat16, should_stop=lambda: True)
    (folder,) = (tmp_path / "checkpoints").iterdir()
    saved = [tensor for file in folder.glob("*.safetensors") for tensor in load_file(file).values()]
    assert len(saved) == 3 * 8  # eight parameters, and two moments of each
    assert {tensor.dtype for tensor in saved} == {torch.float32}

    learner = Learner(MODEL, CONFIG, hardware=bfloat16, world=World(), seed=0)
    ids = torch.arange(16).view(1, 16)
    with learner.device.multiplying():
        minimised, nats = learner.model(ids, ids)
        minimised.backward()
    grads = {parameter.grad.dtype for parameter in learner.model.parameters()}
    assert {minimised.dtype, nats.dtype, *grads} == {torch.float32}
    assert learner.nats(ids, ids).dtype == torch.float64


def test_the_loss_is_near_that_of_float64_and_its_gradients_too(bfloat16):
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(n, 64, generator=generator) for n in (500, 300))
    targets = torch.randint(300, (500,), generator=generator)
    exact = [t.double().requires_grad_() for t in (x, weight)]
    wanted = F.cross_entropy(exact[0] @ exact[1].T, targets, reduction="sum")
    wanted.backward()
    ours = [t.clone().requires_grad_() for t in (x, weight)]
    with Device.of(bfloat16).multiplying():
        minimised, _ = linear_cross_entropy(*ours, targets)
        minimised.backward()
        with torch.no_grad():
            summed = summed_cross_entropy(*ours, targets)
    assert minimised.item() == pytest.approx(wanted.item(), rel=2e-3)
    assert summed.item() == pytest.approx(wanted.item(), rel=2e-3)
    for one, other in zip(ours, exact, strict=True):
        off = (one.grad - other.grad).norm() / other.grad.norm()
        assert off < 0.02  # eight bits are 0.004 of each factor


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own, of its own parts
@pytest.mark.parametrize("bfloat16", ["autocast"], indirect=True)
def test_compiled_blocks_that_keep_no_activations_do_it_in_bfloat16_too(
    bfloat16, float32, tmp_path
):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    hardware = bfloat16.model_copy(
        update={"compile": True, "checkpoint_activations": True, "micro_batch_size": 2}
    )
    carry_out(tmp_path / "whole", hardware)
    assert losses(tmp_path / "whole") == pytest.approx(float32, rel=0.02)
    asked = iter(range(20))
    carry_out(tmp_path / "cut", hardware, should_stop=lambda: next(asked, None) is None)
    carry_out(tmp_path / "cut", hardware)
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")
