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

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from atlas_scaling.answers import Answer, Estimate
from atlas_scaling.compute import training_flops
from atlas_scaling.errors import InputError
from atlas_scaling.planning.capacity_law import CapacityLaw, FloatArray, published_capacity_law
from atlas_scaling.planning.checks import check_above_zero
from atlas_scaling.planning.mixtures import checked_mixture, effective_languages
from atlas_scaling.units import format_count

FRONTIER_POINTS: Final = 41
FRONTIER_REACH: Final = 3.0
"""The frontier is drawn to this multiple of the least compute, on both sides."""


@dataclass(frozen=True)
class FrontierPoint(Answer):
    """One way to keep the loss."""

    n_params_ratio: float
    tokens_ratio: float
    flops_ratio: float


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
class _Case:
    """The question in numbers; ``share_loss`` is how much more all tokens grow than t."""

    k: float
    k_new: float
    share_loss: float
    n_params: float | None
    tokens: float | None
    capacity_share: float | None

    @property
    def r(self) -> float:
        return self.k_new / self.k


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
    law = published_capacity_law() if law is None else law
    case = _case(
        from_languages, to_languages, from_mixture, to_mixture, n_params, tokens, capacity_share
    )
    point = {name: np.array([value]) for name, value in law.values.items()}
    balance_basis = _basis(law, case)

    def estimated(f: Callable[[dict[str, FloatArray]], FloatArray]) -> Estimate:
        value = float(f(point)[0])
        if not law.n_draws:
            return Estimate(value)
        tail = 50 * (1 - law.level)
        low, high = np.percentile(f(law.draws), [tail, 100 - tail])
        return Estimate(value, (float(low), float(high)))

    def scaled(by: float | None, ratio: Estimate) -> Estimate | None:
        if by is None or ratio.value is None:
            return None
        interval = ratio.interval and (by * ratio.interval[0], by * ratio.interval[1])
        return Estimate(by * ratio.value, interval)

    n_ratio = estimated(lambda p: _optimum(p, case)[0])
    language_ratio = estimated(lambda p: _optimum(p, case)[1])
    tokens_ratio = scaled(case.share_loss, language_ratio)
    flops_ratio = estimated(lambda p: case.share_loss * np.prod(_optimum(p, case), axis=0))
    assert tokens_ratio is not None
    flops = None if n_params is None or tokens is None else training_flops(n_params, tokens)
    has_loss = law.has_amplitudes and "E" in law.values and n_params and tokens
    new_n_params, new_tokens = scaled(n_params, n_ratio), scaled(tokens, tokens_ratio)
    return Expansion(
        from_languages=case.k,
        to_languages=case.k_new,
        n_params_ratio=n_ratio,
        tokens_ratio=tokens_ratio,
        tokens_per_language_ratio=language_ratio,
        flops_ratio=flops_ratio,
        n_params=new_n_params,
        tokens=new_tokens,
        flops=scaled(flops, flops_ratio),
        loss=estimated(lambda p: p["E"] + sum(_terms(p, case))) if has_loss else None,
        added_loss=_added_losses(added or {}, case, to_mixture, new_n_params, new_tokens),
        balance=Balance(
            capacity_share=estimated(lambda p: _capacity_share(p, case)),
            optimal_share=estimated(_optimal_share),
            basis=balance_basis,
        ),
        rebalancing=estimated(lambda p: np.prod(_optimum(p, replace(case, k_new=case.k)), axis=0)),
        unbalanced=_unbalanced(law, case),
        frontier=_frontier(law, case),
        level=law.level,
        source=law.source,
        law="capacity: L = E + A K^phi / N^alpha + B K^psi / D^beta",
        warnings=tuple(_warnings(law, case, balance_basis, from_mixture, new_n_params)),
    )


