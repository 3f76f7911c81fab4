"""Where a consumer's events come from: the shared window, or storage.

Owns the reads of all consumers of a process, and their limits. Called by groups.
Never knows who gets what.
"""

import asyncio
import dataclasses
import functools
import random
from collections.abc import Callable, Sequence

from event_gateway import matching, window
from event_gateway.consumers import unsettled
from event_gateway.db import progress, read
from servicekit import clock, storage

_ROWS_MAX = 2_000
_PAGE_EVENTS_MAX = 1_000
_PAGE_BYTES_MAX = 4 * 1024 * 1024
_FETCHED_MAX = 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every group of a process uses.

    Attributes:
        epoch: Which life of the log `log` is of.
        reads: Bounds reads of history, for all groups together.
        chance: A random number from 0 to 1.
        everybody: What all groups together have unsettled.
    """

    database: storage.Database
    log: window.Window
    epoch: int
    time: clock.Clock
    reads: asyncio.Semaphore
    chance: Callable[[], float] = random.random
    everybody: unsettled.Everybody = dataclasses.field(default_factory=unsettled.Everybody)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a read found.

    Attributes:
        rows: What matches, as in the window.
        upto: Nothing else matches at or before it.
        oldest: The log begins after it.
    """

    rows: Sequence[window.Row]
    upto: int
    oldest: int = 0


async def read_on(around: Surroundings, matcher: matching.Matcher, after: int) -> Found:
    """Returns what matches behind position *after*, or the first part of it."""
    log, matches = around.log, matcher.matches
    if after >= log.start:
        rows = log.since(after)
        upto = log.head if len(rows) <= _ROWS_MAX else rows[_ROWS_MAX - 1][0]
        return Found(
            rows=[row for row in rows[:_ROWS_MAX] if matches(row[1], row[2], row[3], row[4])],
            upto=upto,
        )
    async with around.reads:
        page = await around.database.read(
            lambda conn: read.page(
                conn,
                matcher.selection,
                after=after,
                upto=log.head,
                events_max=_PAGE_EVENTS_MAX,
                bytes_max=_PAGE_BYTES_MAX,
            )
        )
    return Found(rows=page.entries, upto=page.upto, oldest=page.state.oldest)


async def fetch(
    around: Surroundings, tenant_id: str, name: str, positions: Sequence[int]
) -> dict[int, bytes]:
    """Returns the chunks of unsettled events; those no longer kept are missing."""
    found: dict[int, bytes] = {}
    for start in range(0, len(positions), _FETCHED_MAX):
        some = positions[start : start + _FETCHED_MAX]
        found |= await around.database.read(
            functools.partial(progress.events, tenant_id=tenant_id, name=name, positions=some)
        )
    return found
