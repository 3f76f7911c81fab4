"""A daemon is `run_once` plus this loop.

Owns pacing: at once while there is work, idle waits, backoff with jitter after
an exception. Called by whatever runs beside the calls; never swallows a cancellation of its
own.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from servicekit import logs, tasks

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0

_log = logs.get_logger(__name__)


async def run_forever(
    run_once: Callable[[], Awaitable[int]],
    *,
    idle_s: float,
    stop: asyncio.Event,
    wake: asyncio.Event | None = None,
    name: str,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Call `run_once` until `stop` is set; it returns how much it did.

    More than 0: called again at once. 0: after `idle_s`, or when `wake` is set
    (it is cleared here). An exception is logged and followed by a pause that
    doubles from 0.1 s to 10 s, of which a random half is left out. So is what was
    canceled elsewhere and waited for here.
    """
    failures = 0
    stopping: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            if wake is not None:
                wake.clear()
            try:
                done = await run_once()
            except (Exception, asyncio.CancelledError) as failure:
                if isinstance(failure, asyncio.CancelledError) and tasks.is_canceled():
                    raise
                failures += 1
                pause_s = min(BACKOFF_FIRST_S * 2 ** min(failures - 1, 30), BACKOFF_MAX_S)
                pause_s *= 0.5 + 0.5 * jitter()
                _log.exception("loop failed", loop=name, failures=failures, pause_s=pause_s)
                await asyncio.wait([stopping], timeout=pause_s)
                continue
            if failures:
                _log.info("loop recovered", loop=name, failures=failures)
                failures = 0
            if done:
                await asyncio.sleep(0)
            else:
                await _idle(stopping, wake, idle_s)
    finally:
        stopping.cancel()


async def _idle(stopping: asyncio.Future[Any], wake: asyncio.Event | None, idle_s: float) -> None:
    if wake is None:
        await asyncio.wait([stopping], timeout=idle_s)
        return
    if wake.is_set():
        return
    woken: asyncio.Future[Any] = asyncio.ensure_future(wake.wait())
    try:
        await asyncio.wait([stopping, woken], timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        woken.cancel()
