import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from atlas_scaling.study import devices  # noqa: E402
from atlas_scaling.study.devices import Device, compiles  # noqa: E402
from atlas_scaling.study.settings import Hardware  # noqa: E402

CUDA = Device(torch.device("cuda", 0), "bfloat16")
CPU = Device(torch.device("cpu"), "float32")
LARGE, SMALL = 125_000_000, 50_000_000


@pytest.fixture(autouse=True)
def with_compiler(monkeypatch):
    monkeypatch.setattr(devices.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(devices.Path, "exists", lambda _: True)


def test_large_models_on_an_accelerator_are_compiled_by_themselves():
    assert compiles(Hardware(), CUDA, n_params=LARGE)


@pytest.mark.parametrize(
    ("hardware", "device", "n_params"),
    [(Hardware(), CUDA, SMALL), (Hardware(), CPU, LARGE), (Hardware(processes=2), CUDA, LARGE)],
)
def test_where_nothing_was_measured_nothing_is_compiled_unless_asked_for(
    hardware, device, n_params
):
    assert not compiles(hardware, device, n_params=n_params)
    assert compiles(hardware.model_copy(update={"compile": True}), device, n_params=n_params)


@pytest.mark.parametrize("missing", ["compiler", "headers"])
def test_without_a_compiler_or_its_headers_it_is_left(missing, monkeypatch):
    if missing == "compiler":
        monkeypatch.setattr(devices.shutil, "which", lambda _: None)
    else:
        monkeypatch.setattr(devices.Path, "exists", lambda _: False)
    assert not compiles(Hardware(), CUDA, n_params=LARGE)


def test_who_asks_for_it_not_to_be_compiled_is_heard():
    assert not compiles(Hardware(compile=False), CUDA, n_params=LARGE)
