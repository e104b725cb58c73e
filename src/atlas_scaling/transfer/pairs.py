"""The transfer matrix of a folder of runs: every even pair whose languages were also run alone.

Runs of one mixture, tokenizer and model size are one side; they differ by seed. All cells of a
matrix are taken at one d, because a score falls as d grows; each model size has its own matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.bts import STEEP_FALL
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.measure import MANY_EPOCHS, BtsAnswer, Comparison, compare_runs
from atlas_scaling.transfer.ranking import LAW
from atlas_scaling.transfer.scores import EVEN_SHARE
from atlas_scaling.transfer.sides import MISMATCH, SHARE_TOLERANCE, TOKENS, Unit, trained_on
from atlas_scaling.units import format_count

SIZE_CHOICE: Final = 0.1
"""A model size that is asked for may differ by this much from the one that was run."""


@dataclass(frozen=True, slots=True)
class MatrixCell(Answer):
    """One measured pair: what ``BtsPoint`` says of it at the d of the matrix."""

    target: str
    source: str
    bts: float | None
    tau: float | None
    lower: float | None
    upper: float | None
    provenance: Provenance
    early: bool


@dataclass(frozen=True, slots=True)
class SizeMatrix(Answer):
    """The matrix of one model size.

    Attributes:
        n_params: model size, embeddings counted; None if not recorded.
        d: at which all cells were taken, in ``unit``.
        unit: of d.
        lr_state: of all losses; where sides of different states were compared, both.
        level: of the intervals.
        targets: codes of the rows.
        sources: codes of the columns.
        cells: those measured.
    """

    n_params: float | None
    d: float
    unit: str
    lr_state: str
    level: float
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    cells: tuple[MatrixCell, ...]

    def matrix(self, name: str) -> TransferMatrix:
        """The same as a ``TransferMatrix`` whose origin is called ``name``.

        A comparison of different learning-rate states stays part of the origin's name.
        """
        if MISMATCH in self.lr_state:
            name = f"{name} [learning-rate states {self.lr_state}]"
        origin = Origin(name, self.d, self.unit, self.n_params, self.level)
        cells = (
            Cell(c.target, c.source, c.bts, c.lower, c.upper, c.provenance, origin, c.early)
            for c in self.cells
        )
        return TransferMatrix.from_cells(cells, targets=self.targets, sources=self.sources)


@dataclass(frozen=True, slots=True)
class MatrixAnswer(Answer):
    """The matrices of all model sizes, largest first, and the pairs that could not be measured."""

    matrices: tuple[SizeMatrix, ...]
    problems: tuple[str, ...]
    source: str
    law: str
    warnings: tuple[str, ...]

    def of_size(self, n_params: float | None = None) -> SizeMatrix:
        """The matrix of the model size ``n_params``, of the largest if None.

        Raises:
            InputError: no pair was run at that size.
        """
        if n_params is None:
            return self.matrices[0]
        sizes = {m.n_params: m for m in self.matrices if m.n_params is not None}
        near = min(sizes, key=lambda size: abs(size - n_params), default=None)
        if near is None or abs(near - n_params) > SIZE_CHOICE * n_params:
            have = ", ".join(format_count(size) for size in sizes) or "only runs of unknown size"
            raise InputError(
                "no pair was run at this model size",
                value=format_count(n_params),
                remedy=f"there is {have}",
            )
        return sizes[near]


def matrices_from_runs(
    frame: pl.DataFrame,
    *,
    at: float | None = None,
    unit: Unit | None = None,
    allow_lr_mismatch: bool = False,
    noise: float | None = None,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    name: str = "runs",
) -> MatrixAnswer:
    """Measure every even pair that the runs allow.

    Args:
        frame: rows of a run table (``RunTable.frame``); runs of other kinds are passed over.
        at: d of every cell, in ``unit``; if None, the smallest of the pairs' own default
            (``bts.DEFAULT_REACH``), which is in reach of all of them.
        unit: what text is counted in; tokens if not given.
        allow_lr_mismatch: compare different learning-rate states; warnings then say so.
        noise: standard deviation of one evaluation in units of the loss; told by scatter if None.
        level: of the intervals.
        seed: of the draws behind them.
        name: what the answer calls the runs.

    Raises:
        InputError: no pair can be measured; says why for each.
    """
    problems: list[str] = []
    by_size: dict[float | None, list[Comparison]] = {}
    for mono, pair, target, source in _even_pairs(frame, problems):
        try:
            comparison = compare_runs(
                mono,
                pair,
                target,
                unit=unit,
                allow_lr_mismatch=allow_lr_mismatch,
                noise=noise,
                seed=seed,
            )
        except InputError as error:
            problems.append(f"{source} to {target}: {_in_a_line(error)}")
            continue
        assert comparison.sides is not None
        by_size.setdefault(comparison.sides.n_params, []).append(comparison)
    matrices, warnings = [], dict[str, None]()
    for n_params, comparisons in sorted(by_size.items(), key=lambda item: -(item[0] or 0)):
        answers = list(_scored(comparisons, at, level, seed, problems))
        if answers:
            matrices.append(_size_matrix(answers, n_params, TOKENS if unit is None else unit.name))
            warnings.update(dict.fromkeys(_warnings(comparisons, answers)))
    if not matrices:
        raise InputError(
            "no transfer score can be measured on these runs",
            value="; ".join(problems) or "no run on two languages, half and half",
            where=name,
            remedy="run each language of a pair alone and both together, at one model size",
        )
    return MatrixAnswer(tuple(matrices), tuple(problems), name, LAW, tuple(warnings))


def _even_pairs(
    frame: pl.DataFrame, problems: list[str]
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame, str, str]]:
    """(runs on the target alone, runs on both, target, source) of everything that fits."""
    scratch = frame.filter(pl.col("base_run").is_null())
    for (size,), runs in scratch.group_by("n_params", maintain_order=True):
        said = "unknown size" if size is None else format_count(float(str(size)))
        sides = _sides_by_mixture(runs)
        for (shares, tokenizer), pair in sides.items():
            if len(shares) != 2 or any(abs(s - EVEN_SHARE) > SHARE_TOLERANCE for _, s in shares):
                continue
            codes = sorted(code for code, _ in shares)
            for target, source in (codes, codes[::-1]):
                mono = sides.get((frozenset({(target, 1.0)}), tokenizer))
                if mono is None:
                    problems.append(f"{source} to {target}: no run on {target} alone at {said}")
                else:
                    yield mono, pair, target, source


_Mixture = frozenset[tuple[str, float]]


def _sides_by_mixture(runs: pl.DataFrame) -> dict[tuple[_Mixture, str | None], pl.DataFrame]:
    """Rows of runs that have mixture (shares to 2 decimals) and tokenizer in common."""
    found: dict[tuple[_Mixture, str | None], list[pl.DataFrame]] = {}
    for _, rows in runs.group_by("run_id", maintain_order=True):
        shares = frozenset((code, round(share, 2)) for code, share in trained_on(rows).items())
        found.setdefault((shares, rows["tokenizer"][0]), []).append(rows)
    return {key: pl.concat(rows) for key, rows in found.items()}


def _scored(
    comparisons: Sequence[Comparison],
    at: float | None,
    level: float,
    seed: int,
    problems: list[str],
) -> Iterator[BtsAnswer]:
    """Every comparison at one d; those that have no loss there become problems."""
    d = min(c.curves.default_d for c in comparisons) if at is None else at
    for comparison in comparisons:
        try:
            yield comparison.score(d, level=level, seed=seed)
        except InputError as error:
            pair = f"{comparison.sources[0]} to {comparison.target}"
            problems.append(f"{pair}: {_in_a_line(error)}")


def _size_matrix(answers: Sequence[BtsAnswer], n_params: float | None, unit: str) -> SizeMatrix:
    languages = tuple(sorted({code for a in answers for code in (a.target, *a.sources)}))
    return SizeMatrix(
        n_params=n_params,
        d=answers[0].at.tokens,
        unit=unit,
        lr_state=", ".join(dict.fromkeys(a.lr_state for a in answers)),
        level=answers[0].level,
        targets=languages,
        sources=languages,
        cells=tuple(
            MatrixCell(
                target=a.target,
                source=a.sources[0],
                bts=a.at.bts,
                tau=a.at.tau,
                lower=a.at.lower,
                upper=a.at.upper,
                provenance=Provenance.CENSORED if a.at.censored else Provenance.MEASURED,
                early=a.at.early,
            )
            for a in answers
        ),
    )


def _warnings(comparisons: Sequence[Comparison], answers: Sequence[BtsAnswer]) -> Iterator[str]:
    """What is doubtful about the cells of one model size, each thing once."""
    for comparison in comparisons:
        assert comparison.sides is not None
        yield from comparison.sides.warnings
    size = "" if answers[0].n_params is None else f" at {format_count(answers[0].n_params)}"
    d = answers[0].at.tokens
    n = len(answers)
    censored = sum(a.at.censored is not None for a in answers)
    if censored:
        yield f"{censored} of {n} scores{size} are bounds: the loss was not reached, or too soon"
    early = sum(a.at.early for a in answers)
    if early:
        yield (
            f"{early} of {n} scores{size} are early at d = {format_count(d)}: near +1, or positive "
            "and still falling steeply. Learning is first limited by optimiser steps, not by data, "
            "so any pair, related or not, starts near +1; these may yet turn"
        )
    falling = sum(not a.at.early and (a.at.fall_per_doubling or 0.0) > STEEP_FALL for a in answers)
    if falling:
        yield (
            f"{falling} more of {n} scores{size} still fall by more than {STEEP_FALL:g} when d "
            "doubles: their values belong to this d"
        )
    epochs = [e for c in comparisons if (e := c.epochs_at(d)) is not None]
    repeated = sum(e > MANY_EPOCHS for e in epochs)
    if repeated:
        yield (
            f"{repeated} of {n} monolingual sides{size} have read their text more than "
            f"{MANY_EPOCHS:g} times at d (up to {max(epochs):.1f}): part of the score is "
            "repetition, not transfer"
        )
    if any(a.noise[0] is None or a.noise[1] is None for a in answers):
        yield "some scores have no interval: too few evaluations to tell their noise"
    if all(a.seed_sd is None for a in answers):
        yield "one run a side: intervals cover the noise of evaluations, not what a seed changes"


def _in_a_line(error: InputError) -> str:
    place = "" if error.value is None else f" ({error.value})"
    return f"{error.problem}{place}"
