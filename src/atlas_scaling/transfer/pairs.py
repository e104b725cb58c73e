"""The transfer matrix of a folder of runs: every pair whose languages were also run alone.

Runs of one mixture, tokenizer and model size are one side; they differ by seed. All cells of a
matrix are taken at one d, because a score falls as d grows; each model size has its own matrix.
Of a pair that was run at several shares the one nearest to half and half is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from atlas_scaling.answers import DEFAULT_LEVEL, Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.bts import pooled_seed_sd
from atlas_scaling.transfer.matrix import Cell, Origin, Provenance, TransferMatrix
from atlas_scaling.transfer.measure import (
    BtsAnswer,
    Comparison,
    check_deviations,
    compare_runs,
)
from atlas_scaling.transfer.pair_notes import is_uneven, notes_of, warnings_of
from atlas_scaling.transfer.ranking import LAW
from atlas_scaling.transfer.sides import BYTES, MISMATCH, Unit, trained_on
from atlas_scaling.units import format_count

SIZE_CHOICE: Final = 0.1
"""A model size that is asked for may differ by this much from the one that was run."""


@dataclass(frozen=True, slots=True)
class MatrixCell(Answer):
    """One measured pair: what ``BtsPoint`` says of it at the d of the matrix.

    ``share`` is that of the target in the text of the pair; ``notes`` are as in ``matrix.Cell``.
    """

    target: str
    source: str
    share: float
    bts: float | None
    tau: float | None
    lower: float | None
    upper: float | None
    provenance: Provenance
    early: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SizeMatrix(Answer):
    """The matrix of one model size.

    Attributes:
        n_params: model size, embeddings counted; None if not recorded.
        d: at which all cells were taken, in ``unit``.
        unit: of d.
        lr_state: of all losses; where sides of different states were compared, both.
        level: of the intervals.
        seed_sd: of log loss between seeds, in all intervals; None where it is not known.
        targets: codes of the rows.
        sources: codes of the columns.
        cells: those measured.
        answers: the score of each cell over d, in the order of cells (not in the JSON).
    """

    n_params: float | None
    d: float
    unit: str
    lr_state: str
    level: float
    seed_sd: float | None
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    cells: tuple[MatrixCell, ...]
    answers: tuple[BtsAnswer, ...] = field(repr=False)

    def matrix(self, name: str) -> TransferMatrix:
        """The same as a ``TransferMatrix`` whose origin is called ``name``.

        A comparison of different learning-rate states stays part of the origin's name.
        """
        if MISMATCH in self.lr_state:
            name = f"{name} [learning-rate states {self.lr_state}]"
        origin = Origin(name, self.d, self.unit, self.n_params, self.level)
        cells = (
            Cell(
                c.target,
                c.source,
                c.bts,
                c.lower,
                c.upper,
                c.provenance,
                origin,
                c.early,
                c.notes,
            )
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
    seed_sd: float | None = None,
    level: float = DEFAULT_LEVEL,
    seed: int = 0,
    name: str = "runs",
    tell: Callable[[float], None] = lambda _: None,
) -> MatrixAnswer:
    """Measure every pair that the runs allow.

    Args:
        frame: rows of a run table (``RunTable.frame``); runs of other kinds are passed over.
        at: d of every cell, in ``unit``; if None, the smallest of the even pairs' own default
            (``bts.DEFAULT_REACH``), which is in reach of all of them.
        unit: what text is counted in; tokens if not given.
        allow_lr_mismatch: compare different learning-rate states; warnings then say so.
        noise: standard deviation of one evaluation in units of the loss; told by scatter if None.
        seed_sd: standard deviation of log loss between seeds; if None, told by all sides of a model
            size that were run with several, and taken for the others too.
        level: of the intervals.
        seed: of the draws behind them.
        name: what the answer calls the runs.
        tell: is told the share of the pairs that is done.

    Raises:
        InputError: no pair can be measured; says why for each.
    """
    problems: list[str] = []
    warnings = dict[str, None]()
    unit = Unit() if unit is None else unit
    check_deviations(noise, seed_sd)
    by_size: dict[float | None, list[Comparison]] = {}
    pairs = list(_pairs(frame, unit, problems, warnings))
    for number, one in enumerate(pairs):
        tell(number / len(pairs))
        try:
            comparison = compare_runs(
                one.mono,
                one.pair,
                one.target,
                unit=unit,
                allow_lr_mismatch=allow_lr_mismatch,
                noise=noise,
                seed_sd=seed_sd,
                seed=seed,
            )
        except InputError as error:
            problems.append(f"{one.source} to {one.target}: {_in_a_line(error)}")
            continue
        assert comparison.sides is not None
        by_size.setdefault(comparison.sides.n_params, []).append(comparison)
    matrices = []
    for n_params, found in sorted(by_size.items(), key=lambda item: -(item[0] or 0)):
        comparisons = found if seed_sd is not None else _with_pooled_seeds(found)
        scored = list(_scored(comparisons, at, level, seed, problems))
        if scored:
            matrices.append(_size_matrix(scored, n_params, unit.name))
            warnings.update(dict.fromkeys(warnings_of(scored)))
    if not matrices:
        raise InputError(
            "no transfer score can be measured on these runs",
            value="; ".join(problems) or "no run on two languages",
            where=name,
            remedy="run each language of a pair alone and both together, half and half, at one "
            "model size",
        )
    return MatrixAnswer(tuple(matrices), tuple(problems), name, LAW, tuple(warnings))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Rows of the runs on the target alone and of those on both."""

    mono: pl.DataFrame
    pair: pl.DataFrame
    target: str
    source: str


_Mixture = frozenset[tuple[str, float]]
_Sides = dict[tuple[_Mixture, str | None], pl.DataFrame]


