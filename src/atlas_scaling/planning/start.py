"""Train a language from scratch, or continue from a multilingual checkpoint?

Continuing is ahead at first; a model trained from scratch on the language overtakes it after the
crossover, ``D_x`` tokens of the language. Published (ATLAS paper, Section 6): ``D_x`` of eight
languages at 2B parameters (Fig. 6), and ``C = a N^b`` over ten languages in two variants, the
text's and the legend's of Fig. 7. From these, at N parameters:

- for a language of Fig. 6: its own ``D_x``, moved from 2B to N by either variant; beside it the two
  variants as they stand. Their spread is the range; single curves give no probability.
- for another language: the variants at N, and about them the spread between the languages of
  Fig. 6, a t distribution in ``log D_x`` with 7 degrees of freedom. That takes the language for one
  like those eight, which all have plenty of text.

Both rest on one checkpoint. For another one, which saw r times as many tokens of the language, the
range is widened by a crossover that does not move at all to one that moves in proportion to r;
nothing published says where between, so there is no probability then.

Better than either are the team's own two loss curves (``start_from_curves``) or crossovers at
several sizes (``fit_crossovers``). Tokens are always those of the target language, not of a
mixture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from atlas_scaling.answers import DEFAULT_LEVEL, Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.languages import language, normalise, relatives
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.published import crossover
from atlas_scaling.published.mixtures import unimax_mixture
from atlas_scaling.published.regime_laws import regime_laws
from atlas_scaling.published.tables import PAPER
from atlas_scaling.units import format_count, plain

BASE_TOKENS: Final = 1e12
EPOCHS_WORTH_A_WARNING: Final = 4.0
"""Muennighoff et al. 2023: up to four epochs are worth nearly as much as fresh text."""


class Recommendation(StrEnum):
    """What to do."""

    SCRATCH = "scratch"
    CONTINUE = "continue"
    UNDECIDED = "undecided"


class Evidence(StrEnum):
    """What a crossover was read from."""

    PUBLISHED = "published"
    MEASURED = "measured"
    EXTRAPOLATED = "extrapolated"
    FITTED = "fitted"
    CENSORED = "censored"


@dataclass(frozen=True)
class BaseCheckpoint(Answer):
    """What is continued from.

    Attributes:
        description: in words.
        tokens: training tokens of the checkpoint in all; None if not known.
        language_share: share of the target language in them; None if not known.
        language_tokens: the product.
    """

    description: str
    tokens: float | None = None
    language_share: float | None = None
    language_tokens: float | None = None


@dataclass(frozen=True)
class StartAdvice(Answer):
    """Scratch or continue.

    Attributes:
        language: the target.
        n_params: of the model.
        tokens: of the target language that the run will see.
        recommendation: scratch, continue or undecided.
        crossover_tokens: tokens of the target at which scratch overtakes; the value is None where
            nothing but a bound is known, and an interval's open end is null.
        crossover_flops: the same as ``6 N D``; the checkpoint's own compute is not counted.
        likely_range: lowest and highest crossover that the evidence allows.
        range_basis: what the range is.
        probability_scratch_better: at ``tokens``; None where no probability is supported.
        evidence: what the crossover was read from.
        readings: each reading of the crossover by name, tokens.
        basis: the checkpoint that the answer rests on.
        level: of intervals, and of the certainty a recommendation takes.
        source, law: what the answer rests on.
        warnings: what limits it.
    """

    language: str
    n_params: float
    tokens: float
    recommendation: Recommendation
    crossover_tokens: Estimate
    crossover_flops: Estimate
    likely_range: tuple[float, float] | None
    range_basis: str
    probability_scratch_better: float | None
    evidence: Evidence
    readings: dict[str, float]
    basis: BaseCheckpoint
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = field(default=())


def start(
    target: str,
    *,
    n_params: float,
    tokens: float,
    share: float = 1.0,
    unique_tokens: float | None = None,
    base_language_tokens: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> StartAdvice:
    """Scratch or continue, by the published crossovers.

    Args:
        target: the language to be served.
        n_params: model size, embeddings counted.
        tokens: training tokens of the run.
        share: of the target language in them.
        unique_tokens: distinct tokens of the target that there are; the published count where the
            paper prints one.
        base_language_tokens: of the target that your checkpoint saw; the published one's if not
            given.
        level: of the range for a language that Fig. 6 does not have.

    >>> start("vi", n_params=2e9, tokens=100e9).recommendation.value
    'continue'
    >>> start("vi", n_params=2e9, tokens=400e9).recommendation.value
    'scratch'

    Raises:
        InputError: an unknown language, or a number out of range.
    """
    code = normalise(target)
    check_question(n_params=n_params, tokens=tokens, share=share, level=level)
    check_above_zero(unique_tokens=unique_tokens)
    own = _in_figure_6(code)
    readings = _readings(own, n_params)
    seen = tokens * share
    if own is not None:
        low, high = min(readings.values()), max(readings.values())
        value = _geometric_mean([readings[name] for name in readings if name.startswith("Fig. 6")])
        probability = None
        range_basis = "lowest and highest published reading; no confidence interval"
    else:
        value = _geometric_mean(list(readings.values()))
        low, high, probability = _as_one_of_figure_6(readings, seen, level)
        range_basis = (
            f"{100 * level:g}% of languages, if this one is like the eight of Fig. 6, in both "
            "variants of the law"
        )
    base = _published_base(own or code)
    widened: list[str] = []
    if base_language_tokens is not None:
        check_above_zero(base_language_tokens=base_language_tokens)
        low, high, widened = _for_another_base(low, high, base_language_tokens, base)
        range_basis += ", widened for another checkpoint"
        probability = None
    return StartAdvice(
        language=code,
        n_params=n_params,
        tokens=seen,
        recommendation=by_range(seen, low, high),
        crossover_tokens=Estimate(value),
        crossover_flops=Estimate(training_flops(n_params, value)),
        likely_range=(low, high),
        range_basis=range_basis,
        probability_scratch_better=probability,
        evidence=Evidence.PUBLISHED,
        readings=readings,
        basis=base,
        level=level,
        source=f"{PAPER}, Section 6, Fig. 6 and the legend of Fig. 7",
        law="crossover: C = a N^b, D = C / (6 N)",
        warnings=(*widened, *_warnings(code, own, n_params, seen, share, unique_tokens)),
    )


def _for_another_base(
    low: float, high: float, tokens: float, base: BaseCheckpoint
) -> tuple[float, float, list[str]]:
    """The range for a checkpoint with other tokens of the target, and what is said of it.

    Raises:
        InputError: what the published checkpoint saw of the target is not known.
    """
    if base.language_tokens is None:
        raise InputError(
            "the published checkpoint's tokens of this language are not known",
            value=base.description,
            where="base_language_tokens",
            remedy="leave it out, or give two curves of your own",
        )
    ratio = tokens / base.language_tokens
    said = (
        f"your checkpoint saw {plain(ratio)} times the target tokens of the published one: the "
        "range reaches from a crossover that this does not move to one that moves in proportion"
    )
    return low * min(ratio, 1.0), high * max(ratio, 1.0), [said]


def by_range(tokens: float, low: float, high: float) -> Recommendation:
    """Scratch above the range of crossovers, continue below it."""
    if tokens > high:
        return Recommendation.SCRATCH
    return Recommendation.CONTINUE if tokens < low else Recommendation.UNDECIDED


def check_question(*, n_params: float, tokens: float, share: float, level: float) -> None:
    """Refuse numbers out of range, with the name of the number.

    Raises:
        InputError: a number is out of range.
    """
    check_above_zero(n_params=n_params, tokens=tokens, share=share)
    if share > 1:
        raise InputError("a share lies above 0 and up to 1", value=share, where="share")
    if not 0 < level < 1:
        raise InputError("a level lies between 0 and 1", value=level, where="level")


def _in_figure_6(code: str) -> str | None:
    """The code that Fig. 6 has for this language: itself, or the one near relative that it has."""
    if code in crossover.CROSSOVER_TOKENS:
        return code
    near = [kin.code for kin in relatives(code) if kin.code in crossover.CROSSOVER_TOKENS]
    same = [kin for kin in near if language(kin).iso639_3 == language(code).iso639_3]
    found = same or near
    return found[0] if len(found) == 1 else None


def _readings(own: str | None, n_params: float) -> dict[str, float]:
    readings = {f"{name} of the law": law.tokens(n_params) for name, law in crossover.LAWS.items()}
    if own is not None:
        at_2b = crossover.CROSSOVER_TOKENS[own]
        for name, law in crossover.LAWS.items():
            moved = law.tokens(n_params) / law.tokens(crossover.CROSSOVER_N_PARAMS)
            readings[f"Fig. 6, moved to N by the {name}"] = at_2b * moved
    return readings


def _as_one_of_figure_6(
    readings: dict[str, float], tokens: float, level: float
) -> tuple[float, float, float]:
    """Range of crossovers and the probability that ``tokens`` are beyond them."""
    from scipy.special import stdtr, stdtrit

    logs = [math.log(value) for value in crossover.CROSSOVER_TOKENS.values()]
    n = len(logs)
    mean = math.fsum(logs) / n
    variance = math.fsum((x - mean) ** 2 for x in logs) / (n - 1)
    spread = math.sqrt(variance * (1 + 1 / n))  # of one more language about a mean of n
    reach = math.exp(float(stdtrit(n - 1, 0.5 + level / 2)) * spread)
    chances = [
        float(stdtr(n - 1, math.log(tokens / value) / spread)) for value in readings.values()
    ]
    low, high = min(readings.values()) / reach, max(readings.values()) * reach
    return low, high, math.fsum(chances) / len(chances)


def _geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _published_base(code: str) -> BaseCheckpoint:
    share = unimax_mixture().get(code)
    return BaseCheckpoint(
        description=crossover.BASE_CHECKPOINT,
        tokens=BASE_TOKENS,
        language_share=share,
        language_tokens=None if share is None else BASE_TOKENS * share,
    )


def _warnings(
    code: str,
    own: str | None,
    n_params: float,
    tokens: float,
    share: float,
    unique_tokens: float | None,
) -> list[str]:
    said = [
        "rests on one base checkpoint, one run a size and language, and curves interpolated by the "
        "authors; a checkpoint that saw more of this language moves the crossover up"
    ]
    if own is not None and own != code:
        said.append(f"read from {language(own)}; the paper does not tell it from {code}")
    if own is None:
        known = "but in the law's ten" if code in crossover.LANGUAGES else "nor in the law's ten"
        said.append(
            f"{code} is not in Fig. 6 ({known}): range and probability say how languages like its "
            "eight differ; noise of single curves and another checkpoint are not in them"
        )
    else:
        said.append("Fig. 6 does not name its panels' numbers; languages follow the reading order")
    low, high = crossover.N_PARAMS_RANGE
    if not low <= n_params <= high:
        said.append(
            f"extrapolated: {format_count(n_params)} parameters, the law rests on "
            f"{format_count(low)}-{format_count(high)}"
        )
    if share < 1:
        said.append(
            "the published runs train on the target language alone; what others in the mixture "
            "add is not in this answer"
        )
    said += _repetition_warnings(code, tokens, unique_tokens)
    return said


def _repetition_warnings(code: str, tokens: float, unique_tokens: float | None) -> list[str]:
    printed = {law.language: law.unique_tokens for law in regime_laws()}
    unique = printed.get(code) if unique_tokens is None else unique_tokens
    if unique is None or tokens <= EPOCHS_WORTH_A_WARNING * unique:
        return []
    whose = "in MADLAD-400 (Table C.1)" if unique_tokens is None else "that you have"
    return [
        f"{tokens / unique:.0f} epochs over the {format_count(unique)} distinct tokens {whose}: "
        "the published crossovers are of languages with enough text, repeats are worth less"
    ]
