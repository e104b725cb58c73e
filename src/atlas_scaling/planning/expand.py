"""From K to K' languages at the same loss: how many parameters, how many tokens.

The capacity law (ATLAS paper, eq. 7) is ``L = E + A K^phi / N^alpha + B K^psi / D^beta``, D the
tokens of one language. With ``r = K'/K``, ``s = N'/N``, ``t = D'/D`` and ``w_N`` the capacity
term's share of the baseline's reducible loss, the loss stays the same on the curve::

    r^phi w_N s^-alpha + r^psi (1 - w_N) t^-beta = 1

Compute grows by ``r s t``, because all K' languages need D'. It is least where the capacity term's
share becomes ``w* = beta / (alpha + beta)``, whatever the baseline's was::

    s = r^(phi/alpha) (w_N / w*)^(1/alpha)      t = r^(psi/beta) ((1-w_N) / (1-w*))^(1/beta)

For a compute-optimal baseline (``w_N = w*``) these are the paper's ``r^(phi/alpha)`` and, for all
tokens, ``r^(1 + psi/beta)``. For another baseline those still keep the loss, but are not cheapest;
the rest is a rebalancing of N against D that pays at ``r = 1`` already.

With uneven shares K and K' are effective numbers (``planning.mixtures``). A kept language whose
share goes from w to w' gets ``w'/w`` times the tokens at equal totals, so the total must grow by
``t w/w'``; the language that loses most of its share decides. For even shares ``w/w' = r``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import numpy as np

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.planning.capacity_law import CapacityLaw, FloatArray, published_capacity_law
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.iso_loss import (
    Case,
    FrontierPoint,
    capacity_share_of,
    frontier_of,
    optimal_share,
    optimum,
    terms,
    unbalanced,
)
from atlas_scaling.planning.mixtures import checked_mixture, effective_languages
from atlas_scaling.units import format_count

LEAST_SHARE: Final = 1e-9
MOST_LANGUAGES: Final = 10_000
"""ISO 639-3 has some 8,000, those of the past included."""


@dataclass(frozen=True)
class Balance(Answer):
    """How the baseline splits its reducible loss between too few parameters and too few tokens.

    Attributes:
        capacity_share: ``w_N``, the capacity term's share.
        optimal_share: ``w*``, what it is for the cheapest model of that loss.
        basis: ``given``, ``computed`` from the fit, N, D and K, or ``assumed`` compute-optimal.
    """

    capacity_share: Estimate
    optimal_share: Estimate
    basis: str


@dataclass(frozen=True)
class Expansion(Answer):
    """What more languages cost at the same loss. Ratios are new over old.

    Attributes:
        from_languages, to_languages: K and K', effective numbers where mixtures were given.
        n_params_ratio: N'/N at least compute.
        tokens_ratio: all tokens.
        tokens_per_language_ratio: tokens of one evenly sampled language.
        flops_ratio: training compute, 6 N D.
        n_params, tokens, flops: the new run, where the baseline's numbers were given.
        loss: of each language before and after, where the law knows it; None otherwise. Of the new
            languages too, as far as they follow the same law.
        added_loss: of newly added languages in the new run, by their own laws, where those and the
            baseline's numbers were given.
        balance: of the baseline.
        rebalancing: compute after moving N against D at the old K, over compute before; 1 for a
            compute-optimal baseline.
        unbalanced: the same loss with the baseline's own balance kept, the paper's formula.
        frontier: the iso-loss curve, fewest parameters first.
        level: of intervals.
        source, law: what the answer rests on.
        warnings: what limits it.
    """

    from_languages: float
    to_languages: float
    n_params_ratio: Estimate
    tokens_ratio: Estimate
    tokens_per_language_ratio: Estimate
    flops_ratio: Estimate
    n_params: Estimate | None
    tokens: Estimate | None
    flops: Estimate | None
    loss: Estimate | None
    added_loss: Mapping[str, Estimate]
    balance: Balance
    rebalancing: Estimate
    unbalanced: FrontierPoint
    frontier: tuple[FrontierPoint, ...]
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Expansions(Answer):
    """Several numbers of languages from one baseline."""

    expansions: tuple[Expansion, ...]
    level: float
    source: str
    law: str
    warnings: tuple[str, ...] = field(default=())


def expand(
    *,
    from_languages: float | None = None,
    to_languages: float | None = None,
    from_mixture: Mapping[str, float] | None = None,
    to_mixture: Mapping[str, float] | None = None,
    n_params: float | None = None,
    tokens: float | None = None,
    capacity_share: float | None = None,
    law: CapacityLaw | None = None,
    added: Mapping[str, CapacityLaw] | None = None,
) -> Expansion:
    """What it costs to serve more languages (or fewer) at the same loss.

    Args:
        from_languages: K, evenly sampled; or give ``from_mixture``.
        to_languages: K', evenly sampled; or give ``to_mixture``.
        from_mixture: shares of the baseline by language, which sum to 1.
        to_mixture: shares afterwards.
        n_params: N of the baseline, embeddings counted.
        tokens: all training tokens of the baseline.
        capacity_share: ``w_N`` of the baseline; where it is not given it is computed from N, D and
            K if the law has amplitudes, else the baseline is taken to be compute-optimal.
        law: a fit's capacity law; the published one if not given.
        added: capacity laws fitted to newly added languages, whose loss in the new run is wanted.

    >>> answer = expand(from_languages=8, to_languages=16)
    >>> round(answer.n_params_ratio.value, 2), round(answer.tokens_ratio.value, 2)
    (1.18, 1.66)

    Raises:
        InputError: no counts or mixtures, numbers out of range, or mixtures without a language in
            common.
    """
    case = _case(
        from_languages, to_languages, from_mixture, to_mixture, n_params, tokens, capacity_share
    )
    law = published_capacity_law() if law is None else law
    return _expansion(law, case, added or {}, to_mixture)


def expand_to(to_languages: Sequence[float], **question: Any) -> Expansions:
    """The same question for several numbers of languages.

    Args:
        to_languages: each K'.
        question: everything else, as in ``expand``.

    >>> steps = expand_to([16, 32], from_languages=8).expansions
    >>> [round(step.flops_ratio.value, 2) for step in steps]
    [1.96, 3.84]

    Raises:
        InputError: as ``expand``, or there is no number.
    """
    if not to_languages:
        raise InputError("to how many languages?", where="to_languages")
    found = tuple(expand(to_languages=k, **question) for k in to_languages)
    first = found[0]
    said = dict.fromkeys(warning for one in found for warning in one.warnings)
    return Expansions(found, first.level, first.source, first.law, tuple(said))


def _expansion(
    law: CapacityLaw,
    case: Case,
    added: Mapping[str, CapacityLaw],
    to_mixture: Mapping[str, float] | None,
) -> Expansion:
    n_ratio = _estimated(law, lambda p: optimum(p, case)[0])
    language_ratio = _estimated(law, lambda p: optimum(p, case)[1])
    flops_ratio = _estimated(law, lambda p: case.share_loss * np.prod(optimum(p, case), axis=0))
    tokens_ratio = _times(case.share_loss, language_ratio)
    n_params, tokens = case.n_params, case.tokens
    new_n_params = None if n_params is None else _times(n_params, n_ratio)
    new_tokens = None if tokens is None else _times(tokens, tokens_ratio)
    flops, loss = None, None
    if n_params is not None and tokens is not None:
        flops = _times(training_flops(n_params, tokens), flops_ratio)
        if law.has_amplitudes and "E" in law.values:
            loss = _estimated(law, partial(_loss, case=case))
    basis = _basis(law, case)
    return Expansion(
        from_languages=case.k,
        to_languages=case.k_new,
        n_params_ratio=n_ratio,
        tokens_ratio=tokens_ratio,
        tokens_per_language_ratio=language_ratio,
        flops_ratio=flops_ratio,
        n_params=new_n_params,
        tokens=new_tokens,
        flops=flops,
        loss=loss,
        added_loss=_added_losses(added, case, to_mixture, new_n_params, new_tokens),
        balance=Balance(
            capacity_share=_estimated(law, lambda p: capacity_share_of(p, case)),
            optimal_share=_estimated(law, optimal_share),
            basis=basis,
        ),
        rebalancing=_estimated(
            law, lambda p: np.prod(optimum(p, replace(case, k_new=case.k)), axis=0)
        ),
        unbalanced=unbalanced(law, case),
        frontier=frontier_of(law, case),
        level=law.level,
        source=law.source,
        law="capacity: L = E + A K^phi / N^alpha + B K^psi / D^beta",
        warnings=tuple(_warnings(law, case, basis, to_mixture, new_n_params)),
    )


def _estimated(law: CapacityLaw, f: Callable[[dict[str, FloatArray]], FloatArray]) -> Estimate:
    """``f`` of the law's parameters, and its percentiles over the draws."""
    value = float(f({name: np.array([value]) for name, value in law.values.items()})[0])
    if not law.n_draws:
        return Estimate(value)
    tail = 50 * (1 - law.level)
    low, high = np.percentile(f(law.draws), [tail, 100 - tail])
    return Estimate(value, (float(low), float(high)))


