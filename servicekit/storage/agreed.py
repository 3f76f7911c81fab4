"""One time for all processes that share a database: the database's.

Owns how far a process is from it. Used where several processes judge each other's times, as
those do that share a PostgreSQL: of two machines one may be minutes off. Looks every few
seconds, and between two looks counts on by itself, whatever is done to the machine's clock.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from servicekit import clock, logs, loop
from servicekit.storage import database, statement

EVERY_S = 10.0
# A look that took longer than twice this tells the time no better than the last one does.
ERROR_MAX_S = 0.25
# From here on an operator should know.
TOLD_FROM_S = 1.0
_FIRST_LOOKS = 5
# Unlike the monotonic one it does not stand still while the machine sleeps.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_NOW = statement.Statement("select {now_us}")

_log = logs.get_logger(__name__)


def steady_s() -> float:
    """Returns seconds from an arbitrary start, those of the machine's sleep included."""
    return time.clock_gettime(_STEADY)


class _Look(NamedTuple):
    """What the database's clock said, and when by the machine's steady one."""

    database_us: int
    steady_s: float
    error_s: float


class AgreedClock:
    """A `clock.Clock` that tells the database's time; `agree` comes before anything else.

    Args:
        db: Whose time it tells.
        machine: For waiting, and to be compared.
        steady_s: What counts on between two looks.
    """

    def __init__(
        self,
        db: database.Database,
        machine: clock.Clock | None = None,
        steady_s: Callable[[], float] = steady_s,
    ) -> None:
        self._db = db
        self._machine = machine or clock.SystemClock()
        self._steady_s = steady_s
        self._last = _Look(self._machine.now_us(), self._steady_s(), float("inf"))
        self._told = False

    def now_us(self) -> int:
        """Return the database's time as microseconds since the epoch."""
        last = self._last
        return last.database_us + round((self._steady_s() - last.steady_s) * 1_000_000)

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        return self._machine.monotonic_s()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (0 or less: let others run once)."""
        await self._machine.sleep(seconds)

    async def agree(self) -> None:
        """Finds out what time it is.

        Raises:
            StorageUnavailable: The database does not say.
        """
        for _ in range(_FIRST_LOOKS):
            await self._look()
            if self._last.error_s <= ERROR_MAX_S:
                break

    async def run(self, stop: asyncio.Event) -> None:
        """Looks again every EVERY_S until *stop*."""

        async def once() -> int:
            await self._look()
            return 0

        await loop.run_forever(once, idle_s=EVERY_S, stop=stop, name="clock")

    async def _look(self) -> None:
        look = await self._db.read(self._ask)
        if look.error_s > max(self._last.error_s, ERROR_MAX_S):
            return
        self._last = look
        off_s = (self._machine.now_us() - self.now_us()) / 1_000_000
        off = abs(off_s) > TOLD_FROM_S
        if off and not self._told:
            _log.warning("this machine's clock differs from the database's", seconds=off_s)
        self._told = off

    def _ask(self, conn: database.Connection) -> _Look:
        """Runs beside the statement: time spent waiting for a connection tells nothing."""
        before_s = self._steady_s()
        row = conn.one(_NOW)
        after_s = self._steady_s()
        if row is None:
            raise LookupError("the database does not tell the time")
        return _Look(int(row[0]), (before_s + after_s) / 2, (after_s - before_s) / 2)


async def shared_clock(
    db: database.Database,
) -> tuple[clock.Clock, list[Callable[[asyncio.Event], Awaitable[None]]]]:
    """Returns the time that all processes on *db* share, and what must run to keep it right.

    Raises:
        StorageUnavailable: The database does not say.
    """
    if db.dialect == "sqlite":
        # Of one process on one machine.
        return clock.SystemClock(), []
    agreed = AgreedClock(db)
    await agreed.agree()
    return agreed, [agreed.run]
