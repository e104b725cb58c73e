import errno
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.errors import InputError, RunError  # noqa: E402
from atlas_scaling.runs.record import LrState, RunState  # noqa: E402
from atlas_scaling.runs.store import read_run, read_runs, value_of  # noqa: E402
from atlas_scaling.study import training_run  # noqa: E402
from atlas_scaling.study.checkpoint import save_checkpoint  # noqa: E402
from atlas_scaling.study.evaluate import Evaluator  # noqa: E402
from atlas_scaling.study.learner import Learner  # noqa: E402
from atlas_scaling.study.model import Transformer  # noqa: E402
from atlas_scaling.study.schedule import Schedule  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402
from atlas_scaling.study.train import train  # noqa: E402
from atlas_scaling.study.training_run import Assignment  # noqa: E402
from tests.study.tiny import CONFIG, EVALS, MODEL, TEXTS, eval_lines, record  # noqa: E402


def assignment(run_dir: Path, *, config=CONFIG, run=None, **fields) -> Assignment:
    return Assignment(run_dir, run or record(), MODEL, config, TEXTS, EVALS, **fields)


def carry_out(run_dir: Path, *, config=CONFIG, run=None, init_from=None, keep_steps=(), **options):
    given = assignment(run_dir, config=config, run=run, init_from=init_from, keep_steps=keep_steps)
    return train(given, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stop_after(calls: int):
    left = iter(range(calls))
    return lambda: next(left, None) is None


def test_a_run_learns_and_writes_every_evaluation_of_every_language(tmp_path):
    status = carry_out(tmp_path)
    assert status.state is RunState.DONE
    frame = read_runs(tmp_path).frame
    assert set(frame["language"]) == set(EVALS)
    swedish = frame.filter(frame["language"] == "swe_Latn").sort("step")
    assert swedish["loss"][-1] < swedish["loss"][0] < math.log(32)
    assert swedish["tokens"][-1] == 2048
    assert swedish["lr_state"][-1] == LrState.DECAYED
    assert value_of(swedish, "tokens_by_language", "swe_Latn")[-1] == 1024


def test_the_status_has_tokens_and_epochs_of_each_language(tmp_path):
    carry_out(tmp_path)
    status = read_run(tmp_path).status
    assert status.tokens_by_language == {"spa_Latn": 1024, "swe_Latn": 1024}
    # 2,000 ids are 124 windows that predict 16 each; 64 were drawn of each language
    assert status.epochs == pytest.approx({"spa_Latn": 64 / 124, "swe_Latn": 64 / 124})


@pytest.mark.parametrize("stop", [1, 9, 40])
def test_a_stopped_run_goes_on_with_the_losses_of_an_unbroken_one(tmp_path, stop):
    carry_out(tmp_path / "whole")
    status = carry_out(tmp_path / "cut", should_stop=stop_after(stop))
    assert status.state is RunState.STOPPED
    assert carry_out(tmp_path / "cut").state is RunState.DONE
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")


def test_evaluations_after_the_last_checkpoint_are_not_written_twice(tmp_path):
    never = CONFIG.model_copy(update={"checkpoint_seconds": 1e9})
    carry_out(tmp_path / "whole", config=never)
    carry_out(tmp_path / "cut", config=never)
    shutil.rmtree(tmp_path / "cut" / "checkpoints")  # as if killed before the end
    carry_out(tmp_path / "cut", config=never)
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")


def test_a_torn_line_is_cut_off_and_its_evaluation_written_again(tmp_path):
    carry_out(tmp_path / "whole")
    carry_out(tmp_path / "cut", should_stop=stop_after(20))
    with (tmp_path / "cut" / "evals.jsonl").open("a") as file:
        file.write('{"step": 25, "tok')
    carry_out(tmp_path / "cut")
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")
    assert read_run(tmp_path / "cut").notes == ()


def test_a_killed_process_goes_on_with_the_losses_of_an_unbroken_one(tmp_path):
    code = (
        "import sys, pathlib; from tests.study.test_train import carry_out_a_long_run;"
        "carry_out_a_long_run(pathlib.Path(sys.argv[1]))"
    )
    run_dir = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, str(run_dir)])
    deadline = time.monotonic() + 60
    while not (run_dir / "evals.jsonl").exists() or len(eval_lines(run_dir)) < 9:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_run(run_dir).status.state is RunState.RUNNING  # it had no time to say otherwise
    carry_out_a_long_run(run_dir)
    carry_out_a_long_run(tmp_path / "whole")
    assert eval_lines(run_dir) == eval_lines(tmp_path / "whole")


def carry_out_a_long_run(run_dir: Path):
    """Long enough to be killed in the middle, with some checkpoints on the way."""
    config = CONFIG.model_copy(update={"checkpoint_seconds": 0.05})
    return carry_out(run_dir, run=record(tokens=40_000), config=config)


