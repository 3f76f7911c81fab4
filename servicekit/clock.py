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
