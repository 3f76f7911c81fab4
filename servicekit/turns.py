"""Places that few may hold at once, and a short queue for them.

Owns who is let in, who waits, and for how long. Called by what takes requests and by what
calls providers. Never keeps more waiting than it was told to, nor anybody longer.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Turns:
    """Places; see the module.

    Those who wait are served in their order, and together never hold more than their share:
    who does not wait finds a place that the queue can't take away.

    Args:
        most: Places there are, from 1.
        waiting_max: Most who wait at once; others are turned away.
        share: Most places that those who are ready to wait hold together; all by default.
    """

    def __init__(self, most: int, *, waiting_max: int, share: int | None = None) -> None:
        self._most = most
        self._share = most if share is None else share
        self._waiting_max = waiting_max
        self._queue: deque[asyncio.Future[None]] = deque()
        self._held = 0
        self._held_by_patient = 0

    @property
    def held(self) -> int:
        """Places taken."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._queue)

    @contextlib.asynccontextmanager
    async def turn(self, patience_s: float | None = None) -> AsyncIterator[bool]:
        """Holds a place inside the block; gives False, and holds none, if there was none.

        Args:
            patience_s: How long to wait for one. None: not at all, and outside the share.
        """
        patient = patience_s is not None
        taken = self._take(patient) or (patient and await self._wait(patience_s or 0.0))
        try:
            yield taken
        finally:
            if taken:
                self._give(patient)

    def _take(self, patient: bool) -> bool:
        if self._held >= self._most or (patient and self._held_by_patient >= self._share):
            return False
        self._held += 1
        self._held_by_patient += patient
        return True

    async def _wait(self, patience_s: float) -> bool:
        if patience_s <= 0 or len(self._queue) >= self._waiting_max:
            return False
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await asyncio.wait([turn], timeout=patience_s)
        except asyncio.CancelledError:
            if turn.done():
                self._give(True)
            raise
        finally:
            if not turn.done():
                self._queue.remove(turn)
        return turn.done()

    def _give(self, patient: bool) -> None:
        self._held -= 1
        self._held_by_patient -= patient
        while self._queue and self._take(True):
            # Whoever it is holds its place from now on, before it wakes.
            self._queue.popleft().set_result(None)
