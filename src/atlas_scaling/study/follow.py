"""Watches runs that a scheduler carries out, by their directories; events as an engine gives them.

The scheduler itself is asked a few times a minute only: everything but queued and lost is in the
directories.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from atlas_scaling.errors import RunError
from atlas_scaling.study.engines.base import Engine, Event, EventKind, Job
from atlas_scaling.study.folder import StudyFolder
from atlas_scaling.study.status import IN_HAND, RunStanding, Standing, standings

LOOK_SECONDS: Final = 1.0
ASK_SECONDS: Final = 10.0


def follow(
    study: StudyFolder,
    run_ids: Collection[str],
    engine: Engine,
    *,
    on_event: Callable[[Event], None],
) -> None:
    """Report on ``run_ids`` until none of them is in hand any more."""
    jobs: Mapping[str, Job] = engine.jobs(study.path)
    asked = time.monotonic()
    before: dict[str, RunStanding] = {}
    while True:
        now = {one.run_id: one for one in standings(study, jobs) if one.run_id in run_ids}
        for run_id, standing in now.items():
            event = _news(before.get(run_id), standing)
            if event is not None:
                on_event(event)
        before = now
        if not any(one.state in IN_HAND for one in now.values()):
            return
        time.sleep(LOOK_SECONDS)
        if time.monotonic() - asked > ASK_SECONDS:
            asked = time.monotonic()
            with suppress(RunError):  # a scheduler that is away for a moment is asked again
                jobs = engine.jobs(study.path)


def _news(before: RunStanding | None, now: RunStanding) -> Event | None:
    """What has changed, None if nothing that matters has."""
    was = None if before is None else before.state
    tokens, speed = now.tokens, now.tokens_per_second
    if now.state is Standing.RUNNING:
        if before is not None and was is Standing.RUNNING and before.tokens == tokens:
            return None
        return Event(now.run_id, EventKind.PROGRESS, tokens, speed)
    if now.state is was:
        return None
    match now.state:
        case Standing.DONE:
            return Event(now.run_id, EventKind.DONE, tokens, speed)
        case Standing.FAILED | Standing.STOPPED:
            kind = EventKind.FAILED if now.state is Standing.FAILED else EventKind.STOPPED
            return Event(now.run_id, kind, tokens, reason=now.reason)
        case Standing.LOST:
            return Event(now.run_id, EventKind.FAILED, tokens, reason=f"lost: {now.reason}")
        case Standing.QUEUED if was is Standing.RUNNING:
            return Event(now.run_id, EventKind.LOST, tokens, reason=f"job {now.job}: {now.reason}")
    return None
