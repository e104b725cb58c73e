"""A Gaussian process over pairs of languages: a transfer matrix with holes, filled with intervals.

A score is a sum of parts, each with a variance that the data choose::

    BTS(s -> t) = mean + target_t + source_s + sum_f weight_f x_f(s, t) + low-rank part + noise

Target and source effects are partly a language's own, partly those of languages alike. The
low-rank part has covariance ``P(t, t') P(s, s')``, which is a bilinear model ``u_t' W v_s`` with as
many ranks as the data support; a second one is the same in both directions of a pair, because
measured scores are nearly symmetric once target and source effects are off. P is the likeness of
two languages in script, family, branch and whatever else is known (``features``).

A censored score is a bound, not a value: its likelihood ``P(score <= bound)`` enters by expectation
propagation (Minka 2001; Rasmussen & Williams 2006, section 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.transfer.features import PairFeatures

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

# Variances beforehand, in units of that of the scores; each may well be e^3 times more or less.
_PRIOR_VARIANCES: Final = {
    "mean": 1.0,
    "target": 0.3,
    "target kin": 0.3,
    "source": 0.05,
    "source kin": 0.05,
    "feature": 0.1,
    "pair": 0.05,
    "both ways": 0.05,
    "noise": 0.05,
}
_PRIOR_LOG_SD: Final = 1.5
_MANY_LANGUAGES: Final = 100_000
_EP_SWEEPS: Final = 20
_EP_DAMPING: Final = 0.7
_ROUNDS: Final = 3


@dataclass(frozen=True, eq=False)
class Observations:
    """Measured pairs.

    Attributes:
        target, source: indices into the languages of the features, shape ``(n,)``.
        score: BTS, or the bound of a censored one.
        side: 0 for a value, -1 where the score is below ``score``, 1 where it is above.
        sd: standard deviation of the measurement; 0 where not known.
    """

    target: Indices
    source: Indices
    score: Floats
    side: NDArray[np.int64]
    sd: Floats

    def __len__(self) -> int:
        return len(self.score)

    def take(self, which: NDArray[np.bool_] | Indices) -> Observations:
        """Some of them."""
        return Observations(
            self.target[which],
            self.source[which],
            self.score[which],
            self.side[which],
            self.sd[which],
        )

    @property
    def pair_of(self) -> Indices:
        """A number for each unordered pair that is the same in every part of the observations."""
        both = np.sort(np.stack([self.target, self.source]), axis=0)
        numbers: Indices = both[0] * _MANY_LANGUAGES + both[1]
        return numbers

    @cached_property
    def pair(self) -> Indices:
        """A number for each unordered pair: a cell and its mirror share it."""
        return np.unique(self.pair_of, return_inverse=True)[1].reshape(-1)


class _Kernel:
    """Covariances between pairs as a sum of parts."""

    def __init__(self, features: PairFeatures) -> None:
        self.features = features
        self.likeness = (np.eye(len(features.codes)) + features.likeness) / 2
        first = ("mean", "target", "target kin", "source", "source kin")
        self.kinds = (*first, *(["feature"] * len(features.names)), "pair", "both ways", "noise")
        self.names = (*first, *features.names, "pair", "both ways", "noise")

    def parts(self, t: Indices, s: Indices, t2: Indices, s2: Indices) -> Floats:
        """Each part between pairs ``(t, s)`` and ``(t2, s2)``, shape ``(n_parts, n, m)``."""
        P, alike = self.likeness, self.features.likeness
        same_t, same_s = np.equal.outer(t, t2), np.equal.outer(s, s2)
        x, x2 = self.features.values[:, t, s], self.features.values[:, t2, s2]
        straight = P[np.ix_(t, t2)] * P[np.ix_(s, s2)]
        crossed = P[np.ix_(t, s2)] * P[np.ix_(s, t2)]
        return np.stack(
            [
                np.ones(same_t.shape),
                same_t.astype(np.float64),
                alike[np.ix_(t, t2)],
                same_s.astype(np.float64),
                alike[np.ix_(s, s2)],
                *(x[:, :, None] * x2[:, None, :]),
                straight,
                straight + crossed,
            ]
        )

    def diagonal(self, t: Indices, s: Indices) -> Floats:
        """Each part of a pair with itself, shape ``(n_parts, n)``."""
        one = np.ones(len(t))
        x = self.features.values[:, t, s]
        return np.stack([*([one] * 5), *x**2, one, 1 + self.likeness[t, s] ** 2])


class PairProcess:
    """The process fitted to observations.

    Args:
        observations: at least three, with two different scores.
        features: of all languages that are to be predicted.

    Attributes:
        variances: of each part, by name, in units of BTS squared; features by their own name.
    """

    def __init__(self, observations: Observations, features: PairFeatures) -> None:
        self._seen = observations
        self._kernel = _Kernel(features)
        self._centre = float(observations.score.mean())
        self._scale = float(observations.score.std()) or 1.0
        o = observations
        self._parts = self._kernel.parts(o.target, o.source, o.target, o.source)
        self._prior = np.log([_PRIOR_VARIANCES[kind] for kind in self._kernel.kinds])
        self._own_noise = (o.sd / self._scale) ** 2
        self._y = (o.score - self._centre) / self._scale
        self._extra = np.zeros(len(o))  # noise of the stand-ins of censored scores
        self._log_variances = self._prior.copy()
        for _ in range(_ROUNDS if (o.side != 0).any() else 1):
            self._log_variances = self._most_likely()
            self._stand_in_for_bounds()
        self._solve()

    @property
    def variances(self) -> dict[str, float]:
        """Of each part in units of BTS squared."""
        values = np.exp(self._log_variances) * self._scale**2
        return dict(zip(self._kernel.names, map(float, values), strict=True))

    def predict(self, target: Indices, source: Indices) -> tuple[Floats, Floats]:
        """Mean and standard deviation of a new measurement of each pair, shape ``(m,)``.

        The deviation holds the error of a measurement like those seen: intervals are checked, and
        will be read, against measurements.
        """
        weights, noise = np.exp(self._log_variances[:-1]), np.exp(self._log_variances[-1])
        o = self._seen
        parts = self._kernel.parts(target, source, o.target, o.source)
        cross = np.tensordot(weights, parts, axes=1)
        mean = cross @ self._alpha
        own = weights @ self._kernel.diagonal(target, source)
        explained = ((cross @ self._inverse) * cross).sum(axis=1)
        values = o.side == 0
        error = float(self._own_noise[values].mean()) if values.any() else 0.0
        deviation = np.sqrt(np.maximum(own - explained, 0.0) + noise + error)
        return self._centre + self._scale * mean, self._scale * deviation

    def left_out(self, block: Indices) -> tuple[Floats, Floats]:
        """Mean and deviation of some observations when they are left out, variances kept.

        Args:
            block: which observations are left out together, shape ``(m,)``.
        """
        covariance = np.linalg.inv(self._inverse[np.ix_(block, block)])
        mean = self._y[block] - covariance @ self._alpha[block]
        deviation = np.sqrt(np.diag(covariance))
        return self._centre + self._scale * mean, self._scale * deviation

    def _noise(self, log_noise: float) -> Floats:
        return np.add(np.exp(log_noise), self._own_noise + self._extra)

    def _most_likely(self) -> Floats:
        """Log variances of the largest posterior, by L-BFGS with the exact gradient."""
        from scipy.optimize import minimize

        def objective(log_v: Floats) -> tuple[float, Floats]:
            weights = np.exp(log_v)
            K = np.tensordot(weights[:-1], self._parts, axes=1)
            K[np.diag_indices_from(K)] += self._noise(log_v[-1])
            inverse = np.linalg.inv(K)
            alpha = inverse @ self._y
            away = (log_v - self._prior) / _PRIOR_LOG_SD
            value = 0.5 * (self._y @ alpha + np.linalg.slogdet(K)[1] + away @ away)
            # d/dK of the log likelihood is (alpha alpha' - K^-1) / 2.
            slope = 0.5 * (inverse - np.outer(alpha, alpha))
            gradient = np.append(
                weights[:-1] * np.einsum("kij,ij->k", self._parts, slope),
                weights[-1] * np.trace(slope),
            )
            return float(value), gradient + away / _PRIOR_LOG_SD

        # No optimum lies four prior deviations out, but a step could go there, where K is singular.
        bounds = [(v - 4 * _PRIOR_LOG_SD, v + 4 * _PRIOR_LOG_SD) for v in self._prior]
        found = minimize(objective, self._log_variances, jac=True, method="L-BFGS-B", bounds=bounds)
        return np.asarray(found.x, dtype=np.float64)

    def _stand_in_for_bounds(self) -> None:
        """Values with noise that do to the process what the censored scores do."""
        censored = np.flatnonzero(self._seen.side)
        if not censored.size:
            return
        weights = np.exp(self._log_variances[:-1])
        K = np.tensordot(weights, self._parts, axes=1)
        base = np.exp(self._log_variances[-1]) + self._own_noise
        bound = (self._seen.score - self._centre) / self._scale
        precision = 1 / base
        shift = precision * self._y
        precision[censored], shift[censored] = 1e-6, 0.0
        for _ in range(_EP_SWEEPS):
            covariance = np.linalg.inv(
                np.linalg.inv(K + 1e-9 * np.eye(len(K))) + np.diag(precision)
            )
            mean = covariance @ shift
            for i in censored:
                site = _bound_site(
                    mean[i],
                    covariance[i, i],
                    precision[i],
                    shift[i],
                    bound[i],
                    base[i],
                    int(self._seen.side[i]),
                )
                precision[i] += _EP_DAMPING * (site[0] - precision[i])
                shift[i] += _EP_DAMPING * (site[1] - shift[i])
        self._y = np.where(self._seen.side != 0, shift / precision, self._y)
        self._extra = np.where(self._seen.side != 0, np.maximum(1 / precision - base, 0.0), 0.0)

    def _solve(self) -> None:
        K = np.tensordot(np.exp(self._log_variances[:-1]), self._parts, axes=1)
        K[np.diag_indices_from(K)] += self._noise(self._log_variances[-1])
        self._inverse = np.linalg.inv(K)
        self._alpha = self._inverse @ self._y


def _bound_site(
    mean: float,
    variance: float,
    precision: float,
    shift: float,
    bound: float,
    noise: float,
    side: int,
) -> tuple[float, float]:
    """The Gaussian that replaces one bound: its precision, and that times its mean.

    Args:
        mean: of the current posterior at this observation.
        variance: likewise.
        precision: of the Gaussian that stands there now.
        shift: its precision times its mean.
        bound: the score is below it (side -1) or above it (side 1), give or take ``noise``.
        noise: variance of the measurement.
        side: as above.
    """
    from scipy.special import log_ndtr

    cavity_variance = 1 / max(1 / variance - precision, 1e-9)
    cavity_mean = cavity_variance * (mean / variance - shift)
    spread = np.sqrt(noise + cavity_variance)
    z = side * (cavity_mean - bound) / spread
    ratio = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_ndtr(z))  # N(z) / Phi(z)
    new_mean = cavity_mean + side * cavity_variance * ratio / spread
    new_variance = cavity_variance - cavity_variance**2 * ratio * (z + ratio) / spread**2
    new_precision = max(1 / new_variance - 1 / cavity_variance, 1e-6)
    return new_precision, new_mean * (new_precision + 1 / cavity_variance) - (
        cavity_mean / cavity_variance
    )
