"""A study as one YAML file: languages, corpus, tokenizer, model sizes and groups of runs.

Every key is typed and checked when the file is read; ``study/design.py`` expands it to runs.
The packaged examples (``atlas study run demo``) are such files too.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from atlas_scaling.config import load_config
from atlas_scaling.errors import InputError, unknown
from atlas_scaling.runs.record import Frozen
from atlas_scaling.study.corpus import CorpusSpec
from atlas_scaling.study.hyperparameters import Rule, fitted, table_b2
from atlas_scaling.study.mixture_spec import (
    ALL,
    Code,
    CodeList,
    Languages,
    Sampling,
    Shares,
    Stages,
    distinct,
    named,
)
from atlas_scaling.study.scales import shape_of_scale
from atlas_scaling.study.settings import (
    Count,
    ModelConfig,
    ModelShape,
    SharedTraining,
    TrainConfig,
)
from atlas_scaling.study.tokenizer import TokenizerSpec

STUDY_VOCABULARY: Final = "study"
"""The one vocabulary over all languages; others are named by the language that has its own."""

PositiveCount = Annotated[Count, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
SizeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]
"""Such as 1.5B; like any name it stands in run ids, which are folders, and words of commands."""


class Group(Frozen):
    """What all groups of runs share: one run per size and seed of everything the group names.

    Attributes:
        sizes: names from the study's ``sizes``.
        tokens: training tokens of each run: one count, or one per size. Written 600k, 2M, 1e9.
        steps: the same in optimiser steps, in place of ``tokens``.
        seeds: one run each; seeds change the initial weights and the order of the data.
        label: what a design calls the group; its kind unless given.
        decays: parts of ``tokens``, such as ``[0.25, 0.5, 1]``, at which decayed models are wanted.
            Each run is then one that stays at its learning rate, and a decay that branches off from
            it for each: as good as runs of those lengths, at the cost of the longest and the
            decays. None unless given: one run that decays at its end.
    """

    sizes: tuple[str, ...] = Field(min_length=1)
    tokens: PositiveCount | dict[str, PositiveCount] | None = None
    steps: PositiveCount | None = None
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    label: str | None = None
    decays: tuple[Annotated[float, Field(gt=0, le=1)], ...] = ()

    def codes(self) -> set[str]:
        """Languages that the group names, beyond ``all``."""
        return set()

    @model_validator(mode="after")
    def _every_size_has_tokens(self) -> Group:
        if (self.tokens is None) == (self.steps is None):
            raise ValueError("a group has either tokens or steps")
        if isinstance(self.tokens, dict) and set(self.tokens) != set(self.sizes):
            raise ValueError(
                f"tokens are given for {sorted(self.tokens)}, sizes are {sorted(self.sizes)}"
            )
        return self


class MonolingualGroup(Group):
    """Each language alone.

    Attributes:
        languages: a list, or ``all`` of the study's.
        vocabulary: ``study``, the one over all languages, or ``own``, one trained in the same way
            on the language alone. Losses of the two compare in bits per byte only.
    """

    kind: Literal["monolingual"]
    languages: Languages = ALL
    vocabulary: Literal["study", "own"] = "study"

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return named(self.languages)


class BilingualGroup(Group):
    """Pairs of languages, half and half: what a transfer score is measured on."""

    kind: Literal["bilingual"]
    pairs: tuple[Annotated[tuple[Code, Code], AfterValidator(distinct)], ...]

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return {code for pair in self.pairs for code in pair}


class CapacityGroup(Group):
    """Even mixtures of K languages.

    Attributes:
        sets: the languages of each, in a list or by a name for run ids; or ``all``, one mixture.
    """

    kind: Literal["capacity"]
    sets: Literal["all"] | dict[Name, CodeList] | tuple[CodeList, ...] = ALL

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return {code for _, one in self.listed() for code in one}

    def listed(self) -> list[tuple[str | None, tuple[str, ...]]]:
        """Name, if it has one, and languages of each set; nothing where it is ``all``."""
        if self.sets == ALL:
            return []
        return list(
            self.sets.items() if isinstance(self.sets, dict) else ((None, s) for s in self.sets)
        )


class UnimaxGroup(Group):
    """The Unimax mixture: equal tokens for every language, up to a cap on epochs.

    Attributes:
        name: for run ids, where a study has more than one.
        languages: a list, or ``all`` of the study's.
        max_epochs: of any one language's text; 10 unless given.
        rates: ``text``, by the distinct tokens that the corpus has, or ``published``, those of the
            ATLAS paper's Table B.4 for MADLAD-400.
    """

    kind: Literal["unimax"]
    name: Name = "unimax"
    languages: Languages = ALL
    max_epochs: float | None = Field(default=None, gt=0)
    rates: Literal["text", "published"] = "text"

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return named(self.languages)


class MixtureGroup(Group):
    """One mixture of any kind, named for its run ids: ``shares``, ``sampling`` or ``stages``.

    Attributes:
        name: stands in run ids.
        shares: the mixture, written out.
        sampling: the mixture, by a rule.
        stages: two and more mixtures, one after the other.
    """

    kind: Literal["mixture"]
    name: Name
    shares: Shares | None = None
    sampling: Sampling | None = None
    stages: Stages | None = None

    @model_validator(mode="after")
    def _has_one_mixture(self) -> MixtureGroup:
        if sum(given is not None for given in (self.shares, self.sampling, self.stages)) != 1:
            raise ValueError("a mixture has one of shares, sampling and stages")
        return self

    def codes(self) -> set[str]:
        """Languages that the group names."""
        if self.shares is not None:
            return set(self.shares)
        if self.sampling is not None:
            return self.sampling.codes()
        assert self.stages is not None
        return {code for stage in self.stages for code in stage.codes()}


class ContinuedGroup(Group):
    """Runs on one language each that start from the final weights of another run of the study.

    Attributes:
        languages: what to continue on, one run each.
        base: ``even``, the capacity run of ``base_set``; or the name of a unimax or mixture group.
            The base has the same size and seed.
        base_set: the languages of the capacity run.
    """

    kind: Literal["continued"]
    languages: CodeList
    base: str = "even"
    base_set: Languages = ALL

    def codes(self) -> set[str]:
        """Languages that the group names."""
        return set(self.languages) | named(self.base_set)


AnyGroup = Annotated[
    MonolingualGroup | BilingualGroup | CapacityGroup | UnimaxGroup | MixtureGroup | ContinuedGroup,
    Field(discriminator="kind"),
]


class Size(ModelShape):
    """A model size of a study: a shape, written out or by its scale.

    Attributes:
        scale: a row of Table B.3, 0 to 52, or one of the smaller ones below it, -1 to -6
            (``study/scales.py``); keys of the shape that are given beside it change it.
        lr: its stable learning rate; smaller models take larger ones.
        batch_size: sequences a step, where it is another than the study's.
        warmup_tokens: likewise.
        rule: ``fitted`` or ``table-b2``, by which those of the three follow that are left out
            (``study/hyperparameters.py``). Needed where there is no ``lr``.
    """

    scale: int | None = None
    lr: float | None = Field(default=None, gt=0)
    rule: Rule | None = None
    batch_size: int | None = Field(default=None, gt=0)
    warmup_tokens: Count | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _take_the_shape_of_the_scale(cls, given: Any) -> Any:
        scale = given.get("scale") if isinstance(given, dict) else None
        return given if scale is None else {**shape_of_scale(scale), **given}

    @model_validator(mode="after")
    def _has_a_learning_rate(self) -> Size:
        if self.lr is None and self.rule is None:
            raise ValueError("give a learning rate, lr, or a rule for it: fitted or table-b2")
        return self

    @property
    def shape(self) -> ModelShape:
        """The shape alone."""
        return ModelShape(**{name: getattr(self, name) for name in ModelShape.model_fields})


class StudySpec(Frozen):
    """The whole study.

    Attributes:
        name: short; it stands in every run record.
        languages: what groups may train on.
        evaluate: what every run is evaluated on: a list, or ``all``.
        corpus: where the text comes from.
        tokenizer: one vocabulary over all languages of the study.
        sequence_length: tokens of a training window.
        sizes: model shapes by name; the vocabulary size comes from ``tokenizer``.
        training: what all runs share.
        groups: the runs.
    """

    name: Name
    languages: CodeList = Field(min_length=1)
    evaluate: Languages = ALL
    corpus: CorpusSpec
    tokenizer: TokenizerSpec
    sequence_length: int = Field(default=128, gt=1)
    sizes: dict[SizeName, Size] = Field(min_length=1)
    training: SharedTraining
    groups: tuple[AnyGroup, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _groups_name_what_is_there(self) -> StudySpec:
        for index, group in enumerate(self.groups):
            for size in group.sizes:
                if size not in self.sizes:
                    raise InputError(
                        f"no size {size!r}",
                        value=list(group.sizes),
                        where=f"groups.{index}.sizes",
                        remedy=f"the sizes are {', '.join(self.sizes)}",
                    )
            self._refuse_others(group.codes(), f"groups.{index}")
        if self.tokenizer.file is not None and self.with_own_vocabulary:
            raise ValueError(
                "a group has vocabulary: own, and a tokenizer file cannot be trained anew; give "
                "vocab_size in place of file"
            )
        self._refuse_others(named(self.evaluate), "evaluate")
        return self

    def _refuse_others(self, codes: Iterable[str], where: str) -> None:
        for code in sorted(codes):
            if code not in self.languages:
                raise InputError(
                    f"{code} is not one of the study's languages",
                    value=code,
                    where=where,
                    remedy="add it to languages, or leave it out here",
                )

    @property
    def evaluated(self) -> tuple[str, ...]:
        """Languages that every run is evaluated on."""
        return self.members(self.evaluate)

    @property
    def with_own_vocabulary(self) -> tuple[str, ...]:
        """Languages that some run has a vocabulary of its own for, in the order of the study."""
        own = {
            code
            for group in self.groups
            if isinstance(group, MonolingualGroup) and group.vocabulary == "own"
            for code in self.members(group.languages)
        }
        return tuple(code for code in self.languages if code in own)

    def evaluated_in(self, vocabulary: str) -> tuple[str, ...]:
        """Languages that runs of a vocabulary are evaluated on: its own, or those of the study."""
        return self.evaluated if vocabulary == STUDY_VOCABULARY else (vocabulary,)

    def members(self, languages: Languages) -> tuple[str, ...]:
        """A list of languages as it is, ``all`` as the study's."""
        return self.languages if languages == ALL else tuple(languages)

    def tokens_of(self, group: Group, size: str) -> int:
        """Training tokens of a group's runs of ``size``."""
        if isinstance(group.tokens, dict):
            return group.tokens[size]
        if group.tokens is not None:
            return group.tokens
        assert group.steps is not None
        return group.steps * self.training_of(size).batch_size * self.sequence_length

    def model_of(self, size: str) -> ModelConfig:
        """The model of a size."""
        return ModelConfig(
            vocab_size=self.tokenizer.rows,
            sequence_length=self.sequence_length,
            **self.sizes[size].shape.model_dump(),
        )

    def training_of(self, size: str) -> TrainConfig:
        """How runs of a size are trained."""
        one = self.sizes[size]
        own = {"lr": one.lr, "batch_size": one.batch_size, "warmup_tokens": one.warmup_tokens}
        given = {name: value for name, value in own.items() if value is not None}
        return TrainConfig(**(self.training.model_dump() | self._by_rule(size) | given))

    def _by_rule(self, size: str) -> dict[str, float]:
        """What the rule of a size says, if it has one."""
        one, model = self.sizes[size], self.model_of(size)
        if one.rule is None:
            return {}
        if one.rule == "fitted":
            batch = one.batch_size or self.training.batch_size
            tokens = batch * self.sequence_length
            return {"lr": fitted(model.n_params_non_embedding, tokens).lr}
        said = table_b2(model.n_params)
        assert said.batch_size is not None
        assert said.warmup_steps is not None
        batch = one.batch_size or said.batch_size
        warmup = said.warmup_steps * batch * self.sequence_length
        return {"lr": said.lr, "batch_size": batch, "warmup_tokens": warmup}


def load_study(path: Path) -> StudySpec:
    """Read a study's YAML file.

    Raises:
        InputError: with file, line, value and remedy.
    """
    return load_config(path, StudySpec)


def study_path(name: str) -> Path:
    """The YAML file of a study that is named by it, or by the name of one of the package's.

    Raises:
        InputError: there is no such study.
    """
    packaged = packaged_studies()
    if Path(name).suffix in {".yaml", ".yml"} or Path(name).is_file():
        return Path(name)
    if name not in packaged:
        raise unknown(
            "there is no such study",
            name,
            packaged,
            where="SPEC",
            otherwise=f"give a YAML file, or one of: {', '.join(packaged)}",
        )
    return packaged[name]


def packaged_studies() -> dict[str, Path]:
    """Studies that come with the package, by name."""
    folder = Path(str(files("atlas_scaling"))) / "study" / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
