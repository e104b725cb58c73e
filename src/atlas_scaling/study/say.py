"""How long work says where it stands: a function of one line of text.

A study hands the lines to its display; a command prints them on standard error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeAlias

Say: TypeAlias = Callable[[str], None]

EVERY_SECONDS: Final = 5.0


def silent(message: str) -> None:
    """Say nothing."""


class Pace:
    """Lets a line through every few seconds, so that a loop may offer one at every step."""

    def __init__(self, say: Say, *, every: float = EVERY_SECONDS) -> None:
        self._say = say
        self._every = every
        self._last = time.monotonic()

    def offer(self, message: Callable[[], str]) -> None:
        """Say ``message()`` if the last line was long enough ago."""
        now = time.monotonic()
        if now - self._last >= self._every:
            self._last = now
            self._say(message())
