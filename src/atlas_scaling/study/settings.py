"""What a run is told: the shape of its model and how it is trained. No PyTorch is needed here.

Parameters are counted exactly: ``V d`` for the tied embedding, and for the rest (attention of h
heads of width k, feed-forward of m matrices of width f, norms; see ``study/model.py``)
``L (4 d h k + m d f + 2 d) + d``, m = 2, or 3 where it is gated.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from atlas_scaling.runs.record import Frozen
from atlas_scaling.units import parse_count


def _count(value: Any) -> Any:
    """A count as people write it; zero is left to the field's own bound."""
    return 0 if value == 0 else round(parse_count(value))


Count = Annotated[int, BeforeValidator(_count)]
"""An integer that may be written 600k, 2M or 1e9."""


def _auto_or_runs(value: Any) -> Any:
    """One message; a union would give that of its first member."""
    if value != "auto" and (type(value) is not int or value < 1):
        raise ValueError("write a whole number of runs above 0, or auto")
    return value


def _auto_or_bool(value: Any) -> Any:
    if value != "auto" and type(value) is not bool:
        raise ValueError("write true, false or auto")
    return value


class ModelShape(Frozen):
    """Depth and width of a decoder-only transformer.

    Attributes:
        n_layers: blocks.
        d_model: width of the residual stream.
        n_heads: attention heads.
        d_head: dimensions of each, an even number; ``d_model / n_heads`` unless given.
        d_ff: width of the feed-forward layers; four times ``d_model`` unless given.
        gated: whether the feed-forward layers have a gate, a third matrix (Table B.3's have).
    """

    n_layers: int = Field(gt=0)
    d_model: int = Field(gt=0)
    n_heads: int = Field(gt=0)
    d_head: int | None = Field(default=None, gt=0)
    d_ff: int | None = Field(default=None, gt=0)
    gated: bool = False

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> ModelShape:
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model {self.d_model} cannot be cut into {self.n_heads} heads of equal size"
            )
        if self.head_size % 2:
            raise ValueError(
                f"a head has {self.head_size} dimensions; rotary positions turn "
                "pairs of them, so it must be an even number"
            )
        return self

    @property
    def head_size(self) -> int:
        """Dimensions of an attention head."""
        return self.d_head or self.d_model // self.n_heads

    @property
    def feed_forward(self) -> int:
        """Width of the feed-forward layers."""
        return self.d_ff or 4 * self.d_model


class ModelConfig(ModelShape):
    """A shape with what the study adds to it.

    Attributes:
        vocab_size: rows of the embedding, which is the output layer too.
        sequence_length: tokens a training window has.
    """

    vocab_size: int = Field(gt=1)
    sequence_length: int = Field(default=128, gt=1)

    @property
    def n_params_non_embedding(self) -> int:
        """Parameters without the embedding."""
        d = self.d_model
        attention = 4 * d * self.n_heads * self.head_size
        block = attention + (3 if self.gated else 2) * d * self.feed_forward + 2 * d
        return self.n_layers * block + d

    @property
    def n_params(self) -> int:
        """Parameters, the tied embedding counted once."""
        return self.vocab_size * self.d_model + self.n_params_non_embedding

    @property
    def flops_per_token(self) -> float:
        """FLOPs of training on a token: ``6 N``, and ``6 L T h k`` for attention to the past."""
        attention = self.n_layers * self.sequence_length * self.n_heads * self.head_size
        return 6.0 * (self.n_params + attention)


