"""Where to start, and the descent from many starts to the best optimum.

Starting points spread evenly over the start ranges (a Kronecker sequence, the low-discrepancy
sequence of Roberts 2018: fractions of powers of the generalised golden ratio). Parameters that
enter linearly are not searched: at each point they are solved for by weighted least squares on the
loss (variable projection), so Chinchilla is searched in two dimensions instead of five.

Every start is descended through narrowing deltas. Starts that meet in one place go on as one, so
thousands cost little more than the distinct places they lead to. Of many rows a part is searched,
and what is found there is descended on all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import FitError
from atlas_scaling.fitting.objective import Coordinates, Estimator, Problem
from atlas_scaling.fitting.refine import polish, refine
from atlas_scaling.fitting.solver import Solution, minimise, values_at
from atlas_scaling.laws.base import FloatArray, grouped

SAME_OPTIMUM: Final = 1e-6
"""Two objectives this close (relative) are one optimum."""

_AUTO_CANDIDATES: Final = 64
_AUTO_DESCENDED: Final = 16
_RIVAL: Final = 1.2
_MANY_ROWS: Final = 2000
_PART_ROWS: Final = 1000
_SAME_PLACE: Final = 1e-3  # of the width of a start range
_SMALLEST_SHARE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Search:
    """The best optimum found and how the starts ended.

    Attributes:
        best: coordinates of the best optimum, (p,).
        value: its objective.
        converged: whether the solver reached its tolerance there.
        iterations: of the last stage.
        n_starts: starting points looked at.
        n_descended: of those, how many were followed to the end.
        share_at_optimum: share of the descended that ended at the best optimum.
        others: coordinates of other optima that a resample could prefer, best first, (q, p).
    """

    best: FloatArray
    value: float
    converged: bool
    iterations: int
    n_starts: int
    n_descended: int
    share_at_optimum: float
    others: FloatArray


def search(
    problem: Problem, estimator: Estimator, *, starts: int | None = None, seed: int = 0
) -> Search:
    """Look for the best optimum.

    Args:
        problem: law, data and weights; its first resample is the one that is solved.
        estimator: what is minimised.
        starts: how many starting points are all descended; None looks at enough candidates for
            the number of parameters and descends the 16 best.
        seed: shifts the starting points.

    Raises:
        FitError: the law has no finite loss on this data at any starting point.
    """
    if starts is None and problem.n_rows > _MANY_ROWS:
        return _searched_on_part(problem, estimator, seed)
    coordinates = problem.coordinates
    candidates = starts or _n_candidates(problem)
    theta = starting_points(problem, candidates, seed)
    rows = np.zeros(len(theta), dtype=np.intp)
    value = values_at(problem, theta, rows, estimator.delta)
    usable = np.flatnonzero(np.isfinite(value))
    if not len(usable):
        raise FitError(
            f"the law {coordinates.law.name} has no finite positive loss at any starting point",
            value={p.name: p.start for p in coordinates.free},
            where="start ranges of the parameters",
            remedy="widen the start ranges, or look for inputs that are zero",
        )
    best_first = usable[np.argsort(value[usable], kind="stable")]
    if starts is None:
        best_first = best_first[:_AUTO_DESCENDED]
    return _descend(problem, theta[best_first], estimator, candidates)


def _searched_on_part(problem: Problem, estimator: Estimator, seed: int) -> Search:
    """Search on some of the rows, drawn evenly, then descend on all of them from what was found."""
    rng = np.random.Generator(np.random.PCG64(seed))
    part = np.sort(rng.permutation(problem.n_rows)[:_PART_ROWS])
    found = search(problem.of_rows(part), estimator, seed=seed)
    theta = np.concatenate([found.best[None], found.others])
    rows = np.zeros(len(theta), dtype=np.intp)
    solution = refine(problem, theta, rows, deltas=estimator.stages()).ordered()
    same = solution.value <= solution.value[0] * (1 + SAME_OPTIMUM) + 1e-300
    rival = ~same & (solution.value <= _RIVAL * solution.value[0])
    return replace(
        found,
        best=solution.theta[0],
        value=float(solution.value[0]),
        converged=bool(solution.converged[0]),
        iterations=int(solution.iterations[0]),
        others=solution.theta[rival],
    )


def search_each(
    problem: Problem, estimator: Estimator, n_problems: int, *, seed: int = 0
) -> Solution:
    """The best optimum of each resample of ``problem``, all in one batch.

    Every resample has its own candidates and descents; nothing is shared but the starting points.
    """
    candidates = _n_candidates(problem)
    theta = starting_points(problem, candidates, seed)
    rows = np.arange(n_problems)
    value = np.array(
        [
            values_at(problem, theta, np.full(len(theta), row, dtype=np.intp), estimator.delta)
            for row in rows
        ]
    )
    chosen = np.argsort(value, axis=1, kind="stable")[:, :_AUTO_DESCENDED]  # problems x descents
    k = chosen.shape[1]
    member = np.repeat(rows, k)
    at = theta[chosen.reshape(-1)]
    wide, *narrow = estimator.stages()
    at = minimise(problem, at, member, delta=wide, tolerance=1e-5, max_iterations=60).theta
    for delta in narrow:
        at = minimise(
            problem, at, member, delta=delta, tolerance=1e-5, max_iterations=60, mu=0.1
        ).theta
    solution = polish(problem, at, member, delta=estimator.delta)
    return solution.take(rows * k + solution.value.reshape(n_problems, k).argmin(axis=1))


def _n_candidates(problem: Problem) -> int:
    """More starting points where more than two parameters have to be searched."""
    n_searched = int((~problem.coordinates.linear).sum())
    return _AUTO_CANDIDATES * (1 if n_searched <= 2 else 4)


def _descend(problem: Problem, theta: FloatArray, estimator: Estimator, n_starts: int) -> Search:
    """Follow every start through narrowing deltas; those that meet go on as one."""
    n_descended = len(theta)
    wide, *narrow = estimator.stages()
    solution = minimise(problem, theta, delta=wide, tolerance=1e-5, max_iterations=60)
    met = np.ones(n_descended)
    for delta in narrow:
        solution, met = _merged(problem, solution, met)
        solution = minimise(
            problem, solution.theta, delta=delta, tolerance=1e-6, max_iterations=40, mu=0.1
        )
    solution, met = _merged(problem, solution, met)
    solution = polish(problem, solution.theta, delta=estimator.delta)
    solution, met = _merged(problem, solution, met)
    order = np.argsort(solution.value, kind="stable")
    solution, met = solution.take(order), met[order]
    same = solution.value <= solution.value[0] * (1 + SAME_OPTIMUM) + 1e-300
    return Search(
        best=solution.theta[0],
        value=float(solution.value[0]),
        converged=bool(solution.converged[0]),
        iterations=int(solution.iterations[0]),
        n_starts=n_starts,
        n_descended=n_descended,
        share_at_optimum=float(met[same].sum() / n_descended),
        others=solution.theta[~same & (solution.value <= _RIVAL * solution.value[0])],
    )


def _merged(problem: Problem, solution: Solution, met: FloatArray) -> tuple[Solution, FloatArray]:
    """One problem for each place reached, and how many starts stand for it."""
    width = problem.coordinates.start_high - problem.coordinates.start_low
    usable = np.flatnonzero(np.isfinite(solution.value))
    order = usable[np.argsort(solution.value[usable], kind="stable")]
    cell = np.round(solution.theta[order] / width / _SAME_PLACE)
    _, first, member = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    counts = np.zeros(len(first))
    np.add.at(counts, member.reshape(-1), met[order])
    return solution.take(order[first]), counts


def starting_points(problem: Problem, n: int, seed: int = 0) -> FloatArray:
    """``n`` starting points (n, p), linear parameters already solved for."""
    coordinates = problem.coordinates
    linear = coordinates.linear
    theta = coordinates.start_low + (coordinates.start_high - coordinates.start_low) * spread(
        n, coordinates.n_free, seed
    )
    if linear.any() and not linear.all():
        searched = np.flatnonzero(~linear)
        width = (coordinates.start_high - coordinates.start_low)[searched]
        low = coordinates.start_low[searched]
        theta[:, searched] = low + width * spread(n, len(searched), seed)
    if problem.prior is not None:
        # Half of the points start where the prior is; the rest may find what it does not know of.
        informed = problem.prior.precision > 0
        theta[::2, informed] = problem.prior.centre[informed]
    return _projected(problem, theta) if linear.any() else theta


def spread(n: int, dimensions: int, seed: int = 0) -> FloatArray:
    """``n`` points of a low-discrepancy sequence in the unit cube, (n, dimensions).

    The sequence is ``frac(shift + k * g^-j)`` with g the root of ``g^(d+1) = g + 1``.
    """
    g = 1.5
    for _ in range(60):
        g = (1.0 + g) ** (1.0 / (dimensions + 1))
    step = g ** -np.arange(1.0, dimensions + 1)
    shift = 0.5 if seed == 0 else np.random.Generator(np.random.PCG64(seed)).random(dimensions)
    points: FloatArray = (shift + np.arange(1, n + 1)[:, None] * step) % 1.0
    return points


def _projected(problem: Problem, theta: FloatArray) -> FloatArray:
    """``theta`` with its linear coordinates solved for by least squares on ``L / L_observed``."""
    coordinates = problem.coordinates
    linear = np.flatnonzero(coordinates.linear)
    out = theta.copy()
    size = max(1, int(4_000_000 // (8 * max(problem.n_rows, 1) * len(linear))))
    relative = np.exp(-problem.targets_of(np.zeros(1, dtype=np.intp)).reshape(-1)[: problem.n_rows])
    weights = problem.weights_of(np.zeros(1, dtype=np.intp))
    for i in range(0, len(theta), size):
        block = out[i : i + size]
        columns = _linear_columns(problem, block, linear) * relative
        weighted = columns if weights is None else columns * np.reshape(weights, (1, -1))
        constant, basis = columns[:, 0], columns[:, 1:]
        gram = weighted[:, 1:] @ basis.transpose(0, 2, 1)
        wanted = np.einsum("bkn,bn->bk", weighted[:, 1:], 1.0 - constant)
        diagonal = np.einsum("bii->bi", gram)
        with np.errstate(all="ignore"):
            scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
            gram = gram * scale[:, :, None] * scale[:, None, :]
            np.einsum("bii->bi", gram)[:] = 1.0 + 1e-9
            solved = np.linalg.solve(gram, (wanted * scale)[:, :, None])[:, :, 0] * scale
            smallest = _SMALLEST_SHARE / np.maximum(np.abs(basis).mean(axis=2), 1e-300)
        _store(coordinates, block, linear, (solved, smallest))
        out[i : i + size] = block
    return out


def _store(
    coordinates: Coordinates,
    block: FloatArray,
    linear: NDArray[np.intp],
    solved: tuple[FloatArray, FloatArray],
) -> None:
    """Write solved amplitudes into ``block``, small and positive where the best was not."""
    amplitude, smallest = solved
    for j, k in enumerate(linear):
        column = amplitude[:, j]
        if coordinates.log[k]:
            column = np.log(np.maximum(column, smallest[:, j]))
        block[:, k] = np.clip(column, coordinates.low[k], coordinates.high[k])


def _linear_columns(problem: Problem, theta: FloatArray, linear: NDArray[np.intp]) -> FloatArray:
    """The law without its linear terms, then with each of them alone at one, (B, 1 + q, n)."""
    coordinates = problem.coordinates
    natural = coordinates.natural(theta)
    own = [coordinates.index.index(int(k)) for k in linear]
    natural[:, own] = 0.0
    out = np.empty((len(theta), 1 + len(own), problem.n_rows))
    with np.errstate(all="ignore"):
        for j, parameter in enumerate([None, *own]):
            at = natural.copy()
            if parameter is not None:
                at[:, parameter] = 1.0
            p = grouped(coordinates.names, [at[:, k : k + 1] for k in range(at.shape[1])])
            out[:, j] = coordinates.law.loss(p, problem.x)
    out[:, 1:] -= out[:, :1]
    return np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)