def _loss(p: dict[str, FloatArray], case: Case) -> FloatArray:
    """Loss of a run whose N, D and K are the baseline of ``case``, shape (R,)."""
    capacity, data = terms(p, case)
    return p["E"] + capacity + data


def _times(by: float, ratio: Estimate) -> Estimate:
    assert ratio.value is not None
    interval = ratio.interval and (by * ratio.interval[0], by * ratio.interval[1])
    return Estimate(by * ratio.value, interval)


def _added_losses(
    laws: Mapping[str, CapacityLaw],
    case: Case,
    mixture: Mapping[str, float] | None,
    n_params: Estimate | None,
    tokens: Estimate | None,
) -> dict[str, Estimate]:
    """Loss of added languages at the new N, K and their own tokens.

    Raises:
        InputError: the new run is not known, a law has no amplitudes, or a language is not in the
            new mixture.
    """
    if not laws:
        return {}
    if n_params is None or tokens is None or n_params.value is None or tokens.value is None:
        raise InputError(
            "the loss of an added language is that of a run, which is not known",
            where="n_params, tokens",
            remedy="give parameters and tokens of the model you have",
        )
    shares = None if mixture is None else checked_mixture(mixture, where="to_mixture")
    found = {}
    for code, law in laws.items():
        share = 1 / case.k_new if shares is None else shares.get(code, 0.0)
        if not law.has_amplitudes or "E" not in law.values or share <= 0:
            raise InputError(
                "the loss of this language cannot be told: its law needs E, A, B, and it a share",
                value=code,
                where="added",
            )
        new = replace(
            case, k=case.k_new, n_params=n_params.value, tokens=tokens.value * share * case.k_new
        )
        found[code] = _estimated(law, partial(_loss, case=new))
    return found


