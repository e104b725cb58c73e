"""Shapes by scale against Table B.3, and against the model that PyTorch builds."""

import csv
import itertools
from pathlib import Path

import pytest

from atlas_scaling.published.model_shapes import model_shapes
from atlas_scaling.study.scales import shape_of_scale
from atlas_scaling.study.settings import ModelConfig

SHARED = Path(__file__).parents[3] / "shared" / "published" / "table_b3_model_shapes.csv"


def model(scale: int, *, vocab_size: int = 64_512) -> ModelConfig:
    return ModelConfig(vocab_size=vocab_size, **shape_of_scale(scale))


@pytest.mark.skipif(not SHARED.exists(), reason="the published tables are not beside the checkout")
def test_a_model_has_the_printed_parameters_and_the_norms_that_the_table_leaves_out():
    with SHARED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 53
    for row in rows:
        config = model(int(row["scale"]))
        norms = (int(row["layers"]) + 1) * int(row["embed"])
        assert config.n_params == int(row["params_formula"]) + norms
        # scale 52 is printed for another shape; no run has it
        exact = config.n_params - norms == int(row["params_printed"])
        assert exact == (row["scale"] != "52")


@pytest.mark.parametrize("scale", [-6, -5, -4, -3, -2, -1, 0, 2])
def test_a_shape_is_the_model_that_pytorch_builds(scale):
    torch = pytest.importorskip("torch", reason="training needs the extra [train]")
    from atlas_scaling.study.model import Transformer

    config = model(scale, vocab_size=300)
    transformer = Transformer(config, seed=0)
    assert sum(p.numel() for p in transformer.parameters()) == config.n_params
    ids = torch.arange(2, 18).view(1, 16)
    assert transformer.logits(ids).shape == (1, 16, 300)


def test_each_small_scale_takes_about_half_the_compute_of_the_one_above():
    sizes = [model(scale).n_params_non_embedding for scale in range(-6, 1)]
    for smaller, larger in itertools.pairwise(sizes):
        assert 1.6 < larger / smaller < 2.8


def test_scales_grow():
    sizes = [model(scale).n_params for scale in range(-6, len(model_shapes()))]
    assert sizes == sorted(sizes)
