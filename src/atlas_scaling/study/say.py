"""How long work says where it stands: a function of one line of text.

A study hands the lines to its display; a command prints them on standard error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

Say: TypeAlias = Callable[[str], None]

EVERY_SECONDS: Final = 5.0


def silent(message: str) -> None:
    """Say nothing."""


class Pace:
    """Lets a line through every few seconds, so that a loop may offer one at every step.

    Where the share of the work that is done is known, the line ends with the time that is left: at
    the speed since the first offer, so that what an earlier process did counts for nothing.

    Args:
        say: is told the lines.
        every: seconds between two.
        clock: seconds; another one in tests.
    """

    def __init__(
        self,
        say: Say,
        *,
        every: float = EVERY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._last = clock()
        self._first: tuple[float, float] | None = None  # when, and the share that was done then

    def offer(self, message: Callable[[], str], share: float | None = None) -> None:
        """Say ``message()`` if the last line was long enough ago.

        Args:
            message: what is being done.
            share: of the work that is done, 0 to 1; None if that is not known.
        """
        now = self._clock()
        if share is not None and self._first is None:
            self._first = now, share
        if now - self._last >= self._every:
            self._last = now
            left = "" if share is None else f", {time_left(self._seconds_left(now, share))}"
            self._say(f"{message()}{left}")

    def parts(self, weights: Sequence[float]) -> list[Pace]:
        """A pace for each part of the work, one after the other; a part's shares are its own.

        Args:
            weights: how long each part takes, in any unit.
        """
        ends = list(accumulate(weights, initial=0.0))
        whole = ends[-1] or 1.0
        return [_PartPace(self, a / whole, b / whole) for a, b in pairwise(ends)]

    def _seconds_left(self, now: float, share: float) -> float | None:
        assert self._first is not None
        began, before = self._first
        return None if share <= before else (now - began) * (1.0 - share) / (share - before)


class _PartPace(Pace):
    def __init__(self, whole: Pace, begin: float, end: float) -> None:
        self._whole, self._begin, self._end = whole, begin, end

    def offer(self, message: Callable[[], str], share: float | None = None) -> None:
        done = self._begin + (self._end - self._begin) * min(share or 0.0, 1.0)
        self._whole.offer(message, done)


def time_left(seconds: float | None) -> str:
    """How people are told of the time left; None is not known yet.

    >>> time_left(200.0), time_left(7.6), time_left(7300.0)
    ('about 3 min 20 s left', 'about 8 s left', 'about 2 h 01 min left')
    """
    if seconds is None:
        return "time left: measuring"
    minutes, rest = divmod(round(seconds), 60)
    hours, of_hour = divmod(minutes, 60)
    if hours:
        return f"about {hours} h {of_hour:02d} min left"
    return f"about {minutes} min {rest:02d} s left" if minutes else f"about {rest} s left"
