"""Writes the tracker logs in ``fixtures/`` with the trackers themselves.

    pip install wandb tensorboard torch mlflow transformers accelerate
    python -m tests.runs.importers.make_fixtures

Made with wandb 0.31.0, tensorboard 2.21.0, torch 2.15.0, mlflow 3.17.2, transformers 5.23.0. All
but the trainer's tell one story: a run that logs tokens every 10 steps and evaluates two languages
every 25 is killed after step 80 and resumed from its checkpoint of step 50, with its token counter
at zero again.
"""

import gzip
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"

RUN = "bilingual-124M"
N_PARAMS = 124e6
TOKENS_PER_STEP = 4096
RESUMED_FROM = 50
LOGGED_STEPS = (range(10, 81, 10), range(60, 121, 10))
EVALUATED_STEPS = ((25, 50, 75), (75, 100))
LANGUAGES = ("en", "de")
NAN_STEP = 120


def loss_at(language: str, step: int, attempt: int) -> float:
    """Multiples of 1/1024, so that float32 holds them exactly."""
    return (4096 - 8 * step + 512 * LANGUAGES.index(language) + 16 * attempt) / 1024


def tokens_at(step: int, attempt: int) -> int:
    return TOKENS_PER_STEP * (step - RESUMED_FROM * attempt)


def story(attempt: int) -> Iterator[tuple[int, dict[str, float]]]:
    """What one attempt logs: step and metrics, in order."""
    for step in range(1, 121):
        if step in LOGGED_STEPS[attempt]:
            tokens = float(tokens_at(step, attempt))
            yield (
                step,
                {"train/num_input_tokens_seen": tokens, "train/learning_rate": step * 2**-20},
            )
        if step in EVALUATED_STEPS[attempt]:
            for language in LANGUAGES:
                yield step, {f"eval/{language}_loss": loss_at(language, step, attempt)}
        if step == NAN_STEP and attempt:
            yield step, {"eval/en_loss": float("nan")}


def make_wandb(folder: Path) -> None:
    import wandb

    with tempfile.TemporaryDirectory() as temporary:
        os.environ.update(WANDB_MODE="offline", WANDB_DIR=temporary, WANDB_SILENT="true")
        # Nothing of the machine that makes them.
        settings = wandb.Settings(x_disable_meta=True, x_disable_stats=True, host="host")
        for attempt in (0, 1):
            config = {"n_params": N_PARAMS, "mixture": {"en": 0.75, "de": 0.25}, "tied": True}
            run = wandb.init(
                project="atlas", id="a1b2c3d4", name=RUN, config=config, settings=settings
            )
            for step, metrics in story(attempt):
                run.log({**metrics, "train/global_step": step})
            run.finish()
            time.sleep(1.1)  # directories are named by the second
        for source in sorted(Path(temporary).glob("wandb/offline-run-*/*.wandb")):
            target = folder / source.parent.name
            target.mkdir(parents=True)
            shutil.copy(source, target / source.name)


def make_wandb_blocks(folder: Path) -> None:
    """A record longer than a block of the file: a configuration of 70 kB."""
    import wandb

    with tempfile.TemporaryDirectory() as temporary:
        os.environ.update(WANDB_MODE="offline", WANDB_DIR=temporary, WANDB_SILENT="true")
        settings = wandb.Settings(x_disable_meta=True, x_disable_stats=True, host="host")
        config = {"notes": "x" * 70_000, "n_params": N_PARAMS}
        run = wandb.init(project="atlas", id="b10c5", name="long", config=config, settings=settings)
        for step in range(1, 400):
            run.log({"eval/loss": 4 - step / 1024, "tokens_seen": step * TOKENS_PER_STEP})
        run.finish()
        (source,) = Path(temporary).glob("wandb/offline-run-*/*.wandb")
        folder.mkdir(parents=True)
        with gzip.GzipFile(folder / "run-b10c5.wandb.gz", "wb", compresslevel=9, mtime=0) as packed:
            packed.write(source.read_bytes())


def make_tensorboard(folder: Path) -> None:
    from tensorboard.summary import Writer
    from torch.utils.tensorboard import SummaryWriter

    run = folder / RUN
    old_style = SummaryWriter(run)  # simple_value
    for step, metrics in story(0):
        for name, value in metrics.items():
            old_style.add_scalar(name, value, step)
    old_style.close()
    time.sleep(1.1)
    new_style = Writer(str(run))  # tensors
    for step, metrics in story(1):
        for name, value in metrics.items():
            new_style.add_scalar(name, value, step)
    new_style.close()
    for number, path in enumerate(sorted(run.iterdir())):
        path.rename(run / f"events.out.tfevents.{number}.host")


def make_mlflow(folder: Path) -> None:
    import mlflow

    with tempfile.TemporaryDirectory() as temporary:
        database = Path(temporary) / "mlflow.db"
        mlflow.set_tracking_uri(f"sqlite:///{database}")
        mlflow.set_experiment("atlas")
        run_id = None
        for attempt in (0, 1):
            with mlflow.start_run(run_id=run_id, run_name=None if run_id else RUN) as run:
                run_id = run.info.run_id
                mlflow.log_params({"n_params": N_PARAMS})
                for step, metrics in story(attempt):
                    mlflow.log_metrics(metrics, step=step)
                if attempt:
                    mlflow.log_metric("eval/de_loss", float("inf"), step=NAN_STEP)
        with mlflow.start_run(run_name="a mistake") as run:
            mlflow.log_metric("eval/en_loss", 9.0, step=1)
        mlflow.delete_run(run.info.run_id)
        with closing(sqlite3.connect(database)) as db:  # nothing of the machine that made it
            db.execute("DELETE FROM tags WHERE key LIKE 'mlflow.source%' OR key = 'mlflow.user'")
            db.execute("UPDATE runs SET artifact_uri = '', user_id = ''")
            db.execute("UPDATE experiments SET artifact_location = ''")
            db.commit()
            db.execute("VACUUM")
        folder.mkdir(parents=True)
        with gzip.GzipFile(folder / "mlflow.db.gz", "wb", compresslevel=9, mtime=0) as packed:
            packed.write(database.read_bytes())


def make_trainer_state(folder: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    torch.manual_seed(0)
    rows = [{"input_ids": torch.randint(0, 64, (16,))} for _ in range(32)]
    data = [{**row, "labels": row["input_ids"]} for row in rows]
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=64, n_positions=16, n_embd=8, n_layer=1, n_head=1)
    )
    with tempfile.TemporaryDirectory() as temporary:
        arguments = TrainingArguments(
            output_dir=temporary,
            max_steps=8,
            per_device_train_batch_size=4,
            logging_steps=2,
            eval_strategy="steps",
            eval_steps=3,
            save_steps=4,
            include_num_input_tokens_seen="all",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=data,
            eval_dataset={"en": data[:8], "de": data[8:16]},
        )
        trainer.train()
        trainer.save_state()
        for source in Path(temporary).rglob("trainer_state.json"):
            target = folder / "tiny-gpt2" / source.relative_to(temporary)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


MAKERS = {
    "wandb": make_wandb,
    "wandb_blocks": make_wandb_blocks,
    "tensorboard": make_tensorboard,
    "mlflow": make_mlflow,
    "trainer_state": make_trainer_state,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        shutil.rmtree(FIXTURES / name, ignore_errors=True)
        MAKERS[name](FIXTURES / name)
