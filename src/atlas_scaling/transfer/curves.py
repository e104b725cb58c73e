"""A loss curve from noisy evaluations: smooth, falling, and with draws of what else it could be.

In ``x = log tokens, y = log loss`` a curve is a straight line plus a smooth deviation, the cubic
smoothing spline of ``spline``. Why this and not another:

- its stiffest form, no deviation, is the power law ``L = B D^-b``, so the fewer and noisier the
  points, the closer it stays to one; with many it follows bends that no three-parameter law can;
- nearest checkpoints turn into last checkpoints without a word, and isotonic regression runs
  through its own pools: no residual is left to tell the noise by, and on a pool one loss belongs to
  many token counts.

The curve is then rearranged to fall (values sorted along the grid), which brings an estimate of a
falling function closer to it everywhere (Chernozhukov, Fernandez-Val & Galichon 2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.workers import one_thread
from atlas_scaling.transfer.spline import Floats, SmoothingSpline
from atlas_scaling.units import format_count

MIN_POINTS: Final = 3
MIN_POINTS_FOR_NOISE: Final = 4
"""A line takes two of the points; telling the noise takes at least two more."""

GRID_SIZE: Final = 128
_RISE_IN_NOISE: Final = 4.0
_RISE_IN_LOG_LOSS: Final = 0.005


@dataclass(frozen=True, eq=False)
class LossPoints:
    """Evaluations of one language, of one run or of several that differ by seed only.

    Attributes:
        tokens: tokens, bytes or other units of text seen in all, shape ``(n,)``, above zero.
        loss: in any one unit above zero, same shape.
        run: which run each belongs to, counted from 0, same shape; all of one run if not given.
        name: what messages call them.
    """

    tokens: Floats
    loss: Floats
    run: NDArray[np.int64]
    name: str

    @classmethod
    def of(
        cls,
        tokens: Floats | list[float],
        loss: Floats | list[float],
        *,
        run: NDArray[np.int64] | list[int] | None = None,
        name: str = "loss curve",
    ) -> LossPoints:
        """Check and sort; points at no tokens are left out, a logarithm has no place for them.

        Raises:
            InputError: lengths differ, a value is not finite or not above zero, or fewer than
                ``MIN_POINTS`` different token counts are left.
        """
        D = np.asarray(tokens, dtype=np.float64)
        L = np.asarray(loss, dtype=np.float64)
        runs = np.zeros(D.shape, np.int64) if run is None else np.asarray(run, np.int64)
        if D.ndim != 1 or D.shape != L.shape or D.shape != runs.shape:
            raise InputError(
                "tokens, losses and runs must be lists of one length",
                value=(D.shape, L.shape, runs.shape),
                where=name,
            )
        for what, values in (("tokens", D), ("loss", L)):
            wrong = ~np.isfinite(values) | (values < 0 if what == "tokens" else values <= 0)
            if wrong.any():
                raise InputError(
                    f"{what} must be finite and above zero",
                    value=float(values[wrong][0]),
                    where=f"{name}, evaluation {int(np.argmax(wrong)) + 1}",
                )
        order = np.lexsort((runs, D))[np.count_nonzero(D == 0) :]
        points = cls(D[order], L[order], runs[order], name)
        if points.n_distinct < MIN_POINTS:
            raise InputError(
                f"a curve needs evaluations at {MIN_POINTS} or more token counts",
                value=points.n_distinct,
                where=name,
                remedy="evaluate more often, or give a run that was",
            )
        return points

    @property
    def n_distinct(self) -> int:
        """Different token counts."""
        return len(np.unique(self.tokens))

    @property
    def n_runs(self) -> int:
        """Runs with a point here."""
        return len(np.unique(self.run))

    def up_to(self, tokens: float) -> LossPoints:
        """The points at no more than ``tokens``; raises as ``of`` if too few are left."""
        kept = self.tokens <= tokens
        return LossPoints.of(self.tokens[kept], self.loss[kept], run=self.run[kept], name=self.name)


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A smooth falling curve and draws of it.

    Attributes:
        points: what it was made of, a rising end left out.
        log_tokens: the grid, shape ``(GRID_SIZE,)``, from the first evaluation to the last.
        log_loss: the curve on it, same shape, never rising.
        draws: other curves that fit as well, shape ``(n_draws, GRID_SIZE)``; None where the points
            are too few to tell their noise.
        noise: standard deviation of one evaluation, as a share of the loss; None likewise.
        seed_variance: of log loss between runs of different seeds; None where there is one run, or
            where runs have too few points each to tell seeds from noise.
        rises_from: tokens at which a loss that later rises is lowest; None where it does not.
    """

    points: LossPoints
    log_tokens: Floats
    log_loss: Floats
    draws: Floats | None
    noise: float | None
    seed_variance: float | None
    rises_from: float | None

    @property
    def first(self) -> float:
        """Tokens of the first evaluation."""
        return float(self.points.tokens[0])

    @property
    def last(self) -> float:
        """Tokens of the last evaluation used."""
        return float(self.points.tokens[-1])


