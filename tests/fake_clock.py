"""Clocks that a test moves: one that stands still else, and one that is ahead of the machine's.

Owns their time and who sleeps by it. Passed to what takes a `servicekit.clock.Clock`, by tests of
all folders. Never decides when time passes.
"""

import asyncio
import heapq
import itertools

from servicekit import clock


class FakeClock:
    """A clock that moves only when told; sleepers wake when it passes their time."""

    def __init__(self, start_us: int = 1_700_000_000_000_000) -> None:
        self._start_us = start_us
        self._passed_us = 0
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        """Return the UTC time as microseconds since the epoch."""
        return self._start_us + self._passed_us

    def monotonic_s(self) -> float:
        """Return seconds since this clock was made."""
        return self._passed_us / 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds` (0 or less: let others run once)."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        due_us = self._passed_us + round(seconds * 1_000_000)
        heapq.heappush(self._sleepers, (due_us, next(self._order), woken))
        await woken

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds` (0 or more) and wake who is due, earliest first."""
        if seconds < 0:
            raise ValueError("a clock does not go back")
        self._passed_us += round(seconds * 1_000_000)
        while self._sleepers and self._sleepers[0][0] <= self._passed_us:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    def step(self, seconds: float) -> None:
        """Set the UTC time by `seconds` ahead, or back, though no time passes."""
        self._start_us += round(seconds * 1_000_000)

    @property
    def sleeper_count(self) -> int:
        """How many tasks are waiting for this clock."""
        return sum(1 for _, _, woken in self._sleepers if not woken.done())


class Ahead(clock.SystemClock):
    """The machine's clock, whose monotonic time can be moved on."""

    __slots__ = ("ahead_s",)

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def monotonic_s(self) -> float:
        """Return the machine's seconds and those it was moved on by."""
        return super().monotonic_s() + self.ahead_s
