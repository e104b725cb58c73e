"""The published capacity law: what serving more languages costs (ATLAS paper, eq. 7, Fig. 5).

``L = E + A K^phi / N^alpha + B K^psi / D^beta``, D the tokens of the target language, even
sampling. The paper prints ``phi``, ``psi`` and the two quotients that the compute optimum needs; it
prints neither ``alpha``, ``beta``, ``A``, ``B`` nor ``E``, and no intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from atlas_scaling.published.tables import PAPER


@dataclass(frozen=True, slots=True)
class CapacityExponents:
    """Exponents of K and what follows from them for a compute-optimal baseline.

    Attributes:
        phi: exponent of K in the capacity term; above 0, so more languages cost capacity.
        psi: exponent of K in the data term; below 0, so other languages help the data of one.
        phi_over_alpha: ``N'/N = r^phi_over_alpha`` keeps the capacity term.
        psi_over_beta: ``D'/D = r^psi_over_beta`` keeps the data term, D of one language.
        languages: range of K that was trained (Table B.5).
        n_params: range of N that was trained (Table B.3, scales 0 to 46).
        source: where it is printed.
    """

    phi: float
    psi: float
    phi_over_alpha: float
    psi_over_beta: float
    languages: tuple[int, int]
    n_params: tuple[float, float]
    source: str

    @property
    def alpha(self) -> float:
        """``phi / phi_over_alpha``: implied, not printed."""
        return self.phi / self.phi_over_alpha

    @property
    def beta(self) -> float:
        """``psi / psi_over_beta``: implied, not printed."""
        return self.psi / self.psi_over_beta


CAPACITY: Final = CapacityExponents(
    phi=0.11,
    psi=-0.04,
    phi_over_alpha=0.243,
    psi_over_beta=-0.272,
    languages=(4, 50),
    n_params=(9_044_352, 8_452_190_208),
    source=f"{PAPER}, Section 5 and Fig. 5",
)

ISO_LOSS_POINTS: Final = (
    (2, 1.66, 1.18),
    (4, 2.74, 1.40),
    (8, 4.54, 1.66),
    (16, 7.52, 1.96),
)
"""Fig. 5 as printed: factor of K, of total tokens, of parameters."""
