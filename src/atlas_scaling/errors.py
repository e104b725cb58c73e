"""What can go wrong, in three kinds.

- A soft failure is no exception: it is a status on the result (a fit that is not identified).
- ``InputError``: what the user gave cannot be used. Exit code 2.
- ``FitError``, ``SourceError``, ``RunError``: the input was sound, the work failed. Exit code 1.

Every message says what was received, where it stood and what to try.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AtlasError(Exception):
    """Base of all errors that are meant to be read by a user.

    Args:
        problem: one sentence that says what is wrong.
        value: what was received, shown with ``repr``.
        where: the place: a file and line, an option, a column, a YAML path.
        remedy: what to try next.
    """

    exit_code = 1

    def __init__(
        self,
        problem: str,
        *,
        value: object = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem = problem
        self.value = value
        self.where = where
        self.remedy = remedy
        super().__init__(problem)

    def __str__(self) -> str:
        lines = [self.problem]
        if self.value is not None:
            lines.append(f"  received: {_shown(self.value)}")
        if self.where is not None:
            lines.append(f"  at:       {self.where}")
        if self.remedy is not None:
            lines.append(f"  try:      {self.remedy}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, object]:
        """The same content for ``--json``."""
        return {
            "error": type(self).__name__,
            "problem": self.problem,
            "value": None if self.value is None else _shown(self.value),
            "where": self.where,
            "remedy": self.remedy,
        }


class InputError(AtlasError, ValueError):
    """What the user gave cannot be used; the user can mend it."""

    exit_code = 2


class FitError(AtlasError):
    """A fit ended without any usable result."""


class SourceError(AtlasError):
    """Something outside (a package index, a corpus source) could not be reached or has changed."""


class RunError(AtlasError):
    """A training run or its record failed for a reason that is not the user's input."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """A hint such as ``did you mean 'tokens'?``, or None where nothing is close.

    >>> nearest("tokns", ["tokens", "steps"])
    "did you mean 'tokens'?"
    """
    close = difflib.get_close_matches(name, [str(one) for one in known])
    if not close:
        return None
    return "did you mean " + " or ".join(repr(c) for c in close) + "?"


def _shown(value: object) -> str:
    """``-1.0`` of a NumPy scalar too, not ``np.float64(-1.0)``."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        value = value.item()  # type: ignore[attr-defined]
    return _shortened(repr(value))


def unknown(
    problem: str, name: object, known: Iterable[str], *, where: str, otherwise: str | None = None
) -> InputError:
    """The error of a name that is none of those known; its remedy is those that are close.

    Args:
        problem: one sentence that says what is wrong.
        name: what was received.
        known: what it could have been.
        where: the place.
        otherwise: the remedy where none is close; if left out, all that are known.
    """
    names = list(known)
    hint = nearest(str(name), names) or otherwise or f"one of {', '.join(names) or 'none'}"
    return InputError(problem, value=name, where=where, remedy=hint)


def _shortened(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
