"""Which few languages to add to a mixture so that given targets are helped most.

A set S of partners is worth ``f(S) = sum over targets of weight * max(0, max over s of BTS(s->t))``
with s from S and from the targets themselves, which are trained on anyway. f never falls as S grows
and each further partner adds no more than it would have added before (submodular), so taking the
best partner again and again comes within 1 - 1/e of the best set of that size (Nemhauser, Wolsey &
Fisher 1978). Scores are of pairs: that a set keeps what its best pair promises is an assumption,
and partners share the tokens that the pair had for itself.

Only help that is surely help counts: a score whose interval holds 0 counts as 0, and so does an
estimate without an interval that is within ``ESTIMATES_MISS`` of 0. What was passed over for this
is in the answer, as what to measure next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError
from atlas_scaling.transfer.lookup import require_language
from atlas_scaling.transfer.matrix import Cell, Provenance, TransferMatrix
from atlas_scaling.transfer.ranking import LAW

ESTIMATES_MISS: Final = 0.3
"""How far an estimate without an interval is taken to be off: a forest misses the measured scores
of the published matrix by 0.31 (root mean square) where it was shown none of the language, which is
how all but 72 cells stand (``atlas transfer complete --compare``); the paper prints no error."""

MOST_UNSURE: Final = 5


@dataclass(frozen=True, slots=True)
class Helped(Answer):
    """A target for which a partner is the best one so far."""

    target: str
    bts: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Partner(Answer):
    """One partner in the order of choice.

    Attributes:
        language: its code.
        gain: what it adds to f, weights included.
        helps: the targets it is now the best partner of.
        reason: the same in words.
    """

    language: str
    gain: float
    helps: tuple[Helped, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Unsure(Answer):
    """A score above 0 that was not counted, and how far below 0 the truth may lie."""

    target: str
    source: str
    bts: float
    lower: float
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class PartnersAnswer(Answer):
    """Partners in the order of choice, and the targets that nobody helps.

    Attributes:
        targets: what is to be helped.
        partners: at most as many as asked for; fewer where no further one adds anything.
        helped_by_targets: what the targets do for each other already.
        unhelped: targets for which no language here is surely of help.
        unsure: scores above 0, best first, that may as well be 0: worth measuring.
        score: f of the whole set, weights summing to 1.
    """

    targets: tuple[str, ...]
    partners: tuple[Partner, ...]
    helped_by_targets: tuple[Helped, ...]
    unhelped: tuple[str, ...]
    unsure: tuple[Unsure, ...]
    score: float
    source: str
    law: str
    warnings: tuple[str, ...]


def suggest_partners(
    matrix: TransferMatrix,
    targets: Sequence[str],
    *,
    k: int = 3,
    weights: Mapping[str, float] | None = None,
    measured_only: bool = False,
) -> PartnersAnswer:
    """At most ``k`` languages whose addition helps ``targets`` most.

    Args:
        matrix: where to look; a censored score counts as its lower bound, or as no help, and one
            that may as well be 0 as 0.
        targets: what is to be helped, as users write them.
        k: how many partners.
        weights: importance of each target; all the same if None.
        measured_only: leave estimates out.

    Raises:
        InputError: no target, one that the matrix does not have, or a weight that is not above 0.
    """
    wanted = tuple(
        dict.fromkeys(require_language(t, matrix.targets, what="target") for t in targets)
    )
    if not wanted:
        raise InputError("no target is given", where="targets")
    if k < 1:
        raise InputError("the number of partners must be 1 or more", value=k, where="k")
    share = _normalised(wanted, weights or {})
    searched = matrix.keep(matrix.is_measurement) if measured_only else matrix
    cells = [cell for target in wanted for cell in searched.row(target)]
    help_of = {(cell.target, cell.source): x for cell in cells if (x := _sure(cell)) is not None}
    own = {
        t: max((s for s in wanted if s != t), key=_by_help(help_of, t), default=t) for t in wanted
    }
    best = {t: max(0.0, help_of.get((t, own[t]), 0.0)) for t in wanted}
    by_targets = _helped(matrix, {t: s for t, s in own.items() if best[t] > 0})
    candidates = [s for s in matrix.sources if s not in wanted]
    chosen: list[Partner] = []
    while len(chosen) < k and candidates:
        gains = {
            s: sum(share[t] * max(0.0, help_of.get((t, s), 0.0) - best[t]) for t in wanted)
            for s in candidates
        }
        source = max(candidates, key=lambda s: (gains[s], _n_measured(matrix, s)))
        if gains[source] <= 0:
            break
        improved = {t: source for t in wanted if help_of.get((t, source), 0.0) > best[t]}
        best |= {t: help_of[t, source] for t in improved}
        candidates.remove(source)
        helps = _helped(matrix, improved)
        said = ", ".join(f"{h.target} {h.bts:+.2f}" for h in helps)
        reason = f"best partner so far of {said}; adds {gains[source]:.3f} to the weighted mean"
        chosen.append(Partner(source, gains[source], helps, reason))
    return PartnersAnswer(
        targets=wanted,
        partners=tuple(chosen),
        helped_by_targets=by_targets,
        unhelped=tuple(t for t in wanted if best[t] <= 0),
        unsure=_unsure(cells, best),
        score=sum(share[t] * best[t] for t in wanted),
        source="; ".join(map(str, dict.fromkeys(c.origin for c in cells if c.origin))),
        law=LAW,
        warnings=tuple(_warnings(searched, chosen, by_targets, k, best)),
    )


def _normalised(targets: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(targets))
    if unknown:
        raise InputError("a weight is given for no target", value=unknown, where="weights")
    given = {t: float(weights.get(t, 1.0)) for t in targets}
    wrong = {t: w for t, w in given.items() if not w > 0}
    if wrong:
        raise InputError("weights must be above zero", value=wrong, where="weights")
    total = sum(given.values())
    return {t: w / total for t, w in given.items()}


def _sure(cell: Cell) -> float | None:
    """What a score is sure to do: a value that may as well be 0 counts as 0 at most."""
    if cell.bts is None:
        return cell.lower
    return cell.bts if _least(cell) > 0 else min(cell.bts, 0.0)


def _least(cell: Cell) -> float:
    """The lower end of a value: of its interval, of its rounding, or by what estimates miss."""
    assert cell.bts is not None, "bounds have no value"
    if cell.lower is not None:
        return cell.lower
    if cell.provenance is Provenance.ESTIMATED:
        return cell.bts - ESTIMATES_MISS
    return cell.bts if cell.rounding is None else cell.rounding[0]


def _unsure(cells: Sequence[Cell], best: Mapping[str, float]) -> tuple[Unsure, ...]:
    """Scores that would have added something if they were sure, best first."""
    found = [
        Unsure(cell.target, cell.source, cell.bts, _least(cell), cell.provenance)
        for cell in cells
        if cell.bts is not None and cell.bts > best[cell.target] and _least(cell) <= 0
    ]
    return tuple(sorted(found, key=lambda one: (-one.bts, one.target, one.source))[:MOST_UNSURE])


def _by_help(help_of: Mapping[tuple[str, str], float], target: str) -> Callable[[str], float]:
    return lambda source: help_of.get((target, source), -np.inf)


def _helped(matrix: TransferMatrix, best_source: Mapping[str, str]) -> tuple[Helped, ...]:
    helped = []
    for target, source in best_source.items():
        cell = matrix[target, source]
        value = cell.bts if cell.bts is not None else cell.lower
        assert value is not None, "only known scores are chosen"
        helped.append(Helped(target, value, cell.provenance))
    return tuple(sorted(helped, key=lambda h: (-h.bts, h.target)))


def _n_measured(matrix: TransferMatrix, source: str) -> int:
    """Between equally good partners the better measured one is taken."""
    return int(np.count_nonzero(matrix.is_measurement[:, matrix.sources.index(source)]))


def _warnings(
    matrix: TransferMatrix,
    chosen: Sequence[Partner],
    by_targets: Sequence[Helped],
    k: int,
    best: Mapping[str, float],
) -> list[str]:
    found = []
    kinds = [h.provenance for one in chosen for h in one.helps] + [h.provenance for h in by_targets]
    if matrix.measured_note is not None:
        estimated = kinds.count(Provenance.ESTIMATED)
        found.append(
            f"{matrix.measured_note}; of the {len(kinds)} behind this {estimated} are estimates"
        )
    if len(chosen) < k:
        found.append(f"no further partner surely adds anything after {len(chosen)}")
    unhelped = [t for t, value in best.items() if value <= 0]
    if unhelped:
        found.append(
            f"nothing here surely helps {', '.join(unhelped)}: measure a pair before adding one"
        )
    found.append(
        "scores are of pairs; in a larger mixture partners share tokens and capacity, so measure "
        "the mixture before relying on it"
    )
    return found
