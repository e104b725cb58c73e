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

from atlas_scaling.study.loss import linear_cross_entropy
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
        cos, sin = rotary_angles(config.sequence_length, config.head_size)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(torch.Generator().manual_seed(seed))

    def hidden(self, ids: Tensor) -> Tensor:
        """Last hidden states (B, T, d) of ``ids`` (B, T), each from its past only."""
        T = ids.shape[1]
        cos, sin = self.get_buffer("cos")[:T], self.get_buffer("sin")[:T]
        x = self.embedding(ids)  # B, T, d
        for block in self.blocks:
            x = block(x, cos, sin)
        normed: Tensor = self.norm(x)
        return normed

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Mean loss in nats per token of predicting ``targets`` (B, T) from ``ids`` (B, T)."""
        return linear_cross_entropy(
            self.hidden(ids).flatten(0, 1), self.embedding.weight, targets.flatten()
        )

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

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The stream (B, T, d) after this block."""
        x = x + self._attention(self.attention_norm(x), cos, sin)
        return x + self._feed_forward(self.feed_forward_norm(x))

    def _attention(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        B, T, _ = x.shape
        h, k = self.n_heads, self.head_size
        qkv = self.qkv(x).view(B, T, 3 * h, k)
        qk = rotate(qkv[:, :, : 2 * h], cos[:, None], sin[:, None])
        queries, keys, values = qk[:, :, :h], qk[:, :, h:], qkv[:, :, 2 * h :]
        y = F.scaled_dot_product_attention(  # B, h, T, k
            queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), is_causal=True
        )
        out: Tensor = self.attention_out(y.transpose(1, 2).reshape(B, T, h * k))
        return out

    def _feed_forward(self, x: Tensor) -> Tensor:
        inner = self.up(x)
        inner = F.gelu(inner) if self.gate is None else F.gelu(self.gate(x)) * inner
        out: Tensor = self.down(inner)
        return out


def rotary_angles(n_positions: int, head_size: int) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines (T, d/h) of rotary positions (Su et al. 2021, eq. 34)."""
    frequency = ROPE_BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angle = torch.outer(torch.arange(n_positions, dtype=torch.float64), frequency)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], 1).float(), torch.cat([-sin, sin], 1).float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the pairs (i, i + half) of the last dimension by their position's angles."""
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin
