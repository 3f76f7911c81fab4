"""A way to a server that can be blocked: connections stay open, and nothing comes through.

Owns the sockets between. Called by tests of what a machine does that was paused, or whose disk
hangs. Never closes a connection that either end keeps.
"""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator

from psycopg import conninfo


class Way:
    """Passes on what is written, while it is not blocked."""

    def __init__(self, url: str) -> None:
        self._there = conninfo.conninfo_to_dict(url)
        self._split = urllib.parse.urlsplit(url)
        self._free = asyncio.Event()
        self._free.set()
        self._passing: set[asyncio.Task[None]] = set()
        self.url = ""

    def block(self) -> None:
        """Lets nothing through, on connections that are there and on new ones."""
        self._free.clear()

    def free(self) -> None:
        """Lets new connections through; those from before stay as they are."""
        self._free = asyncio.Event()
        self._free.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Way"]:
        """Listens, at `url`."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        user = self._split.netloc.rpartition("@")[0]
        plain = "sslmode=disable&gssencmode=disable"
        self.url = f"postgresql://{user}@{host}:{port}{self._split.path}?{plain}"
        try:
            yield self
        finally:
            server.close()
            for each in self._passing:
                each.cancel()
            await asyncio.gather(*self._passing, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        free = self._free
        host, port = str(self._there["host"]), int(self._there.get("port") or 5432)
        if host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            there = await asyncio.open_connection(host, port)
        for source, target in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(_pass_on(source, target, free))
            self._passing.add(task)


async def _pass_on(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, free: asyncio.Event
) -> None:
    try:
        while data := await source.read(65_536):
            await free.wait()
            target.write(data)
            await target.drain()
    except ConnectionError:
        pass
    finally:
        target.close()
