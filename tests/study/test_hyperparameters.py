import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from atlas_scaling.config import parse_config
from atlas_scaling.study.hyperparameters import fitted, table_b2
from atlas_scaling.study.spec import Size, StudySpec
from tests.study.small_study import SPEC

PUBLISHED = Path(__file__).parents[3] / "shared" / "published" / "table_b2_hyperparameters.json"


def test_the_published_rule_is_table_b2():
    if not PUBLISHED.exists():
        pytest.skip(f"the paper's tables are not here: {PUBLISHED}")
    table = json.loads(PUBLISHED.read_text())
    for row in table["batch_size_sequences"]:
        n = row["params_lt"] * 0.999 if "params_lt" in row else row["params_ge"]
        said = table_b2(n)
        assert said.batch_size == row["batch"]
        assert said.lr == table["base_learning_rate"]
        assert said.warmup_steps == table["warmup_steps"]


def spec(size: str) -> StudySpec:
    text = SPEC.format(text="text", tokens=20_000)
    old = "lr: 0.01"
    assert old in text
    return parse_config(text.replace(old, size), StudySpec, name="test")


def test_a_rule_fills_in_what_a_size_leaves_out():
    paper = spec("rule: table-b2").training_of("s")
    assert (paper.lr, paper.batch_size, paper.warmup_tokens) == (2e-4, 256, 1000 * 256 * 32)
    own = spec("rule: table-b2, batch_size: 4, lr: 0.5").training_of("s")
    assert (own.lr, own.batch_size, own.warmup_tokens) == (0.5, 4, 1000 * 4 * 32)
    small = spec("rule: fitted, warmup_tokens: 0").training_of("s")
    n = spec("rule: fitted").model_of("s").n_params_non_embedding
    assert small.lr == fitted(n, 2 * 32).lr
    assert (small.batch_size, small.warmup_tokens) == (2, 0)


def test_larger_models_take_smaller_learning_rates_and_larger_batches_larger_ones():
    assert fitted(50_000, 512).lr > fitted(400_000, 512).lr
    assert fitted(50_000, 2048).lr > fitted(50_000, 512).lr


def test_a_size_without_learning_rate_and_rule_is_refused():
    with pytest.raises(ValidationError, match="give a learning rate"):
        Size(n_layers=1, d_model=8, n_heads=2)
