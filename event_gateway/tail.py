"""Follows the log in storage, for what other processes append.

Owns the backstop poll and the filling of holes in the window. Runs in the
background of the gateway. Never appends.
"""

import asyncio
import functools
from collections.abc import Callable

from event_gateway import window
from event_gateway.db import read
from servicekit import loop, storage

# The longest another process's event stays unseen; one small read a second.
POLL_S = 1.0
# A larger hole is left to storage reads: filling it would push everything else
# out of the window anyway.
_FILL_MAX = 20_000
_PAGE_BYTES = 4 * 1024 * 1024


class Tail:
    """Keeps the window at the log's head.

    Args:
        database: Where the log is.
        log: What to keep up to date.
        on_growth: Called after the window has grown.
    """

    def __init__(
        self, database: storage.Database, log: window.Window, *, on_growth: Callable[[], None]
    ) -> None:
        self._database = database
        self._window = log
        self._on_growth = on_growth
        self._wake = asyncio.Event()
        self._running: asyncio.Task[int] | None = None

    def kick(self) -> None:
        """Says that storage may hold more than the window."""
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until *stop* is set."""
        await loop.run_forever(
            self.refresh, idle_s=POLL_S, stop=stop, wake=self._wake, name="event_gateway.tail"
        )

    async def refresh(self) -> int:
        """Brings the window to storage's head; returns how many places that were.

        Callers at the same time share one read.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._running)

    async def _refresh(self) -> int:
        log = self._window
        before = log.head
        target = (await self._database.read(read.state)).head
        if target - log.head > _FILL_MAX:
            log.reset(target)
        while log.head < target:
            after = log.head
            page = await self._database.read(
                functools.partial(
                    read.page,
                    selection=None,
                    after=after,
                    upto=target,
                    events_max=read.ROWS_MAX,
                    bytes_max=_PAGE_BYTES,
                )
            )
            log.extend(after, page.entries, page.upto)
        if log.head > before:
            self._on_growth()
        return log.head - before
