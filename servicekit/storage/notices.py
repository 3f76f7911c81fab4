"""Hears PostgreSQL's NOTIFY, so that other processes' commits are seen at once.

Owns one connection for LISTEN and its renewal. Run in the background of a process that
also polls: a notice may be lost, a pooler may swallow all of them. Never used for
anything but waking up.
"""

import asyncio
import contextlib
from collections.abc import Callable

import psycopg

from servicekit import logs
from servicekit.storage import reaching

# A broken connection is made again after this long.
AGAIN_S = 1.0
_CONNECT_TIMEOUT_S = 10
# After so long without a notice it asks whether the database is still there.
_QUIET_S = 15.0

_log = logs.get_logger(__name__)


async def listen(
    url: str,
    channel: str,
    on_notice: Callable[[str], None],
    stop: asyncio.Event,
    *,
    on_connected: Callable[[], None],
) -> None:
    """Calls *on_notice* with the payload of each NOTIFY on *channel* until *stop* is set.

    Args:
        url: Of a PostgreSQL database.
        channel: A plain identifier.
        on_notice: Must not block.
        stop: Ends it.
        on_connected: Called whenever it begins to listen: what came before was not heard.
    """
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            listening = asyncio.ensure_future(_listen(url, channel, on_notice, on_connected))
            await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                try:
                    await listening
                except (psycopg.Error, TimeoutError) as failure:
                    _log.warning(
                        "does not hear the database", problem=str(failure).strip() or "no answer"
                    )
            await asyncio.wait({stopping}, timeout=0 if stop.is_set() else AGAIN_S)
    finally:
        stopping.cancel()


async def _listen(
    url: str, channel: str, on_notice: Callable[[str], None], on_connected: Callable[[], None]
) -> None:
    connection = await psycopg.AsyncConnection.connect(
        url, autocommit=True, **reaching.options(url, connect_timeout_s=_CONNECT_TIMEOUT_S)
    )
    async with connection:
        await connection.execute(f'listen "{channel}"'.encode())
        on_connected()
        while True:
            async for notice in connection.notifies(timeout=_QUIET_S):
                on_notice(notice.payload)
            # A server that stands still keeps its connections open, and tells nothing more.
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await connection.execute("select 1")