def _added_losses(
    laws: Mapping[str, CapacityLaw],
    case: _Case,
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
        point = {name: np.array([value]) for name, value in law.values.items()}
        value = float((point["E"] + sum(_terms(point, new)))[0])
        interval = None
        if law.n_draws:
            tail = 50 * (1 - law.level)
            drawn = law.draws["E"] + sum(_terms(law.draws, new))
            low, high = np.percentile(drawn, [tail, 100 - tail])
            interval = (float(low), float(high))
        found[code] = Estimate(value, interval)
    return found


def _case(
    from_languages: float | None,
    to_languages: float | None,
    from_mixture: Mapping[str, float] | None,
    to_mixture: Mapping[str, float] | None,
    n_params: float | None,
    tokens: float | None,
    capacity_share: float | None,
) -> _Case:
    check_above_zero(n_params=n_params, tokens=tokens)
    if capacity_share is not None and not 0 < capacity_share < 1:
        raise InputError(
            "the capacity term's share lies between 0 and 1, neither included",
            value=capacity_share,
            where="capacity_share",
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
        return _Case(k, k_new, share_loss, n_params, tokens, capacity_share)
    if from_languages is None or to_languages is None:
        raise InputError(
            "how many languages, before and after?",
            where="from_languages, to_languages",
            remedy="give both numbers, or both mixtures",
        )
    for name, value in (("from_languages", from_languages), ("to_languages", to_languages)):
        if not (math.isfinite(value) and value >= 1):
            raise InputError("a number of languages is at least 1", value=value, where=name)
    k, k_new = float(from_languages), float(to_languages)
    return _Case(k, k_new, k_new / k, n_params, tokens, capacity_share)


def _basis(law: CapacityLaw, case: _Case) -> str:
    if case.capacity_share is not None:
        return "given"
    if law.has_amplitudes and case.n_params is not None and case.tokens is not None:
        return "computed"
    return "assumed"


def _optimal_share(p: dict[str, FloatArray]) -> FloatArray:
    return p["beta"] / (p["alpha"] + p["beta"])


def _terms(p: dict[str, FloatArray], case: _Case) -> tuple[FloatArray, FloatArray]:
    """Capacity and data term of the baseline, each shape (R,)."""
    assert case.n_params is not None
    assert case.tokens is not None
    tokens = case.tokens / case.k
    capacity = p["A"] * case.k ** p["phi"] / case.n_params ** p["alpha"]
    return capacity, p["B"] * case.k ** p["psi"] / tokens ** p["beta"]


def _capacity_share(p: dict[str, FloatArray], case: _Case) -> FloatArray:
    """``w_N`` of the baseline, shape (R,)."""
    if case.capacity_share is not None:
        return np.full_like(p["alpha"], case.capacity_share)
    if "A" in p and "B" in p and case.n_params is not None and case.tokens is not None:
        capacity, data = _terms(p, case)
        return capacity / (capacity + data)
    return _optimal_share(p)


def _optimum(p: dict[str, FloatArray], case: _Case) -> tuple[FloatArray, FloatArray]:
    """``(s, t)`` of least compute, each shape (R,)."""
    return _on_curve(p, case, _optimal_share(p))


def _on_curve(
    p: dict[str, FloatArray], case: _Case, share: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``(s, t)`` on the iso-loss curve where the capacity term ends with ``share`` of the loss."""
    w = _capacity_share(p, case)
    s = (case.r ** p["phi"] * w / share) ** (1 / p["alpha"])
    t = (case.r ** p["psi"] * (1 - w) / (1 - share)) ** (1 / p["beta"])
    return s, t


def _unbalanced(law: CapacityLaw, case: _Case) -> FrontierPoint:
    v = law.values
    s = case.r ** (v["phi"] / v["alpha"])
    tokens = case.share_loss * case.r ** (v["psi"] / v["beta"])
    return FrontierPoint(s, tokens, s * tokens)


def _frontier(law: CapacityLaw, case: _Case) -> tuple[FrontierPoint, ...]:
    """The iso-loss curve, evenly spaced in log N, up to a multiple of the least compute."""
    p = {name: np.array([value]) for name, value in law.values.items()}
    logit = np.linspace(-12, 12, 2401)
    s, t = _on_curve(p, case, 1 / (1 + np.exp(-logit)))
    near = s[s * t <= FRONTIER_REACH * np.prod(_optimum(p, case))]
    s = np.geomspace(near.min(), near.max(), FRONTIER_POINTS)
    share = case.r ** p["phi"] * _capacity_share(p, case) * s ** -p["alpha"]
    s, t = _on_curve(p, case, share)
    return tuple(
        FrontierPoint(float(a), float(case.share_loss * b), float(case.share_loss * a * b))
        for a, b in zip(s, t, strict=True)
    )


def _warnings(
    law: CapacityLaw,
    case: _Case,
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
