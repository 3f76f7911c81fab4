"""One answer for all who ask at about the same time.

Owns when it is made anew: never sooner than after a rest that grows with what the last one
took, so that whoever asks without end costs a tenth of the event loop. Called by `http` for
what anybody may ask. Never hands out what was made before somebody asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Times what an answer took, and at most so long in seconds: some wait for others, who may hang.
RESTS = 9
REST_MAX_S = 0.25


class Joint(Generic[T]):
    """What is made for all who ask until it is begun.

    Args:
        make: Makes an answer; what it raises, all of them get.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._next: asyncio.Task[T] | None = None
        self._turn = asyncio.Lock()
        self._rested_s = 0.0

    async def get(self) -> T:
        """Returns an answer that was begun after this call; goes on for others when cancelled."""
        if self._next is None:
            self._next = asyncio.create_task(self._made())
        return await asyncio.shield(self._next)

    async def _made(self) -> T:
        loop = asyncio.get_running_loop()
        async with self._turn:
            await asyncio.sleep(self._rested_s - loop.time())
            self._next = None
            began_s = loop.time()
            try:
                return await self._make()
            finally:
                now_s = loop.time()
                self._rested_s = now_s + min(RESTS * (now_s - began_s), REST_MAX_S)
