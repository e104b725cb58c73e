"""A study as one YAML file: languages, corpus, tokenizer, model sizes and groups of runs.

Every key is typed and checked when the file is read; ``study/design.py`` expands it to runs.
The packaged examples (``atlas study run demo``) are such files too.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from atlas_scaling.config import load_config
from atlas_scaling.languages import normalise
from atlas_scaling.runs.record import MIXTURE_TOLERANCE, Frozen
from atlas_scaling.study.corpus import CorpusSpec
from atlas_scaling.study.settings import (
    Count,
    ModelConfig,
    ModelShape,
    SharedTraining,
    TrainConfig,
)
from atlas_scaling.study.tokenizer import TokenizerSpec

ALL: Final = "all"


PositiveCount = Annotated[Count, Field(gt=0)]
Code = Annotated[str, BeforeValidator(normalise)]
Languages = Literal["all"] | tuple[Code, ...]


def _distinct(codes: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({code for code in codes if codes.count(code) > 1})
    if repeated:
        raise ValueError(f"named more than once: {', '.join(repeated)}")
    return codes


def _sums_to_one(shares: dict[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    if min(shares.values(), default=0.0) <= 0:
        raise ValueError("every share of a mixture must be above zero; leave the others out")
    if abs(total - 1.0) > MIXTURE_TOLERANCE:
        raise ValueError(f"the shares of a mixture must sum to 1, these sum to {total:.6g}")
    return shares


def _named(languages: Literal["all"] | tuple[str, ...]) -> set[str]:
    return set() if languages == ALL else set(languages)


class Group(Frozen):
    """What all groups of runs share: one run per size and seed of everything the group names.

    Attributes:
        sizes: names from the study's ``sizes``.
        tokens: training tokens of each run: one count, or one per size. Written 600k, 2M, 1e9.
        seeds: one run each; seeds change the initial weights and the order of the data.
    """

    sizes: tuple[str, ...] = Field(min_length=1)
    tokens: PositiveCount | dict[str, PositiveCount]
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)

    def codes(self) -> set[str]:
        """Languages that the group names, beyond ``all``."""
        return set()

    def tokens_of(self, size: str) -> int:
        """Training tokens of this group's runs of ``size``."""
        return self.tokens[size] if isinstance(self.tokens, dict) else self.tokens

    @model_validator(mode="after")
    def _every_size_has_tokens(self) -> Group:
        if isinstance(self.tokens, dict) and set(self.tokens) != set(self.sizes):
            raise ValueError(
                f"tokens are given for {sorted(self.tokens)}, sizes are {sorted(self.sizes)}"
            )
        return self


class MonolingualGroup(Group):
    """Each language alone. ``languages`` is a list, or ``all`` of the study's."""

    kind: Literal["monolingual"]
    languages: Languages = ALL

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return _named(self.languages)


class BilingualGroup(Group):
    """Pairs of languages, half and half: what a transfer score is measured on."""

    kind: Literal["bilingual"]
    pairs: tuple[Annotated[tuple[Code, Code], AfterValidator(_distinct)], ...]

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return {code for pair in self.pairs for code in pair}


class CapacityGroup(Group):
    """Even mixtures of K languages; ``sets`` names the languages of each, or is ``all`` once."""

    kind: Literal["capacity"]
    sets: Literal["all"] | tuple[Annotated[tuple[Code, ...], AfterValidator(_distinct)], ...] = ALL

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return set() if self.sets == ALL else {code for one in self.sets for code in one}


class MixtureGroup(Group):
    """One mixture with shares of its own, named for its run ids."""

    kind: Literal["mixture"]
    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    shares: Annotated[dict[Code, float], AfterValidator(_sums_to_one)]

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return set(self.shares)


class ContinuedGroup(Group):
    """Runs on one language each that start from the weights of the even mixture of all.

    Attributes:
        languages: what to continue on, one run each.
        base_set: the languages of the capacity run that they start from (same size and seed).
    """

    kind: Literal["continued"]
    languages: tuple[Code, ...]
    base_set: Literal["all"] | Annotated[tuple[Code, ...], AfterValidator(_distinct)] = ALL

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return set(self.languages) | _named(self.base_set)


AnyGroup = Annotated[
    MonolingualGroup | BilingualGroup | CapacityGroup | MixtureGroup | ContinuedGroup,
    Field(discriminator="kind"),
]


class Size(ModelShape):
    """A model size of a study.

    Attributes:
        lr: its stable learning rate; smaller models take larger ones.
    """

    lr: float = Field(gt=0)


class StudySpec(Frozen):
    """The whole study.

    Attributes:
        name: short; it stands in every run record.
        languages: what is evaluated in every run, and what groups may train on.
        corpus: where the text comes from.
        tokenizer: one vocabulary over all languages of the study.
        sequence_length: tokens of a training window.
        sizes: model shapes by name; the vocabulary size comes from ``tokenizer``.
        training: what all runs share.
        groups: the runs.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    languages: Annotated[tuple[Code, ...], AfterValidator(_distinct)] = Field(min_length=1)
    corpus: CorpusSpec
    tokenizer: TokenizerSpec
    sequence_length: int = Field(default=128, gt=1)
    sizes: dict[str, Size] = Field(min_length=1)
    training: SharedTraining
    groups: tuple[AnyGroup, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _groups_name_what_is_there(self) -> StudySpec:
        for index, group in enumerate(self.groups):
            for size in group.sizes:
                if size not in self.sizes:
                    known = ", ".join(self.sizes)
                    raise ValueError(f"groups.{index}: no size {size!r}; the sizes are {known}")
            for code in group.codes():
                if code not in self.languages:
                    raise ValueError(f"groups.{index}: {code} is not one of the study's languages")
        return self

    def model_of(self, size: str) -> ModelConfig:
        """The model of a size."""
        shape = self.sizes[size].model_dump(exclude={"lr"})
        return ModelConfig(
            vocab_size=self.tokenizer.vocab_size, sequence_length=self.sequence_length, **shape
        )

    def training_of(self, size: str) -> TrainConfig:
        """How runs of a size are trained."""
        return TrainConfig(lr=self.sizes[size].lr, **self.training.model_dump())


def load_study(path: Path) -> StudySpec:
    """Read a study's YAML file.

    Raises:
        InputError: with file, line, value and remedy.
    """
    return load_config(path, StudySpec)


def packaged_studies() -> dict[str, Path]:
    """Studies that come with the package, by name."""
    folder = Path(str(files("atlas_scaling"))) / "study" / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
