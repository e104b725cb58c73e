"""Runs of a study before they are carried out, and the sums of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from atlas_scaling.accelerators import Accelerator, assumption, device_hours
from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.study.mixture_spec import Sampling
from atlas_scaling.study.spec import STUDY_VOCABULARY


@dataclass(frozen=True, slots=True)
class PlannedStage(Answer):
    """A part of a run with one mixture.

    Attributes:
        fraction: part of the run's tokens.
        mixture: shares that sum to 1; None where they follow from the text by ``sampling``.
        sampling: the rule, if it is by one.
    """

    fraction: float
    mixture: dict[str, float] | None
    sampling: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class PlannedRun(Answer):
    """One run of a study, before it is carried out.

    Attributes:
        run_id: its name and its directory's.
        group: kind of run, as its record has it.
        size: name of the model size.
        languages: what it trains on.
        mixture: shares over the whole run, which sum to 1; None where they follow from the text.
        stages: the mixtures one after the other; one in most runs.
        tokens: that it trains on.
        seed: of weights and order of data.
        n_params: parameters, the embedding counted once.
        n_params_non_embedding: without it.
        flops: 6 N D.
        vocabulary: ``study``, or the language whose own vocabulary it has.
        base_run: the run whose final weights it starts from.
        accelerator_hours: None until an accelerator was chosen (``on_accelerator``).
        branch_tokens: where it is a decay that leaves its base: after so many of its ``tokens``.
        keep_tokens: where decays leave it, and checkpoints are kept; it does not decay itself.
        unique_tokens: distinct ones there are of each language; None until the text was cut.
    """

    run_id: str
    group: str
    size: str
    languages: tuple[str, ...]
    mixture: dict[str, float] | None
    stages: tuple[PlannedStage, ...]
    tokens: int
    seed: int
    n_params: int
    n_params_non_embedding: int
    flops: float
    vocabulary: str = STUDY_VOCABULARY
    base_run: str | None = None
    accelerator_hours: float | None = None
    branch_tokens: int | None = None
    keep_tokens: tuple[int, ...] = ()
    unique_tokens: dict[str, int] | None = None

    @property
    def tokens_by_language(self) -> dict[str, float] | None:
        """Of ``tokens``; None where shares follow from text that was not cut yet."""
        if self.mixture is None:
            return None
        return {code: share * self.tokens for code, share in self.mixture.items()}

    @property
    def epochs(self) -> dict[str, float] | None:
        """How often it sees the text of each language; None until the text was cut."""
        tokens, unique = self.tokens_by_language, self.unique_tokens
        if tokens is None or unique is None:
            return None
        return {code: n / unique[code] for code, n in tokens.items()}

    def to_dict(self) -> dict[str, object]:
        """All of it, with tokens and epochs of each language."""
        return {
            **Answer.to_dict(self),
            "tokens_by_language": self.tokens_by_language,
            "epochs": self.epochs,
        }

    @property
    def own_tokens(self) -> int:
        """Tokens that it trains on itself."""
        return self.tokens - (self.branch_tokens or 0)

    def resolved(self, unique: Mapping[str, int]) -> PlannedRun:
        """The run with its mixtures written out, for text of so many ``unique`` tokens.

        Raises:
            InputError: a language of a mixture by rule has no text.
        """
        known = {code: unique[code] for code in self.languages}
        if self.mixture is not None:
            return replace(self, unique_tokens=known)
        stages = tuple(
            replace(stage, mixture=_by_rule(stage, self, unique))
            if stage.mixture is None
            else stage
            for stage in self.stages
        )
        return replace(self, stages=stages, mixture=overall_mixture(stages), unique_tokens=known)


@dataclass(frozen=True, slots=True)
class GroupTotal(Answer):
    """Runs of one group.

    Attributes:
        label: its name.
        kind: of its runs.
        n_runs: that it names.
        n_shared: of these, made by an earlier group.
        tokens: of the others.
        flops: of the others.
        n_published: runs that Table B.1 prints for it, in the study of the paper.
        accelerator_hours: of the others; None where no accelerator was named.
    """

    label: str
    kind: str
    n_runs: int
    n_shared: int
    tokens: float
    flops: float
    n_published: int | None = None
    accelerator_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Design(Answer):
    """All runs of a study, every base before what continues it, and their sums.

    ``accelerator``, ``mfu`` and ``accelerator_hours`` are None until an accelerator was chosen,
    ``money`` until a price was given. ``notes`` say what a reader should know.
    """

    study: str
    runs: tuple[PlannedRun, ...]
    groups: tuple[GroupTotal, ...]
    n_runs: int
    tokens: float
    flops: float
    accelerator: str | None = None
    mfu: float | None = None
    accelerator_hours: float | None = None
    money: float | None = None
    n_published: int | None = None
    notes: tuple[str, ...] = ()

    def on_text(self, unique: Callable[[str], Mapping[str, int]]) -> Design:
        """The same with mixtures by rule written out, and epochs.

        Args:
            unique: distinct tokens of each language in a vocabulary.
        """
        return replace(self, runs=tuple(run.resolved(unique(run.vocabulary)) for run in self.runs))

    def on_accelerator(
        self, device: Accelerator, *, mfu: float | None = None, price_per_hour: float | None = None
    ) -> Design:
        """The same with hours and money.

        Args:
            device: what trains it.
            mfu: share of its peak that is reached; the table's assumption unless given.
            price_per_hour: of one.

        Raises:
            InputError: a share or a price out of range.
        """
        if mfu is not None and not 0 < mfu <= 1:
            raise InputError("a share of the peak lies above 0 and up to 1", value=mfu, where="mfu")
        if price_per_hour is not None and not price_per_hour > 0:
            raise InputError("a price is above zero", value=price_per_hour, where="price")

        def hours(flops: float) -> float:
            return device_hours(flops, device, mfu=mfu)

        total = hours(self.flops)
        return replace(
            self,
            runs=tuple(replace(run, accelerator_hours=hours(run.flops)) for run in self.runs),
            groups=tuple(replace(one, accelerator_hours=hours(one.flops)) for one in self.groups),
            accelerator=device.name,
            mfu=mfu or device.mfu,
            accelerator_hours=total,
            money=None if price_per_hour is None else total * price_per_hour,
            notes=self.notes if mfu else (*self.notes, assumption(device)),
        )


def overall_mixture(stages: tuple[PlannedStage, ...]) -> dict[str, float] | None:
    """Shares over the whole run; None while a stage's are not known."""
    overall: dict[str, float] = {}
    for stage in stages:
        if stage.mixture is None:
            return None
        for code, share in stage.mixture.items():
            overall[code] = overall.get(code, 0.0) + stage.fraction * share
    return dict(sorted(overall.items()))


def _by_rule(stage: PlannedStage, run: PlannedRun, unique: Mapping[str, int]) -> dict[str, float]:
    rule = Sampling.model_validate(stage.sampling)
    codes = tuple(rule.languages)
    return rule.mixture(codes, unique, tokens=stage.fraction * run.tokens)
