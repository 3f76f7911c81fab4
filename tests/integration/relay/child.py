"""A relay as a process, so that it can be killed: `… <database URL> <gateway>`."""

import asyncio
import signal
import sys

import uvloop

from servicekit import storage
from tests.integration.relay import rig


async def main(url: str, target: str) -> None:
    """Relays until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    db = await storage.open_database(url)
    await rig.make(db, target).run(stop)
    await db.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
