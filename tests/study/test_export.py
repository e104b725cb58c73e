"""What is exported is read by transformers itself, and says what our model says."""

import json
import os
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")
pytest.importorskip("sentencepiece", reason="training needs the extra [train]")
transformers = pytest.importorskip("transformers", reason="the export is compared with it")

from atlas_scaling.errors import InputError, RunError  # noqa: E402
from atlas_scaling.runs.record import RunState, RunStatus  # noqa: E402
from atlas_scaling.runs.store import read_run  # noqa: E402
from atlas_scaling.runs.writer import write_record, write_status  # noqa: E402
from atlas_scaling.study.checkpoint import Place, load_weights, save_checkpoint  # noqa: E402
from atlas_scaling.study.export import export_run, find_tokenizer  # noqa: E402
from atlas_scaling.study.model import Transformer  # noqa: E402
from atlas_scaling.study.settings import ModelConfig  # noqa: E402
from tests.study.small_study import write_small_study  # noqa: E402

SHAPES = {
    "plain": {"n_layers": 2, "d_model": 48, "n_heads": 3},
    "other head width": {"n_layers": 1, "d_model": 48, "n_heads": 2, "d_head": 8, "d_ff": 40},
    "gated": {"n_layers": 2, "d_model": 48, "n_heads": 3, "gated": True},
    "gated, narrow heads": {
        "n_layers": 1, "d_model": 48, "n_heads": 2, "d_head": 8, "d_ff": 40, "gated": True,
    },
}  # fmt: skip
TEXTS = [
    "bakelo minura sotiva.",
    "  two spaces, and  more   ",
    "Größe, 東京, שלום, 🦊 \t and a tab",
    "",
    " ",
    "zofegu▁vazo",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A real study of four runs, with a cache of its own."""
    folder = tmp_path_factory.mktemp("export")
    spec = write_small_study(folder, tokens=4000)
    subprocess.run(
        [sys.executable, "-m", "atlas_scaling", "study", "run", spec, "-o", folder / "study"],
        env={**os.environ, "ATLAS_CACHE": str(folder / "cache")},
        check=True,
        capture_output=True,
    )
    return folder


def run_of(study, name="even2-s-seed0"):
    return study / "study" / "runs" / name


def untrained(study, folder, shape):
    """A finished run of another shape with the study's tokenizer, its weights drawn at random."""
    record = read_run(run_of(study)).record
    config = ModelConfig(vocab_size=record.model["vocab_size"], sequence_length=32, **shape)
    write_record(folder, record.model_copy(update={"model": config.model_dump()}))
    model = Transformer(config, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms start at one: give them something to say
                parameter.uniform_(0.5, 1.5)
    save_checkpoint(folder, model, None, Place(1, {}))
    write_status(folder, RunStatus(state=RunState.DONE, updated_at="now"))
    (folder / "evals.jsonl").write_bytes((run_of(study) / "evals.jsonl").read_bytes())
    return model


@pytest.mark.parametrize("name", SHAPES)
def test_transformers_gives_the_same_logits(study, tmp_path, name):
    ours = untrained(study, tmp_path / "run", SHAPES[name])
    export_run(tmp_path / "run", tmp_path / "out", cache=study / "cache")
    theirs, loading = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.randint(ours.config.vocab_size, (2, 32))
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours.logits(ids), rtol=1e-4, atol=1e-4)


def test_a_trained_run_and_its_tokenizer_are_read_by_name(study, tmp_path):
    command = [sys.executable, "-m", "atlas_scaling", "study", "export", run_of(study)]
    done = subprocess.run(
        [*command, "-o", tmp_path / "out", "--json"],
        env={**os.environ, "ATLAS_CACHE": str(study / "cache")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["architecture"] == "Starcoder2ForCausalLM"

    record = read_run(run_of(study)).record
    config = ModelConfig.model_validate(record.model)
    ours = Transformer(config, seed=0)
    load_weights(run_of(study), ours)
    tokenizer = find_tokenizer(record.tokenizer, cache=study / "cache")
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in TEXTS:
        ids = their_tokenizer(text)["input_ids"]
        assert ids == tokenizer.encode([text])[0], text
        assert their_tokenizer.decode(ids) == tokenizer.decode(ids), text
    assert their_tokenizer.eos_token_id == tokenizer.eos_id

    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids = torch.tensor([[tokenizer.eos_id, *tokenizer.encode([TEXTS[0]])[0]]])
    with torch.no_grad():
        torch.testing.assert_close(theirs(ids).logits, ours.logits(ids), rtol=1e-4, atol=1e-4)


def test_a_folder_that_holds_something_is_left_alone(study, tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        export_run(run_of(study), tmp_path, cache=study / "cache")


def test_what_cannot_be_exported_is_said(study, tmp_path):
    with pytest.raises(InputError, match="no run directory"):
        export_run(tmp_path, tmp_path / "out", cache=study / "cache")
    with pytest.raises(InputError, match="not in the cache"):
        export_run(run_of(study), tmp_path / "out", cache=tmp_path)
    wide = {"n_layers": 1, "d_model": 16, "n_heads": 3, "d_head": 8, "gated": True}
    untrained(study, tmp_path / "wide", wide)
    with pytest.raises(InputError, match="do not fill its width"):
        export_run(tmp_path / "wide", tmp_path / "out", cache=study / "cache")
    (tmp_path / "wide" / "status.json").unlink()
    with pytest.raises((InputError, RunError)):
        export_run(tmp_path / "wide", tmp_path / "out", cache=study / "cache")
    assert not (tmp_path / "out").exists()