@one_thread()
def fit_curve(
    points: LossPoints, *, noise: float | None = None, n_draws: int = 400, seed: int = 0
) -> LossCurve:
    """Smooth ``points`` and draw curves that would fit as well.

    Args:
        points: evaluations of one or more runs.
        noise: standard deviation of one evaluation in units of the loss; told by the points' own
            scatter about the curve if not given, which takes ``MIN_POINTS_FOR_NOISE`` of them.
        n_draws: how many curves to draw.
        seed: of the draws.

    Raises:
        InputError: ``noise`` is not above zero, or the loss does nothing but rise.
    """
    if noise is not None and not noise > 0:
        raise InputError("the noise of a loss must be above zero", value=noise, where="noise")
    spline, sd = _smooth(points, noise)
    low = _lowest_before_rise(points, spline.mean, sd)
    if low is not None:
        if np.count_nonzero(np.unique(points.tokens) <= low) < MIN_POINTS:
            raise InputError(
                "the loss rises",
                value=f"lowest at {format_count(low)} of {format_count(points.tokens[-1])} tokens",
                where=points.name,
                remedy="a run that diverged or repeats its data too often cannot be compared",
            )
        points = points.up_to(low)
        spline, sd = _smooth(points, noise)
    draws = None
    if sd is not None:
        draws = _falling(spline.draw(n_draws, np.random.Generator(np.random.PCG64(seed))))
    return LossCurve(
        points=points,
        log_tokens=_grid(points),
        log_loss=_falling(spline.mean),
        draws=draws,
        noise=sd,
        seed_variance=spline.offset_variance(),
        rises_from=low,
    )


def _smooth(points: LossPoints, noise: float | None) -> tuple[SmoothingSpline, float | None]:
    """The spline through log losses, and the noise of one of them if given or to be told."""
    x, y = np.log(points.tokens), np.log(points.loss)
    given = None if noise is None else noise / float(np.exp(y.mean()))
    spline = SmoothingSpline(
        (x - x[0]) / (x[-1] - x[0]), y, _run_columns(points), n_grid=GRID_SIZE, noise=given
    )
    if given is None and len(y) >= MIN_POINTS_FOR_NOISE and spline.n_free >= 2:
        return spline, float(np.sqrt(spline.noise_variance))
    return spline, given


def _grid(points: LossPoints) -> Floats:
    return np.linspace(np.log(points.tokens[0]), np.log(points.tokens[-1]), GRID_SIZE)


def _falling(values: Floats) -> Floats:
    """Monotone rearrangement along the last axis."""
    return -np.sort(-values, axis=-1)


def _lowest_before_rise(points: LossPoints, mean: Floats, noise: float | None) -> float | None:
    """Tokens of the minimum, if the curve later rises by more than noise explains."""
    rise = mean - np.minimum.accumulate(mean)
    worst = int(np.argmax(rise))
    if rise[worst] <= max(_RISE_IN_LOG_LOSS, _RISE_IN_NOISE * (noise or 0.0)):
        return None
    return float(np.exp(_grid(points)[int(np.argmin(mean[: worst + 1]))]))


def _run_columns(points: LossPoints) -> Floats:
    """Columns that let each run lie above or below the mean of all, shape ``(n, n_runs - 1)``.

    No column where a run has less than ``MIN_POINTS``: then what seeds do is part of the noise.
    """
    runs, index, counts = np.unique(points.run, return_inverse=True, return_counts=True)
    if len(runs) < 2 or counts.min() < MIN_POINTS:
        return np.zeros((len(points.run), 0))
    indicator = np.eye(len(runs))[index]
    return indicator[:, :-1] - indicator[:, -1:]
