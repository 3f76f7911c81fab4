"""The simulated provider's own time.

Owns an offset to the machine's clock. Called by the ledger (when something
settles or expires) and by the HTTP endpoint that moves it. Never used for the
fence: `not_after` is core's time, not the provider's.
"""

from servicekit import clock as clocks


class MockClock:
    """A clock that can be moved forward.

    Args:
        base: What it runs on.
        offset_s: Seconds it is ahead at first.
    """

    def __init__(self, base: clocks.Clock, *, offset_s: float = 0.0) -> None:
        self._base = base
        self._offset_us = round(offset_s * 1e6)

    @property
    def offset_s(self) -> float:
        """Seconds it is ahead."""
        return self._offset_us / 1e6

    def now_us(self) -> int:
        """Returns epoch microseconds."""
        return self._base.now_us() + self._offset_us

    def real_us(self) -> int:
        """Returns the machine's epoch microseconds: what the outside world goes by."""
        return self._base.now_us()

    def advance(self, seconds: float) -> None:
        """Moves it forward; what was to settle by then is due.

        Raises:
            ValueError: *seconds* is negative.
        """
        if seconds < 0:
            raise ValueError("time only moves forward")
        self._offset_us += round(seconds * 1e6)

    async def sleep(self, seconds: float) -> None:
        """Waits real seconds."""
        await self._base.sleep(seconds)
