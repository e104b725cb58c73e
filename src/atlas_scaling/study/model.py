"""A decoder-only transformer: rotary positions, pre-norm, GELU, one embedding for input and output.

LayerNorm and GELU rather than RMSNorm and SwiGLU: on a CPU core they are PyTorch's own fused
kernels (``benchmarks/train_throughput.py`` prints both). A gated feed-forward multiplies the GELU
by a third projection (GEGLU, Shazeer 2020). Dimensions in names: B sequences, T tokens, d width,
h heads, k head width, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own convention
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from atlas_scaling.study.loss import linear_cross_entropy, summed_cross_entropy
from atlas_scaling.study.settings import ModelConfig

ROPE_BASE: Final = 10_000.0


class Transformer(nn.Module):
    """The model of all studies.

    Args:
        config: its shape.
        seed: of the initial weights; PyTorch's global generator is neither used nor moved.
    """

    def __init__(self, config: ModelConfig, *, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):  # modules draw first weights that we replace
            self.embedding = nn.Embedding(config.vocab_size, config.d_model)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
            self.norm = nn.LayerNorm(config.d_model, bias=False)
        angles = rotary_angles(config.sequence_length, config.head_size)
        self.register_buffer("angles", angles, persistent=False)
        self.checkpoint_activations = False
        self._initialise(torch.Generator().manual_seed(seed))

    def hidden(self, ids: Tensor) -> Tensor:
        """Last hidden states (B, T, d) of ``ids`` (B, T), each from its past only."""
        angles = self.get_buffer("angles")[: ids.shape[1]]
        x = self.embedding(ids)  # B, T, d
        for block in self.blocks:
            if self.checkpoint_activations and torch.is_grad_enabled():
                x = checkpoint(block, x, angles, use_reentrant=False)
            else:
                x = block(x, angles)
        normed: Tensor = self.norm(x)
        return normed

    def forward(
        self, ids: Tensor, targets: Tensor, *, z_loss: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """What to minimise and the nats of predicting ``targets`` (B, T) from ``ids`` (B, T).

        Both are sums over the tokens; they differ by the punishment of ``z_loss``. Without
        gradients they are one, summed in float64.
        """
        hidden, weight = self.hidden(ids).flatten(0, 1), self.embedding.weight
        if torch.is_grad_enabled():
            return linear_cross_entropy(hidden, weight, targets.flatten(), z_loss=z_loss)
        nats = summed_cross_entropy(hidden, weight, targets.flatten())
        return nats, nats

    def logits(self, ids: Tensor) -> Tensor:
        """Logits (B, T, V) of the next token."""
        return self.hidden(ids) @ self.embedding.weight.T

    def _initialise(self, generator: torch.Generator) -> None:
        """Matrices N(0, 1/fan_in), the embedding N(0, 1/d), outputs of a block scaled by depth.

        An embedding of 0.02, as is usual in larger models, drowns in what the first blocks add to
        it, and models as small as these then learn more slowly.
        """
        depth = math.sqrt(2 * self.config.n_layers)
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue  # norms start at one
            std = 1.0 / math.sqrt(parameter.shape[1])
            if name.endswith(("attention_out.weight", "down.weight")):
                std /= depth
            with torch.no_grad():
                parameter.normal_(0.0, std, generator=generator)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d, self.n_heads, self.head_size = config.d_model, config.n_heads, config.head_size
        inner = self.n_heads * self.head_size
        self.attention_norm = nn.LayerNorm(d, bias=False)
        self.qkv = nn.Linear(d, 3 * inner, bias=False)
        self.attention_out = nn.Linear(inner, d, bias=False)
        self.feed_forward_norm = nn.LayerNorm(d, bias=False)
        self.gate = nn.Linear(d, config.feed_forward, bias=False) if config.gated else None
        self.up = nn.Linear(d, config.feed_forward, bias=False)
        self.down = nn.Linear(config.feed_forward, d, bias=False)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        """The stream (B, T, d) after this block."""
        x = x + self._attention(self.attention_norm(x), angles)
        return x + self._feed_forward(self.feed_forward_norm(x))

    def _attention(self, x: Tensor, angles: Tensor) -> Tensor:
        B, T, _ = x.shape
        h, k = self.n_heads, self.head_size
        qk, values = torch.split(self.qkv(x).view(B, T, 3 * h, k), [2 * h, h], 2)
        queries, keys = torch.split(rotate(qk, angles[:, None]), h, 2)
        y = causal_attention(  # B, h, T, k
            queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
        )
        out: Tensor = self.attention_out(y.transpose(1, 2).reshape(B, T, h * k))
        return out

    def _feed_forward(self, x: Tensor) -> Tensor:
        inner = self.up(x)
        inner = F.gelu(inner) if self.gate is None else F.gelu(self.gate(x)) * inner
        out: Tensor = self.down(inner)
        return out


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Each query's values, weighted by softmax over its past; all are (B, h, T, k)."""
    if not (queries.device.type == "cpu" and torch.get_float32_matmul_precision() == "medium"):
        return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    # PyTorch's kernel for CPUs cuts its products so small that bfloat16 makes it slower.
    T, k = queries.shape[2:]
    future = queries.new_full((T, T), -math.inf).triu(1)
    scores = queries @ keys.transpose(2, 3) * k**-0.5 + future  # B, h, T, T
    weighted: Tensor = scores.softmax(-1) @ values
    return weighted


def rotary_angles(n_positions: int, head_size: int) -> Tensor:
    """Rotations ``e^(i angle)`` (T, k/2) of rotary positions (Su et al. 2021, eq. 34).

    Cosines and sines stand in the last dimension of (T, k/2, 2), as ``torch.view_as_real`` has
    them: what moves modules between types and devices knows no complex numbers.
    """
    frequency = ROPE_BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angle = torch.outer(torch.arange(n_positions, dtype=torch.float64), frequency)
    return torch.stack([angle.cos(), angle.sin()], -1).float()


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs (2i, 2i + 1) of the last dimension by their position's angles."""
    pairs = torch.unflatten(x, -1, (-1, 2))
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        turned = torch.view_as_complex(pairs) * torch.view_as_complex(angles)  # one pass, not four
        return torch.view_as_real(turned).flatten(-2)
    (a, b), (cos, sin) = pairs.unbind(-1), angles.unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
