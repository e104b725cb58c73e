"""The law that ``--law`` and its companions name, and numbers in options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from atlas_scaling.errors import InputError

if TYPE_CHECKING:
    from atlas_scaling.laws.base import Law


def law_of(
    name: str,
    variant: str | None = None,
    sources: str | None = None,
    tie: Sequence[str] | None = None,
    fix: Sequence[str] | None = None,
    bound: Sequence[str] | None = None,
) -> Law:
    """The law that the options of ``atlas fit`` say.

    Args:
        name: of a built-in law, or one form of it (``atlas:target``, ``chinchilla:alpha=beta``),
            or ``FILE.py:CLASS``.
        variant: of ATLAS.
        sources: of ATLAS, by comma.
        tie: ``alpha=beta``, parameters held equal.
        fix: ``E=1.7``, parameters held there.
        bound: ``alpha=0.1:0.6``, parameters held within.
    """
    from atlas_scaling import laws
    from atlas_scaling.laws.own import load_law

    options: dict[str, Any] = {}
    name, form = (name, "") if is_own(name) else name.partition(":")[::2]
    if form and variant is not None:
        raise InputError(
            "the form of the law is said twice",
            value=[form, variant],
            where="--law, --variant",
            remedy="give one of them",
        )
    if "=" in form:
        tie = [form, *(tie or ())]
    elif form:
        variant = form
    if variant is not None:
        options["variant"] = variant
    if sources is not None:
        from atlas_scaling.languages import normalise

        options["sources"] = tuple(normalise(s.strip()) for s in sources.split(",") if s.strip())
    law = load_law(name, **options) if is_own(name) else laws.get(name, **options)
    for one in tie or ():
        law = law.tied(*(part.strip() for part in one.split("=")))
    held = dict(pairs(fix, "--fix"))
    if held:
        law = law.with_fixed(**{k: number_of(v, "--fix") for k, v in held.items()})
    limits = {k: two_numbers(v, "--bound") for k, v in pairs(bound, "--bound")}
    return law.within(**limits) if limits else law


def is_own(name: str) -> bool:
    """Whether ``--law`` names a file of the user's."""
    return ".py:" in name


def pairs(given: Sequence[str] | None, option: str) -> list[tuple[str, str]]:
    """``NAME=VALUE`` of an option that may be given several times, once a name."""
    pairs: list[tuple[str, str]] = []
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(
                f"{option} takes NAME=VALUE", value=text, where=option, remedy="like n_params=size"
            )
        if any(name.strip() == known for known, _ in pairs):
            raise InputError("this name is given twice", value=name.strip(), where=option)
        pairs.append((name.strip(), value.strip()))
    return pairs


def number_of(text: str, option: str) -> float:
    """A number of an option."""
    try:
        return float(text)
    except ValueError:
        raise InputError("not a number", value=text, where=option) from None


def two_numbers(text: str, option: str) -> tuple[float, float]:
    """``0.1:0.6`` as two numbers."""
    first, colon, second = text.partition(":")
    if not colon:
        raise InputError(
            f"{option} takes NAME=NUMBER:NUMBER", value=text, where=option, remedy="alpha=0.3:0.05"
        )
    return number_of(first, option), number_of(second, option)
