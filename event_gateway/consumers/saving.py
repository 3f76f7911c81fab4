"""Writes down what a consumer decided, and tells who waits for that.

Owns when it is written, who wants to know, and what a failed write comes to. Called by the loop of
a group, which takes over what others changed. Nothing is promised to a member before it is on disk.
"""

import asyncio
import dataclasses
from collections.abc import Collection

from event_gateway.consumers import machine, member, source
from event_gateway.db import consumers, progress
from servicekit import errors, failpoints

# Settlements are written after this, or when there are so many.
WRITE_EVERY_S = 0.1
WRITE_EVERY_COUNT = 1_000
# A floor that moved past what does not match is written this often.
WRITE_FLOOR_EVERY_S = 5.0


class Saver:
    """The writes of one consumer.

    Args:
        around: The database, and the clock.
    """

    def __init__(self, around: source.Surroundings) -> None:
        self._database = around.database
        self._time = around.time
        self._waiters: list[asyncio.Future[None]] = []
        self._error: errors.RpcError | None = None
        self._unsaved_since_s: float | None = None
        self._written_s = around.time.monotonic_s()
        self.writing = False

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits for a write."""
        return bool(self._waiters)

    def wait(self) -> asyncio.Future[None]:
        """Returns what is done when everything decided so far is on disk; or has failed."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def fail(self, error: errors.RpcError) -> None:
        """Ends every wait with *error*, also of who waits for the write under way if that fails."""
        self._error = error
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()

    def notice(self, decided: machine.Machine) -> None:
        """Looks whether there is something to be written, which then is due soon."""
        if decided.unsaved and self._unsaved_since_s is None:
            self._unsaved_since_s = self._time.monotonic_s()

    def due_in_s(self, decided: machine.Machine) -> float:
        """Returns in how many seconds something has to be written."""
        if self._waiters or decided.unsaved >= WRITE_EVERY_COUNT:
            return 0.0
        now_s = self._time.monotonic_s()
        if self._unsaved_since_s is not None:
            return self._unsaved_since_s + WRITE_EVERY_S - now_s
        if decided.place_moved:
            return self._written_s + WRITE_FLOOR_EVERY_S - now_s
        return 3600.0

    async def write(
        self,
        decided: machine.Machine,
        mine: consumers.Stored,
        who: Collection[member.Member],
        *,
        erasures: int,
    ) -> bool:
        """Writes what *decided* has not written, and tells *who* waits and whose settlements that
        were. False: nothing was written, since what is stored is not *mine* or *erasures* any more.

        Raises:
            storage.StorageError: Nothing was written; it is still to be.
        """
        waiters, self._waiters = self._waiters, []
        applied = {each: each.applied for each in who}
        since_s, self._unsaved_since_s = self._unsaved_since_s, None
        made = decided.changes()
        # The machine's time follows no steps of the clock, as what people are shown does.
        now_us = self._time.now_us()
        parks = [dataclasses.replace(park, parked_us=now_us) for park in made.parks]
        stored = dataclasses.replace(made, parks=parks)
        self.writing = True
        outcome: progress.Written | None = None
        try:
            outcome = await self._database.write(
                lambda conn: progress.write(conn, mine, stored, erasures=erasures)
            )
        finally:
            self.writing = False
            if outcome is not progress.Written.DONE:
                decided.restore(made)
                self._unsaved_since_s = since_s or self._time.monotonic_s()
                self._waiters = waiters + self._waiters
                if self._error is not None:
                    self.fail(self._error)
        if outcome is not progress.Written.DONE:
            return False
        failpoints.hit("event_gateway.after_progress_commit")
        self._written_s = self._time.monotonic_s()
        decided.saved(made)
        # Also who joined meanwhile: settling again what was settled is no further write.
        for each in who:
            each.confirm(applied.get(each, 0) if decided.unsaved else each.applied)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
        return True
