"""One address that leads to several processes, as a Service of Kubernetes does.

Owns passing connections on, one process after the other, and breaking them off. Called by the
tests of this folder. Never reads what it passes on.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

CHUNK_BYTES = 65_536


class Balancer:
    """Gives every new connection to the next process.

    Args:
        targets: `host:port` of each; may be changed at any time.
    """

    def __init__(self, targets: Sequence[str] = ()) -> None:
        self.targets = list(targets)
        self.target = ""
        self._turn = 0
        self._open: dict[asyncio.Task[None], str] = {}

    @property
    def connected(self) -> list[str]:
        """Where the connections lead that are open."""
        return list(self._open.values())

    def sever(self) -> None:
        """Breaks every connection off."""
        for task in list(self._open):
            task.cancel()

    async def serve(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        """Passes on what comes over a new connection, until either side ends it."""
        task = asyncio.current_task()
        if task is None or not self.targets:
            to_near.transport.abort()
            return
        target = self.targets[self._turn % len(self.targets)]
        self._turn += 1
        self._open[task] = target
        try:
            host, _, port = target.rpartition(":")
            far, to_far = await asyncio.open_connection(host, int(port))
            with contextlib.closing(to_far):
                both = [
                    asyncio.create_task(_pass_on(near, to_far)),
                    asyncio.create_task(_pass_on(far, to_near)),
                ]
                try:
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for each in both:
                        each.cancel()
        except (OSError, asyncio.CancelledError):
            # A test breaks it off; the server would tell that as a fault of its own.
            pass
        finally:
            del self._open[task]
            to_near.transport.abort()


@contextlib.asynccontextmanager
async def balancing(
    targets: Sequence[str] = (), host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Balancer]:
    """Runs a balancer in front of processes, at a free port unless one is named."""
    made = Balancer(targets)
    server = await asyncio.start_server(made.serve, host, port)
    made.target = "{}:{}".format(*server.sockets[0].getsockname())
    try:
        yield made
    finally:
        server.close()
        made.sever()
        await server.wait_closed()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
