"""ATLAS: Chinchilla on effective data that counts transfer and repetition (eqs. 1-3).

``L = E + A / N^alpha + B / D_eff^beta`` with
``D_eff = S(D_t; U_t) + sum_i tau_i S(D_i; U_i) + tau_other S(D_other; U_other)`` over the sources
``K_t`` (the three languages most co-sampled with the target unless chosen) and everything else.

Variants, the ablations of Table 1: ``target`` (``D_t`` only), ``other`` (``D_t`` and all other
tokens as one source) and ``full``.

A transfer weight may be negative, so ``D_eff`` could reach zero, where the law has no value. It is
held at ``FLOOR * D_tot``; rows where that decides are reported by ``guards``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import unknown
from atlas_scaling.laws.base import DataFacts, Law, Parameter
from atlas_scaling.laws.repetition import repeats_with_slope, saturated, too_few_epochs
from atlas_scaling.laws.terms import TWO_POWERS

Variant = Literal["target", "other", "full"]

N_SOURCES: Final = 3
"""The paper gives a weight to the three languages most co-sampled with the target."""

FLOOR: Final = 1e-6
"""``D_eff`` is held above this share of all tokens."""

ENOUGH_SHARES: Final = 3
"""Different shares of a language's tokens that their worth is told from."""

_TARGET: Final = "target"
_OTHER: Final = "other"


def at_floor(D_eff: Any, x: Any) -> dict[str, NDArray[np.bool_]]:
    """Rows where the floor of ``D_eff`` (..., n) decided the loss, with the reason."""
    bound = np.asarray(D_eff) <= FLOOR * x.tokens
    return {"effective data reached its floor: the transfer weights cancel the target": bound}


def _transfer_weight(name: str, description: str) -> Parameter:
    """A transfer weight: 1 is worth as much as the target's own text, 0 nothing, < 0 harms."""
    return Parameter(
        name,
        start=(-0.3, 0.7),
        bounds=(-2.0, 4.0),
        transform="identity",
        tolerance=0.3,
        symbol="τ",
        description=description,
    )


def _repetition(label: str | None) -> Parameter:
    of_what = "repeated tokens" if label is None else f"repeated tokens of {label}"
    return Parameter(
        "lam" if label is None else f"lam[{label}]",
        start=(0.02, 3.0),
        bounds=(1e-3, 1e2),
        tolerance=1.0,
        symbol="λ",
        description=f"how fast {of_what} lose their worth",
    )


