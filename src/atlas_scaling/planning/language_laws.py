"""The law of one target language as an allocation reads it, from a fit or from published laws.

``L = E + A / N^alpha + B / D_eff^beta`` with ``D_eff = S(D_t) + sum_i tau_i S(D_i)`` (ATLAS, eqs.
1-3). A fit gives all of it. The paper prints no fitted ATLAS law of a mixture, so without a fit:

- ``E, A, alpha, B, beta`` are those of Table C.1, multilingual vocabulary and monolingual training,
  which is ``D_eff = D_t``. A language that is not among its six borrows the law of one that is in
  its branch, else in its family, else English's; the user may name another.
- ``lam`` is ``1 / R*_D = 1 / 15.39`` of Muennighoff et al. 2023, the same curve of repetition.
- ``tau = BTS / (2 - BTS)`` from a transfer matrix. Negative ones count as 0: they are of pairs,
  hold what the pair costs in capacity, and do not add up over many languages.

All of that is said in the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.errors import InputError
from atlas_scaling.fitting.result import identified
from atlas_scaling.languages import Language, language, normalise
from atlas_scaling.published.regime_laws import Regime, RegimeLaw, regime_laws
from atlas_scaling.transfer.lookup import relatives_of
from atlas_scaling.transfer.matrix import MEASUREMENTS, TransferMatrix
from atlas_scaling.transfer.scores import tau_from_bts

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

PUBLISHED_LAMBDA: Final = 1 / 15.39
PUBLISHED_LAMBDA_SOURCE: Final = "lam = 1/15.39 (Muennighoff et al. 2023)"
PUBLISHED_UNIT: Final = "the paper's own loss unit"
FALLBACK: Final = "eng_Latn"
SHARED: Final = ("E", "A", "alpha", "B", "beta")


@dataclass(frozen=True, eq=False)
class LanguageLaw:
    """A target's law.

    Attributes:
        language: the target.
        E, A, alpha, B, beta: coefficients.
        lam: repetition constant of every language without its own in ``lam_by_source``.
        tau: worth of a source's token to the target, by source.
        tau_other: worth of a token of any language that ``tau`` does not name.
        lam_by_source: repetition constants that differ from ``lam``.
        draws: bootstrap draws by name (``E``, ``tau[spa_Latn]``, …), each (R,); empty without any.
        basis: where the coefficients come from, in words.
        unit: of the loss.
        n_params: range of model sizes it rests on, or None.
        unsure: parameters that the runs of a fit do not identify, with its verdicts.
        warnings: what a reader must know of it.
    """

    language: str
    E: float
    A: float
    alpha: float
    B: float
    beta: float
    lam: float = PUBLISHED_LAMBDA
    tau: Mapping[str, float] = field(default_factory=dict)
    tau_other: float = 0.0
    lam_by_source: Mapping[str, float] = field(default_factory=dict)
    draws: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)
    basis: str = "given"
    unit: str = "nats_per_token"
    n_params: tuple[float, float] | None = None
    unsure: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def n_draws(self) -> int:
        """Number of draws, 0 without any."""
        return min((len(values) for values in self.draws.values()), default=0)

    @property
    def knows_transfer(self) -> bool:
        """Whether another language's text is worth anything in this law."""
        return bool(self.tau) or self.tau_other != 0

    def worth_of(self, source: str) -> float:
        """Worth of a token of ``source``, 1 for the target itself."""
        return 1.0 if source == self.language else self.tau.get(source, self.tau_other)

    def worth_draws(self, source: str) -> FloatArray | None:
        """Draws of ``worth_of``, or None where it does not vary."""
        if source == self.language:
            return None
        return self.draws.get(f"tau[{source}]" if source in self.tau else "tau_other")

    def repetition_of(self, source: str) -> float:
        """``lam`` of a language in this law."""
        return self.lam_by_source.get(source, self.lam)

    def repetition_draws(self, source: str) -> FloatArray | None:
        """Draws of ``repetition_of``, or None where it does not vary."""
        return self.draws.get(f"lam[{source}]" if source in self.lam_by_source else "lam")