def _case(
    from_languages: float | None,
    to_languages: float | None,
    from_mixture: Mapping[str, float] | None,
    to_mixture: Mapping[str, float] | None,
    n_params: float | None,
    tokens: float | None,
    capacity_share: float | None,
) -> Case:
    check_above_zero(n_params=n_params, tokens=tokens)
    if capacity_share is not None and not LEAST_SHARE <= capacity_share <= 1 - LEAST_SHARE:
        raise InputError(
            "the capacity term's share lies between 0 and 1, neither included, and not nearer to "
            f"them than {LEAST_SHARE:g}",
            value=capacity_share,
            where="capacity_share",
        )
    mixtures = from_mixture is not None or to_mixture is not None
    if mixtures and (from_languages is not None or to_languages is not None):
        raise InputError(
            "numbers of languages and mixtures say it twice",
            value={"from_languages": from_languages, "to_languages": to_languages},
            where="from_languages, to_languages",
            remedy="give both numbers, or both mixtures",
        )
    if (from_mixture is None) != (to_mixture is None):
        raise InputError(
            "give both mixtures, before and after, or neither",
            value=from_mixture or to_mixture,
            where="from_mixture, to_mixture",
        )
    if from_mixture is not None and to_mixture is not None:
        before = checked_mixture(from_mixture, where="from_mixture")
        after = checked_mixture(to_mixture, where="to_mixture")
        kept = [code for code, share in before.items() if share > 0 and after.get(code, 0) > 0]
        if not kept:
            raise InputError(
                "no language is in both mixtures, so there is no loss to keep",
                value=sorted(after),
                where="to_mixture",
            )
        share_loss = max(before[code] / after[code] for code in kept)
        k, k_new = effective_languages(before), effective_languages(after)
        return Case(k, k_new, share_loss, n_params, tokens, capacity_share)
    if from_languages is None or to_languages is None:
        raise InputError(
            "how many languages, before and after?",
            where="from_languages, to_languages",
            remedy="give both numbers, or both mixtures",
        )
    for name, value in (("from_languages", from_languages), ("to_languages", to_languages)):
        if not 1 <= value <= MOST_LANGUAGES:
            raise InputError(
                f"a number of languages lies between 1 and {MOST_LANGUAGES:,}",
                value=value,
                where=name,
            )
    k, k_new = float(from_languages), float(to_languages)
    return Case(k, k_new, k_new / k, n_params, tokens, capacity_share)


def _basis(law: CapacityLaw, case: Case) -> str:
    if case.capacity_share is not None:
        return "given"
    if law.has_amplitudes and case.n_params is not None and case.tokens is not None:
        return "computed"
    return "assumed"


def _warnings(
    law: CapacityLaw,
    case: Case,
    basis: str,
    mixture: Mapping[str, float] | None,
    new_n_params: Estimate | None,
) -> list[str]:
    said = list(law.warnings)
    if law.languages is not None:
        low, high = law.languages
        outside = [k for k in (case.k, case.k_new) if not low <= k <= high]
        if outside:
            numbers = " and ".join(f"{k:.4g}" for k in outside)
            said.append(f"extrapolated: {numbers} languages, the law rests on {low:g}-{high:g}")
        if case.k < 2 and low > 1:
            said.append("a monolingual baseline is not among what the law was fitted on")
    if law.n_params is not None:
        low, high = law.n_params
        sizes = [case.n_params, new_n_params.value if new_n_params else None]
        outside = [n for n in sizes if n is not None and not low <= n <= high]
        if outside:
            numbers = " and ".join(format_count(n) for n in outside)
            said.append(
                f"extrapolated: {numbers} parameters, the law rests on "
                f"{format_count(low)}-{format_count(high)}"
            )
    if basis == "assumed":
        said.append(
            "the baseline is taken to be compute-optimal; if it was trained far longer or shorter, "
            "give its capacity share, or a fit with N and D"
        )
    elif basis == "given" and not law.n_draws:
        said.append(
            "alpha and beta are implied by printed quotients: with a baseline that is not "
            "compute-optimal the answer moves much with their rounding"
        )
    if mixture is not None:
        said.append(
            f"uneven shares: counted as {case.k:.3g} and {case.k_new:.3g} evenly sampled "
            "languages; the kept language that loses most of its share keeps its loss"
        )
    return said
