"""Transfer scores as arithmetic: what a BTS is, and what else is called one.

A run on source and target together, ``share`` w of it target, needs sigma tokens in all for the
loss on the target that a monolingual run has after d tokens. With effective target data
``D_eff = w sigma + tau (1 - w) sigma`` (ATLAS, eq. 2, without repetition; capacity ignored) and
``D_eff = d``::

    tau = (r - w) / (1 - w),   r = d / sigma
    BTS = 2 tau / (1 + tau) = 2 (r - w) / (1 - 2 w + r)

At w = 1/2 this is the paper's ``BTS = 2 - sigma/d = -(sigma - 2 d)/d``. At any other share it is
the BTS that an even pair with the same transfer weight would have, so scores of uneven pairs stand
beside those of even ones: 0 where the source does nothing (sigma = d/w), 2 at most, and minus
infinity where tau <= -1, because then an even pair would never reach the loss.

Three things are called BTS. The signed surplus above is ours. The ratio ``r = d/sigma`` is 1/2
where an even pair gains nothing. A relative gain in bits per byte is a difference of losses, not of
tokens; the slope of the loss curve turns one into the other.

Every function takes floats or float64 arrays of one shape and returns the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from atlas_scaling.answers import Answer
from atlas_scaling.errors import InputError

EVEN_SHARE: Final = 0.5
MAX_BTS: Final = 2.0

X = TypeVar("X", float, NDArray[np.float64])


def tau_from_ratio(ratio: X, *, share: float = EVEN_SHARE) -> X:
    """Transfer weight of the source, from r = d/sigma of a run with ``share`` of target.

    >>> round(tau_from_ratio(0.625), 12)
    0.25
    """
    _check_share(share)
    return (ratio - share) / (1.0 - share)


def ratio_from_tau(tau: X, *, share: float = EVEN_SHARE) -> X:
    """``r = d/sigma`` of a run with ``share`` of target and transfer weight ``tau``."""
    _check_share(share)
    return share + tau * (1.0 - share)


def bts_from_tau(tau: X) -> X:
    """``BTS = 2 tau / (1 + tau)``; minus infinity at tau <= -1.

    >>> bts_from_tau(0.25)
    0.4
    """
    below = np.less_equal(tau, -1.0)
    bts = np.where(below, -np.inf, np.divide(2.0 * tau, np.where(below, 1.0, 1.0 + tau)))
    return _like(bts, tau)


def tau_from_bts(bts: X) -> X:
    """``tau = BTS / (2 - BTS)``: the weight that a BTS gives a source in ATLAS.

    BTS = 2 (nothing needed) gives infinity.

    >>> tau_from_bts(0.4)
    0.25
    """
    room = np.maximum(np.subtract(MAX_BTS, bts), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        tau = np.where(np.isneginf(bts), -1.0, np.divide(bts, room))
    return _like(tau, bts)


def bts_from_ratio(ratio: X, *, share: float = EVEN_SHARE) -> X:
    """BTS from the ratio form r = d/sigma; ``2 - 1/r`` for an even pair.

    >>> bts_from_ratio(0.5), bts_from_ratio(0.625)
    (0.0, 0.4)
    """
    return bts_from_tokens(ratio, _like(np.ones_like(ratio), ratio), share=share)


def ratio_from_bts(bts: X, *, share: float = EVEN_SHARE) -> X:
    """The ratio form of a BTS; ``1 / (2 - BTS)`` for an even pair."""
    return ratio_from_tau(tau_from_bts(bts), share=share)


def bts_from_tokens(d_mono: X, sigma: X, *, share: float = EVEN_SHARE) -> X:
    """BTS from tokens: ``d_mono`` of the monolingual run, ``sigma`` in all of the other.

    Paper section 4; tokens, bytes or content units, both in the same.

    >>> bts_from_tokens(42e9, 84e9), bts_from_tokens(42e9, 63e9)
    (0.0, 0.5)
    """
    _check_share(share)
    # 2 tau / (1 + tau) with both sides times (1 - w) sigma: exact where sigma is a multiple of d.
    surplus = np.subtract(d_mono, np.multiply(share, sigma))
    scale = np.add(d_mono, np.multiply(1.0 - 2.0 * share, sigma))
    reachable = scale > 0
    bts = np.where(reachable, 2.0 * surplus / np.where(reachable, scale, 1.0), -np.inf)
    return _like(bts, d_mono)


def bts_from_relative_gain(
    gain: X,
    *,
    slope: float,
    irreducible: float = 0.0,
    share: float = EVEN_SHARE,
    at: Literal["equal_target_tokens", "equal_total_tokens"] = "equal_target_tokens",
) -> X:
    """BTS from a relative gain in bits per byte, ``1 - L_together / L_alone``.

    The monolingual curve ``L = E + B d^-slope`` says what the lower loss is worth in tokens alone::

        d / d_0 = ((1 - gain - e) / (1 - e))^(-1/slope),   e = E / L_alone

    where d_0 are the tokens of the monolingual run that was compared with: ``share * sigma`` at
    equal target tokens, sigma at equal tokens in all.

    Args:
        gain: > 0 where training together gave the lower loss; must stay below ``1 - irreducible``.
        slope: exponent of the monolingual curve near d_0; with ``irreducible`` left at 0 it is the
            local slope ``-d log L / d log D``.
        irreducible: e, the share of the monolingual loss that no data removes.
        share: of the target in the run on both.
        at: which counts of tokens were equal in the comparison.

    Raises:
        InputError: ``slope`` is not above 0, or the gain is more than all reducible loss.
    """
    if not slope > 0:
        raise InputError("the slope of a loss curve must be above zero", value=slope, where="slope")
    if not 0 <= irreducible < 1:
        raise InputError(
            "the irreducible share must be in [0, 1)", value=irreducible, where="irreducible"
        )
    if np.any(np.greater_equal(gain, 1.0 - irreducible)):
        raise InputError(
            "a gain cannot reach the whole reducible loss",
            value=gain,
            where="gain",
            remedy=f"with irreducible={irreducible:g} it must stay below {1 - irreducible:g}",
        )
    left = (1.0 - gain - irreducible) / (1.0 - irreducible)
    worth = _like(np.power(left, -1.0 / slope), gain)  # d / d_0
    compared = share if at == "equal_target_tokens" else 1.0
    return bts_from_ratio(compared * worth, share=share)


@dataclass(frozen=True, slots=True)
class Converted(Answer):
    """A score in every form; ``bts`` and ``ratio`` are those of an even pair.

    Attributes:
        given: the number that was converted.
        form: what it was.
        bts: the signed surplus; None at minus infinity (tau <= -1), where no run is long enough.
        tau: the transfer weight.
        ratio: ``d / sigma``; 0 where the loss is never reached.
    """

    given: float
    form: str
    bts: float | None
    tau: float
    ratio: float


def converted(bts: float, form: str, given: float) -> Converted:
    """``bts`` and the other forms of it.

    Raises:
        InputError: ``bts`` is 2 or above.
    """
    if bts >= MAX_BTS:
        raise InputError("a BTS is below 2 by definition", value=given, where=form)
    tau = given if form == "tau" else tau_from_bts(bts)
    return Converted(
        given=given,
        form=form,
        bts=bts if np.isfinite(bts) else None,
        tau=tau,
        ratio=max(ratio_from_tau(tau), 0.0),
    )


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise InputError(
            "the target's share of the pair must be between 0 and 1",
            value=share,
            where="share",
            remedy="0.5 is the paper's even pair",
        )


def _like(value: NDArray[np.float64], given: X) -> X:
    """A float for a float, an array for an array."""
    return value if isinstance(given, np.ndarray) else float(value)
