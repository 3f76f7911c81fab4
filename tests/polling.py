"""Waiting for what other tasks, threads and processes do.

Owns polling with a limit, so that no test sleeps for a time that it guessed. Called by tests of
all folders, mostly through their rigs. Never waits for what the test could do itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

POLL_S = 0.01
# Long for a machine that stops processes for a second, and well below the 30 s after which events
# and work are handed out again that nobody settled: what was forgotten must not pass as done.
LONGEST_S = 20.0


async def until(holds: Callable[[], Any], timeout_s: float = LONGEST_S) -> Any:
    """Returns what *holds* returns, or what that is awaited for, once it is true.

    Raises:
        TimeoutError: It is not within *timeout_s* seconds.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            held = holds()
            if isinstance(held, Awaitable):
                held = await held
            if held:
                return held
            await asyncio.sleep(POLL_S)
