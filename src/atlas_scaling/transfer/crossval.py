"""How well models predict pairs that they were not shown.

What is held out together decides what the figure means:

- ``pairs``: a cell and its mirror. Other cells of both languages stay: the matrix has holes.
- ``languages``: every cell of one language, as target and as source: the language is new.
- ``cells``: single cells, as the paper did; a cell's mirror then tells much of it, and the figure
  flatters. It is here only to be compared with printed ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
    """

    model: str
    scheme: Scheme
    r2: float
    spearman: float
    rmse: float
    coverage: float
    width: float
    n: int


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

    found = []
    for held_out in folds(observations, scheme, seed):
        training = observations.take(~held_out)
        if len(training) < MIN_TRAINING:
            return None
        asked = observations.take(held_out & (observations.side == 0))
        predicted = model.fit(training, features).predict(asked.target, asked.source, level)
        found.append(
            np.stack([asked.score, predicted.score, predicted.lower, predicted.upper], axis=1)
        )
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
    )


def compare(
    models: Sequence[PairModel],
    observations: Observations,
    features: PairFeatures,
    *,
    schemes: Sequence[Scheme] = SCHEMES,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
) -> tuple[ModelScore, ...]:
    """Every model under every scheme that the observations allow."""
    scores = (
        cross_validate(model, observations, features, scheme=scheme, level=level, seed=seed)
        for scheme in schemes
        for model in models
    )
    return tuple(score for score in scores if score is not None)


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
