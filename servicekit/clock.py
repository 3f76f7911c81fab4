"""Time as something that is passed in.

Owns the `Clock` protocol and the system's clock. Called by everything that reads time
or waits; never reads a time zone: all times are UTC epoch microseconds.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now_us(self) -> int:
        """Return the UTC time as microseconds since the epoch."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (0 or less: let others run once)."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now_us(self) -> int:
        """Return the UTC time as microseconds since the epoch."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (0 or less: let others run once)."""
        await asyncio.sleep(max(seconds, 0.0))


class SteadyClock:
    """What *base* told when this was made and what has passed since: steps of its time are not
    followed, so that what waits for a time waits no longer and no shorter.
    """

    __slots__ = ("_base", "_began_us")

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._began_us = base.now_us() - round(base.monotonic_s() * 1e6)

    def now_us(self) -> int:
        """Return microseconds since the epoch, as far as the time was right at the beginning."""
        return self._began_us + round(self._base.monotonic_s() * 1e6)

    def monotonic_s(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        return self._base.monotonic_s()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` (0 or less: let others run once)."""
        await self._base.sleep(seconds)
