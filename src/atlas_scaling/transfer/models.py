"""Models that fill a transfer matrix: the paper's forest, ours, and two plain ones to beat.

Each is fitted to measured pairs and then gives a score and an interval for any pair. Intervals are
set by how far the model missed pairs that it was not shown, scaled by its own idea of which pairs
are harder where it has one (conformal calibration).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.transfer.features import PairFeatures
from atlas_scaling.transfer.gaussian import Indices, Observations, PairProcess
from atlas_scaling.transfer.scores import MAX_BTS

Floats = NDArray[np.float64]

N_TREES: Final = 300
"""App. B.6: 300 trees of unlimited depth."""

_RIDGE: Final = 0.3


@dataclass(frozen=True, eq=False)
class Prediction:
    """Scores of pairs with intervals, each of shape ``(n,)``."""

    score: Floats
    lower: Floats
    upper: Floats


class FittedModel(Protocol):
    """A model that has seen measured pairs."""

    def predict(self, target: Indices, source: Indices, level: float) -> Prediction:
        """Score and interval of each pair."""


class PairModel(Protocol):
    """A way to fill a matrix."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def fit(self, observations: Observations, features: PairFeatures) -> FittedModel:
        """Learn from measured pairs."""


@dataclass(frozen=True)
class ProcessModel:
    """The Gaussian process of ``gaussian``: relatedness, target and source effects, low rank."""

    name: str = "process"

    def fit(self, observations: Observations, features: PairFeatures) -> FittedProcess:
        """Fit the variances, and look at how far pairs and languages are missed when left out."""
        return FittedProcess(observations, features)


class FittedProcess:
    """A process whose intervals are widened or narrowed to what it missed.

    A pair of two languages that were both seen is judged by pairs left out with their mirrors, a
    pair with a language never seen by languages left out with all their pairs.
    """

    def __init__(self, observations: Observations, features: PairFeatures) -> None:
        self.process = PairProcess(observations, features)
        self._seen = np.union1d(observations.target, observations.source)
        pairs = (observations.pair == pair for pair in np.unique(observations.pair))
        languages = (
            (observations.target == language) | (observations.source == language)
            for language in self._seen
        )
        self._missed_pairs = self._missed(observations, pairs)
        self._missed_languages = self._missed(observations, languages)

    def _missed(self, observations: Observations, groups: Iterable[NDArray[np.bool_]]) -> Floats:
        """By how many of its deviations the process misses values left out in groups, sorted."""
        missed = []
        for group in groups:
            block = np.flatnonzero(group)
            mean, sd = self.process.left_out(block)
            off = np.abs(mean - observations.score[block]) / sd
            missed.append(off[observations.side[block] == 0])
        return np.sort(np.concatenate(missed))

    def predict(self, target: Indices, source: Indices, level: float) -> Prediction:
        """Score and interval of each pair."""
        score, sd = self.process.predict(target, source)
        both_seen = np.isin(target, self._seen) & np.isin(source, self._seen)
        width = np.where(
            both_seen,
            _calibrated(self._missed_pairs, level),
            _calibrated(self._missed_languages, level),
        )
        return _prediction(score, width * sd)


@dataclass(frozen=True)
class ForestModel:
    """A random forest on the pair features: with those of ``fas_features``, the paper's.

    Its interval is the same for every pair: the quantile of what trees missed on pairs that were
    not in their sample.

    Attributes:
        name: what tables call it.
        with_means: let it know the mean score of each target and of each source as well. Features
            that are the same both ways, such as a shared script, say nothing of a language's own
            level; the paper's adaptation gains do.
        seed: of the trees.
    """

    name: str = "forest"
    with_means: bool = False
    seed: int = 0

    def fit(self, observations: Observations, features: PairFeatures) -> FittedForest:
        """Grow the trees; a censored score counts as its bound."""
        return FittedForest(observations, features, self.seed, with_means=self.with_means)


