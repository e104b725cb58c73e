import math

import pytest

torch = pytest.importorskip("torch", reason="training needs the extra [train]")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from pydantic import ValidationError  # noqa: E402

from atlas_scaling.study.model import (  # noqa: E402
    Transformer,
    causal_attention,
    rotary_angles,
    rotate,
)
from atlas_scaling.study.settings import ModelConfig  # noqa: E402
from tests.study.tiny import MODEL  # noqa: E402

IDS = torch.arange(2, 18).view(1, 16)


@settings(max_examples=15, deadline=None)
@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    head_size=st.sampled_from([2, 4, 6]),
    d_ff=st.none() | st.integers(1, 40),
    vocab=st.integers(2, 50),
)
def test_parameters_are_counted_as_pytorch_counts_them(layers, heads, head_size, d_ff, vocab):
    config = ModelConfig(
        n_layers=layers, d_model=heads * head_size, n_heads=heads, d_ff=d_ff, vocab_size=vocab
    )
    model = Transformer(config, seed=0)
    assert sum(p.numel() for p in model.parameters()) == config.n_params
    assert config.n_params - config.n_params_non_embedding == model.embedding.weight.numel()


def test_a_prediction_depends_on_the_past_only():
    model = Transformer(MODEL, seed=0)
    for position in range(16):
        changed = IDS.clone()
        changed[0, position] = 31
        same = torch.isclose(model.logits(IDS), model.logits(changed)).all(-1)[0]
        assert same[:position].all()
        assert not same[position]


def test_rotary_scores_depend_on_the_distance_of_two_positions_only():
    angles = rotary_angles(32, 8)
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    score = (rotate(q.repeat(32, 1), angles) @ rotate(k.repeat(32, 1), angles).T).double()
    for distance in (0, 1, 7):
        diagonal = torch.diagonal(score, -distance)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-5)
    assert not torch.isclose(score[5, 0], score[1, 0], atol=1e-3)


def test_positions_turn_the_same_with_complex_numbers_and_without():
    angles, x = rotary_angles(32, 8), torch.randn(2, 32, 3, 8)
    with_real_numbers = torch.compile(rotate, backend="eager", fullgraph=True)
    torch.testing.assert_close(with_real_numbers(x, angles[:, None]), rotate(x, angles[:, None]))


def test_attention_for_bfloat16_on_a_cpu_is_pytorchs():
    q, k, v = torch.randn(3, 2, 2, 16, 8)
    usual = causal_attention(q, k, v)
    torch.set_float32_matmul_precision("medium")
    try:
        ours = causal_attention(q, k, v)
    finally:
        torch.set_float32_matmul_precision("highest")
    torch.testing.assert_close(ours, usual, rtol=0.02, atol=0.02)


def test_the_seed_alone_decides_the_first_weights_and_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    first, second, other = (Transformer(MODEL, seed=s) for s in (3, 3, 4))
    assert torch.equal(first.embedding.weight, second.embedding.weight)
    assert not torch.equal(first.embedding.weight, other.embedding.weight)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_untrained_model_knows_nothing_and_is_not_sure_of_it():
    config = ModelConfig(n_layers=2, d_model=64, n_heads=2, vocab_size=512, sequence_length=32)
    ids, targets = torch.randint(512, (2, 64, 32), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model = Transformer(config, seed=0)
        logits, loss = model.logits(ids), model(ids, targets)[0].item() / ids.numel()
    # x of norm sqrt(d) and rows of W from N(0, 1/d): logits of variance 1, so that the mean of
    # log sum exp lies half a nat above log V
    assert logits.var().item() == pytest.approx(1.0, abs=0.1)
    assert loss == pytest.approx(math.log(512) + 0.5, abs=0.15)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"d_model": 10, "n_heads": 3}, "cannot be cut into 3 heads"),
        ({"d_model": 6, "n_heads": 2}, "even number"),
        ({"d_model": 0, "n_heads": 1}, "greater than 0"),
        ({"d_model": 8, "n_heads": 2, "width": 3}, "Extra inputs"),
    ],
)
def test_an_impossible_shape_is_refused_with_the_reason(shape, said):
    with pytest.raises(ValidationError, match=said):
        ModelConfig(n_layers=1, vocab_size=32, **shape)
