"""Follows the log in storage, for what other processes append.

Owns the backstop poll and the filling of holes in the window. Runs in the
background of the gateway. Never appends.
"""

import asyncio
import functools
import secrets
from collections.abc import Callable

from event_gateway import window
from event_gateway.db import epoch as epochs
from event_gateway.db import read
from servicekit import logs, storage

# The longest another process's event stays unseen; one small read a second.
POLL_S = 1.0
# A larger hole is left to storage reads: filling it would push everything else
# out of the window anyway.
_FILL_MAX = 20_000
_PAGE_BYTES = 4 * 1024 * 1024

_log = logs.get_logger(__name__)


class LogReplaced(Exception):
    """The log in storage is not the one this process has been serving."""


class Tail:
    """Keeps the window at the log's head.

    Args:
        database: Where the log is.
        log: What to keep up to date.
        epoch: Which life of the log is served.
        on_growth: Called after the window has grown.
        on_change: Called with each state of the log that was read.
        erasures: How often stored events had been changed when the window was made.
    """

    def __init__(
        self,
        database: storage.Database,
        log: window.Window,
        *,
        epoch: int,
        on_growth: Callable[[], None],
        on_change: Callable[[read.State], None] | None = None,
        erasures: int = 0,
    ) -> None:
        self._database = database
        self._window = log
        self._epoch = epoch
        self._on_growth = on_growth
        self._on_change = on_change
        self._erasures = erasures
        self._wake = asyncio.Event()
        # How often it was kicked, and how often before a read that has ended well began.
        self._kicks = self._answered = 0
        self._running: asyncio.Task[None] | None = None

    def kick(self) -> None:
        """Says that storage may hold more than the window."""
        self._kicks += 1
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Polls until *stop* is set.

        Raises:
            LogReplaced: The process must end, and start on what is there now.
        """
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._wake.clear()
                try:
                    await self.refresh_anew()
                except storage.StorageError as failure:
                    _log.warning("can't read the event log", problem=str(failure))
                waking = asyncio.create_task(self._wake.wait())
                await asyncio.wait(
                    {stopping, waking}, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED
                )
                waking.cancel()
        finally:
            stopping.cancel()

    async def refresh(self) -> None:
        """Brings the window to storage's head; callers at the same time share one read.

        Raises:
            LogReplaced: The log was rebuilt or restored under this process.
            storage.StorageError: It can't be read.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._refresh())
        await asyncio.shield(self._running)

    async def refresh_anew(self) -> None:
        """The same with a read that begins after this call: one under way may be too old."""
        if self._running is not None and not self._running.done():
            await asyncio.wait({self._running})
        await self.refresh()

    async def catch_up(self) -> None:
        """Returns once the window has what `kick` spoke of before; at once if it has.

        Raises:
            LogReplaced: As `refresh`.
            storage.StorageError: Likewise.
        """
        wanted = self._kicks
        while self._answered < wanted:
            await self.refresh()

    async def _refresh(self) -> None:
        log, kicks = self._window, self._kicks
        before = log.head
        state = await self._database.read(read.state)
        await self._check(state, before)
        if state.head - log.head > _FILL_MAX or state.erasures != self._erasures:
            # A larger hole is not worth filling; and what was erased in storage must not
            # live on in memory.
            self._erasures = state.erasures
            # This process may have appended more since the state was read.
            log.reset(max(state.head, log.head))
        if self._on_change is not None:
            self._on_change(state)
        while log.head < state.head:
            after = log.head
            page = await self._database.read(
                functools.partial(
                    read.page,
                    selection=None,
                    after=after,
                    upto=state.head,
                    events_max=read.ROWS_MAX,
                    bytes_max=_PAGE_BYTES,
                )
            )
            await self._check(page.state, state.head)
            if page.state.oldest > after:
                # Some were deleted before they were seen, which readers learn from storage.
                log.reset(max(state.head, log.head))
                break
            log.extend(after, page.entries, page.upto)
        log.head_us = max(log.head_us, state.head_append_us)
        self._answered = kicks
        if log.head > before:
            self._on_growth()

    async def _check(self, state: read.State, before: int) -> None:
        """Ends the process if the log, which was at *before*, is not the same any more."""
        if state.epoch == self._epoch and state.head >= before:
            return
        advice = await self._begin_epoch(state.head) if state.epoch == self._epoch else ""
        raise LogReplaced(
            f"the log was at {before} in epoch {self._epoch:08x} and is at {state.head} "
            f"in epoch {state.epoch:08x}: it was restored or rebuilt{advice}"
        )

    async def _begin_epoch(self, head: int) -> str:
        """Tells readers and producers that the log lost events; returns what to say of it.

        Without a new epoch, readers that were further would miss what takes the lost places.

        Raises:
            storage.StorageError: Nothing has begun. This process must not end before: who starts
                anew does not know what the log had.
        """
        fresh = secrets.randbits(32)
        begun = await self._database.write(
            lambda conn: epochs.begin_if_lost(conn, fresh, epoch=self._epoch, head=head)
        )
        return f"; epoch {fresh:08x} has begun" if begun else ""
