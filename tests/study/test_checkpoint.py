import signal
import stat
import tracemalloc

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.errors import RunError  # noqa: E402
from atlas_scaling.study.checkpoint import Place, save_checkpoint  # noqa: E402
from atlas_scaling.study.model import Transformer  # noqa: E402
from atlas_scaling.study.settings import ModelConfig  # noqa: E402


@pytest.fixture
def model():
    """Some 5 MB of weights."""
    return Transformer(ModelConfig(vocab_size=8192, n_layers=1, d_model=128, n_heads=2), seed=0)


def weights_of(run_dir):
    return next((run_dir / "checkpoints").glob("step-*/weights-*"))


def test_a_checkpoint_is_written_without_a_second_copy_of_the_weights(model, tmp_path):
    save_checkpoint(tmp_path, model, None, Place(0, {}))  # what is imported late is there now
    tracemalloc.start()
    save_checkpoint(tmp_path, model, None, Place(1, {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    assert weights_of(tmp_path).stat().st_size > size
    assert peak < size / 4


def test_others_may_read_a_checkpoint_as_they_may_other_files_of_a_run(model, tmp_path):
    (tmp_path / "run.json").touch()
    save_checkpoint(tmp_path, model, None, Place(1, {}))
    usual = stat.S_IMODE((tmp_path / "run.json").stat().st_mode)
    assert stat.S_IMODE(weights_of(tmp_path).stat().st_mode) == usual


def test_what_the_disk_refuses_to_safetensors_is_said(model, tmp_path):
    resource = pytest.importorskip("resource", reason="limits on files are Unix")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        with pytest.raises(RunError, match="File too large"):
            save_checkpoint(tmp_path, model, None, Place(1, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not any((tmp_path / "checkpoints").iterdir())
