"""Finding a language among those a matrix has, and saying what is there when it has not."""

from __future__ import annotations

from collections.abc import Sequence

from atlas_scaling.errors import InputError
from atlas_scaling.languages import language, normalise, relatives


def require_language(code: str, known: Sequence[str], *, what: str = "language") -> str:
    """``code`` normalised, if it is among ``known``.

    Raises:
        InputError: there is no such language, or the matrix does not have it; then the nearest
            relatives that it has are named.
    """
    wanted = code if code in known else normalise(code)
    if wanted in known:
        return wanted
    near = relatives_of(wanted, known)
    have = f"nearest to it are {', '.join(near)}; " if near else ""
    raise InputError(
        f"this matrix has no {what} {wanted}",
        value=code,
        remedy=f"{have}all it has: {', '.join(known)}",
    )


def relatives_of(code: str, known: Sequence[str]) -> tuple[str, ...]:
    """Of ``known``, what is nearest to ``code``.

    That is other codes for the same language (``nor_Latn`` for ``nob_Latn``), else languages of its
    branch, else of its family.
    """
    of = language(code)
    kin = {entry.code for entry in relatives(code)}
    others = [language(k) for k in known if k != code]
    for near in (
        [o.code for o in others if o.code in kin],
        [o.code for o in others if o.branch and o.branch == of.branch],
        [o.code for o in others if o.family and o.family == of.family],
    ):
        if near:
            return tuple(near)
    return ()
