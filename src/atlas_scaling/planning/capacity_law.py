"""The capacity law as planning reads it: four exponents, perhaps amplitudes, perhaps draws.

``L = E + A K^phi / N^alpha + B K^psi / D^beta`` (ATLAS paper, eq. 7), D the tokens of one language,
all sampled evenly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import DEFAULT_LEVEL
from atlas_scaling.errors import InputError
from atlas_scaling.fitting.result import identified
from atlas_scaling.published.capacity import CAPACITY

if TYPE_CHECKING:
    from atlas_scaling.fitting.result import Fit

FloatArray = NDArray[np.float64]

EXPONENTS: Final = ("phi", "psi", "alpha", "beta")
AMPLITUDES: Final = ("E", "A", "B")


@dataclass(frozen=True, eq=False)
class CapacityLaw:
    """Parameters of the capacity law.

    Attributes:
        values: name -> value: ``phi, psi, alpha, beta`` and, where they are known, ``E, A, B``.
        draws: name -> values of the same parameters in each bootstrap draw, shape (R,); empty where
            there are none.
        languages: range of K that the law was fitted on, or None.
        n_params: range of N that it was fitted on, or None.
        level: of intervals made from the draws.
        source: what it rests on.
        warnings: what a reader must know of the fit itself.
    """

    values: dict[str, float]
    draws: dict[str, FloatArray] = field(default_factory=dict, repr=False)
    languages: tuple[float, float] | None = None
    n_params: tuple[float, float] | None = None
    level: float = DEFAULT_LEVEL
    source: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def has_amplitudes(self) -> bool:
        """Whether ``A`` and ``B`` are known, so that a baseline's balance can be computed."""
        return "A" in self.values and "B" in self.values

    @property
    def n_draws(self) -> int:
        """Number of draws, 0 without any."""
        return len(next(iter(self.draws.values()))) if self.draws else 0


def published_capacity_law() -> CapacityLaw:
    """The paper's law: ``phi`` and ``psi`` as printed, ``alpha`` and ``beta`` as implied."""
    return CapacityLaw(
        values={
            "phi": CAPACITY.phi,
            "psi": CAPACITY.psi,
            "alpha": CAPACITY.alpha,
            "beta": CAPACITY.beta,
        },
        languages=(float(CAPACITY.languages[0]), float(CAPACITY.languages[1])),
        n_params=CAPACITY.n_params,
        source=CAPACITY.source,
    )


def capacity_law_of(fit: Fit) -> CapacityLaw:
    """The capacity law in a fit.

    Raises:
        InputError: the fit is of another law, its runs do not identify an exponent, or an exponent
            of N or D is not above zero.
    """
    missing = [name for name in EXPONENTS if name not in fit.values]
    if missing:
        raise InputError(
            f"this fit is of the law {fit.law.name}, which does not know the number of languages",
            value=missing,
            where="fit",
            remedy="fit the capacity law to runs of several K: atlas fit RUNS --law capacity",
        )
    for name in ("alpha", "beta"):
        if fit.values[name] <= 0:
            raise InputError(
                f"{name} of this fit is not above zero: more of it would never help",
                value=fit.values[name],
                where="fit",
                remedy="see the verdicts of atlas fit: wider ranges of N and D identify it",
            )
    unknown = {n: v for n in EXPONENTS if not identified(v := fit.verdicts[n])}
    if unknown:
        raise InputError(
            f"the runs of this fit do not identify {', '.join(unknown)}, on which the answer rests",
            value="; ".join(f"{name} {verdict}" for name, verdict in unknown.items()),
            where="fit",
            remedy="wider ranges of N, D and K identify them; without --fit the published law "
            "answers",
        )
    names: list[str] = [name for name in (*EXPONENTS, *AMPLITUDES) if name in fit.values]
    column = {name: i for i, name in enumerate(fit.values)}
    draws = {} if fit.draws is None else {name: fit.draws[:, column[name]] for name in names}
    x = fit.observations.x
    said = list(fit.warnings)
    if draws:
        draws, lost = _with_positive_exponents(draws)
        if lost:
            said.append(f"{lost} draws with an alpha or beta of 0 are left out of the intervals")
    return CapacityLaw(
        values={name: fit.values[name] for name in names},
        draws=draws,
        languages=_range(x.get("n_languages")),
        n_params=_range(x.get("n_params")),
        level=fit.level,
        source=f"fit of the {fit.law.name} law to {fit.n_rows} rows of {fit.n_runs} runs",
        warnings=tuple(said),
    )


def _with_positive_exponents(
    draws: dict[str, FloatArray],
) -> tuple[dict[str, FloatArray], int]:
    kept = (draws["alpha"] > 0) & (draws["beta"] > 0)
    return {name: values[kept] for name, values in draws.items()}, int((~kept).sum())


def _range(values: FloatArray | None) -> tuple[float, float] | None:
    return None if values is None else (float(np.min(values)), float(np.max(values)))