def test_a_continued_run_starts_from_the_weights_of_its_base(tmp_path):
    carry_out(tmp_path / "base")
    base_end = [row for row in read_run(tmp_path / "base").rows if row.step == 64]
    gentle = CONFIG.model_copy(update={"lr": 1e-9, "warmup_tokens": 0})
    run = record("next", base_run="tiny")
    carry_out(tmp_path / "next", run=run, config=gentle, init_from=tmp_path / "base")
    first = read_run(tmp_path / "next").rows[: len(EVALS)]
    assert {r.language: r.loss for r in first} == pytest.approx(
        {r.language: r.loss for r in base_end}, rel=1e-5
    )
    assert first[0].tokens == 128


def test_a_base_that_has_not_ended_is_refused(tmp_path):
    with pytest.raises(RunError, match="has not ended"):
        carry_out(tmp_path / "next", init_from=tmp_path / "nowhere")
    carry_out(tmp_path / "base", should_stop=stop_after(5))
    with pytest.raises(RunError, match="has not ended") as caught:
        carry_out(tmp_path / "other", init_from=tmp_path / "base")
    assert caught.value.value == "stopped, 192 tokens"  # six steps of two sequences of sixteen


def test_a_base_without_checkpoint_is_refused(tmp_path):
    carry_out(tmp_path / "base")
    shutil.rmtree(tmp_path / "base" / "checkpoints")
    with pytest.raises(RunError, match="no checkpoint") as caught:
        carry_out(tmp_path / "next", init_from=tmp_path / "base")
    assert "trains it anew" in caught.value.remedy
    branch = record("next", base_run="tiny", branch_tokens=32 * 32)
    with pytest.raises(RunError, match="no such checkpoint") as caught:
        carry_out(tmp_path / "branch", run=branch, init_from=tmp_path / "base")
    assert caught.value.remedy.startswith("remove the run's directory")


def test_a_run_that_diverges_is_failed_with_the_reason_and_no_exception(tmp_path):
    wild = CONFIG.model_copy(update={"lr": 1e4, "warmup_tokens": 0})
    status = carry_out(tmp_path, config=wild)
    assert status.state is RunState.FAILED
    assert "diverged" in status.reason


def test_a_gradient_that_is_not_finite_ends_the_run_before_it_is_saved(tmp_path, monkeypatch):
    carry_out(tmp_path, should_stop=stop_after(9))
    good = contents(tmp_path / "checkpoints")
    step = Learner.step

    def poisoned(learner, batch, *, lr):
        learner.model.embedding.weight.register_hook(lambda grad: grad * math.nan)
        return step(learner, batch, lr=lr)

    monkeypatch.setattr(Learner, "step", poisoned)
    status = carry_out(tmp_path)
    assert status.state is RunState.FAILED
    assert "norm of the gradient nan at step 11" in status.reason
    assert contents(tmp_path / "checkpoints") == good


def test_a_run_that_memory_is_too_small_for_says_what_takes_less(tmp_path, monkeypatch):
    def step(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr(Learner, "step", step)
    with pytest.raises(RunError, match="memory of the cpu device is too small") as caught:
        carry_out(tmp_path, hardware=Hardware(micro_batch_size=4, graphs=False))
    assert caught.value.remedy.startswith("micro_batch_size: 2, then checkpoint_activations: true")
    assert "Tried to allocate 2 GiB" in str(caught.value)


def test_an_evaluation_that_is_not_finite_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(Learner, "nats", lambda *_: torch.tensor(math.inf))
    status = carry_out(tmp_path)
    assert status.state is RunState.FAILED
    assert "loss inf on rus_Cyrl at step 4" in status.reason
    assert not (tmp_path / "evals.jsonl").exists()


def losses(run_dir: Path) -> list[float]:
    return [row.loss for row in read_run(run_dir).rows]


@pytest.mark.parametrize(
    "hardware",
    [
        Hardware(micro_batch_size=1),
        Hardware(micro_batch_size=3),
        Hardware(checkpoint_activations=True),
    ],
)
def test_how_a_batch_is_carried_out_changes_losses_by_rounding_only(tmp_path, hardware):
    four = CONFIG.model_copy(update={"batch_size": 4, "z_loss": 1e-3})
    carry_out(tmp_path / "plain", config=four)
    carry_out(tmp_path / "other", config=four, hardware=hardware)
    assert losses(tmp_path / "other") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own, of its own parts
def test_compiled_blocks_give_the_same_losses(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler on a CPU")
    carry_out(tmp_path / "plain")
    carry_out(tmp_path / "compiled", hardware=Hardware(compile=True))
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "plain"), rel=1e-4)


def test_a_decay_that_branches_off_is_the_end_of_the_whole_run_bit_for_bit(tmp_path):
    carry_out(tmp_path / "whole")
    stable = CONFIG.model_copy(update={"decay_fraction": 0.0})
    branch = Schedule.of(2048, 16, CONFIG).total - Schedule.of(2048, 16, CONFIG).decay
    carry_out(
        tmp_path / "stable", run=record("stable", tokens=4096), config=stable, keep_steps={branch}
    )
    decay = record("decay", base_run="stable", branch_tokens=branch * 32)
    carry_out(tmp_path / "decay", run=decay, init_from=tmp_path / "stable")
    ends = [
        [r for r in read_run(tmp_path / name).rows if r.step == 64] for name in ("whole", "decay")
    ]
    assert ends[0] == ends[1]
    assert {row.step for row in read_run(tmp_path / "decay").rows} == {64}
    assert ends[1][0].tokens == 2048