class FittedForest:
    """Trees, and what they missed out of their bags, sorted."""

    def __init__(
        self, observations: Observations, features: PairFeatures, seed: int, *, with_means: bool
    ) -> None:
        from sklearn.ensemble import RandomForestRegressor

        self._features = features
        self._means: list[tuple[Floats, Floats]] = []  # sum and count of each language's scores
        x = self._rows(observations.target, observations.source)
        if with_means:
            x = np.column_stack([x, *self._means_without_own(observations)])
        self._forest = RandomForestRegressor(
            n_estimators=N_TREES, oob_score=True, random_state=seed, n_jobs=1
        )
        self._forest.fit(x, observations.score)
        self._missed = np.sort(np.abs(self._forest.oob_prediction_ - observations.score))

    def predict(self, target: Indices, source: Indices, level: float) -> Prediction:
        """Score and interval of each pair."""
        score = np.asarray(self._forest.predict(self._rows(target, source)), dtype=np.float64)
        return _prediction(score, np.full(score.shape, conformal_quantile(self._missed, level)))

    def _rows(self, target: Indices, source: Indices) -> Floats:
        columns = [self._features.values[:, target, source].T]
        for (total, count), which in zip(self._means, (target, source), strict=False):
            columns.append(_mean(total[which], count[which], self._overall)[:, None])
        return np.concatenate(columns, axis=1)

    def _means_without_own(self, observations: Observations) -> list[Floats]:
        """Means of each observation's target and source over the others, so that none leaks."""
        n = len(self._features.codes)
        self._overall = float(observations.score.mean())
        columns = []
        for which in (observations.target, observations.source):
            total = np.bincount(which, weights=observations.score, minlength=n).astype(np.float64)
            count = np.bincount(which, minlength=n).astype(np.float64)
            self._means.append((total, count))
            own = total[which] - observations.score
            columns.append(_mean(own, count[which] - 1, self._overall))
        return columns


def _mean(total: Floats, count: Floats, otherwise: float) -> Floats:
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)


@dataclass(frozen=True)
class AdditiveModel:
    """``mean + target + source`` by ridge regression; knows nothing of languages."""

    name: str = "additive"

    def fit(self, observations: Observations, features: PairFeatures) -> FittedLinear:
        """Least squares with a small ridge on the effects."""
        n = len(features.codes)
        return FittedLinear(observations, np.eye(n), np.eye(n))


@dataclass(frozen=True)
class MeanModel:
    """The mean of all measured pairs."""

    name: str = "mean"

    def fit(self, observations: Observations, features: PairFeatures) -> FittedLinear:
        """Take the mean."""
        nothing = np.zeros((len(features.codes), 0))
        return FittedLinear(observations, nothing, nothing)


class FittedLinear:
    """Ridge regression on columns of the target and of the source, and what it missed left out."""

    def __init__(self, observations: Observations, of_target: Floats, of_source: Floats) -> None:
        self._of_target, self._of_source = of_target, of_source
        self._mean = float(observations.score.mean())
        x = self._rows(observations.target, observations.source)
        y = observations.score - self._mean
        inverse = np.linalg.inv(x.T @ x + _RIDGE * np.eye(x.shape[1]))
        self._weights = inverse @ x.T @ y
        n = len(observations)
        # What each observation would be missed by if left out: its residual over 1 - leverage.
        leverage = np.einsum("ij,jk,ik->i", x, inverse, x) + 1 / n
        self._missed = np.sort(np.abs(y - x @ self._weights) / np.maximum(1 - leverage, 1 / n))

    def predict(self, target: Indices, source: Indices, level: float) -> Prediction:
        """Score and interval of each pair."""
        score = self._mean + self._rows(target, source) @ self._weights
        return _prediction(score, np.full(score.shape, conformal_quantile(self._missed, level)))

    def _rows(self, target: Indices, source: Indices) -> Floats:
        return np.concatenate([self._of_target[target], self._of_source[source]], axis=1)


def conformal_quantile(missed: Floats, level: float) -> float:
    """The ``ceil((n + 1) level)``-th smallest miss; the largest where n is too small for that."""
    if not missed.size:
        return np.inf
    rank = int(np.ceil((missed.size + 1) * level))
    return float(missed[min(rank, missed.size) - 1])


def _calibrated(missed: Floats, level: float) -> float:
    """The conformal quantile; with too few misses for one, no less than the normal quantile."""
    from scipy.special import ndtri

    enough = int(np.ceil((missed.size + 1) * level)) <= missed.size
    quantile = conformal_quantile(missed, level) if missed.size else 0.0
    return quantile if enough else max(quantile, float(ndtri((1 + level) / 2)))


def _prediction(score: Floats, half: Floats) -> Prediction:
    """No score is above ``MAX_BTS`` by definition."""
    bounded = np.minimum(score, MAX_BTS)
    return Prediction(bounded, score - half, np.minimum(score + half, MAX_BTS))
