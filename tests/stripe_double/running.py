"""Starts and stops the double, inside a test or as a process.

Owns the socket, uvicorn, the tick of the clock and the snapshot file. Called by tests and by
`python -m tests.stripe_double`.
"""

import asyncio
import contextlib
import dataclasses
import logging
import pathlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import uvicorn

from tests.stripe_double import control, server, store, timeline, webhooks

Json = dict[str, Any]

HOST = "127.0.0.1"
TICK_S = 0.1
STOP_S = 2


class ControlRefused(Exception):
    """The control API refused an order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Double:
    """A running double.

    Attributes:
        address: Its base address, for `base_addresses["api"]`.
        world: Its state, for tests that look inside.
    """

    address: str
    world: store.World

    async def order(self, what: str, method: str = "POST", /, **body: Any) -> Json:
        """Calls the control API and returns its answer.

        Raises:
            ControlRefused: It did not answer 200.
        """
        return await order(self.address, what, method, **body)


async def order(address: str, what: str, method: str = "POST", /, **body: Any) -> Json:
    """Calls the control API of the double at *address*."""
    url = f"{address}/_double/{what}"
    given: Json = {"params": body} if method == "GET" else {"json": body}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, **given) as response,
    ):
        answer: Json = await response.json()
        if response.status != 200:
            raise ControlRefused(answer["error"]["message"])
        return answer


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it, each answer
    # waits 40 ms for the acknowledgement of its own headers.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(256)
    return listening


class _Listener:
    """The socket of a double, which can be closed for a while."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.uvicorn: _Server | None = None
        self._opening: set[asyncio.Task[None]] = set()

    async def serve(self, app: Any) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            http="h11",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=300,
            timeout_graceful_shutdown=STOP_S,
        )
        self.uvicorn = _Server(config)
        await self.uvicorn.serve(sockets=[self._socket])

    async def refuse(self, for_s: float) -> None:
        """Closes the socket now and opens it again later on the same port."""
        if self.uvicorn is None:
            raise RuntimeError("the double doesn't serve yet")
        for listening in self.uvicorn.servers:
            listening.close()
        self._socket.close()
        task = asyncio.create_task(self._open_again(for_s))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_again(self, for_s: float) -> None:
        # The answer to the order itself still leaves on an open connection.
        await asyncio.sleep(0.02)
        running = self.uvicorn
        if running is None:
            return
        for connection in list(running.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(for_s)
        self._socket = _listen(self._host, self.port)
        loop = asyncio.get_running_loop()

        speaker: Any = running.config.http_protocol_class

        def protocol() -> asyncio.Protocol:
            made: asyncio.Protocol = speaker(
                config=running.config, server_state=running.server_state, app_state={}
            )
            return made

        running.servers = [await loop.create_server(protocol, sock=self._socket)]

    async def stop(self) -> None:
        for task in list(self._opening):
            task.cancel()
        if self.uvicorn is not None:
            self.uvicorn.should_exit = True


async def _tick(world: store.World, state: pathlib.Path | None) -> None:
    saved = world.changes
    while True:
        await asyncio.sleep(TICK_S)
        timeline.run(world)
        if state is not None and world.changes != saved:
            saved = world.changes
            world.save(state)


@contextlib.asynccontextmanager
async def serve(
    *, host: str = HOST, port: int = 0, state: pathlib.Path | None = None
) -> AsyncIterator[Double]:
    """Runs a double on this event loop.

    Args:
        host: Where to listen; loopback.
        port: 0 takes a free one.
        state: A file that is read at start, and written after changes and at the end.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    world = store.World()
    if state is not None:
        world.load(state)
    listener = _Listener(host, port)
    world.address = f"http://{host}:{listener.port}"
    deliverer = webhooks.Deliverer(world)
    controls = control.Control(world, deliverer, listener.refuse)
    app = server.Application(world, controls.application())
    tasks = [
        asyncio.create_task(listener.serve(app)),
        asyncio.create_task(deliverer.run()),
        asyncio.create_task(_tick(world, state)),
    ]
    try:
        while listener.uvicorn is None or not listener.uvicorn.started:
            if tasks[0].done():
                await tasks[0]
            await asyncio.sleep(0.002)
        yield Double(address=world.address, world=world)
    finally:
        await listener.stop()
        for task in tasks[1:]:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        if state is not None:
            world.save(state)
        for end in ends:
            # A timer or a delivery that broke the double must not go unseen.
            if isinstance(end, Exception):
                raise end
