"""The question of an allocation as arrays: laws, languages, bounds, where the solver may start."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.planning.allocation_budget import SMALLEST, Budget, too_little_text
from atlas_scaling.planning.allocation_problem import FloatArray, Problem
from atlas_scaling.planning.checks import by_our_codes, check_above_zero
from atlas_scaling.planning.interior_system import Constraints
from atlas_scaling.planning.language_laws import LanguageLaw

_PREFERENCE_FOR_TARGETS: Final = (1.0, 0.1, 0.01, 1e-3)
_ALL_SORTS: Final = 200
_ORDERS: Final = 4.0
"""Standard deviation of log shares that are tried at last."""

_SPARE: Final = 1e-9

_KEPT: Final = 1e-6
"""A limit passed by no more than this is kept."""

BELOW_LAWS: Final = 10.0
"""How far below the smallest size of a law sizes are looked at."""

NO_CAP: Final = 2.0
"""Above 1, so that all of a mixture lies strictly within its bounds."""


@dataclass(frozen=True, eq=False)
class Setup:
    """A question, checked.

    Attributes:
        laws: of the targets.
        languages: targets first, then sources.
        weights: of the targets, sum 1, (T,).
        unique: distinct tokens, (n,), infinite where not known.
        low, high: bounds of shares, (n,); ``high`` is above 1 where there is no cap.
        max_tokens: most tokens by language, (n,), or None.
        budget: what may be spent.
    """

    laws: tuple[LanguageLaw, ...]
    languages: tuple[str, ...]
    weights: FloatArray
    unique: FloatArray
    low: FloatArray
    high: FloatArray
    max_tokens: FloatArray | None
    budget: Budget

    @property
    def n_targets(self) -> int:
        """Targets, T."""
        return len(self.laws)

    @cached_property
    def n_draws(self) -> int:
        """Draws that every law that has some can give."""
        return min((law.n_draws for law in self.laws if law.n_draws), default=0)

    @cached_property
    def problem(self) -> Problem:
        """The point problem, one case."""
        return self._problem(
            1, lambda law, name: np.array([getattr(law, name)]), _worth, _repetition
        )

    def draw_problem(self, n: int) -> Problem:
        """The first ``n`` draws, each a case; a law without draws is the same in all."""

        def coefficient(law: LanguageLaw, name: str) -> FloatArray:
            own = law.draws.get(name)
            return np.full(n, getattr(law, name)) if own is None else own[:n]

        def worth(law: LanguageLaw, code: str) -> FloatArray:
            own = law.worth_draws(code)
            return np.full(n, law.worth_of(code)) if own is None else own[:n]

        def repetition(law: LanguageLaw, code: str) -> FloatArray:
            own = law.repetition_draws(code)
            return np.full(n, law.repetition_of(code)) if own is None else own[:n]

        return self._problem(n, coefficient, worth, repetition)

    def _problem(
        self,
        R: int,
        coefficient: Callable[[LanguageLaw, str], FloatArray],
        worth: Callable[[LanguageLaw, str], FloatArray],
        repetition: Callable[[LanguageLaw, str], FloatArray],
    ) -> Problem:
        arrays = {
            name: np.stack([coefficient(law, name) for law in self.laws], axis=1)
            for name in ("E", "A", "alpha", "B", "beta")
        }
        tau, lam = (
            np.stack(
                [np.stack([of(law, code) for code in self.languages], axis=1) for law in self.laws],
                axis=1,
            )
            for of in (worth, repetition)
        )
        if (lam == lam[:, :1]).all():
            lam = lam[:, :1]  # one curve of repetition for all targets: T times less to compute
        return Problem(
            **arrays,
            tau=tau,
            lam=lam,
            unique=self.unique,
            flops=np.full(R, self.budget.spent),
            inference_tokens=self.budget.inference_tokens,
            tokens=self.budget.tokens,
        )

    @cached_property
    def most_tokens(self) -> float:
        """Most tokens D that limits of epochs, floors and caps allow; infinite without limits.

        D is possible where ``w_l D <= M_l`` leaves every floor and a mixture: ``low_l <= M_l / D``
        and ``sum_l min(high_l, M_l / D) >= 1``, whose left side falls with D.
        """
        if self.max_tokens is None:
            return math.inf
        with np.errstate(divide="ignore", over="ignore"):
            most = float(np.min(self.max_tokens / self.low))
        high = np.minimum(self.high, 1.0)
        if high[np.isinf(self.max_tokens)].sum() >= 1:
            return most
        # the first k languages by M / high are read to their limit, the rest to their cap
        order = np.argsort(self.max_tokens / high)
        read = np.cumsum(self.max_tokens[order])
        rest = high.sum() - np.cumsum(high[order])
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.where(rest < 1, read / (1 - rest), math.inf)
        return min(most, float(np.nanmin(ends)))

    def keeps_limits(self, shares: FloatArray, tokens: float) -> bool:
        """Whether a mixture keeps every floor, cap and limit of epochs."""
        most = np.inf if self.max_tokens is None else self.max_tokens
        kept = (
            (shares >= self.low - _KEPT)
            & (shares <= self.high + _KEPT)
            & (shares * tokens <= most * (1 + _KEPT))
        )
        return bool(kept.all())

    @cached_property
    def smallest(self) -> float:
        """Parameters, and tokens, of the smallest run that is looked at."""
        sizes = [law.n_params[0] / BELOW_LAWS for law in self.laws if law.n_params is not None]
        return min([SMALLEST, *sizes])

    def v_bounds(self, flops: float) -> tuple[float, float]:
        """Bounds of log N where it is free."""
        return self.budget.free_v(flops, most_tokens=self.most_tokens, smallest=self.smallest)

    def fixed_v(self, flops: float) -> FloatArray | None:
        """Values of log N that may be chosen, or None where N is free."""
        return self.budget.fixed_v(flops, most_tokens=self.most_tokens, smallest=self.smallest)

    def can_pay(self, flops: float) -> bool:
        """Whether another budget trains any model that the question allows."""
        try:
            if self.fixed_v(flops) is None:
                self.v_bounds(flops)
        except InputError:
            return False
        return True

    def constraints(self, v: FloatArray | None) -> Constraints:
        """For the solver; ``v`` are the bounds of log N, (R, 2), None where it is fixed."""
        return Constraints(self.low, self.high, v, self.max_tokens)

    def named(self, shares: FloatArray) -> dict[str, float]:
        """Shares by language, the largest first, those of 0 left out."""
        pairs = zip(self.languages, shares.tolist(), strict=True)
        return {code: w for code, w in sorted(pairs, key=lambda pair: -pair[1]) if w > 0}

    def epochs(self, shares: FloatArray, tokens: float) -> dict[str, float]:
        """Passes over the distinct tokens, by language that has a share and a known count."""
        return {
            code: share * tokens / float(self.unique[self.languages.index(code)])
            for code, share in self.named(shares).items()
            if math.isfinite(self.unique[self.languages.index(code)])
        }

    def without_floors(self) -> Setup:
        """The same question with floors of 0."""
        return replace(self, low=np.zeros_like(self.low))

    def start_shares(self, problem: Problem, v: FloatArray) -> FloatArray:
        """Shares strictly within the constraints at which every loss is finite, (R, n).

        Raises:
            InputError: epochs leave too little text, or the transfer weights cancel a target.
        """
        shares, found = self.usable_shares(problem, v)
        if not found.all():
            raise InputError(
                "the transfer weights cancel a target: its effective data is below zero in every "
                "mixture that was tried",
                value={law.language: min(law.tau.values(), default=0.0) for law in self.laws},
                where="tau",
                remedy="fewer targets at once, or leave interference out",
            )
        return shares

    def usable_shares(
        self, problem: Problem, v: FloatArray
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """The same, and for which cases there are any."""
        room = self._room(problem.tokens_at(v)[0])
        shares = np.tile(self.low, (len(v), 1))
        found = np.zeros(len(v), dtype=bool)
        for preference in self._preferences():
            if found.all():
                break
            wanted = room * preference
            filled = (1 - self.low.sum()) / wanted.sum(axis=1, keepdims=True)
            trial = self.low + wanted * filled
            fits = (wanted * filled < room).all(axis=1) & ~found
            fits &= np.isfinite(problem.losses(v, trial)).all(axis=1)
            shares[fits], found = trial[fits], found | fits
        return shares, found

    def _preferences(self) -> Iterator[FloatArray]:
        """Mixtures to try: targets evenly with ever less of sources, by text, at last all sorts."""
        is_target = np.arange(len(self.languages)) < self.n_targets
        for less in _PREFERENCE_FOR_TARGETS:
            yield np.where(is_target, 1.0, less)
        known = self.unique[np.isfinite(self.unique)]
        text = np.minimum(self.unique, known.max(initial=1.0)) / known.max(initial=1.0)
        for power in (0.5, 1.0):
            yield np.where(is_target, 1.0, _PREFERENCE_FOR_TARGETS[-1]) * text**power
        rng = np.random.Generator(np.random.PCG64(0))
        for orders in rng.standard_normal((_ALL_SORTS, len(is_target))):
            yield np.exp(_ORDERS * orders)

    def _room(self, tokens: FloatArray) -> FloatArray:
        """How far each share may rise above its floor, (R, n)."""
        high = np.tile(self.high, (len(tokens), 1))
        if self.max_tokens is not None:
            high = np.minimum(high, self.max_tokens / tokens[:, None])
        if (high <= self.low).any() or (high.sum(axis=1) <= 1).any():
            raise too_little_text(float(tokens.min()))
        return np.asarray(high - self.low)


def make_setup(
    laws: Sequence[LanguageLaw],
    *,
    budget: Budget,
    sources: Sequence[str],
    weights: Mapping[str, float] | None,
    unique: Mapping[str, float],
    floors: Mapping[str, float] | None,
    caps: Mapping[str, float] | None,
    max_epochs: float | None,
) -> Setup:
    """Check a question and put it into arrays.

    Args:
        laws: one a target.
        budget: what may be spent.
        sources: further languages that may be trained on.
        weights: of the targets; equal if not given.
        unique: distinct tokens by language, our codes.
        floors: least share by language.
        caps: largest share by language.
        max_epochs: most passes over a language's distinct tokens.

    Raises:
        InputError: no target, one twice, units that differ, or bounds that no mixture meets.
    """
    targets = [law.language for law in laws]
    if not targets:
        raise InputError("which languages is the model for?", where="targets")
    if len(set(targets)) < len(targets):
        raise InputError("a target stands twice", value=targets, where="targets")
    units = sorted({law.unit for law in laws})
    if len(units) > 1:
        raise InputError(
            "the laws are of losses in different units, which do not add up",
            value=units,
            where="laws",
            remedy="fit all of them in one unit",
        )
    languages = tuple(dict.fromkeys([*targets, *sources]))
    low, high = share_bounds(floors, caps, languages)
    check_above_zero(max_epochs=max_epochs)
    counts = np.array([unique.get(code, math.inf) for code in languages])
    return Setup(
        laws=tuple(laws),
        languages=languages,
        weights=_weights(weights, targets),
        unique=counts,
        low=low,
        high=np.maximum(high, low + _SPARE),
        max_tokens=None if max_epochs is None else counts * max_epochs,
        budget=budget,
    )


def share_bounds(
    floors: Mapping[str, float] | None,
    caps: Mapping[str, float] | None,
    languages: Sequence[str],
) -> tuple[FloatArray, FloatArray]:
    """Least and largest share of each language, (n,); ``NO_CAP`` where there is no cap.

    Raises:
        InputError: a bound on another language, out of range, or bounds that no mixture meets.
    """
    low = _by_language(floors, languages, "floors", 0.0)
    high = _by_language(caps, languages, "caps", NO_CAP)
    _check_bounds(low, high, languages)
    return low, high


def _worth(law: LanguageLaw, code: str) -> FloatArray:
    return np.array([law.worth_of(code)])


def _repetition(law: LanguageLaw, code: str) -> FloatArray:
    return np.array([law.repetition_of(code)])


def _weights(weights: Mapping[str, float] | None, targets: Sequence[str]) -> FloatArray:
    if weights is None:
        return np.full(len(targets), 1 / len(targets))
    given = by_our_codes(weights, where="weights")
    wrong = sorted(set(given) ^ set(targets))
    if wrong:
        raise InputError(
            "every target needs a weight, and nothing else has one", value=wrong, where="weights"
        )
    check_above_zero(**{f"weight of {code}": value for code, value in given.items()})
    values = np.array([given[code] for code in targets], dtype=np.float64)
    return np.asarray(values / values.sum())


def _by_language(
    values: Mapping[str, float] | None, languages: Sequence[str], where: str, default: float
) -> FloatArray:
    found = dict.fromkeys(languages, default)
    for code, value in by_our_codes(values, where=where).items():
        if code not in found:
            raise InputError(
                "a bound on a language that is not in the plan",
                value=code,
                where=where,
                remedy="add it to the targets or sources",
            )
        if not 0 <= value <= 1:
            raise InputError(
                "a share is a number from 0 to 1", value=value, where=f"{where}, {code}"
            )
        found[code] = value
    return np.array([found[code] for code in languages])


def _check_bounds(low: FloatArray, high: FloatArray, languages: Sequence[str]) -> None:
    crossed = np.flatnonzero(low > high)
    if len(crossed):
        code = languages[crossed[0]]
        raise InputError(
            "a floor lies above its cap",
            value=(float(low[crossed[0]]), float(high[crossed[0]])),
            where=f"floors and caps, {code}",
        )
    if low.sum() >= 1:
        raise InputError(
            "the floors leave nothing to choose: together they must be below 1",
            value=float(low.sum()),
            where="floors",
        )
    if high.sum() <= 1:
        raise InputError(
            "no mixture meets the caps: together they must be above 1",
            value=float(high.sum()),
            where="caps",
        )