def test_the_status_tells_speed_utilisation_and_memory(tmp_path):
    status = carry_out(tmp_path)
    assert 0 < status.flops_utilisation < 1
    assert status.peak_flops > 1e8
    assert 1e7 < status.peak_memory_bytes < 1e11


def test_a_device_that_is_not_there_is_refused_with_what_to_do(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(InputError, match="no cuda device") as caught:
        carry_out(tmp_path, hardware=Hardware(device="cuda"))
    assert "device: auto" in caught.value.remedy


def test_another_run_in_the_directory_is_refused_with_the_difference(tmp_path):
    carry_out(tmp_path, should_stop=stop_after(1))
    with pytest.raises(RunError, match="another run") as caught:
        carry_out(tmp_path, run=record(seed=1))
    assert caught.value.value == "seed 1, was 0"


def test_a_full_disk_is_said_and_the_checkpoint_before_is_kept(tmp_path, monkeypatch):
    carry_out(tmp_path, should_stop=stop_after(5))
    kept = contents(tmp_path / "checkpoints")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk is full"):
        carry_out(tmp_path)
    assert contents(tmp_path / "checkpoints") == kept


def test_a_damaged_checkpoint_is_refused_and_named(tmp_path):
    carry_out(tmp_path, should_stop=stop_after(5))
    weights = next((tmp_path / "checkpoints").glob("*/weights-*"))
    weights.write_bytes(b"not a checkpoint")
    with pytest.raises(RunError, match="cannot be read"):
        carry_out(tmp_path)


def test_a_damaged_record_is_named_and_once_removed_the_run_goes_on(tmp_path):
    carry_out(tmp_path / "whole")
    carry_out(tmp_path / "cut", should_stop=stop_after(5))
    (tmp_path / "cut" / "run.json").write_bytes(b"\xff")
    with pytest.raises(RunError, match="record of this run cannot be read"):
        carry_out(tmp_path / "cut")
    (tmp_path / "cut" / "run.json").unlink()
    assert carry_out(tmp_path / "cut").state is RunState.DONE
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")


def test_a_checkpoint_that_lost_its_optimizer_is_refused_and_not_gone_on_from(tmp_path):
    carry_out(tmp_path, should_stop=stop_after(5))
    next((tmp_path / "checkpoints").glob("*/optimizer-*")).unlink()
    with pytest.raises(RunError, match="lacks the optimizer") as caught:
        carry_out(tmp_path)
    assert "remove this checkpoint" in caught.value.remedy


def test_a_checkpoint_that_was_put_aside_is_none_of_the_run(tmp_path):
    carry_out(tmp_path / "whole")
    carry_out(tmp_path / "cut", should_stop=stop_after(5))
    last = next((tmp_path / "cut" / "checkpoints").iterdir())
    last.rename(last.with_name(f"{last.name}.bad"))
    assert carry_out(tmp_path / "cut").state is RunState.DONE
    assert eval_lines(tmp_path / "cut") == eval_lines(tmp_path / "whole")


def test_a_run_too_short_for_its_schedule_leaves_nothing_behind(tmp_path):
    with pytest.raises(InputError, match="no room"):
        carry_out(tmp_path / "run", run=record(tokens=64))
    assert not (tmp_path / "run").exists()


def test_an_evaluation_is_the_mean_over_all_tokens_of_the_text():
    model = Transformer(MODEL, seed=0)
    with torch.no_grad():
        evaluator = Evaluator(EVALS, sequence_length=16)
        nats = evaluator.sums(lambda *xy: model(*xy)[0])["swe_Latn"]
        score = evaluator.score("swe_Latn", float(nats))
    ids = torch.tensor(EVALS["swe_Latn"].tokens.astype("int64"))
    context = torch.cat([ids[-1:], ids[:-1]])  # the text ends with EOS
    nats = 0.0
    for begin in range(0, 200, 16):
        logits = model.logits(context[None, begin : begin + 16])[0]
        chosen = logits.log_softmax(-1).gather(1, ids[begin : begin + 16, None])
        nats -= chosen.sum().item()
    assert score.nats_per_token == pytest.approx(nats / 200, rel=1e-5)
    assert score.bits_per_byte == pytest.approx(nats / 800 / math.log(2), rel=1e-5)


def test_checkpoints_that_take_long_are_written_less_often_than_asked_for(tmp_path, monkeypatch):
    steps = []

    def noting(*args, **options):
        steps.append(args[3].step)
        save_checkpoint(*args, **options)

    monkeypatch.setattr(training_run, "save_checkpoint", noting)
    carry_out(tmp_path / "each")
    assert steps == list(range(1, 65))
    steps.clear()
    monkeypatch.setattr(training_run, "LONG_SECONDS", 0.0)
    monkeypatch.setattr(training_run, "CHECKPOINT_SHARE", 1e-9)
    carry_out(tmp_path / "seldom")
    assert steps == [1, 64]
