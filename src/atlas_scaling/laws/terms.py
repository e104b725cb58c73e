"""Parameters that many laws share: an irreducible loss, amplitudes and exponents of power laws."""

from __future__ import annotations

from typing import Final

from atlas_scaling.laws.base import Parameter

IRREDUCIBLE: Final = Parameter(
    "E",
    start=(0.3, 4.0),
    bounds=(0.0, 20.0),
    transform="identity",
    linear=True,
    tolerance=0.2,
    learns_from=("n_params", "tokens"),
    symbol="E",
    unit="loss",
    description="loss that no model and no data would remove",
)


def amplitude(name: str, learns_from: tuple[str, ...], description: str) -> Parameter:
    """Size of a power law that adds to the loss."""
    return Parameter(
        name,
        start=(1.0, 1e8),
        bounds=(1e-12, 1e30),
        linear=True,
        tolerance=1.5,
        learns_from=learns_from,
        symbol=name,
        unit="loss",
        description=description,
    )


def exponent(name: str, symbol: str, learns_from: tuple[str, ...], description: str) -> Parameter:
    """Exponent of a power law that falls."""
    return Parameter(
        name,
        start=(0.05, 1.2),
        bounds=(0.0, 3.0),
        transform="identity",
        tolerance=0.4,
        learns_from=learns_from,
        symbol=symbol,
        description=description,
    )


CAPACITY_AMPLITUDE: Final = amplitude("A", ("n_params",), "size of the capacity term A / N^alpha")
DATA_AMPLITUDE: Final = amplitude("B", ("tokens",), "size of the data term B / D^beta")
CAPACITY_EXPONENT: Final = exponent("alpha", "α", ("n_params",), "how fast a larger model helps")
DATA_EXPONENT: Final = exponent("beta", "β", ("tokens",), "how fast more data helps")

TWO_POWERS: Final = (
    IRREDUCIBLE,
    CAPACITY_AMPLITUDE,
    DATA_AMPLITUDE,
    CAPACITY_EXPONENT,
    DATA_EXPONENT,
)
"""Those of ``E + A / N^alpha + B / D^beta``."""
