"""What a run directory says of itself.

::

    RUN/run.json        one RunRecord: what was to be trained, on what, with what code
    RUN/evals.jsonl     one EvalRow a line, append-only
    RUN/status.json     one RunStatus, replaced atomically while the run goes on
    RUN/checkpoints/    the trainer's own
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from atlas_scaling.mixtures import MIXTURE_TOLERANCE

SCHEMA_VERSION: Final = 1


class LrState(StrEnum):
    """Where in its warmup-stable-decay schedule a run was when it was evaluated."""

    WARMUP = "warmup"
    STABLE = "stable"
    DECAY = "decay"
    DECAYED = "decayed"
    UNKNOWN = "unknown"


class Frozen(BaseModel):
    """Immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenizerInfo(Frozen):
    """The tokenizer that cut the text; losses of two tokenizers compare only in bits per byte."""

    name: str
    vocab_size: int = Field(gt=0)
    sha256: str


class CodeInfo(Frozen):
    """Which code wrote the record. ``commit`` and ``dirty`` are null outside a git checkout."""

    version: str
    commit: str | None = None
    dirty: bool | None = None


def _is_a_distribution(shares: dict[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    if abs(total - 1.0) > MIXTURE_TOLERANCE or min(shares.values(), default=-1) < 0:
        raise ValueError(f"mixture must be shares that sum to 1, got a sum of {total}")
    return shares


Mixture = Annotated[dict[str, float], AfterValidator(_is_a_distribution)]


class MixtureStage(Frozen):
    """A part of a run with a mixture of its own; ``fraction`` is of the run's tokens."""

    fraction: float = Field(gt=0, le=1)
    mixture: Mixture


class RunRecord(Frozen):
    """``run.json``: everything that is fixed when a run starts.

    ``n_params`` counts the (tied) embedding once; ``n_params_non_embedding`` leaves it out.
    ``unique_tokens`` are the distinct training tokens available of each language in the mixture.
    ``tokens`` are the training tokens planned, of this run alone where ``base_run`` is set; but
    where ``branch_tokens`` are too, the run leaves its base after so many with the base's optimizer
    and place in the data (a decay that branches off), and ``tokens`` counts both.
    ``mixture`` is over the whole run; ``stages`` are the mixtures one after the other where the run
    has more than one. ``evaluation_text`` says what each evaluation text is, where that is known:
    losses of two languages compare where both are ``aligned``, not where one is ``given`` alone or
    ``split off`` its own training text.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    study: str | None = None
    group: str
    mixture: Mixture
    stages: tuple[MixtureStage, ...] = ()
    tokens: int = Field(gt=0)
    unique_tokens: dict[str, int]
    evaluation_text: dict[str, str] = Field(default_factory=dict)
    n_params: int = Field(gt=0)
    n_params_non_embedding: int = Field(gt=0)
    model: dict[str, Any]
    optimizer: dict[str, Any]
    tokenizer: TokenizerInfo
    corpus_sha256: str
    seed: int
    base_run: str | None = None
    branch_tokens: int | None = Field(default=None, gt=0)
    code: CodeInfo
    environment: dict[str, str] = Field(default_factory=dict)
    created_at: str

    @property
    def continues(self) -> str | None:
        """The run that this one continues without counting its tokens.

        None for a decay that branches off: with the run it leaves it is one run from scratch.
        """
        return self.base_run if self.branch_tokens is None else None

    @property
    def schedule(self) -> tuple[MixtureStage, ...]:
        """The stages; the one of a run whose mixture stays as it is."""
        return self.stages or (MixtureStage(fraction=1.0, mixture=self.mixture),)


class EvalRow(Frozen):
    """One line of ``evals.jsonl``: one language at one step.

    ``tokens_by_language`` counts what was trained on so far, repetitions included; languages that
    were not trained on are left out. ``loss`` is nats per token.
    """

    step: int = Field(ge=0)
    tokens: int = Field(ge=0)
    tokens_by_language: dict[str, int]
    language: str
    loss: float
    bits_per_byte: float
    lr: float
    lr_state: LrState


class RunState(StrEnum):
    """What became of a run."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


class RunStatus(Frozen):
    """``status.json``: where the run stands, for people and for whoever restarts it.

    ``tokens_per_second`` is of the process that wrote it, evaluations included;
    ``flops_utilisation`` is the share of ``peak_flops`` (per second, of all its devices) that steps
    reached, evaluations left out. ``peak_memory_bytes`` is of one device, or one process on a CPU.
    ``tokens_by_language`` and ``epochs`` are so far: what was trained on of each language of the
    mixture, repetitions included, and how often its text has been seen.
    """

    state: RunState
    step: int = 0
    total_steps: int = 0
    tokens: int = 0
    tokens_by_language: dict[str, int] = Field(default_factory=dict)
    epochs: dict[str, float] = Field(default_factory=dict)
    tokens_per_second: float | None = None
    flops_utilisation: float | None = None
    peak_flops: float | None = None
    peak_flops_source: str | None = None
    peak_memory_bytes: int | None = None
    reason: str | None = None
    updated_at: str
    host: str | None = None
    pid: int | None = None