def law_of_fit(fit: Fit) -> LanguageLaw:
    """The law in a fit of ATLAS, or of Chinchilla to runs on the target alone.

    Raises:
        InputError: the fit names no target, or its law has other terms.
    """
    values = fit.values
    missing = [name for name in SHARED if name not in values]
    if missing or not fit.law.name.startswith(("atlas", "chinchilla")):
        raise InputError(
            f"an allocation cannot read the law {fit.law.name}",
            value=missing or fit.law.name,
            where="fit",
            remedy="fit ATLAS to runs with several mixtures: atlas fit RUNS --law atlas",
        )
    if fit.target is None:
        raise InputError(
            "this fit does not say which language's loss it is of",
            where="fit",
            remedy="fit with --target, if need be with a column language in the table; the best "
            "size alone is told without: atlas plan next --decide size --budget 1e21",
        )
    names = list(values)
    lam, borrowed = _repetition(fit)
    draws = {} if fit.draws is None else {n: fit.draws[:, i] for i, n in enumerate(names)}
    if borrowed:
        draws = {n: d for n, d in draws.items() if not n.startswith("lam")}
    by_source = {n[4:-1]: v for n, v in values.items() if n.startswith("lam[")}
    by_source.pop("target", None)
    sizes = fit.observations.x.get("n_params")
    return LanguageLaw(
        language=fit.target,
        **{name: float(values[name]) for name in SHARED},
        lam=lam,
        tau={n[4:-1]: float(v) for n, v in values.items() if n.startswith("tau[")},
        tau_other=float(values.get("tau_other", 0.0)),
        lam_by_source={} if borrowed else {k: v for k, v in by_source.items() if k != "other"},
        draws={_own_name(n): d for n, d in draws.items()},
        basis=f"{fit.law.name} fitted to {fit.n_rows} rows of {fit.n_runs} runs",
        unit=fit.observations.unit.value,
        n_params=None if sizes is None else (float(np.min(sizes)), float(np.max(sizes))),
        unsure={name: v for name, v in fit.verdicts.items() if not identified(v)},
        warnings=(*fit.warnings, *borrowed),
    )


def borrowed_law(law: LanguageLaw, target: str) -> LanguageLaw:
    """A relative's fitted law for a target without one; transfer is left to a matrix."""
    draws = {name: d for name, d in law.draws.items() if not name.startswith("tau")}
    return replace(
        law,
        language=target,
        tau={},
        tau_other=0.0,
        lam_by_source={},
        draws={name: d for name, d in draws.items() if "[" not in name},
        basis=f"{law.basis} of {law.language}, borrowed for {target}",
        warnings=(f"{target} has no fit: that of {law.language} stands in, without its transfer",),
    )


def published_law(code: str, *, like: str | None = None) -> LanguageLaw:
    """The law of Table C.1 for a language, or of the one it is most like.

    The table has three laws a language; this is the one of monolingual runs with the multilingual
    vocabulary.

    Args:
        code: the target.
        like: borrow this language's law rather than the rule's choice.

    >>> law = published_law("cat_Latn")
    >>> law.basis
    'Table C.1, law of fra_Latn (same branch, Romance)'

    Raises:
        InputError: ``like`` is not among the six languages.
    """
    target = normalise(code)
    laws = {law.language: law for law in regime_laws(Regime.MULTILINGUAL_VOCABULARY)}
    if like is not None:
        wanted = normalise(like)
        if wanted not in laws:
            raise InputError(
                "Table C.1 has no law of this language",
                value=like,
                where="like",
                remedy=f"one of {', '.join(laws)}",
            )
        lender, why = wanted, "" if wanted == target else "as chosen"
    else:
        lender, why = _lender(target, laws)
    row = laws[lender]
    basis = f"Table C.1, law of {lender}" + (f" ({why})" if why else "")
    return LanguageLaw(
        language=target,
        E=row.E,
        A=row.A,
        alpha=row.alpha,
        B=row.B,
        beta=row.beta,
        basis=basis,
        unit=PUBLISHED_UNIT,
        n_params=(9_044_352, 8_452_190_208),
        warnings=tuple(_published_warnings(lender, row)),
    )