@dataclass(frozen=True)
class ATLAS(Law):
    """The law of the ATLAS paper for one target language.

    Attributes:
        variant: ``full``, or one of its ablations ``target`` and ``other``.
        sources: the languages that get a transfer weight of their own; None lets the data decide.
        shared_lambda: one repetition constant for all sources, as in the paper, or one each.
        others: whether tokens of languages that are no source count, with ``tau_other``; the data
            decides where the sources were left to it.
    """

    variant: Variant = "full"
    sources: tuple[str, ...] | None = None
    shared_lambda: bool = True
    others: bool = True

    name: ClassVar[str] = "atlas"
    title: ClassVar[str] = "ATLAS"
    formula: ClassVar[str] = (
        "L = E + A/N^alpha + B/D_eff^beta, "
        "D_eff = S(D_t;U_t) + sum_i tau_i S(D_i;U_i) + tau_other S(D_other;U_other)"
    )
    source: ClassVar[str] = "ATLAS, arXiv 2510.22037v2, eqs. 1-3"

    def __post_init__(self) -> None:
        variants = get_args(Variant)
        if self.variant not in variants:
            raise unknown(
                "there is no such variant of ATLAS", self.variant, variants, where="variant"
            )
        if self.sources is not None:
            object.__setattr__(self, "sources", tuple(self.sources))

    @property
    def inputs(self) -> tuple[str, ...]:
        """Arrays of the variant; ``source_*`` have one row a source, in the order of sources."""
        names = ["n_params", "tokens", "target_tokens", "target_unique"]
        if self._sources:
            names += ["source_tokens", "source_unique"]
        if self._with_others:
            names += ["other_tokens", "other_unique"]
        return tuple(names)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The five of Chinchilla, then repetition, then a transfer weight a source."""
        weights = [_transfer_weight(f"tau[{s}]", f"worth of a {s} token") for s in self._sources]
        if self._with_others:
            weights.append(_transfer_weight("tau_other", "worth of a token of any other language"))
        return (
            *TWO_POWERS,
            *(_repetition(label) for label in self._repetition_labels),
            *weights,
        )

    def adapted(self, facts: DataFacts) -> Law:
        """Take the three most co-sampled languages as sources where none were chosen."""
        if self.variant != "full" or self.sources is not None:
            return self
        others = len(facts.co_sampled) > N_SOURCES
        return replace(self, sources=facts.co_sampled[:N_SOURCES], others=others)

    def loss(self, p: Any, x: Any) -> Any:
        """``E + A / N^alpha + B / D_eff^beta`` with ``D_eff`` held above its floor."""
        log_N = np.log(x.n_params)
        log_D = np.log(np.maximum(self.effective_tokens(p, x), FLOOR * x.tokens))
        # exp and log cost a fraction of a power
        return p.E + p.A * np.exp(-p.alpha * log_N) + p.B * np.exp(-p.beta * log_D)

    def effective_tokens(self, p: Any, x: Any) -> Any:
        """``D_eff`` of eq. 2, before the floor, shape (..., n)."""
        total = 0.0
        for name, label, D, U in self._terms(x):
            worth = saturated(D, U, self._lam(p, label))
            total = total + (worth if name is None else self._tau(p, label) * worth)
        return total

    def derivatives(self, p: Any, x: Any) -> tuple[Any, dict[str, Any]]:
        """The loss and its derivatives, written out: a third of the cost of deriving them.

        Most rows of a study repeat nothing: what repetition adds is computed for the others alone.
        """
        terms = list(self._terms(x))
        fresh = np.array([np.minimum(D, U) for _, _, D, U in terms])  # terms, n
        tau = np.hstack(
            [
                np.ones_like(p.B) if name is None else self._tau(p, label)
                for name, label, *_ in terms
            ]
        )  # B, terms
        D_eff = tau @ fresh
        again = []
        for i, (name, label, D, U) in enumerate(terms):
            rows = np.flatnonzero(D > U)
            if len(rows):
                extra, slope = repeats_with_slope(D[rows], U[rows], self._lam(p, label))
                D_eff[:, rows] += tau[:, i : i + 1] * extra
                again.append((name, self._lam_name(label), rows, extra, tau[:, i : i + 1] * slope))
        floor = FLOOR * x.tokens
        held = D_eff <= floor
        D_eff = np.maximum(D_eff, floor)
        log_N, log_D = np.log(x.n_params), np.log(D_eff)
        by_A, by_B = np.exp(-p.alpha * log_N), np.exp(-p.beta * log_D)
        capacity, data = p.A * by_A, p.B * by_B
        by_D = -p.beta * data / D_eff
        if held.any():
            by_D = np.where(held, 0.0, by_D)
        slopes: dict[str, Any] = {
            "E": 1.0,
            "A": by_A,
            "B": by_B,
            "alpha": -log_N * capacity,
            "beta": -log_D * data,
            **{self._lam_name(label): np.zeros_like(by_D) for _, label, *_ in terms},
            **{name: by_D * fresh[i] for i, (name, *_) in enumerate(terms) if name is not None},
        }
        for name, lam, rows, extra, slope in again:
            slopes[lam][:, rows] += by_D[:, rows] * slope
            if name is not None:
                slopes[name][:, rows] += by_D[:, rows] * extra
        return p.E + capacity + data, slopes

    def guards(self, p: Any, x: Any) -> dict[str, NDArray[np.bool_]]:
        """Rows where the floor of ``D_eff`` decided the loss."""
        return at_floor(self.effective_tokens(p, x), x)

    def evidence(self, x: Any) -> dict[str, str]:
        """Repetition needs repeated tokens; a transfer weight needs runs with its source."""
        said: dict[str, str] = {}
        few = too_few_epochs(x.target_tokens, x.target_unique)
        if few is not None:
            said["lam" if self.shared_lambda else "lam[target]"] = few
        for i, source in enumerate(self._sources):
            shares = np.unique(np.round(x.source_tokens[i] / x.tokens, 3))
            if len(shares) < ENOUGH_SHARES:
                said[f"tau[{source}]"] = (
                    f"{source} comes in {len(shares)} different share(s), aim for {ENOUGH_SHARES}"
                )
        return said

    @property
    def _sources(self) -> tuple[str, ...]:
        return (self.sources or ()) if self.variant == "full" else ()

    @property
    def _with_others(self) -> bool:
        return self.others and self.variant != "target"

    @property
    def _repetition_labels(self) -> tuple[str | None, ...]:
        if self.shared_lambda:
            return (None,)
        others = (_OTHER,) if self._with_others else ()
        return (_TARGET, *self._sources, *others)

    def _terms(self, x: Any) -> Iterator[tuple[str | None, str, Any, Any]]:
        """Of each term of ``D_eff``: its transfer weight, whose tokens they are, D and U."""
        yield None, _TARGET, x.target_tokens, x.target_unique
        for i, source in enumerate(self._sources):
            yield f"tau[{source}]", source, x.source_tokens[i], x.source_unique[i]
        if self._with_others:
            yield "tau_other", _OTHER, x.other_tokens, x.other_unique

    def _tau(self, p: Any, label: str) -> Any:
        return p.tau_other if label == _OTHER else p.tau[label]

    def _lam(self, p: Any, label: str) -> Any:
        return p.lam if self.shared_lambda else p.lam[label]

    def _lam_name(self, label: str) -> str:
        return "lam" if self.shared_lambda else f"lam[{label}]"
