"""Mixtures as a study writes them: given shares, a rule, or two and more stages of either.

::

    shares: {swe_Latn: 0.7, dan_Latn: 0.3}
    sampling: {rule: unimax, max_epochs: 4}          # of the distinct tokens that the text has
    stages:                                          # one after the other, by part of the tokens
      - {fraction: 0.8, sampling: {rule: proportional}}
      - {fraction: 0.2, shares: {swe_Latn: 0.5, dan_Latn: 0.5}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from atlas_scaling.errors import InputError
from atlas_scaling.languages import normalise
from atlas_scaling.mixtures import (
    MIXTURE_TOLERANCE,
    TEMPERATURE,
    UNIMAX_EPOCHS,
    FloatArray,
    tempered,
    unimax,
)
from atlas_scaling.runs.record import Frozen

ALL: Final = "all"

Code = Annotated[str, BeforeValidator(normalise)]


def distinct(codes: tuple[str, ...]) -> tuple[str, ...]:
    """``codes``, refused where one stands twice."""
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


def _leave_room(shares: dict[str, float]) -> dict[str, float]:
    total = sum(shares.values())
    if min(shares.values(), default=1.0) <= 0 or total >= 1:
        raise ValueError(f"fixed shares must be above 0 and sum to less than 1, not {total:.6g}")
    return shares


CodeList = Annotated[tuple[Code, ...], AfterValidator(distinct)]
Languages = Literal["all"] | CodeList
Shares = Annotated[dict[Code, float], AfterValidator(_sums_to_one)]


class Sampling(Frozen):
    """A rule that gives shares once the distinct tokens of each language are known.

    Attributes:
        rule: uniform; proportional to distinct tokens; temperature, ∝ ``U^(1/T)``; or unimax,
            uniform with a cap on epochs (``atlas_scaling.mixtures``).
        temperature: T of the rule temperature; 1/0.3 unless given.
        max_epochs: cap of the rule unimax; 10 unless given.
        languages: among which; a list, or ``all`` of the study's.
        fixed: shares set by hand; the rule divides what they leave among the other languages.
    """

    rule: Literal["uniform", "proportional", "temperature", "unimax"]
    temperature: float | None = Field(default=None, ge=1)
    max_epochs: float | None = Field(default=None, gt=0)
    languages: Languages = ALL
    fixed: Annotated[dict[Code, float], AfterValidator(_leave_room)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _settings_belong_to_the_rule(self) -> Sampling:
        for setting, rule in (("temperature", "temperature"), ("max_epochs", "unimax")):
            if getattr(self, setting) is not None and self.rule != rule:
                raise ValueError(f"{setting} belongs to the rule {rule}, not to {self.rule}")
        return self

    def codes(self) -> set[str]:
        """Languages that the rule names, beyond ``all``."""
        return named(self.languages) | set(self.fixed)

    def mixture(
        self, languages: tuple[str, ...], unique: Mapping[str, int], *, tokens: float
    ) -> dict[str, float]:
        """Shares of ``tokens`` among ``languages`` with so many ``unique`` tokens.

        Raises:
            InputError: a language has no text, or nothing is left for the rule to divide.
        """
        codes = [code for code in languages if code not in self.fixed]
        if not codes:
            raise InputError(
                "every language of the mixture has a fixed share, so the rule divides nothing",
                value=dict(self.fixed),
                where="sampling.fixed",
                remedy="give them as shares instead",
            )
        empty = [code for code in codes if not unique.get(code)]
        if empty:
            raise InputError(
                "a mixture by rule needs text of each of its languages",
                value=empty,
                where="sampling.languages",
                remedy="leave them out, or give them text",
            )
        left = 1.0 - sum(self.fixed.values())
        counts = np.array([unique[code] for code in codes], dtype=np.float64)
        shares = dict(
            zip(codes, map(float, left * self._shares(counts, left * tokens)), strict=True)
        )
        return dict(sorted((self.fixed | shares).items()))

    def _shares(self, unique: FloatArray, tokens: float) -> FloatArray:
        match self.rule:
            case "uniform":
                return np.full(len(unique), 1.0 / len(unique))
            case "proportional":
                return tempered(unique, temperature=1.0)
            case "temperature":
                return tempered(unique, temperature=self.temperature or TEMPERATURE)
            case "unimax":
                return unimax(unique, tokens, epochs=self.max_epochs or UNIMAX_EPOCHS)


class Stage(Frozen):
    """A part of a run with a mixture of its own: ``shares`` or ``sampling``.

    Attributes:
        fraction: part of the run's tokens.
        shares: its mixture, written out.
        sampling: its mixture, by rule; the epochs of Unimax are counted within the stage.
    """

    fraction: float = Field(gt=0, le=1)
    shares: Shares | None = None
    sampling: Sampling | None = None

    @model_validator(mode="after")
    def _has_one_mixture(self) -> Stage:
        if (self.shares is None) == (self.sampling is None):
            raise ValueError("a stage has either shares or sampling")
        return self

    def codes(self) -> set[str]:
        """Languages that the stage names, beyond ``all``."""
        if self.shares is not None:
            return set(self.shares)
        assert self.sampling is not None
        return self.sampling.codes()


def _fill_the_run(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    total = sum(stage.fraction for stage in stages)
    if abs(total - 1.0) > MIXTURE_TOLERANCE:
        raise ValueError(f"the fractions of the stages must sum to 1, these sum to {total:.6g}")
    return stages


Stages = Annotated[tuple[Stage, ...], Field(min_length=2), AfterValidator(_fill_the_run)]


def named(languages: Languages) -> set[str]:
    """The codes of a list, none of ``all``."""
    return set() if languages == ALL else set(languages)