def with_transfer(
    law: LanguageLaw,
    matrix: TransferMatrix,
    sources: Sequence[str],
    *,
    interference: bool = False,
) -> LanguageLaw:
    """``law`` with the worth of each source taken from a transfer matrix.

    Args:
        law: of the target.
        matrix: transfer scores.
        sources: languages; those that the matrix has no score for are worth 0.
        interference: keep negative weights too.
    """
    tau = {}
    for source in sources:
        score = None if source == law.language else _score(matrix, law.language, source)
        if score is not None:
            worth = float(tau_from_bts(score))
            tau[source] = worth if interference else max(worth, 0.0)
    return replace(law, tau={**law.tau, **tau})


def transfer_warnings(
    laws: Sequence[LanguageLaw], matrix: TransferMatrix, languages: Sequence[str]
) -> list[str]:
    """What is missing or doubtful in weights that ``with_transfer`` took from a matrix."""
    pairs = [(law.language, s) for law in laws for s in languages if s != law.language]
    missing = [pair for pair in pairs if _score(matrix, *pair) is None]
    estimated = [
        (target, source)
        for target, source in pairs
        if _score(matrix, target, source) is not None
        and matrix[target, source].provenance not in MEASUREMENTS
    ]
    said = []
    if missing:
        said.append(
            f"no transfer score for {len(missing)} of {len(pairs)} pairs, such as {missing[0][0]} "
            f"from {missing[0][1]}: worth 0"
        )
    if estimated:
        said.append(
            f"{len(estimated)} of {len(pairs)} transfer scores are estimates, such as that of "
            f"{estimated[0][0]} from {estimated[0][1]}"
        )
    return said


def best_sources_of(matrix: TransferMatrix, target: str, *, top: int) -> list[str]:
    """The ``top`` sources with the highest scores above 0; none if the matrix lacks the target."""
    if target not in matrix.targets:
        return []
    scored = [
        (cell.best_guess, cell.source)
        for cell in matrix.row(target)
        if cell.best_guess is not None and cell.best_guess > 0
    ]
    return [source for _, source in sorted(scored, key=lambda pair: (-pair[0], pair[1]))][:top]


def _score(matrix: TransferMatrix, target: str, source: str) -> float | None:
    """The score of a pair, or its bound; None where the matrix has neither."""
    if target not in matrix.targets or source not in matrix.sources:
        return None
    return matrix[target, source].best_guess


def _own_name(name: str) -> str:
    return "lam" if name == "lam[target]" else name


def _repetition(fit: Fit) -> tuple[float, tuple[str, ...]]:
    """``lam`` of the fit, or the published one with a warning where the data cannot tell it."""
    name = "lam" if "lam" in fit.values else "lam[target]"
    if name not in fit.values:
        return PUBLISHED_LAMBDA, (f"the law has no repetition: {PUBLISHED_LAMBDA_SOURCE} is taken",)
    if not identified(fit.verdicts[name]):
        return PUBLISHED_LAMBDA, (
            f"{name} of {fit.target} is {fit.verdicts[name]}: {PUBLISHED_LAMBDA_SOURCE} is taken",
        )
    return float(fit.values[name]), ()


def _lender(target: str, laws: Mapping[str, RegimeLaw]) -> tuple[str, str]:
    """Whose law a language borrows, and why."""
    if target in laws:
        return target, ""
    of = language(target)
    for code in relatives_of(target, list(laws)):
        return code, _kinship(of, language(code))
    return FALLBACK, "no published law of its family"


def _kinship(one: Language, other: Language) -> str:
    if one.iso639_3 == other.iso639_3 or other.iso639_3 == one.macrolanguage:
        return "the same language"
    if one.branch and one.branch == other.branch:
        return f"same branch, {one.branch}"
    return f"same family, {one.family}"


def _published_warnings(lender: str, row: RegimeLaw) -> list[str]:
    said = []
    if row.E == 0:
        said.append(f"E = 0 in the law of {lender} is a bound that the authors' fit hit")
    if lender == "zho_Hani":
        said.append("Chinese lies on another loss scale than the other published laws")
    return said
