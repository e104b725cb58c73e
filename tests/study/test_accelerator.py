"""What can only be seen on a real accelerator; skipped where there is none."""

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
if not torch.cuda.is_available():
    pytest.skip("there is no NVIDIA accelerator here", allow_module_level=True)

from atlas_scaling.errors import RunError  # noqa: E402
from atlas_scaling.runs.record import RunState  # noqa: E402
from atlas_scaling.study.graphs import CALLS_BEFORE, Recorder  # noqa: E402
from atlas_scaling.study.settings import Hardware, ModelConfig, TrainConfig  # noqa: E402
from atlas_scaling.study.train import train, train_together  # noqa: E402
from atlas_scaling.study.training_run import Assignment  # noqa: E402
from tests.study.tiny import EVALS, TEXTS, eval_lines, record  # noqa: E402

MODEL = ModelConfig(
    n_layers=2, d_model=64, n_heads=2, gated=True, vocab_size=32, sequence_length=32
)
CONFIG = TrainConfig(
    batch_size=4,
    lr=0.005,
    z_loss=1e-4,
    warmup_tokens=1280,
    first_evaluation=1280,
    checkpoint_seconds=1e-6,
)
STEPS = 60
"""Few: rounding grows from step to step, on one CPU alone to 1 % in 200 of these."""
FLOAT32 = Hardware(device="cuda", precision="float32")
BFLOAT16 = Hardware(device="cuda")


def assignment(folder, seed=0):
    run = record(f"seed{seed}", seed=seed, tokens=STEPS * 128)
    return Assignment(folder / run.run_id, run, MODEL, CONFIG, TEXTS, EVALS)


def losses(folder, seed=0):
    return [json.loads(line)["loss"] for line in eval_lines(folder / f"seed{seed}")]


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cpu")
    train(assignment(folder), hardware=Hardware(device="cpu"))
    return losses(folder)


@pytest.mark.parametrize(("hardware", "rel"), [(FLOAT32, 1e-3), (BFLOAT16, 2e-2)])
def test_an_accelerator_gives_the_losses_of_a_cpu(on_cpu, hardware, rel, tmp_path):
    train(assignment(tmp_path), hardware=hardware)
    assert losses(tmp_path) == pytest.approx(on_cpu, rel=rel)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("hardware", [FLOAT32, BFLOAT16])
def test_a_run_cut_off_goes_on_bit_for_bit(hardware, compiled, tmp_path):
    hardware = hardware.model_copy(update={"compile": compiled})
    train(assignment(tmp_path / "unbroken"), hardware=hardware)
    asked = iter(range(1, 1 << 30))
    status = train(
        assignment(tmp_path / "broken"), hardware=hardware, should_stop=lambda: next(asked) == 5
    )
    assert status.state is RunState.STOPPED
    train(assignment(tmp_path / "broken"), hardware=hardware)
    assert losses(tmp_path / "broken") == losses(tmp_path / "unbroken")


@pytest.mark.parametrize(("hardware", "rel"), [(FLOAT32, 1e-3), (BFLOAT16, 2e-2)])
@pytest.mark.parametrize("micro_batch_size", [3, 4])
def test_steps_that_are_recorded_give_the_losses_of_others(
    hardware, rel, micro_batch_size, tmp_path
):
    hardware = hardware.model_copy(update={"micro_batch_size": micro_batch_size})
    train(assignment(tmp_path / "recorded"), hardware=hardware)
    train(assignment(tmp_path / "not"), hardware=hardware.model_copy(update={"graphs": False}))
    assert losses(tmp_path / "recorded") == pytest.approx(losses(tmp_path / "not"), rel=rel)


@pytest.mark.parametrize(("hardware", "rel"), [(FLOAT32, 1e-3), (BFLOAT16, 2e-2)])
def test_runs_trained_together_have_the_losses_they_have_alone(hardware, rel, tmp_path):
    together = [assignment(tmp_path / "together", seed) for seed in range(3)]
    ended = train_together(together, hardware=hardware)
    assert {status.state for status in ended.values()} == {RunState.DONE}
    for seed in range(3):
        train(assignment(tmp_path / "alone", seed), hardware=hardware)
        alone = losses(tmp_path / "alone", seed)
        assert losses(tmp_path / "together", seed) == pytest.approx(alone, rel=rel)


def test_together_and_cut_off_goes_on_bit_for_bit(tmp_path):
    def runs(folder):
        return [assignment(tmp_path / folder, seed) for seed in range(3)]

    train_together(runs("unbroken"), hardware=BFLOAT16)
    asked = iter(range(1, 1 << 30))
    train_together(runs("broken"), hardware=BFLOAT16, should_stop=lambda: next(asked) == 5)
    train_together(runs("broken"), hardware=BFLOAT16)
    for seed in range(3):
        assert losses(tmp_path / "broken", seed) == losses(tmp_path / "unbroken", seed)


def test_work_that_waits_for_the_accelerator_cannot_be_recorded_and_says_so():
    recorder, given = Recorder(torch.device("cuda", 0)), torch.ones(3, device="cuda")
    for _ in range(CALLS_BEFORE):
        assert float(recorder(waits, given)) == 3.0
    with pytest.raises(RunError, match="cannot be recorded") as caught:
        recorder(waits, given)
    assert caught.value.where == "hardware.graphs"


def waits(given):
    return given.sum() if given.sum().item() > 0 else given.max()
