"""How well models predict pairs that they were not shown.

What is held out together decides what the figure means:

- ``pairs``: a cell and its mirror. Other cells of both languages stay: the matrix has holes.
- ``languages``: every cell of one language, as target and as source: the language is new.
- ``cells``: single cells, as the paper did; a cell's mirror then tells much of it, and the figure
  flatters. It is here only to be compared with printed ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.transfer.features import PairFeatures
from atlas_scaling.transfer.gaussian import Observations
from atlas_scaling.transfer.models import PairModel

Scheme = Literal["pairs", "languages", "cells"]
SCHEMES: Final[tuple[Scheme, ...]] = get_args(Scheme)
N_FOLDS: Final = 9
MIN_TRAINING: Final = 6
N_RESAMPLES: Final = 4000
SURE: Final = 0.95
"""Below this probability two models are not told apart."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ModelScore(Answer):
    """One model under one scheme, over all held-out values.

    Attributes:
        model: its name.
        scheme: what was held out together.
        r2: share of the variance explained, against the mean of the held-out values.
        spearman: rank correlation.
        rmse: in BTS.
        coverage: share of held-out values inside their interval.
        width: mean width of the intervals.
        n: held-out values; censored ones are not counted.
        errors: prediction less value, shape ``(n,)`` (not in the JSON).
        group: of each, what was left out together, same shape (likewise).
    """

    model: str
    scheme: Scheme
    r2: float
    spearman: float
    rmse: float
    coverage: float
    width: float
    n: int
    errors: Floats = field(repr=False, compare=False)
    group: NDArray[np.int64] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Contest(Answer):
    """Two models on the same held-out values.

    Attributes:
        scheme: what was held out together.
        model: the first.
        other: the second.
        r2_gain: R2 of the first less that of the second.
        probability: that the first predicts better, over resamples of what was left out together.
    """

    scheme: Scheme
    model: str
    other: str
    r2_gain: float
    probability: float

    @property
    def verdict(self) -> str:
        """In words: which is better, if that can be told."""
        if self.probability >= SURE:
            return "better"
        return "worse" if self.probability <= 1 - SURE else "not told apart"


@one_thread()
def cross_validate(
    model: PairModel,
    observations: Observations,
    features: PairFeatures,
    *,
    scheme: Scheme,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
) -> ModelScore | None:
    """Fit ``model`` without each fold and see how it predicts it.

    Args:
        model: what to try.
        observations: measured pairs.
        features: of their languages.
        scheme: what is held out together.
        level: of the intervals whose coverage is measured.
        seed: of the folds of ``pairs`` and ``cells``.

    Returns:
        None where folds leave less than ``MIN_TRAINING`` observations to learn from.
    """
    from scipy.stats import spearmanr

    found, groups = [], []
    for number, held_out in enumerate(folds(observations, scheme, seed)):
        training = observations.take(~held_out)
        if len(training) < MIN_TRAINING or np.ptp(training.score) == 0:
            return None
        asked = observations.take(held_out & (observations.side == 0))
        if not len(asked):
            continue  # nothing but bounds was held out
        groups.append(np.full(len(asked), number) if scheme == "languages" else asked.pair_of)
        predicted = model.fit(training, features).predict(asked.target, asked.source, level)
        found.append(
            np.stack([asked.score, predicted.score, predicted.lower, predicted.upper], axis=1)
        )
    if not found:
        return None
    truth, score, lower, upper = np.concatenate(found).T
    if truth.size < 2 or truth.std() == 0:
        return None
    varies = score.std() > 0
    return ModelScore(
        model=model.name,
        scheme=scheme,
        r2=float(1 - np.mean((score - truth) ** 2) / truth.var()),
        spearman=float(spearmanr(score, truth).statistic) if varies else 0.0,
        rmse=float(np.sqrt(np.mean((score - truth) ** 2))),
        coverage=float(np.mean((lower <= truth) & (truth <= upper))),
        width=float(np.mean(upper - lower)),
        n=truth.size,
        errors=score - truth,
        group=np.concatenate(groups),
    )


def contest(first: ModelScore, second: ModelScore, *, seed: int = 0) -> Contest:
    """How surely ``first`` predicts better than ``second``; both of one scheme and seed."""
    assert first.scheme == second.scheme
    assert np.array_equal(first.group, second.group), "the same values were held out"
    gain = second.errors**2 - first.errors**2
    _, member = np.unique(first.group, return_inverse=True)
    gain_G = np.bincount(member, weights=gain)  # one a group
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn_RG = rng.integers(0, gain_G.size, (N_RESAMPLES, gain_G.size))
    total_R = gain_G[drawn_RG].sum(axis=1)
    return Contest(
        scheme=first.scheme,
        model=first.model,
        other=second.model,
        r2_gain=first.r2 - second.r2,
        probability=float(np.mean(total_R > 0) + np.mean(total_R == 0) / 2),
    )


def compare(
    models: Sequence[PairModel],
    observations: Observations,
    features: PairFeatures,
    *,
    schemes: Sequence[Scheme] = SCHEMES,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    tell: Callable[[], None] = lambda: None,
) -> tuple[ModelScore, ...]:
    """Every model under every scheme that the observations allow; ``tell`` is called after each."""
    scores = []
    for scheme in schemes:
        for model in models:
            found = cross_validate(
                model, observations, features, scheme=scheme, level=level, seed=seed
            )
            scores += [] if found is None else [found]
            tell()
    return tuple(scores)


def folds(observations: Observations, scheme: Scheme, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Masks of what is held out, each of shape ``(n,)``."""
    if scheme == "languages":
        for language in np.union1d(observations.target, observations.source):
            yield (observations.target == language) | (observations.source == language)
        return
    groups = observations.pair if scheme == "pairs" else np.arange(len(observations))
    rng = np.random.Generator(np.random.PCG64(seed))
    order = rng.permutation(np.unique(groups))
    for fold in range(min(N_FOLDS, order.size)):
        yield np.isin(groups, order[fold::N_FOLDS])
