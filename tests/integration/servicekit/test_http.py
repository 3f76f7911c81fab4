"""The HTTP side of a process, as seen by clients that are slow or gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette import requests, responses, routing

from servicekit import http, metrics

WHOLE = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve one slow route and what every process has; yield the port."""

    async def slow(_: requests.Request) -> responses.Response:
        await asyncio.sleep(3 * http.HEAD_TIMEOUT_S)
        return responses.Response("at last")

    app = http.application(
        registry=metrics.Metrics(),
        readiness=http.Readiness(),
        routes=[routing.Route("/slow", slow)],
    )
    server = http.Server(app, host="127.0.0.1", port=0)
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


async def test_who_sends_no_whole_request_holds_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Connections are few: idle ones, of peers that are gone for example, would use them up."""
    monkeypatch.setattr(http, "HEAD_TIMEOUT_S", 0.2)
    async with serving() as port, asyncio.timeout(10):
        for sent in (b"", b"GET /slow HTTP/1.1\r\nX: ", WHOLE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            if sent is WHOLE:
                # Its answer takes longer than a request may; then a next one begins.
                assert (await reader.readuntil(b"at last")).startswith(b"HTTP/1.1 200")
                writer.write(b"GET")
            dripping = asyncio.create_task(_drip(writer))
            assert await reader.read() == b""
            dripping.cancel()
            writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte of a header now and then."""
    with contextlib.suppress(ConnectionError):
        while True:
            await asyncio.sleep(0.05)
            writer.write(b"x")
            await writer.drain()