def _pairs(
    frame: pl.DataFrame, unit: Unit, problems: list[str], warnings: dict[str, None]
) -> Iterator[_Pair]:
    """Everything that fits together, of each model size."""
    scratch = frame.filter(pl.col("base_run").is_null())
    if "early_tokens" in scratch.columns:  # in stages: of no one mixture
        has_stages = (pl.col("early_tokens").list.len() > 0).any().over("run_id")
        scratch = scratch.filter(~has_stages)
    for (size,), runs in scratch.group_by("n_params", maintain_order=True):
        at_size = "unknown size" if size is None else format_count(float(str(size)))
        sides = _sides_by_mixture(runs)
        pairs: dict[tuple[tuple[str, ...], str | None], list[_Mixture]] = {}
        for shares, tokenizer in sides:
            if len(shares) == 2:
                codes = tuple(sorted(code for code, _ in shares))
                pairs.setdefault((codes, tokenizer), []).append(shares)
        for (codes, tokenizer), mixtures in pairs.items():
            shares = min(mixtures, key=_unevenness)
            if len(mixtures) > 1:
                warnings[_several_shares(codes, mixtures, at_size)] = None
            for target, source in (codes, codes[::-1]):
                mono = _alone(sides, target, tokenizer, unit)
                if isinstance(mono, str):
                    problems.append(f"{source} to {target}: {mono} at {at_size}")
                else:
                    yield _Pair(mono, sides[shares, tokenizer], target, source)


def _unevenness(shares: _Mixture) -> float:
    return max(share for _, share in shares)


def _several_shares(codes: Sequence[str], mixtures: Sequence[_Mixture], at_size: str) -> str:
    of_first = sorted((dict(shares)[codes[0]] for shares in mixtures), reverse=True)
    said = ", ".join(f"{share:.0%}" for share in of_first)
    return (
        f"{' and '.join(codes)} were run together at several shares at {at_size} ({said} "
        f"{codes[0]}): scored is the one nearest to half and half; atlas transfer bts scores others"
    )


def _alone(sides: _Sides, target: str, tokenizer: str | None, unit: Unit) -> pl.DataFrame | str:
    """Runs on the target alone that a pair with ``tokenizer`` compares with, or why there are none.

    Of other tokenizers only where text is counted in bytes, and where there is only one other.
    """
    alone = {key: rows for key, rows in sides.items() if key[0] == frozenset({(target, 1.0)})}
    for (_, of), rows in alone.items():
        if of == tokenizer:
            return rows
    if not alone:
        return f"no run on {target} alone"
    if unit.name == BYTES and unit.per_token is None and len(alone) == 1:
        return next(iter(alone.values()))
    return (
        f"{target} was run alone with another tokenizer only than the pair's (--unit bytes "
        "compares them)"
    )


def _sides_by_mixture(runs: pl.DataFrame) -> _Sides:
    """Rows of runs that have mixture (shares to 2 decimals) and tokenizer in common."""
    found: dict[tuple[_Mixture, str | None], list[pl.DataFrame]] = {}
    for _, rows in runs.group_by("run_id", maintain_order=True):
        shares = frozenset((code, round(share, 2)) for code, share in trained_on(rows).items())
        found.setdefault((shares, rows["tokenizer"][0]), []).append(rows)
    return {key: pl.concat(rows) for key, rows in found.items()}


def _with_pooled_seeds(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Every comparison with what seeds change in all sides that were run with several."""
    sides = {c.points.name: c for one in comparisons for c in (one.curves.mono, one.curves.pair)}
    pooled = pooled_seed_sd(*sides.values())
    return [replace(one, curves=replace(one.curves, seed_sd=pooled)) for one in comparisons]


def _scored(
    comparisons: Sequence[Comparison],
    at: float | None,
    level: float,
    seed: int,
    problems: list[str],
) -> Iterator[tuple[Comparison, BtsAnswer]]:
    """Every comparison at one d; those that have no loss there become problems."""
    even = [c for c in comparisons if not is_uneven(c.curves.share)] or comparisons
    d = at
    if d is None:  # in reach of every even pair, and within every run on a target alone
        reach = min(c.curves.default_d for c in even)
        d = min(reach, *(c.curves.mono.last for c in comparisons))
    for comparison in comparisons:
        try:
            yield comparison, comparison.score(d, level=level, seed=seed)
        except InputError as error:
            pair = f"{comparison.sources[0]} to {comparison.target}"
            problems.append(f"{pair}: {_in_a_line(error)}")


def _size_matrix(
    scored: Sequence[tuple[Comparison, BtsAnswer]], n_params: float | None, unit: str
) -> SizeMatrix:
    answers = tuple(answer for _, answer in scored)
    languages = tuple(sorted({code for a in answers for code in (a.target, *a.sources)}))
    return SizeMatrix(
        n_params=n_params,
        d=answers[0].at.tokens,
        unit=unit,
        lr_state=", ".join(dict.fromkeys(a.lr_state for a in answers)),
        level=answers[0].level,
        seed_sd=answers[0].seed_sd,
        targets=languages,
        sources=languages,
        cells=tuple(
            MatrixCell(
                target=a.target,
                source=a.sources[0],
                share=a.share,
                bts=a.at.bts,
                tau=a.at.tau,
                lower=a.at.lower,
                upper=a.at.upper,
                provenance=Provenance.CENSORED if a.at.censored else Provenance.MEASURED,
                early=a.at.early,
                notes=tuple(notes_of(comparison, a)),
            )
            for comparison, a in scored
        ),
        answers=answers,
    )


def _in_a_line(error: InputError) -> str:
    place = "" if error.value is None else f" ({error.value})"
    return f"{error.problem}{place}"