class SharedTraining(Frozen):
    """What all runs of a study share: AdamW with a warmup-stable-decay learning rate.

    Attributes:
        batch_size: sequences a step.
        warmup_tokens: over which the learning rate rises linearly from zero.
        decay_fraction: last share of the run, over which it falls linearly to zero (the paper's
            Table B.2 has 0.1; the form of the decay is not stated there).
        weight_decay: of matrices; norms have none.
        beta1, beta2: of AdamW.
        grad_clip: largest norm of the gradient.
        z_loss: weight of the mean of ``(log sum e^logits)^2`` in what is minimised, which keeps
            logits from drifting (PaLM, arXiv 2204.02311, section 5, has 1e-4). Losses in records
            are without it.
        first_evaluation: tokens at the first evaluation. The grid is the same in all runs of a
            study, so that their curves have points at equal token counts.
        evaluations_per_doubling: points of the grid for each doubling of the tokens.
        checkpoint_seconds: a checkpoint so often, and at the end; less often where writing one
            takes longer than a second, so that a twentieth of the time goes into that at most.
    """

    batch_size: int = Field(gt=0)
    warmup_tokens: Count = Field(default=50_000, ge=0)
    decay_fraction: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0)
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.99, ge=0, lt=1)
    grad_clip: float = Field(default=1.0, gt=0)
    z_loss: float = Field(default=0.0, ge=0)
    first_evaluation: Count = Field(default=100_000, gt=0)
    evaluations_per_doubling: int = Field(default=2, gt=0)
    checkpoint_seconds: float = Field(default=20.0, gt=0)


class TrainConfig(SharedTraining):
    """How one run is trained.

    Attributes:
        lr: the stable learning rate.
    """

    lr: float = Field(gt=0)


class Hardware(Frozen):
    """What a run is carried out on, and how. None of it is part of what the run is.

    Losses agree between all of these settings up to rounding (bfloat16: up to its own), and bit for
    bit between two runs with the same ones on one machine.

    Attributes:
        device: ``cpu``, ``cuda``, ``mps``, or ``auto``, an accelerator where there is one.
        precision: of matrix products. ``auto`` is bfloat16 on accelerators and float32 on CPUs.
            With bfloat16 weights, sums, losses and the optimizer stay in float32.
        compile: whether to compile blocks (``torch.compile``); the first step then takes long.
            ``auto`` does it where it was measured to be faster (``devices.compiles``).
        micro_batch_size: sequences that a process takes at a time; gradients are summed over a
            step's. All of its share at once unless given.
        checkpoint_activations: whether to keep no activations inside blocks but compute them anew
            when gradients need them: less memory for about a third more compute.
        deterministic: whether a run gives the same bits each time on one kind of accelerator, at
            some cost in speed; on CPUs it does in any case.
        graphs: whether what a step launches on an NVIDIA accelerator is recorded once and replayed
            (CUDA graphs, ``study/graphs.py``). Not with several ``processes`` nor with
            ``checkpoint_activations``.
        together: how many runs of one size and length are trained in one program, their weights
            stacked, without ``compile``, ``micro_batch_size`` and ``checkpoint_activations``.
            ``auto`` is what was measured to be fast for small models on accelerators
            (``study/together.py``), and one elsewhere.
        processes: that train one run, one a device, counted over all machines it has.
        sharding: ``replicate``, each process has the whole model (DDP), or ``shard``, each holds
            a part of weights, gradients and optimizer state (FSDP2).
        patience_seconds: how long one of them waits for another, which may be writing a checkpoint,
            before the run is taken for hung and begun again from its last checkpoint.
        keep_checkpoints: how many of a run's last checkpoints are kept.
    """

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Annotated[Literal["auto"] | bool, BeforeValidator(_auto_or_bool)] = "auto"
    micro_batch_size: int | None = Field(default=None, gt=0)
    checkpoint_activations: bool = False
    deterministic: bool = True
    graphs: bool = True
    together: Annotated[Literal["auto"] | int, BeforeValidator(_auto_or_runs)] = "auto"
    processes: int = Field(default=1, gt=0)
    sharding: Literal["replicate", "shard"] = "replicate"
    patience_seconds: float = Field(default=1800.0, gt=0)
    keep_checkpoints: int = Field(default=1, gt=0)

    @property
    def records(self) -> bool:
        """Whether steps are to be recorded: of who is short of memory they would hold some."""
        return self.graphs and not self.checkpoint_activations

    @model_validator(mode="after")
    def _processes_share_one_run(self) -> Hardware:
        if self.processes > 1 and self.together not in ("auto", 1):
            raise ValueError(
                "several processes train one run, and one process several runs: choose "
                f"processes: {self.processes}, or together: {self.together}"
            )
        return self
